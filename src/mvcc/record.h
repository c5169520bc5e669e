/* How a record is stored: a pair in MVCC_KV_RECORDS.
 *
 *   key     main, 8 bytes, big end first; sub, 4 bytes, big end first: the
 *           file's order is that of revisions
 *   value   crc_head   le32   CRC-32C of what follows crc_value, to the end
 *                             of the key
 *           crc_value  le32   CRC-32C of the value
 *           table      u8
 *           cause      u8
 *           flags      u8
 *           fields     u8     which of those below in [] are there
 *           time_ns    le64
 *           [1]  main - create   varint    else: create is main
 *           [2]  version         varint    else: version is 1
 *           [4]  main - prev.main, prev.sub   varints   else: none
 *           [8]  lease           varint    else: none
 *           [16] expire_ns       varint    else: none
 *           key size             varint
 *           key
 *           value, to the end
 *
 * In a tombstone create and version are 0, and there is no value. A record is
 * written in one form only: what can be left out is left out.
 */
#ifndef ETCHED_MVCC_RECORD_H
#define ETCHED_MVCC_RECORD_H

#include "base/bytes.h"
#include "mvcc/mvcc.h"

enum { RECORD_KEY_BYTES = 12 };

void record__encode_key(struct rev rev, char out[RECORD_KEY_BYTES]);
enum err record__decode_key(struct slice key, struct rev *out) MUST_USE;

void record__encode(struct buf *out, const struct record *record);

enum record__trust {
    RECORD_CHECK_ALL,
    RECORD_CHECK_HEAD, /* all but the value's bytes, which aren't touched */
};
/* The slices that come out lie in `bytes`. Errors: ERR_CORRUPT. */
enum err record__decode(struct slice bytes, struct rev rev,
                        enum record__trust trust, struct record *out) MUST_USE;

#endif
