/* Libraries that are loaded late: nothing of them before, all of it after. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "host/http_client.h"
#include "host/late.h"
#include "host/recipes_feed.h"
#include "host/sha256.h"

static bool is_mapped(const char *library)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[4096];
    bool found = false;
    assert_non_null(maps);
    while (!found && fgets(line, sizeof(line), maps) != NULL) {
        found = strstr(line, library) != NULL;
    }
    fclose(maps);
    return found;
}

/* What this is for: 9 MB that a server without discovery never sees. */
static void test_is_not_there_before(void **state)
{
    (void)state;
    assert_false(is_mapped("libcurl.so"));
    assert_false(is_mapped("libcrypto.so"));
    assert_false(is_mapped("libxml2.so"));
}

static void test_a_hash_brings_its_library(void **state)
{
    (void)state;
    unsigned char hash[SHA256_BYTES];
    sha256(SLICE("abc"), hash);
    assert_true(is_mapped("libcrypto.so"));
    assert_int_equal(hash[0], 0xba); /* FIPS 180-4's example */
    assert_int_equal(hash[31], 0xad);
}

static void test_a_client_brings_its_library(void **state)
{
    (void)state;
    struct http_client_options options = {.stop_fd = -1};
    struct http_client *client = NULL;
    assert_int_equal(http_client_open(&options, &client), ERR_OK);
    assert_true(is_mapped("libcurl.so"));
    http_client_close(client);
}

static void test_a_feed_brings_its_library(void **state)
{
    (void)state;
    struct arena arena;
    struct value items;
    arena_init(&arena, 0);
    assert_false(is_mapped("libxml2.so"));
    assert_int_equal(
        recipes_feed_items(&arena, SLICE("{\"items\":[]}"), &items), ERR_OK);
    assert_false(is_mapped("libxml2.so")); /* JSON needs none */
    assert_int_equal(recipes_feed_items(&arena, SLICE("<rss/>"), &items),
                     ERR_OK);
    assert_true(is_mapped("libxml2.so"));
    arena_deinit(&arena);
}

static void test_twice_is_once(void **state)
{
    (void)state;
    for (int library = 0; library < LATE_COUNT; library++) {
        assert_int_equal(late_load((enum late)library), ERR_OK);
        assert_int_equal(late_load((enum late)library), ERR_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_is_not_there_before),
        cmocka_unit_test(test_a_hash_brings_its_library),
        cmocka_unit_test(test_a_client_brings_its_library),
        cmocka_unit_test(test_a_feed_brings_its_library),
        cmocka_unit_test(test_twice_is_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
