/* Random documents, written down as JSON, YAML and TOML in any of the ways
 * there are, have to be read as what they were made from. The naive twin is
 * the dump that is written beside the text. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/prng.h"
#include "doc_dump.h"

enum form { FORM_JSON, FORM_YAML, FORM_TOML };

enum { DOCUMENTS = 2000, DEPTH_MAX = 4, COUNT_MAX = 4, WORDS_MAX = 6 };

/* The text, and what it is to be read as. */
struct writer {
    struct prng prng;
    enum form form;
    struct buf text;
    struct buf dump;
    int keys; /* made so far: a number in each makes it unique */
};

static uint64_t below(struct writer *writer, uint64_t bound)
{
    return prng_below(&writer->prng, bound);
}

static void write_both(struct writer *writer, const char *text)
{
    buf_append_str(&writer->text, text);
    buf_append_str(&writer->dump, text);
}

/* What may stand between two tokens. Line ends are not for every place: TOML
 * has them in lists only. */
static void write_blank(struct writer *writer, bool may_break)
{
    static const char *const blanks[] = {"", " ", "  ", "\t"};
    if (writer->form == FORM_YAML) {
        /* A tab isn't welcome everywhere there. */
        buf_append_str(&writer->text, blanks[below(writer, 3)]);
    } else {
        buf_append_str(&writer->text, blanks[below(writer, 4)]);
    }
    if (!may_break || below(writer, 4)) {
        return;
    }
    if (writer->form == FORM_TOML && below(writer, 2)) {
        buf_append_str(&writer->text, " # a comment, [with] \"signs\"");
    }
    buf_append_str(&writer->text, writer->form == FORM_TOML && below(writer, 2)
                                      ? "\r\n "
                                      : "\n ");
}

/* ---- strings ----------------------------------------------------------- */

static const struct word {
    const char *plain;
    const char *escaped; /* in double quotes, in all three */
} words[] = {
    {"a", "a"},
    {"Z9", "Z9"},
    {" ", " "},
    {"é", "é"},
    {"é", "\\u00e9"},
    {"键", "键"},
    {"\n", "\\n"},
    {"\t", "\\t"},
    {"\"", "\\\""},
    {"\\", "\\\\"},
    {"\b", "\\b"},
    {"\f", "\\f"},
    {"\r", "\\r"},
    {"\x01", "\\u0001"},
    {"#", "#"},
    {"'", "'"},
    {"[1, {x: y}]", "[1, {x: y}]"},
    {"\xe2\x80\xa8", "\\u2028"},
};

static void write_quoted(struct writer *writer)
{
    uint64_t count = below(writer, WORDS_MAX);
    buf_append_char(&writer->text, '"');
    for (uint64_t i = 0; i < count; i++) {
        const struct word *word =
            &words[below(writer, sizeof words / sizeof words[0])];
        buf_append_str(&writer->text, word->escaped);
        buf_append_str(&writer->dump, word->plain);
    }
    buf_append_char(&writer->text, '"');
}

/* Single quotes: as it stands in TOML, '' for ' in YAML. */
static void write_literal(struct writer *writer)
{
    static const char *const parts[] = {"x", "\\n", "\"", " y ", "é", "#"};
    uint64_t count = below(writer, WORDS_MAX);
    buf_append_char(&writer->text, '\'');
    for (uint64_t i = 0; i < count; i++) {
        write_both(writer,
                   parts[below(writer, sizeof parts / sizeof parts[0])]);
    }
    if (writer->form == FORM_YAML && below(writer, 2)) {
        buf_append_str(&writer->text, "''");
        buf_append_str(&writer->dump, "'");
    }
    buf_append_char(&writer->text, '\'');
}

/* TOML's three quotes, with line ends as they are. */
static void write_multiline(struct writer *writer)
{
    static const char *const parts[] = {"one ", "\n", "\"", "é\n", "t\"\"wo"};
    const char *quotes = below(writer, 2) ? "\"\"\"" : "'''";
    uint64_t count = below(writer, WORDS_MAX);
    buf_append_str(&writer->text, quotes);
    buf_append_char(&writer->text, '\n');
    for (uint64_t i = 0; i < count; i++) {
        write_both(writer,
                   parts[below(writer, sizeof parts / sizeof parts[0])]);
        /* Never three quotes in a row. */
        write_both(writer, ".");
    }
    buf_append_str(&writer->text, quotes);
}

static void write_string(struct writer *writer)
{
    buf_append_char(&writer->dump, '"');
    switch (writer->form == FORM_JSON ? 0 : below(writer, 3)) {
    case 0:
        write_quoted(writer);
        break;
    case 1:
        write_literal(writer);
        break;
    default:
        if (writer->form == FORM_TOML) {
            write_multiline(writer);
        } else {
            write_both(writer, below(writer, 2) ? "plain text" : "no");
        }
    }
    buf_append_char(&writer->dump, '"');
}

/* ---- the other scalars ------------------------------------------------- */

static void write_integer(struct writer *writer)
{
    /* As many small ones as large ones. */
    uint64_t bits = prng_next(&writer->prng) >> below(writer, 64);
    int64_t number = (int64_t)bits;
    buf_append_i64(&writer->dump, number);
    bool may_be_hex = writer->form != FORM_JSON && number >= 0;
    if (may_be_hex && below(writer, 3) == 0) {
        buf_append_str(&writer->text, "0x");
        buf_append_hex(&writer->text, bits);
        return;
    }
    if (writer->form != FORM_JSON && number >= 0 && below(writer, 4) == 0) {
        buf_append_char(&writer->text, '+');
    }
    buf_append_i64(&writer->text, number);
}

/* Eighths: exact in binary and in three decimal digits. */
static void write_double(struct writer *writer)
{
    double number = (double)prng_between(&writer->prng, -8000, 8000) / 8;
    static const char *const formats[] = {"%.3f", "%.6e", "%.7E"};
    char text[40];
    snprintf(text, sizeof text, formats[below(writer, 3)], number);
    buf_append_str(&writer->text, text);
    dump_double(&writer->dump, number);
}

static void write_scalar(struct writer *writer)
{
    switch (below(writer, writer->form == FORM_TOML ? 4 : 5)) {
    case 0:
        write_both(writer, below(writer, 2) ? "true" : "false");
        break;
    case 1:
        write_integer(writer);
        break;
    case 2:
        write_double(writer);
        break;
    case 3:
        write_string(writer);
        break;
    default:
        write_both(writer, "null");
    }
}

/* ---- lists and maps ---------------------------------------------------- */

static void write_value(struct writer *writer, int depth);

static void write_list(struct writer *writer, int depth)
{
    uint64_t count = below(writer, COUNT_MAX);
    write_both(writer, "[");
    write_blank(writer, true);
    for (uint64_t i = 0; i < count; i++) {
        if (i) {
            write_both(writer, ",");
            /* YAML's plain text would go on otherwise. */
            buf_append_char(&writer->text, ' ');
            write_blank(writer, true);
        }
        write_value(writer, depth + 1);
        write_blank(writer, true);
    }
    bool may_end_in_comma = writer->form != FORM_JSON && count;
    buf_append_str(&writer->text,
                   may_end_in_comma && below(writer, 3) == 0 ? "," : "");
    write_both(writer, "]");
}

static void write_key(struct writer *writer)
{
    buf_printf(&writer->dump, "k-%d", writer->keys);
    bool is_bare = writer->form != FORM_JSON && below(writer, 2);
    buf_printf(&writer->text, is_bare ? "k-%d" : "\"k-%d\"", writer->keys);
    writer->keys++;
}

static void write_inline_map(struct writer *writer, int depth)
{
    uint64_t count = below(writer, COUNT_MAX);
    bool may_break = writer->form != FORM_TOML;
    write_both(writer, "{");
    write_blank(writer, may_break);
    for (uint64_t i = 0; i < count; i++) {
        if (i) {
            write_both(writer, ",");
            buf_append_char(&writer->text, ' ');
            write_blank(writer, may_break);
        }
        write_key(writer);
        write_blank(writer, false);
        buf_append_str(&writer->text, writer->form == FORM_TOML ? "=" : ": ");
        buf_append_char(&writer->dump, ':');
        write_blank(writer, false);
        write_value(writer, depth + 1);
        write_blank(writer, may_break);
    }
    write_both(writer, "}");
}

static void write_value(struct writer *writer, int depth)
{
    uint64_t kind = depth >= DEPTH_MAX ? 0 : below(writer, 4);
    if (kind == 1) {
        write_list(writer, depth);
    } else if (kind == 2) {
        write_inline_map(writer, depth);
    } else {
        write_scalar(writer);
    }
}

/* key = value lines, then tables, each with lines of its own. */
static void write_toml_lines(struct writer *writer, bool is_first)
{
    uint64_t count = below(writer, COUNT_MAX) + 1;
    for (uint64_t i = 0; i < count; i++) {
        buf_append_str(&writer->dump, is_first && i == 0 ? "" : ",");
        write_blank(writer, true);
        write_key(writer);
        write_blank(writer, false);
        buf_append_char(&writer->text, '=');
        buf_append_char(&writer->dump, ':');
        write_blank(writer, false);
        write_value(writer, 1);
        write_blank(writer, false);
        buf_append_str(&writer->text, below(writer, 3) ? "\n" : "# x\n");
    }
}

static void write_toml(struct writer *writer)
{
    buf_append_char(&writer->dump, '{');
    write_toml_lines(writer, true);
    for (uint64_t tables = below(writer, 3); tables > 0; tables--) {
        buf_append_str(&writer->text, "\n[ ");
        buf_append_char(&writer->dump, ',');
        write_key(writer);
        buf_append_str(&writer->text, " ]\n");
        buf_append_str(&writer->dump, ":{");
        write_toml_lines(writer, true);
        buf_append_char(&writer->dump, '}');
    }
    buf_append_char(&writer->dump, '}');
}

/* ---- the stories ------------------------------------------------------- */

static void write_document(struct writer *writer)
{
    buf_reset(&writer->text);
    buf_reset(&writer->dump);
    writer->keys = 0;
    if (writer->form == FORM_TOML) {
        write_toml(writer);
    } else {
        write_inline_map(writer, 0);
    }
    buf_append_char(&writer->dump, '\0');
}

static void run(enum form form, doc_parser parse, uint64_t seed)
{
    struct writer writer = {.form = form};
    struct buf found = {0};
    prng_init(&writer.prng, seed);
    for (int i = 0; i < DOCUMENTS; i++) {
        write_document(&writer);
        dump_parsed(parse, buf_slice(&writer.text), &doc_limits_default,
                    &found);
        if (strcmp(found.at, writer.dump.at) != 0) {
            fprintf(stderr, "document %d of seed %llu:\n%.*s\n", i,
                    (unsigned long long)seed, (int)writer.text.size,
                    writer.text.at);
        }
        assert_string_equal(found.at, writer.dump.at);
    }
    buf_deinit(&found);
    buf_deinit(&writer.text);
    buf_deinit(&writer.dump);
}

static void random_json_is_read_as_it_was_written(void **state)
{
    (void)state;
    run(FORM_JSON, doc_parse_json, 1);
}

static void random_yaml_is_read_as_it_was_written(void **state)
{
    (void)state;
    run(FORM_YAML, doc_parse_yaml, 2);
}

static void random_toml_is_read_as_it_was_written(void **state)
{
    (void)state;
    run(FORM_TOML, doc_parse_toml, 3);
}

/* YAML 1.2 has JSON in it. */
static void random_json_is_yaml_too(void **state)
{
    (void)state;
    run(FORM_JSON, doc_parse_yaml, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_json_is_read_as_it_was_written),
        cmocka_unit_test(random_yaml_is_read_as_it_was_written),
        cmocka_unit_test(random_toml_is_read_as_it_was_written),
        cmocka_unit_test(random_json_is_yaml_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
