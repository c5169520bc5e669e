#include "base/bytes.h"

#include "base/check.h"

/* ---- slices ------------------------------------------------------------- */

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

bool slice_eq_nocase(struct slice a, struct slice b)
{
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++) {
        if (lower(a.at[i]) != lower(b.at[i]))
            return false;
    }
    return true;
}

ptrdiff_t slice_find(struct slice a, char c)
{
    const char *found = a.size ? memchr(a.at, c, a.size) : NULL;
    return found ? found - a.at : -1;
}

/* The size of the well-formed sequence that begins at `at`, whose first byte
 * is not ASCII; 0 when there is none (RFC 3629, section 4). */
static size_t utf8_sequence(const unsigned char *at, size_t size)
{
    /* The second byte's range is what excludes overlongs, surrogates and what
     * lies beyond U+10FFFF. */
    unsigned char low = 0x80, high = 0xBF;
    size_t length;
    unsigned char first = at[0];
    if (first >= 0xC2 && first <= 0xDF) {
        length = 2;
    } else if (first >= 0xE0 && first <= 0xEF) {
        length = 3;
        low = first == 0xE0 ? 0xA0 : low;
        high = first == 0xED ? 0x9F : high;
    } else if (first >= 0xF0 && first <= 0xF4) {
        length = 4;
        low = first == 0xF0 ? 0x90 : low;
        high = first == 0xF4 ? 0x8F : high;
    } else {
        return 0;
    }
    if (size < length || at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++) {
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    }
    return length;
}

bool slice_is_utf8(struct slice a)
{
    const unsigned char *bytes = (const unsigned char *)a.at;
    size_t i = 0;
    while (i < a.size) {
        if (a.size - i >= 8 &&
            (get_le64(bytes + i) & UINT64_C(0x8080808080808080)) == 0) {
            i += 8;
        } else if (bytes[i] < 0x80) {
            i++;
        } else {
            size_t length = utf8_sequence(bytes + i, a.size - i);
            if (length == 0)
                return false;
            i += length;
        }
    }
    return true;
}

/* ---- numbers ------------------------------------------------------------ */

bool slice_to_u64(struct slice a, uint64_t *out)
{
    uint64_t number = 0;
    if (a.size == 0)
        return false;
    for (size_t i = 0; i < a.size; i++) {
        unsigned digit = (unsigned char)a.at[i] - (unsigned)'0';
        if (digit > 9 || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, digit, &number))
            return false;
    }
    *out = number;
    return true;
}

bool slice_to_i64(struct slice a, int64_t *out)
{
    bool negative = a.size > 0 && a.at[0] == '-';
    if (negative)
        a = slice_of(a.at + 1, a.size - 1);
    uint64_t size;
    if (!slice_to_u64(a, &size) || size > (uint64_t)INT64_MAX + negative)
        return false;
    *out = (int64_t)(negative ? 0 - size : size);
    return true;
}

static unsigned count_digits(uint64_t number)
{
    unsigned count = 1;
    for (; number >= 10000; number /= 10000)
        count += 4;
    return count + (number >= 10) + (number >= 100) + (number >= 1000);
}

static const char digit_pairs[] = "00010203040506070809"
                                  "10111213141516171819"
                                  "20212223242526272829"
                                  "30313233343536373839"
                                  "40414243444546474849"
                                  "50515253545556575859"
                                  "60616263646566676869"
                                  "70717273747576777879"
                                  "80818283848586878889"
                                  "90919293949596979899";

size_t u64_to_text(uint64_t number, char *out)
{
    size_t length = count_digits(number);
    size_t at = length;
    while (number >= 10) {
        at -= 2;
        memcpy(out + at, digit_pairs + number % 100 * 2, 2);
        number /= 100;
    }
    if (at == 1)
        out[0] = (char)('0' + number);
    return length;
}

/* ---- varints ------------------------------------------------------------ */

size_t put_varint(void *to, uint64_t v)
{
    unsigned char *at = to;
    size_t size = 0;
    for (; v >= 0x80; v >>= 7)
        at[size++] = (unsigned char)(v | 0x80);
    at[size++] = (unsigned char)v;
    return size;
}

bool get_varint(const char **at, const char *end, uint64_t *out)
{
    uint64_t v = 0;
    const char *next = *at;
    for (unsigned shift = 0; shift < 64 && next != end; shift += 7) {
        unsigned char byte = (unsigned char)*next++;
        if (shift == 63 && byte > 1)
            return false;
        v |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            *at = next;
            *out = v;
            return true;
        }
    }
    return false;
}
