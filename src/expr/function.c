/* The table of functions and methods, and what they share. */
#include "expr/function_int.h"

#include "base/check.h"
#include "expr/value_int.h"

enum {
    INT_ = 1 << VALUE_INT,
    STRING_ = 1 << VALUE_STRING,
    LIST_ = 1 << VALUE_LIST,
    TIME_ = 1 << VALUE_TIMESTAMP,
    SPAN_ = 1 << VALUE_DURATION,
    NUMBER_ = 1 << VALUE_INT | 1 << VALUE_UINT | 1 << VALUE_DOUBLE,
    BYTES_ = 1 << VALUE_BYTES,
    BOOL_ = 1 << VALUE_BOOL,
    SIZED_ = STRING_ | BYTES_ | LIST_ | 1 << VALUE_MAP,
    CLOCK_ = TIME_ | SPAN_,
    TEXTED_ = NUMBER_ | STRING_ | BYTES_ | BOOL_ | CLOCK_,
    /* Places of a table's row. */
    FUNCTION = 0,
    METHOD = 1,
    PURE = 0,
};

/* clang-format off */
static const struct function functions[] = {
    {"size", FUNCTION, 1, 1, VALUE_INT, PURE, {SIZED_}, function__size},
    {"size", METHOD, 1, 1, VALUE_INT, PURE, {SIZED_}, function__size},
    {"contains", METHOD, 2, 2, VALUE_BOOL, PURE, {STRING_, STRING_},
     function__contains},
    {"startsWith", METHOD, 2, 2, VALUE_BOOL, PURE, {STRING_, STRING_},
     function__starts_with},
    {"endsWith", METHOD, 2, 2, VALUE_BOOL, PURE, {STRING_, STRING_},
     function__ends_with},
    {"matches", METHOD, 2, 2, VALUE_BOOL, PURE, {STRING_, STRING_},
     function__matches},
    {"matches", FUNCTION, 2, 2, VALUE_BOOL, PURE, {STRING_, STRING_},
     function__matches},

    {"lower", METHOD, 1, 1, VALUE_STRING, PURE, {STRING_}, function__lower},
    {"upper", METHOD, 1, 1, VALUE_STRING, PURE, {STRING_}, function__upper},
    {"trim", METHOD, 1, 1, VALUE_STRING, PURE, {STRING_}, function__trim},
    {"replace", METHOD, 3, 4, VALUE_STRING, PURE,
     {STRING_, STRING_, STRING_, INT_}, function__replace},
    {"split", METHOD, 2, 3, VALUE_LIST, PURE, {STRING_, STRING_, INT_},
     function__split},
    {"join", METHOD, 1, 2, VALUE_STRING, PURE, {LIST_, STRING_},
     function__join},
    {"format", METHOD, 2, 2, VALUE_STRING, PURE, {STRING_, LIST_},
     function__format},
    {"glob", FUNCTION, 2, 2, VALUE_BOOL, PURE, {STRING_, STRING_},
     function__glob},
    {"json", FUNCTION, 1, 1, VALUE_LAZY, PURE, {STRING_ | BYTES_},
     function__json},

    {"int", FUNCTION, 1, 1, VALUE_INT, PURE, {NUMBER_ | STRING_ | TIME_},
     function__int},
    {"uint", FUNCTION, 1, 1, VALUE_UINT, PURE, {NUMBER_ | STRING_},
     function__uint},
    {"double", FUNCTION, 1, 1, VALUE_DOUBLE, PURE, {NUMBER_ | STRING_},
     function__double},
    {"string", FUNCTION, 1, 1, VALUE_STRING, PURE, {TEXTED_},
     function__string},
    {"bytes", FUNCTION, 1, 1, VALUE_BYTES, PURE, {STRING_ | BYTES_},
     function__bytes},
    {"bool", FUNCTION, 1, 1, VALUE_BOOL, PURE, {STRING_ | BOOL_},
     function__bool},
    {"timestamp", FUNCTION, 1, 1, VALUE_TIMESTAMP, PURE,
     {STRING_ | INT_ | TIME_}, function__timestamp},
    {"duration", FUNCTION, 1, 1, VALUE_DURATION, PURE, {STRING_ | SPAN_},
     function__duration},
    {"type", FUNCTION, 1, 1, VALUE_TYPE, PURE, {0}, function__type},
    {"dyn", FUNCTION, 1, 1, VALUE_LAZY, PURE, {0}, function__dyn},

    {"getFullYear", METHOD, 1, 2, VALUE_INT, PURE, {TIME_, STRING_},
     function__full_year},
    {"getMonth", METHOD, 1, 2, VALUE_INT, PURE, {TIME_, STRING_},
     function__month},
    {"getDate", METHOD, 1, 2, VALUE_INT, PURE, {TIME_, STRING_},
     function__date},
    {"getDayOfMonth", METHOD, 1, 2, VALUE_INT, PURE, {TIME_, STRING_},
     function__day_of_month},
    {"getDayOfWeek", METHOD, 1, 2, VALUE_INT, PURE, {TIME_, STRING_},
     function__day_of_week},
    {"getDayOfYear", METHOD, 1, 2, VALUE_INT, PURE, {TIME_, STRING_},
     function__day_of_year},
    {"getHours", METHOD, 1, 2, VALUE_INT, PURE, {CLOCK_, STRING_},
     function__hours},
    {"getMinutes", METHOD, 1, 2, VALUE_INT, PURE, {CLOCK_, STRING_},
     function__minutes},
    {"getSeconds", METHOD, 1, 2, VALUE_INT, PURE, {CLOCK_, STRING_},
     function__seconds},
    {"getMilliseconds", METHOD, 1, 2, VALUE_INT, PURE, {CLOCK_, STRING_},
     function__milliseconds},
    {"time.hour", FUNCTION, 3, 3, VALUE_BOOL, EXPR_USES_TIME,
     {INT_, INT_, STRING_}, function__time_hour},
    {"time.weekday", FUNCTION, 3, 3, VALUE_BOOL, EXPR_USES_TIME,
     {INT_, INT_, STRING_}, function__time_weekday},
    {"now", FUNCTION, 0, 0, VALUE_TIMESTAMP, EXPR_USES_TIME, {0},
     function__now},

    {"exists", FUNCTION, 1, 1, VALUE_BOOL, EXPR_USES_STORE, {STRING_},
     function__exists},
    {"get", FUNCTION, 1, 1, VALUE_LAZY, EXPR_USES_STORE, {STRING_},
     function__get},
    {"count", FUNCTION, 1, 1, VALUE_INT, EXPR_USES_STORE, {STRING_},
     function__count},
    {"secret", FUNCTION, 1, 1, VALUE_LAZY, EXPR_USES_SECRET, {STRING_},
     function__secret},
};
/* clang-format on */

const struct function *function__find(struct slice name, bool is_method)
{
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        const struct function *function = &functions[i];
        if (function->is_method == is_method &&
            slice_eq(slice_str(function->name), name))
            return function;
    }
    return NULL;
}

/* ---- shared ------------------------------------------------------------- */

static const char *kind_at(const struct value *arguments, size_t count,
                           size_t at)
{
    return at < count ? value_kind_text(arguments[at].kind) : "";
}

void function__no_overload(struct run *run, const char *name,
                           const struct value *arguments, size_t count,
                           struct value *out)
{
    CHECK_LE(count, FUNCTION_ARGUMENTS_MAX);
    *out = run__error(run, "no such overload: %s(%s%s%s%s%s%s%s)", name,
                      kind_at(arguments, count, 0), count > 1 ? ", " : "",
                      kind_at(arguments, count, 1), count > 2 ? ", " : "",
                      kind_at(arguments, count, 2), count > 3 ? ", " : "",
                      kind_at(arguments, count, 3));
}

bool function__are_strings(struct run *run, const char *name,
                           const struct value *arguments, size_t count,
                           struct value *out)
{
    for (size_t i = 0; i < count; i++) {
        if (arguments[i].kind != VALUE_STRING) {
            function__no_overload(run, name, arguments, count, out);
            return false;
        }
    }
    return true;
}

void function__give_string(struct run *run, const void *bytes, size_t size,
                           struct value *out)
{
    char *copy = run__alloc(run, size);
    if (copy == NULL)
        return;
    if (size > 0)
        memcpy(copy, bytes, size);
    *out = value_string(slice_of(copy, size));
}

/* Twice as large each time: all of them together are at most four times what
 * is made. */
bool maker__append(struct maker *maker, const void *bytes, size_t size)
{
    if (size == 0)
        return true;
    if (!run__steps(maker->run, size / FUNCTION_BYTES_A_STEP))
        return false;
    if (size > maker->capacity - maker->size) {
        size_t capacity = 64;
        while (capacity < maker->size + size)
            capacity *= 2;
        char *at = run__alloc(maker->run, capacity);
        if (at == NULL)
            return false;
        if (maker->size > 0)
            memcpy(at, maker->at, maker->size);
        maker->at = at;
        maker->capacity = capacity;
    }
    memcpy(maker->at + maker->size, bytes, size);
    maker->size += size;
    return true;
}

void maker__give(const struct maker *maker, struct value *out)
{
    *out = value_string(slice_of(maker->size ? maker->at : "", maker->size));
}
