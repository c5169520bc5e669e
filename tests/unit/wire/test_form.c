/* Forms, escapes and paths, with what Go 1.19's net/url and path say of the
 * same text. */
#include "harness.h"
#include "wire/form.h"

static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    err_clear();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

/* From memory of its exact size, so that a read beyond it is seen. */
static struct slice exact(const char *text)
{
    return slice_of(arena_dup(&arena, text, strlen(text)), strlen(text));
}

/* "name=value&" of each field, with the bytes as they are. */
static const char *dump(const struct form *form)
{
    struct buf out = {0};
    for (size_t i = 0; i < form->count; i++) {
        buf_append_char(&out, '{');
        buf_append_slice(&out, form->fields[i].name);
        buf_append_char(&out, '|');
        buf_append_slice(&out, form->fields[i].value);
        buf_append_char(&out, '}');
    }
    buf_append_char(&out, '\0');
    const char *copy = arena_dup(&arena, out.at, out.size);
    buf_deinit(&out);
    return copy;
}

/* ---- forms -------------------------------------------------------------- */

static void forms_are_read_as_go_reads_them(void **state)
{
    (void)state;
    static const struct {
        const char *text, *fields;
    } cases[] = {
        {"", ""},
        {"a=1", "{a|1}"},
        {"a=1&b=2", "{a|1}{b|2}"},
        {"value=hello+world", "{value|hello world}"},
        {"value=a%20b%2Bc%2bd%26%3d", "{value|a b+c+d&=}"},
        {"a=b=c==", "{a|b=c==}"},
        {"a", "{a|}"},
        {"a&b=", "{a|}{b|}"},
        {"=x", "{|x}"},
        {"=", "{|}"},
        {"&&a=1&&b=2&", "{a|1}{b|2}"},
        {"a=1&a=2", "{a|1}{a|2}"},
        {"a%3Db=c", "{a=b|c}"},
        {"+a+=+b+", "{ a | b }"},
        {"a=%E4%BD%A0%ff%80", "{a|\xe4\xbd\xa0\xff\x80}"},
        {"\xc3\xa9=\x01", "{\xc3\xa9|\x01}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct form form = {0};
        assert_int_equal(form_parse(&arena, exact(cases[i].text), &form),
                         ERR_OK);
        assert_string_equal(dump(&form), cases[i].fields);
    }
}

static void bad_forms_are_told_in_gos_words(void **state)
{
    (void)state;
    static const struct {
        const char *text, *fields, *note;
    } cases[] = {
        {"a=%zz", "", "invalid URL escape \"%zz\""},
        {"%zz=a", "", "invalid URL escape \"%zz\""},
        {"a=%", "", "invalid URL escape \"%\""},
        {"a=%4", "", "invalid URL escape \"%4\""},
        {"a=x%4gyy", "", "invalid URL escape \"%4g\""},
        {"a=%&b=1", "{b|1}", "invalid URL escape \"%\""},
        {"a=1&b=%zz&c=3", "{a|1}{c|3}", "invalid URL escape \"%zz\""},
        {"a=%zz&b=%yy", "", "invalid URL escape \"%zz\""},
        {"a;b", "", "invalid semicolon separator in query"},
        {"a=1&b;c=2&d=3", "{a|1}{d|3}", "invalid semicolon separator in query"},
        {"a=%zz&b;c", "", "invalid semicolon separator in query"},
        {"b;c&a=%zz", "", "invalid semicolon separator in query"},
        /* strconv.Quote's escapes */
        {"a=%\"x", "", "invalid URL escape \"%\\\"x\""},
        {"a=%\\x", "", "invalid URL escape \"%\\\\x\""},
        {"a=%\n\t", "", "invalid URL escape \"%\\n\\t\""},
        {"a=%\a\b", "", "invalid URL escape \"%\\a\\b\""},
        {"a=%\f\v", "", "invalid URL escape \"%\\f\\v\""},
        {"a=%\r\x01", "", "invalid URL escape \"%\\r\\x01\""},
        {"a=%\x7f\xff", "", "invalid URL escape \"%\\x7f\\xff\""},
        {"a=%\xc3\xa9", "", "invalid URL escape \"%\xc3\xa9\""},
        {"a=%\xc2\x85", "", "invalid URL escape \"%\\u0085\""},
        {"a=%\xc2\xad", "", "invalid URL escape \"%\\u00ad\""},
        {"a=%x\xc3\xa9", "", "invalid URL escape \"%x\\xc3\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct form form = {0};
        assert_int_equal(form_parse(&arena, exact(cases[i].text), &form),
                         ERR_INVALID);
        assert_string_equal(err_note(), cases[i].note);
        assert_string_equal(dump(&form), cases[i].fields);
    }
}

static void a_body_comes_before_the_query(void **state)
{
    (void)state;
    struct form form = {0};
    assert_int_equal(form_parse(&arena, exact("a=body&b=1"), &form), ERR_OK);
    assert_int_equal(form_parse(&arena, exact("c=2&a=query"), &form), ERR_OK);
    assert_string_equal(dump(&form), "{a|body}{b|1}{c|2}{a|query}");
    assert_true(slice_eq(form_get(&form, "a")->value, SLICE("body")));
    assert_true(slice_eq(form_get(&form, "c")->value, SLICE("2")));
    assert_null(form_get(&form, "d"));
    assert_null(form_get(&form, ""));
}

static void what_needs_no_decoding_is_not_copied(void **state)
{
    (void)state;
    struct form form = {0};
    struct slice text = exact("name=plain-value&x=a+b");
    assert_int_equal(form_parse(&arena, text, &form), ERR_OK);
    assert_ptr_equal(form.fields[0].name.at, text.at);
    assert_ptr_equal(form.fields[0].value.at, text.at + 5);
    assert_ptr_not_equal(form.fields[1].value.at, text.at + 19);
}

static void fields_are_bounded(void **state)
{
    (void)state;
    struct buf text = {0};
    for (int i = 0; i < FORM_FIELDS_MAX; i++)
        buf_append_str(&text, "&a=1");
    struct form form = {0};
    assert_int_equal(form_parse(&arena, buf_slice(&text), &form), ERR_OK);
    assert_int_equal(form.count, FORM_FIELDS_MAX);
    assert_int_equal(form_parse(&arena, SLICE("&&"), &form), ERR_OK);
    assert_int_equal(form_parse(&arena, SLICE("b"), &form), ERR_TOO_LARGE);
    assert_int_equal(form.count, FORM_FIELDS_MAX);

    form = (struct form){0};
    for (int i = 0; i < 10000; i++)
        buf_append_str(&text, "&a=1");
    assert_int_equal(form_parse(&arena, buf_slice(&text), &form),
                     ERR_TOO_LARGE);
    assert_int_equal(form.count, FORM_FIELDS_MAX);
    buf_deinit(&text);
}

/* ---- paths -------------------------------------------------------------- */

static void paths_are_decoded(void **state)
{
    (void)state;
    static const struct {
        const char *text, *path;
    } cases[] = {
        {"/v2/keys/foo", "/v2/keys/foo"}, {"/a%2Fb%20c+d", "/a/b c+d"},
        {"/%41%61%7e", "/Aa~"},           {"", ""},
        {"/%e4%bd%A0", "/\xe4\xbd\xa0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slice path;
        assert_int_equal(path_decode(&arena, exact(cases[i].text), &path),
                         ERR_OK);
        assert_true(slice_eq(path, slice_str(cases[i].path)));
    }
    struct slice path;
    assert_int_equal(path_decode(&arena, exact("/a%0"), &path), ERR_INVALID);
    assert_string_equal(err_note(), "invalid URL escape \"%0\"");
    assert_int_equal(path_decode(&arena, SLICE("/%00"), &path), ERR_OK);
    assert_true(slice_eq(path, SLICE("/\0")));
}

static void paths_are_cleaned_as_go_cleans_them(void **state)
{
    (void)state;
    static const struct {
        const char *path, *clean;
    } cases[] = {
        {"/", "/"},
        {"/a/b", "/a/b"},
        {"", "/"},
        {"a", "/a"},
        {"//", "/"},
        {"/a/", "/a"},
        {"/a//b///c", "/a/b/c"},
        {"/./a/./b/.", "/a/b"},
        {"/a/b/../c", "/a/c"},
        {"/a/b/../../c", "/c"},
        {"/..", "/"},
        {"/../../a", "/a"},
        {"/a/..", "/"},
        {"/a/../..//b/", "/b"},
        {"/.hidden", "/.hidden"},
        {"/..a/b..", "/..a/b.."},
        {"/...", "/..."},
        {"/a.b/.", "/a.b"},
        {"../x", "/x"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slice clean = path_clean(&arena, exact(cases[i].path));
        if (!slice_eq(clean, slice_str(cases[i].clean)))
            fail_msg("%s -> %.*s, not %s", cases[i].path, (int)clean.size,
                     clean.at, cases[i].clean);
        struct slice again = path_clean(&arena, clean);
        assert_true(slice_eq(again, clean));
    }
}

static void encoding_is_undone_by_decoding(void **state)
{
    (void)state;
    struct buf out = {0};
    percent_encode(&out, SLICE("/a b~c-._%\xc3\xa9+&="), true);
    buf_append_char(&out, '\0');
    assert_string_equal(out.at, "/a%20b~c-._%25%C3%A9%2B%26%3D");
    buf_reset(&out);
    percent_encode(&out, SLICE("/a"), false);
    buf_append_char(&out, '\0');
    assert_string_equal(out.at, "%2Fa");

    char all[256];
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    for (int keep = 0; keep < 2; keep++) {
        struct slice back;
        buf_reset(&out);
        percent_encode(&out, slice_of(all, sizeof all), keep == 1);
        assert_int_equal(path_decode(&arena, buf_slice(&out), &back), ERR_OK);
        assert_true(slice_eq(back, slice_of(all, sizeof all)));
    }
    buf_deinit(&out);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(forms_are_read_as_go_reads_them),
        TEST(bad_forms_are_told_in_gos_words),
        TEST(a_body_comes_before_the_query),
        TEST(what_needs_no_decoding_is_not_copied),
        TEST(fields_are_bounded),
        TEST(paths_are_decoded),
        TEST(paths_are_cleaned_as_go_cleans_them),
        TEST(encoding_is_undone_by_decoding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
