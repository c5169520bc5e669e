#include "base/crc.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "base/bytes.h"

/* ---- by tables ---------------------------------------------------------- */

/* The polynomial 0x1EDC6F41 with its bits turned round, as bytes come lowest
 * bit first. */
static const uint32_t polynomial = 0x82F63B78;

/* tables[k][b]: what byte `b` does to a remainder that k more bytes follow. */
static uint32_t tables[8][256];
static atomic_int tables_state; /* 0: none, 1: being made, 2: ready */

static void make_tables(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ ((crc & 1) ? polynomial : 0);
        tables[0][byte] = crc;
    }
    for (int k = 1; k < 8; k++) {
        for (int byte = 0; byte < 256; byte++) {
            uint32_t crc = tables[k - 1][byte];
            tables[k][byte] = crc >> 8 ^ tables[0][crc & 0xFF];
        }
    }
}

/* The first to come makes them; who comes meanwhile waits some microseconds. */
static void need_tables(void)
{
    int state = 0;
    if (atomic_load_explicit(&tables_state, memory_order_acquire) == 2)
        return;
    if (atomic_compare_exchange_strong(&tables_state, &state, 1)) {
        make_tables();
        atomic_store(&tables_state, 2);
    }
    while (atomic_load(&tables_state) != 2) {
    }
}

static uint32_t update_8(uint32_t crc, uint64_t word)
{
    word ^= crc;
    crc = 0;
    for (unsigned k = 0; k < 8; k++)
        crc ^= tables[7 - k][word >> (8 * k) & 0xFF];
    return crc;
}

uint32_t crc32c_portable(uint32_t crc, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    need_tables();
    crc = ~crc;
    for (; size >= 8; size -= 8, at += 8)
        crc = update_8(crc, get_le64(at));
    for (; size > 0; size--, at++)
        crc = crc >> 8 ^ tables[0][(crc ^ *at) & 0xFF];
    return ~crc;
}

/* ---- by instruction ----------------------------------------------------- */

#if defined(__x86_64__)

static bool has_instruction(void)
{
    return __builtin_cpu_supports("sse4.2");
}

__attribute__((target("sse4.2"))) static uint32_t
crc32c_instruction(uint32_t crc, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    uint64_t state = (uint32_t)~crc;
    for (; size >= 8; size -= 8, at += 8)
        state = __builtin_ia32_crc32di(state, get_le64(at));
    crc = (uint32_t)state;
    for (; size > 0; size--, at++)
        crc = __builtin_ia32_crc32qi(crc, *at);
    return ~crc;
}

#elif defined(__aarch64__) && defined(__linux__)

#include <sys/auxv.h>

enum { HARDWARE_HAS_CRC32 = 1 << 7 }; /* HWCAP_CRC32 of Linux on ARMv8 */

static bool has_instruction(void)
{
    return (getauxval(AT_HWCAP) & HARDWARE_HAS_CRC32) != 0;
}

/* Assembly, as the intrinsics of gcc and clang for this differ. */
static uint32_t step_8(uint32_t crc, uint64_t word)
{
    __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1"
            : "+r"(crc)
            : "r"(word));
    return crc;
}

static uint32_t step_1(uint32_t crc, unsigned char byte)
{
    __asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1"
            : "+r"(crc)
            : "r"((uint32_t)byte));
    return crc;
}

static uint32_t crc32c_instruction(uint32_t crc, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    crc = ~crc;
    for (; size >= 8; size -= 8, at += 8)
        crc = step_8(crc, get_le64(at));
    for (; size > 0; size--, at++)
        crc = step_1(crc, *at);
    return ~crc;
}

#else

static bool has_instruction(void)
{
    return false;
}

static uint32_t crc32c_instruction(uint32_t crc, const void *bytes, size_t size)
{
    return crc32c_portable(crc, bytes, size);
}

#endif

uint32_t crc32c(uint32_t crc, const void *bytes, size_t size)
{
    return has_instruction() ? crc32c_instruction(crc, bytes, size)
                             : crc32c_portable(crc, bytes, size);
}
