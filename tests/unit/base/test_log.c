#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/log.h"

/* The sink of most tests: every line and the level it was said to have. */
static struct buf said;
static int64_t now_ns;

static void hear(void *context, enum log_level level, struct slice line)
{
    struct buf *to = context;
    buf_append_char(to, (char)('0' + level));
    buf_append_slice(to, line);
    buf_append_char(to, '\n');
}

static int64_t tell_time(void *context)
{
    (void)context;
    return now_ns;
}

static void assert_heard(const char *expected)
{
    buf_append_char(&said, '\0');
    assert_string_equal(said.at, expected);
    buf_reset(&said);
}

static void listen(enum log_format format)
{
    buf_reset(&said);
    now_ns = INT64_C(1767323045678900000); /* 2026-01-02T03:04:05.6789Z */
    log_set_level(LOG_DEBUG);
    log_setup(format, hear, tell_time, &said);
}

static int stop_listening(void **state)
{
    (void)state;
    buf_deinit(&said);
    log_setup(LOG_TEXT, NULL, NULL, NULL);
    log_set_level(LOG_INFO);
    return 0;
}

/* ---- the two forms ------------------------------------------------------- */

static void a_text_line(void **state)
{
    (void)state;
    listen(LOG_TEXT);
    log_info("wal", "cut a torn tail", LOG_STR("file", "0000.wal"),
             LOG_INT("bytes", 12));
    assert_heard("12026-01-02T03:04:05.678Z I wal: cut a torn tail "
                 "file=0000.wal bytes=12\n");
}

static void a_json_line(void **state)
{
    (void)state;
    listen(LOG_JSON);
    log_info("wal", "cut a torn tail", LOG_STR("file", "0000.wal"),
             LOG_INT("bytes", 12));
    assert_heard("1{\"level\":\"info\",\"ts\":\"2026-01-02T03:04:05.678Z\","
                 "\"logger\":\"wal\",\"msg\":\"cut a torn tail\","
                 "\"file\":\"0000.wal\",\"bytes\":12}\n");
}

static void write_every_kind_of_field(void)
{
    log_write(LOG_ERROR, "k", "m", LOG_SLICE("s", slice_of("abc", 2)),
              LOG_INT("min", INT64_MIN), LOG_INT("i", -1),
              LOG_UINT("max", UINT64_MAX), LOG_HEX("id", 0xCDF818194E3A8C32),
              LOG_HEX("none", 0), LOG_BOOL("yes", 2), LOG_BOOL("no", 0),
              LOG_STR("null", NULL), LOG_END);
}

static void every_kind_of_field(void **state)
{
    (void)state;
    listen(LOG_TEXT);
    write_every_kind_of_field();
    assert_heard("32026-01-02T03:04:05.678Z E k: m s=ab "
                 "min=-9223372036854775808 i=-1 max=18446744073709551615 "
                 "id=cdf818194e3a8c32 none=0 yes=true no=false null=\"\"\n");
    listen(LOG_JSON);
    write_every_kind_of_field();
    assert_heard("3{\"level\":\"error\",\"ts\":\"2026-01-02T03:04:05.678Z\","
                 "\"logger\":\"k\",\"msg\":\"m\",\"s\":\"ab\","
                 "\"min\":-9223372036854775808,\"i\":-1,"
                 "\"max\":18446744073709551615,\"id\":\"cdf818194e3a8c32\","
                 "\"none\":\"0\",\"yes\":true,\"no\":false,\"null\":\"\"}\n");
}

static void the_time_has_always_three_digits(void **state)
{
    (void)state;
    listen(LOG_TEXT);
    now_ns = 0;
    log_info("t", "m");
    now_ns = 5000000;
    log_info("t", "m");
    now_ns = 999999999;
    log_info("t", "m");
    now_ns = -1; /* just before 1970 */
    log_info("t", "m");
    assert_heard("11970-01-01T00:00:00.000Z I t: m\n"
                 "11970-01-01T00:00:00.005Z I t: m\n"
                 "11970-01-01T00:00:00.999Z I t: m\n"
                 "11969-12-31T23:59:59.999Z I t: m\n");
}

/* ---- escapes ------------------------------------------------------------- */

static void values_that_are_not_one_word_are_quoted(void **state)
{
    (void)state;
    listen(LOG_TEXT);
    now_ns = 0;
    log_debug("q", "m", LOG_STR("a", "two words"), LOG_STR("b", "k=v"),
              LOG_STR("c", "say \"hi\""), LOG_STR("d", "back\\slash"),
              LOG_STR("e", "line\nbreak\ttab\rreturn"),
              LOG_STR("f", "gr\xC3\xBC\xC3\x9F"), LOG_STR("g", "/a/b.c:d-e"),
              LOG_SLICE("h", SLICE("\x01\x1f\x7f\0")));
    assert_heard("01970-01-01T00:00:00.000Z D q: m a=\"two words\" b=\"k=v\" "
                 "c=\"say \\\"hi\\\"\" d=\"back\\\\slash\" "
                 "e=\"line\\nbreak\\ttab\\rreturn\" "
                 "f=\"gr\xC3\xBC\xC3\x9F\" g=/a/b.c:d-e "
                 "h=\"\\u0001\\u001f\\u007f\\u0000\"\n");
}

static void no_text_can_break_the_json(void **state)
{
    (void)state;
    listen(LOG_JSON);
    now_ns = 0;
    log_warn("j\"", "m\n\"\\", LOG_STR("a\"b", "\",\"level\":\"fatal"),
             LOG_SLICE("z", SLICE("\0\b\x1b")));
    assert_heard("2{\"level\":\"warn\",\"ts\":\"1970-01-01T00:00:00.000Z\","
                 "\"logger\":\"j\\\"\",\"msg\":\"m\\n\\\"\\\\\","
                 "\"a\\\"b\":\"\\\",\\\"level\\\":\\\"fatal\","
                 "\"z\":\"\\u0000\\u0008\\u001b\"}\n");
}

static void no_message_can_forge_a_line(void **state)
{
    (void)state;
    listen(LOG_TEXT);
    now_ns = 0;
    log_info("a", "said \"yes\"\n2026-01-01T00:00:00.000Z F b: all is lost");
    assert_heard("11970-01-01T00:00:00.000Z I a: said \"yes\"\\n"
                 "2026-01-01T00:00:00.000Z F b: all is lost\n");
}

static void what_is_not_utf8_is_replaced(void **state)
{
    (void)state;
    listen(LOG_TEXT);
    now_ns = 0;
    log_info("u", "m", LOG_STR("a", "x\xFFy"), LOG_STR("b", "cut \xE2\x82"),
             LOG_STR("c", "\xED\xA0\x80"));
#define BAD "\xEF\xBF\xBD"
    assert_heard("11970-01-01T00:00:00.000Z I u: m a=\"x" BAD "y\" "
                 "b=\"cut " BAD BAD "\" c=\"" BAD BAD BAD "\"\n");
#undef BAD
}

/* ---- limits -------------------------------------------------------------- */

static void a_long_value_is_cut_with_a_mark(void **state)
{
    (void)state;
    char value[LOG_VALUE_BYTES_MAX + 2];
    for (size_t size = LOG_VALUE_BYTES_MAX - 1; size <= sizeof value; size++) {
        bool cut = size > LOG_VALUE_BYTES_MAX;
        listen(LOG_TEXT);
        memset(value, 'v', sizeof value);
        log_info("c", "m", LOG_SLICE("v", slice_of(value, size)));
        struct slice line = buf_slice(&said);
        size_t shown = 0;
        for (ptrdiff_t i = slice_find(line, '='); line.at[i + 1] == 'v'; i++)
            shown++;
        assert_int_equal(shown, cut ? LOG_VALUE_BYTES_MAX : size);
        assert_int_equal(line.at[line.size - 2] == '.', cut);
    }
}

static void the_cut_does_not_go_through_a_character(void **state)
{
    (void)state;
    char value[LOG_VALUE_BYTES_MAX + 10];
    memset(value, 'v', sizeof value);
    memcpy(value + LOG_VALUE_BYTES_MAX - 1, "\xE2\x82\xAC", 3);
    listen(LOG_JSON);
    log_info("c", "m", LOG_SLICE("v", slice_of(value, sizeof value)));
    struct slice end = SLICE("v\xE2\x82\xAC...\"}\n");
    assert_memory_equal(said.at + said.size - end.size, end.at, end.size);
    assert_true(slice_is_utf8(buf_slice(&said)));
}

/* Values of control characters are six times as long when escaped: a few of
 * them are more than a line holds. What doesn't fit is left out whole. */
static void fields_that_do_not_fit_are_left_out(void **state)
{
    (void)state;
    char value[LOG_VALUE_BYTES_MAX];
    memset(value, 1, sizeof value);
    struct slice bad = slice_of(value, sizeof value);
    for (int json = 0; json < 2; json++) {
        listen(json ? LOG_JSON : LOG_TEXT);
        log_info("f", "m", LOG_INT("first", 1), LOG_SLICE("a", bad),
                 LOG_SLICE("b", bad), LOG_INT("last", 2));
        assert_true(said.size < LOG_LINE_BYTES_MAX + 2);
        assert_true(said.size > LOG_VALUE_BYTES_MAX * 6);
        struct slice end = json ? SLICE("\\u0001\",\"cut\":true}\n")
                                : SLICE("\\u0001\" ...\n");
        assert_memory_equal(said.at + said.size - end.size, end.at, end.size);
    }
}

static void the_worst_head_leaves_a_whole_line(void **state)
{
    (void)state;
    char message[2 * LOG_VALUE_BYTES_MAX];
    memset(message, 1, sizeof message - 1);
    message[sizeof message - 1] = '\0';
    listen(LOG_JSON);
    log_info("h", message, LOG_INT("n", 1));
    struct slice end = SLICE("\\u0001...\",\"n\":1}\n");
    assert_memory_equal(said.at + said.size - end.size, end.at, end.size);
}

/* Every length of a field about what is left of the line: nothing is written
 * beyond, and the line ends as it should. */
static void a_line_may_be_exactly_full(void **state)
{
    (void)state;
    char filler[LOG_VALUE_BYTES_MAX];
    memset(filler, 'f', sizeof filler);
    struct slice whole = slice_of(filler, sizeof filler);
    int with = 0, without = 0;
    for (size_t size = 800; size <= 1000; size++) {
        listen(LOG_JSON);
        log_info("x", "m", LOG_SLICE("1", whole), LOG_SLICE("2", whole),
                 LOG_SLICE("3", whole), LOG_SLICE("4", whole),
                 LOG_SLICE("5", whole), LOG_SLICE("6", whole),
                 LOG_SLICE("7", whole), LOG_SLICE("8", slice_of(filler, size)));
        assert_true(said.size - 2 <= LOG_LINE_BYTES_MAX);
        struct slice end = SLICE(",\"cut\":true}\n");
        bool cut =
            memcmp(said.at + said.size - end.size, end.at, end.size) == 0;
        assert_memory_equal(said.at + said.size - 3, cut ? "e}\n" : "\"}\n", 3);
        with += !cut;
        without += cut;
    }
    assert_true(with > 10 && without > 10); /* the edge lies between */
}

/* ---- levels -------------------------------------------------------------- */

static void lines_below_the_level_are_dropped(void **state)
{
    (void)state;
    listen(LOG_TEXT);
    now_ns = 0;
    log_set_level(LOG_WARN);
    assert_int_equal(log_get_level(), LOG_WARN);
    log_debug("l", "not this");
    log_info("l", "nor this");
    log_warn("l", "this");
    log_error("l", "and this");
    log_write(LOG_FATAL, "l", "and that", LOG_END);
    assert_heard("21970-01-01T00:00:00.000Z W l: this\n"
                 "31970-01-01T00:00:00.000Z E l: and this\n"
                 "41970-01-01T00:00:00.000Z F l: and that\n");
}

static void levels_have_the_names_of_etcd(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum log_level level;
    } names[] = {
        {"debug", LOG_DEBUG}, {"info", LOG_INFO},    {"warn", LOG_WARN},
        {"error", LOG_ERROR}, {"fatal", LOG_FATAL},  {"panic", LOG_FATAL},
        {"INFO", LOG_INFO},   {"DPanic", LOG_FATAL},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        enum log_level level;
        assert_true(log_level_from_text(slice_str(names[i].text), &level));
        assert_int_equal(level, names[i].level);
    }
    enum log_level level = LOG_WARN;
    assert_false(log_level_from_text(SLICE("loud"), &level));
    assert_false(log_level_from_text(SLICE(""), &level));
    assert_false(log_level_from_text(SLICE("inf"), &level));
    assert_int_equal(level, LOG_WARN);
    assert_string_equal(log_level_name(LOG_DEBUG), "debug");
    assert_string_equal(log_level_name(LOG_FATAL), "fatal");
}

/* ---- the last lines ------------------------------------------------------ */

static void collect(void *context, struct slice line)
{
    struct buf *to = context;
    buf_append_slice(to, line);
    buf_append_char(to, '\n');
}

static void the_last_lines_are_kept_oldest_first(void **state)
{
    (void)state;
    log_setup(LOG_TEXT, NULL, NULL, NULL); /* no sink: kept all the same */
    log_set_level(LOG_INFO);
    for (int i = 0; i < 200; i++) {
        log_debug("r", "below the level");
        log_info("r", "line", LOG_INT("n", i));
    }
    struct buf expected = {0}, kept = {0};
    for (int i = 200 - LOG_RECENT_LINES_MAX; i < 200; i++)
        buf_printf(&expected, "1970-01-01T00:00:00.000Z I r: line n=%d\n", i);
    log_recent(collect, &kept);
    assert_true(slice_eq(buf_slice(&kept), buf_slice(&expected)));
    buf_deinit(&expected);
    buf_deinit(&kept);
}

static void a_kept_line_is_cut(void **state)
{
    (void)state;
    char value[LOG_VALUE_BYTES_MAX];
    memset(value, 'v', sizeof value);
    log_setup(LOG_TEXT, NULL, NULL, NULL);
    for (int i = 0; i < LOG_RECENT_LINES_MAX; i++)
        log_info("r", "m", LOG_SLICE("v", slice_of(value, sizeof value)));
    struct buf kept = {0};
    log_recent(collect, &kept);
    assert_int_equal(kept.size,
                     LOG_RECENT_LINES_MAX * (LOG_RECENT_BYTES_MAX + 1));
    buf_deinit(&kept);
}

/* ---- threads ------------------------------------------------------------- */

enum { THREADS = 4, LINES = 500 };

/* A slot of its own for each line, so that the sink needs no lock: the line
 * says whose it is. */
static int lines_whole[THREADS][LINES];

static void check_line(void *context, enum log_level level, struct slice line)
{
    (void)context;
    (void)level;
    char expected[128];
    ptrdiff_t at = slice_find(line, '#');
    if (at < 0 || line.size < (size_t)at + 6)
        return;
    size_t thread = (size_t)(line.at[at + 1] - '0');
    size_t number = 0;
    for (int i = 2; i < 5; i++)
        number = number * 10 + (size_t)(line.at[at + i] - '0');
    int size = snprintf(
        expected, sizeof expected,
        "1970-01-01T00:00:00.000Z I t: #%zu%03zu thread=%zu number=%zu", thread,
        number, thread, number);
    if (slice_eq(line, slice_of(expected, (size_t)size)))
        lines_whole[thread][number]++;
}

static void *write_lines(void *context)
{
    int thread = *(int *)context;
    for (int i = 0; i < LINES; i++) {
        char message[32];
        snprintf(message, sizeof message, "#%d%03d", thread, i);
        log_info("t", message, LOG_INT("thread", thread), LOG_INT("number", i));
    }
    return NULL;
}

static void count_line(void *context, struct slice line)
{
    (void)line;
    ++*(int *)context;
}

static void threads_write_whole_lines_each_once(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    int ids[THREADS] = {0, 1, 2, 3};
    log_setup(LOG_TEXT, check_line, NULL, NULL);
    log_set_level(LOG_INFO);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, write_lines, &ids[i]), 0);
    for (int i = 0; i < 100; i++) { /* meanwhile somebody looks back */
        int count = 0;
        log_recent(count_line, &count);
        assert_true(count <= LOG_RECENT_LINES_MAX);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++) {
        for (int line = 0; line < LINES; line++)
            assert_int_equal(lines_whole[i][line], 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_line),
        cmocka_unit_test(a_json_line),
        cmocka_unit_test(every_kind_of_field),
        cmocka_unit_test(the_time_has_always_three_digits),
        cmocka_unit_test(values_that_are_not_one_word_are_quoted),
        cmocka_unit_test(no_text_can_break_the_json),
        cmocka_unit_test(no_message_can_forge_a_line),
        cmocka_unit_test(what_is_not_utf8_is_replaced),
        cmocka_unit_test(a_long_value_is_cut_with_a_mark),
        cmocka_unit_test(the_cut_does_not_go_through_a_character),
        cmocka_unit_test(fields_that_do_not_fit_are_left_out),
        cmocka_unit_test(the_worst_head_leaves_a_whole_line),
        cmocka_unit_test(a_line_may_be_exactly_full),
        cmocka_unit_test(lines_below_the_level_are_dropped),
        cmocka_unit_test(levels_have_the_names_of_etcd),
        cmocka_unit_test(the_last_lines_are_kept_oldest_first),
        cmocka_unit_test(a_kept_line_is_cut),
        cmocka_unit_test(threads_write_whole_lines_each_once),
    };
    return cmocka_run_group_tests(tests, NULL, stop_listening);
}
