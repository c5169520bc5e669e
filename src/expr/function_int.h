/* What the files of functions share: each file gives the calls that the table
 * in function.c names. */
#ifndef ETCHED_EXPR_FUNCTION_INT_H
#define ETCHED_EXPR_FUNCTION_INT_H

#include "expr/expr_int.h"

/*  the function's name in C */
#define FUNCTION_CALLS(X)    \
    /* function_string.c */  \
    X(size)                  \
    X(contains)              \
    X(starts_with)           \
    X(ends_with)             \
    X(lower)                 \
    X(upper)                 \
    X(trim)                  \
    X(glob)                  \
    /* function_list.c */    \
    X(replace)               \
    X(split)                 \
    X(join)                  \
    /* regex.c */            \
    X(matches)               \
    /* format.c */           \
    X(format)                \
    /* function_convert.c */ \
    X(int)                   \
    X(uint)                  \
    X(double)                \
    X(string)                \
    X(bytes)                 \
    X(bool)                  \
    X(timestamp)             \
    X(duration)              \
    X(type)                  \
    X(dyn)                   \
    X(json)                  \
    /* function_time.c */    \
    X(full_year)             \
    X(month)                 \
    X(date)                  \
    X(day_of_month)          \
    X(day_of_week)           \
    X(day_of_year)           \
    X(hours)                 \
    X(minutes)               \
    X(seconds)               \
    X(milliseconds)          \
    X(time_hour)             \
    X(time_weekday)          \
    /* function_world.c */   \
    X(exists)                \
    X(get)                   \
    X(count)                 \
    X(secret)                \
    X(now)

#define X(name)                                                           \
    void function__##name(struct run *run, const struct value *arguments, \
                          size_t count, struct value *out);
FUNCTION_CALLS(X)
#undef X

enum { FUNCTION_BYTES_A_STEP = 64 };

/* "no such overload: size(int)". */
void function__no_overload(struct run *run, const char *name,
                           const struct value *arguments, size_t count,
                           struct value *out);
/* Are the arguments all strings? Else *out says so. */
bool function__are_strings(struct run *run, const char *name,
                           const struct value *arguments, size_t count,
                           struct value *out);
/* A copy of the bytes that the run owns, as a string. */
void function__give_string(struct run *run, const void *bytes, size_t size,
                           struct value *out);

/* A text that grows, of the run's bytes. */
struct maker {
    struct run *run;
    char *at;
    size_t size;
    size_t capacity;
};
/* False where the budget is used up. */
bool maker__append(struct maker *maker, const void *bytes, size_t size);
void maker__give(const struct maker *maker, struct value *out);

#endif
