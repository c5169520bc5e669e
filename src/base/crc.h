/* CRC-32C (Castagnoli, RFC 3720 B.4), by the SSE 4.2 or ARMv8 instruction
 * where the machine has it, else by tables (slicing by 8). */
#ifndef ETCHED_BASE_CRC_H
#define ETCHED_BASE_CRC_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of `bytes` going on from `crc` (0 to begin). */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t size);
/* The table version, for tests to compare with. */
uint32_t crc32c_portable(uint32_t crc, const void *bytes, size_t size);

#endif
