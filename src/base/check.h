/* CHECK: an invariant that holds, or the program stops. On in release too.
 *
 * A failed CHECK prints the expression, the place, up to two values and the
 * last lines that were logged (log_recent), then aborts. It is for bugs:
 * what the world or a client can cause is an `enum err`, not a CHECK.
 *
 * CHECK      a cheap condition, always tested
 * CHECK_EQ.. the same for two integers (up to 64 bits), whose values are shown
 * DCHECK     a costly condition: debug and sanitizer builds only
 */
#ifndef ETCHED_BASE_CHECK_H
#define ETCHED_BASE_CHECK_H

#include <stdint.h>

#define CHECK(x)                          \
    (__builtin_expect(!!(x), 1) ? (void)0 \
                                : check_failed(__FILE__, __LINE__, #x))

#define CHECK_OP(a, op, b)                                            \
    (__builtin_expect((a)op(b), 1)                                    \
         ? (void)0                                                    \
         : check_failed_values(__FILE__, __LINE__, #a " " #op " " #b, \
                               (int64_t)(a), (int64_t)(b)))

#define CHECK_EQ(a, b) CHECK_OP(a, ==, b)
#define CHECK_NE(a, b) CHECK_OP(a, !=, b)
#define CHECK_LT(a, b) CHECK_OP(a, <, b)
#define CHECK_LE(a, b) CHECK_OP(a, <=, b)

#ifdef NDEBUG
#define DCHECK(x) ((void)0)
#else
#define DCHECK(x) CHECK(x)
#endif

#define UNREACHABLE() check_failed(__FILE__, __LINE__, "unreachable")

_Noreturn void check_failed(const char *file, int line, const char *expression);
_Noreturn void check_failed_values(const char *file, int line,
                                   const char *expression, int64_t a,
                                   int64_t b);

#endif
