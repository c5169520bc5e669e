/* matches(): regular expressions, by PCRE2, found anywhere in the text.
 *
 * PCRE2 goes back and tries again, which some patterns make it do for ever, so
 * each attempt is counted: PCRE2_AUTO_CALLOUT makes it call us before each item
 * of the pattern, and what that item can cost (a repeated one may run to the
 * end of the text) is taken from the run's steps. One call may have
 * MATCH_STEPS_MAX of them. Its own limits (match, depth, heap) stand behind
 * that.
 *
 * A pattern is compiled for the call and freed again: that takes a few
 * microseconds, and no state is shared between threads. */
#include "expr/function_int.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/check.h"

enum {
    PATTERN_BYTES_MAX = 2000,
    NESTED_MAX = 50,
    /* Half of the default budget: another condition can still decide. */
    MATCH_STEPS_MAX = 50000,
    TICKS_A_STEP = 2,  /* items of the pattern that were tried */
    BYTES_A_TICK = 32, /* of the text, that a repeated item may run over */
    SLOW_FACTOR = 16,
    MATCH_LIMIT = 1000000,
    DEPTH_LIMIT = 100000,
    HEAP_LIMIT_KIB = 2048,
    COMPILE_STEPS = 20,
    COMPILED_BYTES_A_STEP = 64,
    WHY_BYTES_MAX = 120,
};

/* ---- memory: it doesn't outlive the call -------------------------------- */

static void *take_memory(size_t size, void *unused)
{
    (void)unused;
    return mem_try_alloc(size);
}

static void give_back(void *memory, void *unused)
{
    (void)unused;
    mem_free(memory);
}

/* ---- counting ----------------------------------------------------------- */

struct count {
    struct run *run;
    struct slice pattern;
    uint64_t ticks;
    uint64_t steps_left; /* of MATCH_STEPS_MAX */
};

/* One byte, or an escape of two, matches one character at the most; all else
 * may run to the end of the text. */
static bool is_single(const struct count *count,
                      const pcre2_callout_block *block)
{
    if (block->next_item_length <= 1)
        return true;
    if (block->next_item_length > 2 ||
        block->pattern_position >= count->pattern.size)
        return false;
    const char *item = count->pattern.at + block->pattern_position;
    return item[0] == '\\' && item[1] > '9' && item[1] != 'X';
}

/* \X, a character with all its accents, goes through tables of Unicode's. */
static bool is_slow(const struct count *count, const pcre2_callout_block *block)
{
    return block->pattern_position + 1 < count->pattern.size &&
           memcmp(count->pattern.at + block->pattern_position, "\\X", 2) == 0;
}

static int count_item(pcre2_callout_block *block, void *context)
{
    struct count *count = context;
    count->ticks++;
    if (!is_single(count, block))
        count->ticks += (is_slow(count, block) ? SLOW_FACTOR : 1) *
                        (block->subject_length - block->current_position) /
                        BYTES_A_TICK;
    if (count->ticks < TICKS_A_STEP)
        return 0;
    uint64_t steps = count->ticks / TICKS_A_STEP;
    count->ticks %= TICKS_A_STEP;
    if (steps > count->steps_left)
        return PCRE2_ERROR_MATCHLIMIT;
    count->steps_left -= steps;
    return run__steps(count->run, steps) ? 0 : PCRE2_ERROR_CALLOUT;
}

/* ---- compiling ---------------------------------------------------------- */

static pcre2_code *compile(struct run *run, pcre2_general_context *general,
                           struct slice pattern, struct value *out)
{
    int number;
    PCRE2_SIZE at;
    if (pattern.size > PATTERN_BYTES_MAX) {
        *out = run__error(run, "matches: a pattern has at most %d bytes",
                          PATTERN_BYTES_MAX);
        return NULL;
    }
    pcre2_compile_context *limits = pcre2_compile_context_create(general);
    if (limits == NULL) {
        *out = run__error(run, "matches: no memory");
        return NULL;
    }
    pcre2_set_parens_nest_limit(limits, NESTED_MAX);
    pcre2_code *code = pcre2_compile(
        (PCRE2_SPTR)(pattern.size ? pattern.at : ""), pattern.size,
        PCRE2_MATCH_INVALID_UTF | PCRE2_AUTO_CALLOUT | PCRE2_NEVER_UCP |
            PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY,
        &number, &at, limits);
    pcre2_compile_context_free(limits);
    if (code == NULL) {
        PCRE2_UCHAR why[WHY_BYTES_MAX] = {0};
        (void)pcre2_get_error_message(number, why, sizeof why);
        *out = run__error(run, "matches: bad pattern, at byte %zu: %s",
                          (size_t)at, (const char *)why);
        return NULL;
    }
    size_t size = 0;
    CHECK_EQ(pcre2_pattern_info(code, PCRE2_INFO_SIZE, &size), 0);
    if (!run__steps(run, COMPILE_STEPS + size / COMPILED_BYTES_A_STEP)) {
        pcre2_code_free(code);
        return NULL;
    }
    return code;
}

/* ---- matching ----------------------------------------------------------- */

static void explain(struct run *run, int result, struct value *out)
{
    switch (result) {
    case PCRE2_ERROR_CALLOUT:
        CHECK(run->end != EXPR_DONE);
        return;
    case PCRE2_ERROR_MATCHLIMIT:
        *out = run__error(run, "matches: the pattern makes too many attempts "
                               "on this text (match limit)");
        return;
    case PCRE2_ERROR_DEPTHLIMIT:
        *out = run__error(run, "matches: the pattern nests too deep on this "
                               "text (depth limit)");
        return;
    case PCRE2_ERROR_HEAPLIMIT:
    case PCRE2_ERROR_NOMEMORY:
        *out = run__error(run, "matches: the pattern needs too much memory on "
                               "this text (heap limit)");
        return;
    default: {
        PCRE2_UCHAR why[WHY_BYTES_MAX] = {0};
        (void)pcre2_get_error_message(result, why, sizeof why);
        *out = run__error(run, "matches: %s", (const char *)why);
    }
    }
}

static void match(struct run *run, pcre2_general_context *general,
                  const pcre2_code *code, const struct value *arguments,
                  struct value *out)
{
    struct slice text = arguments[0].text;
    struct count count = {
        .run = run,
        .pattern = arguments[1].text,
        .steps_left = MATCH_STEPS_MAX,
    };
    pcre2_match_context *limits = pcre2_match_context_create(general);
    pcre2_match_data *data = pcre2_match_data_create(1, general);
    int result = PCRE2_ERROR_NOMEMORY;
    if (limits != NULL && data != NULL) {
        pcre2_set_match_limit(limits, MATCH_LIMIT);
        pcre2_set_depth_limit(limits, DEPTH_LIMIT);
        pcre2_set_heap_limit(limits, HEAP_LIMIT_KIB);
        pcre2_set_callout(limits, count_item, &count);
        result = pcre2_match(code, (PCRE2_SPTR)(text.size ? text.at : ""),
                             text.size, 0, 0, data, limits);
    }
    pcre2_match_data_free(data);
    pcre2_match_context_free(limits);
    if (result >= 0 || result == PCRE2_ERROR_NOMATCH)
        *out = value_bool(result >= 0);
    else
        explain(run, result, out);
}

static pcre2_general_context *new_general(struct run *run, struct value *out)
{
    pcre2_general_context *general =
        pcre2_general_context_create(take_memory, give_back, NULL);
    if (general == NULL)
        *out = run__error(run, "matches: no memory");
    return general;
}

void function__matches(struct run *run, const struct value *arguments,
                       size_t count, struct value *out)
{
    if (!function__are_strings(run, "matches", arguments, count, out) ||
        !run__steps(run, arguments[0].text.size / FUNCTION_BYTES_A_STEP))
        return;
    pcre2_general_context *general = new_general(run, out);
    if (general == NULL)
        return;
    pcre2_code *code = compile(run, general, arguments[1].text, out);
    if (code != NULL)
        match(run, general, code, arguments, out);
    pcre2_code_free(code);
    pcre2_general_context_free(general);
}

bool regex__is_bad(struct run *run, struct slice pattern, struct value *out)
{
    pcre2_general_context *general =
        run->end == EXPR_DONE ? new_general(run, out) : NULL;
    pcre2_code *code = general ? compile(run, general, pattern, out) : NULL;
    bool is_bad = code == NULL && run->end == EXPR_DONE;
    pcre2_code_free(code);
    pcre2_general_context_free(general);
    return is_bad;
}
