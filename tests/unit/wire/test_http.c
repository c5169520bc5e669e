/* What any version of HTTP shares: statuses and headers. */
#include "harness.h"

static void statuses_have_gos_names(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *text;
    } cases[] = {
        {200, "OK"},
        {201, "Created"},
        {307, "Temporary Redirect"},
        {404, "Not Found"},
        {412, "Precondition Failed"},
        {413, "Request Entity Too Large"},
        {431, "Request Header Fields Too Large"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
        {299, "Unknown"},
        {0, "Unknown"},
        {-1, "Unknown"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(http_status_text(cases[i].status), cases[i].text);
}

static void the_first_header_of_a_name_is_found(void **state)
{
    (void)state;
    struct http_header headers[] = {
        {SLICE("Accept"), SLICE("")},
        {SLICE("accept"), SLICE("second")},
        {SLICE("X-Long"), SLICE("x")},
    };
    struct http_request request = {.headers = headers, .header_count = 3};
    assert_int_equal(http_header_get(&request, "ACCEPT").size, 0);
    assert_non_null(http_header_get(&request, "ACCEPT").at);
    assert_true(slice_eq(http_header_get(&request, "x-long"), SLICE("x")));
    assert_null(http_header_get(&request, "X-Lon").at);
    assert_null(http_header_get(&request, "").at);
    request.header_count = 0;
    assert_null(http_header_get(&request, "Accept").at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses_have_gos_names),
        cmocka_unit_test(the_first_header_of_a_name_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
