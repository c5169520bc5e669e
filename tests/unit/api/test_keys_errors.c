/* What can be wrong with a request about keys, and with its path. */
#include "base/limits.h"
#include "story.h"
#include "wire/form.h"

static void expect_error(struct world *world, const char *request,
                         const char *form, int code, const char *message,
                         const char *cause)
{
    struct buf body = {0};
    buf_printf(&body,
               "{\"errorCode\":%d,\"message\":\"%s\",\"cause\":\"%s\","
               "\"index\":0}\n",
               code, message, cause);
    buf_append_char(&body, '\0');
    story(world, request, form, 400, body.at);
    buf_deinit(&body);
}

static const char bad_field[] = "Invalid field";
static const char bad_form[] = "Invalid POST form";
static const char bad_index[] = "The given index in POST form is not a number";

static void flags_are_booleans_as_go_reads_them(void **state)
{
    struct world *world = *state;
    story_status(world, "PUT /v2/keys/a", "value=1", 201);
    const char *good[] = {"1", "t", "T", "TRUE",  "true",  "True",
                          "0", "f", "F", "FALSE", "false", "False"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct buf request = {0};
        buf_printf(&request, "GET /v2/keys/a?recursive=%s&sorted=%s&quorum=%s",
                   good[i], good[i], good[i]);
        buf_append_char(&request, '\0');
        story_status(world, request.at, NULL, 200);
        buf_deinit(&request);
    }
    expect_error(world, "GET /v2/keys/a?recursive=tRue", NULL, 209, bad_field,
                 "invalid value for \\\"recursive\\\"");
    expect_error(world, "GET /v2/keys/a?recursive", NULL, 209, bad_field,
                 "invalid value for \\\"recursive\\\"");
    expect_error(world, "GET /v2/keys/a?sorted=", NULL, 209, bad_field,
                 "invalid value for \\\"sorted\\\"");
    expect_error(world, "GET /v2/keys/a?wait=2", NULL, 209, bad_field,
                 "invalid value for \\\"wait\\\"");
    expect_error(world, "GET /v2/keys/a?dir=yes", NULL, 209, bad_field,
                 "invalid value for \\\"dir\\\"");
    expect_error(world, "GET /v2/keys/a?quorum=x", NULL, 209, bad_field,
                 "invalid value for \\\"quorum\\\"");
    expect_error(world, "GET /v2/keys/a?stream=x", NULL, 209, bad_field,
                 "invalid value for \\\"stream\\\"");
    expect_error(world, "PUT /v2/keys/a?noValueOnSuccess=x", "value=1", 209,
                 bad_field, "invalid value for \\\"noValueOnSuccess\\\"");
    expect_error(world, "PUT /v2/keys/a?prevExist=", "value=1", 209, bad_field,
                 "invalid value for prevExist");
    expect_error(world, "PUT /v2/keys/a?refresh=x", "ttl=1", 209, bad_field,
                 "invalid value for refresh");
}

static void numbers_are_decimal(void **state)
{
    struct world *world = *state;
    const char *wrong[] = {
        "abc", "-1", "%2B1", "0x1", "1.5", "", "18446744073709551616"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct buf form = {0};
        buf_printf(&form, "prevIndex=%s", wrong[i]);
        buf_append_char(&form, '\0');
        expect_error(world, "PUT /v2/keys/a", form.at, 203, bad_index,
                     "invalid value for \\\"prevIndex\\\"");
        buf_deinit(&form);
    }
    expect_error(world, "GET /v2/keys/a?wait=true&waitIndex=x", NULL, 203,
                 bad_index, "invalid value for \\\"waitIndex\\\"");
    expect_error(world, "PUT /v2/keys/a", "ttl=x", 202,
                 "The given TTL in POST form is not a number",
                 "invalid value for \\\"ttl\\\"");
    expect_error(world, "PUT /v2/keys/a", "ttl=18446744073709551616", 202,
                 "The given TTL in POST form is not a number",
                 "invalid value for \\\"ttl\\\"");
    story_status(world, "PUT /v2/keys/a", "value=1", 201);
    story(world, "PUT /v2/keys/a?prevIndex=18446744073709551615", "value=1",
          412, "*\"cause\":\"[18446744073709551615 != 2]\",\"index\":2}\n");
}

static void fields_that_exclude_each_other(void **state)
{
    struct world *world = *state;
    const char *only_get = "\\\"wait\\\" can only be used with GET requests";
    expect_error(world, "PUT /v2/keys/a?wait=true", "value=1", 209, bad_field,
                 only_get);
    expect_error(world, "DELETE /v2/keys/a?wait=true", NULL, 209, bad_field,
                 only_get);
    expect_error(world, "PUT /v2/keys/a?prevValue=", "value=1", 201,
                 "PrevValue is Required in POST form",
                 "\\\"prevValue\\\" cannot be empty");
    expect_error(world, "DELETE /v2/keys/a?prevValue=", NULL, 201,
                 "PrevValue is Required in POST form",
                 "\\\"prevValue\\\" cannot be empty");
    expect_error(world, "PUT /v2/keys/a", "refresh=true", 212,
                 "A TTL must be provided on refresh", "No TTL value set");
    expect_error(world, "PUT /v2/keys/a", "refresh=true&ttl=", 212,
                 "A TTL must be provided on refresh", "No TTL value set");
    expect_error(world, "PUT /v2/keys/a", "refresh=true&ttl=5&value=x", 211,
                 "Value provided on refresh",
                 "A value was provided on a refresh");
    story(world, "HEAD /v2/keys/a?wait=true", NULL, 400, "");
}

static void what_is_wrong_first_is_told(void **state)
{
    struct world *world = *state;
    expect_error(world, "PUT /v2/keys/a?prevIndex=x&dir=x&ttl=x", "value=%zz",
                 210, bad_form, "invalid URL escape \\\"%zz\\\"");
    expect_error(world, "PUT /v2/keys/a?ttl=x&dir=x&prevIndex=x", "value=1",
                 203, bad_index, "invalid value for \\\"prevIndex\\\"");
    expect_error(world, "PUT /v2/keys/a?ttl=x&dir=x", "value=1", 209, bad_field,
                 "invalid value for \\\"dir\\\"");
}

static void a_bad_form_is_told_in_gos_words(void **state)
{
    struct world *world = *state;
    expect_error(world, "PUT /v2/keys/a", "value=%zz", 210, bad_form,
                 "invalid URL escape \\\"%zz\\\"");
    expect_error(world, "GET /v2/keys/a?x=%4", NULL, 210, bad_form,
                 "invalid URL escape \\\"%4\\\"");
    expect_error(world, "PUT /v2/keys/a", "value=1;ttl=5", 210, bad_form,
                 "invalid semicolon separator in query");
    struct buf many = {0};
    for (int i = 0; i < FORM_FIELDS_MAX + 1; i++) {
        buf_append_str(&many, "a=1&");
    }
    buf_append_char(&many, '\0');
    expect_error(world, "PUT /v2/keys/a", many.at, 210, bad_form,
                 "more than 256 form fields");
    buf_deinit(&many);
}

/* The status of a PUT of value=8 in the body and value=7 in the query, and
 * the value that came of it. */
static void expect_kept(struct world *world, const char *type,
                        const char *value)
{
    struct buf headers = {0};
    struct buf pattern = {0};
    if (type[0] != '\0') {
        buf_printf(&headers, "Content-Type: %s\r\n", type);
    }
    buf_append_char(&headers, '\0');
    buf_printf(&pattern, "*\"node\":{\"key\":\"/a\",\"value\":\"%s\",*", value);
    buf_append_char(&pattern, '\0');
    struct reply reply = world_request(world, "PUT", "/v2/keys/a?value=7",
                                       headers.at, "value=8");
    expect_text(reply.body, pattern.at);
    buf_deinit(&headers);
    buf_deinit(&pattern);
}

static void expect_bad_type(struct world *world, const char *type,
                            const char *cause)
{
    struct buf headers = {0};
    struct buf pattern = {0};
    buf_printf(&headers, "Content-Type: %s\r\n", type);
    buf_append_char(&headers, '\0');
    buf_printf(&pattern,
               "{\"errorCode\":210,\"message\":\"Invalid POST form\",\"cause\":"
               "\"mime: %s\",\"index\":0}\n",
               cause);
    buf_append_char(&pattern, '\0');
    struct reply reply =
        world_request(world, "PUT", "/v2/keys/a", headers.at, "value=8");
    assert_int_equal(reply.status, 400);
    expect_text(reply.body, pattern.at);
    buf_deinit(&headers);
    buf_deinit(&pattern);
}

static void only_a_form_is_read_as_one(void **state)
{
    struct world *world = *state;
    expect_kept(world, "application/x-www-form-urlencoded", "8");
    expect_kept(world, "application/x-www-form-urlencoded; charset=utf-8", "8");
    expect_kept(world, " Application/X-WWW-Form-URLencoded ;a=\"b;\\\"c\"",
                "8");
    expect_kept(world, "application/x-www-form-urlencoded;", "8");
    expect_kept(world, "text/plain", "7");
    expect_kept(world, "", "7");
    expect_kept(world, "multipart/form-data; boundary=x", "7");
    expect_kept(world, "text", "7");
    expect_bad_type(world, "bad bad", "expected slash after first token");
    expect_bad_type(world, "/x", "no media type");
    expect_bad_type(world, "a/", "expected token after slash");
    expect_bad_type(world, "a/b c", "unexpected content after media subtype");
    expect_bad_type(world, "a/b; ;", "invalid media parameter");
    expect_bad_type(world, "a/b; c", "invalid media parameter");
    expect_bad_type(world, "a/b; c=", "invalid media parameter");
    expect_bad_type(world, "a/b; c=\"d", "invalid media parameter");
}

static void of_two_values_the_first_counts(void **state)
{
    struct world *world = *state;
    story(world, "PUT /v2/keys/a?value=3&ttl=x", "value=1&value=2&ttl=", 201,
          "*\"value\":\"1\",\"modifiedIndex\":2,*");
}

/* ---- paths -------------------------------------------------------------- */

static void expect_redirect(struct world *world, const char *from,
                            const char *to)
{
    struct reply reply = world_request(world, "GET", from, NULL, NULL);
    struct buf body = {0};
    assert_int_equal(reply.status, 301);
    expect_text(reply_header(&reply, "Location"), to);
    expect_text(reply_header(&reply, "Content-Type"),
                "text/html; charset=utf-8");
    buf_printf(&body, "<a href=\"%s\">Moved Permanently</a>.\n\n", to);
    buf_append_char(&body, '\0');
    expect_text(reply.body, body.at);
    buf_deinit(&body);
}

static void unclean_paths_are_redirected(void **state)
{
    struct world *world = *state;
    expect_redirect(world, "/v2/keys//foo//bar", "/v2/keys/foo/bar");
    expect_redirect(world, "//v2/keys/foo", "/v2/keys/foo");
    expect_redirect(world, "/v2/keys/a/../b", "/v2/keys/b");
    expect_redirect(world, "/v2/keys/a/./b/", "/v2/keys/a/b/");
    expect_redirect(world, "/v2/keys/../../version", "/version");
    expect_redirect(world, "/v2/keys/%2e%2e/x", "/v2/x");
    expect_redirect(world, "/v2/keys//a%20b?wait=true",
                    "/v2/keys/a%20b?wait=true");
    expect_redirect(world, "/..", "/");
    struct reply reply =
        world_request(world, "PUT", "/v2/keys/a/../b", NULL, "value=1");
    assert_int_equal(reply.status, 301);
    expect_text(reply_header(&reply, "Location"), "/v2/keys/b");
    assert_int_equal(reply.body.size, 0);
    /* One slash at the end is no fault. */
    story_status(world, "PUT /v2/keys/a/", "value=1", 201);
    story_status(world, "GET /v2/keys/a", NULL, 200);
}

static void a_redirect_is_no_way_in_for_markup(void **state)
{
    struct world *world = *state;
    struct reply reply = world_request(
        world, "GET", "/v2//keys?a=<script>'\"&b=\xff", NULL, NULL);
    if (reply.status == 400) {
        return; /* refused before */
    }
    assert_int_equal(reply.status, 301);
    expect_text(reply.body,
                "<a href=\"/v2/keys?a=&lt;script&gt;&#39;&#34;&amp;b=%FF\">*");
}

static void a_path_that_cant_be_decoded(void **state)
{
    struct world *world = *state;
    story(world, "GET /v2/keys/a%zz", NULL, 400, "400 Bad Request");
    story(world, "GET /v2/keys/a%4", NULL, 400, "400 Bad Request");
}

static void keys_are_text_and_not_too_long_or_deep(void **state)
{
    struct world *world = *state;
    expect_error(world, "PUT /v2/keys/a%ff", "value=1", 209, bad_field,
                 "the key is not UTF-8");
    expect_error(world, "GET /v2/keys/a%ed%a0%80", NULL, 209, bad_field,
                 "the key is not UTF-8");
    struct buf request = {0};
    buf_append_str(&request, "PUT /v2/keys");
    for (int i = 0; i < LIMIT_PATH_DEPTH_MAX; i++) {
        buf_append_str(&request, "/d");
    }
    buf_append_char(&request, '\0');
    story_status(world, request.at, "value=1", 201);
    request.size--;
    buf_append_str(&request, "/d");
    buf_append_char(&request, '\0');
    expect_error(world, request.at, "value=1", 209, bad_field,
                 "the key is deeper than 256 directories");
    buf_reset(&request);
    buf_append_str(&request, "PUT /v2/keys/");
    memset(buf_extend(&request, LIMIT_KEY_BYTES_MAX - 1), 'k',
           LIMIT_KEY_BYTES_MAX - 1);
    buf_append_char(&request, '\0');
    story_status(world, request.at, "value=1", 201);
    request.size--;
    buf_append_str(&request, "k");
    buf_append_char(&request, '\0');
    expect_error(world, request.at, "value=1", 209, bad_field,
                 "the key is longer than 65536 bytes");
    buf_deinit(&request);
}

static void other_methods_are_not_allowed(void **state)
{
    struct world *world = *state;
    story(world, "PATCH /v2/keys/a", NULL, 405, "Method Not Allowed\n");
    story_header(world, "PATCH /v2/keys/a", NULL, "Allow",
                 "HEAD,GET,PUT,POST,DELETE");
    story(world, "OPTIONS /v2/keys/a", NULL, 200, "");
    story(world, "GET /v2/keysx", NULL, 404, "404 page not found\n");
}

int main(void)
{
#define STORY(name) \
    cmocka_unit_test_setup_teardown(name, story_begin, story_end)
    const struct CMUnitTest tests[] = {
        STORY(flags_are_booleans_as_go_reads_them),
        STORY(numbers_are_decimal),
        STORY(fields_that_exclude_each_other),
        STORY(what_is_wrong_first_is_told),
        STORY(a_bad_form_is_told_in_gos_words),
        STORY(only_a_form_is_read_as_one),
        STORY(of_two_values_the_first_counts),
        STORY(unclean_paths_are_redirected),
        STORY(a_redirect_is_no_way_in_for_markup),
        STORY(a_path_that_cant_be_decoded),
        STORY(keys_are_text_and_not_too_long_or_deep),
        STORY(other_methods_are_not_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
