/* Time zones from files: found, kept, and no name leads out of their
 * folder. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/zones_posix.h"

static char folder[] = "/tmp/etched-zones-XXXXXX";

static void write_file(const char *name, const char *text)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int make_folder(void **state)
{
    char path[256];
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/Asia", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/right", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    write_file("Asia/Shanghai", "TZif2 the first");
    write_file("right/UTC", "TZif2 with leap seconds");
    write_file("GMT+0", "TZif2 plus");
    write_file("tzdata.zi", "# not a zone file");
    write_file("text", "# not a zone file");
    write_file(".hidden", "TZif2 hidden");
    return 0;
}

static int remove_folder(void **state)
{
    char command[128];
    (void)state;
    (void)snprintf(command, sizeof(command), "rm -r '%s'", folder);
    return system(command);
}

static void a_zone_is_found_and_kept(void **state)
{
    (void)state;
    struct zones *zones = zones_posix_new(folder);
    struct slice first;
    struct slice again;
    assert_int_equal(zones->find(zones, SLICE("Asia/Shanghai"), &first),
                     ERR_OK);
    assert_true(slice_eq(first, SLICE("TZif2 the first")));
    /* A file that changes isn't another zone for those that go on. */
    write_file("Asia/Shanghai", "TZif2 the second");
    assert_int_equal(zones->find(zones, SLICE("Asia/Shanghai"), &again),
                     ERR_OK);
    assert_ptr_equal(again.at, first.at);
    assert_int_equal(zones->find(zones, SLICE("GMT+0"), &again), ERR_OK);
    zones_posix_free(zones);
}

static void no_name_leads_elsewhere(void **state)
{
    (void)state;
    static const char *const names[] = {
        "",
        "/",
        "/etc/passwd",
        "../etc/passwd",
        "Asia/../../etc/passwd",
        "Asia/..",
        "Asia//Shanghai",
        "Asia/Shanghai/",
        "./Asia/Shanghai",
        ".hidden",
        "tzdata.zi",
        "text",
        "Asia",
        "right/UTC",
        "Asia/Nowhere",
        "Asia\\Shanghai",
        "Asia/Shang hai",
        "\xc3\xa4",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    };
    struct zones *zones = zones_posix_new(folder);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct slice out = SLICE("untouched");
        assert_int_equal(zones->find(zones, slice_str(names[i]), &out),
                         ERR_NOT_FOUND);
        assert_int_equal(out.size, 0);
    }
    struct slice out;
    assert_int_equal(zones->find(zones, slice_of("Asia/Shanghai\0x", 15), &out),
                     ERR_NOT_FOUND);
    zones_posix_free(zones);
}

static void a_missing_package_is_named(void **state)
{
    (void)state;
    struct zones *zones = zones_posix_new("/nonexistent/zoneinfo");
    struct slice out;
    assert_int_equal(zones->find(zones, SLICE("Asia/Shanghai"), &out),
                     ERR_NOT_FOUND);
    assert_non_null(strstr(err_note(), "tzdata"));
    zones_posix_free(zones);
}

static void the_systems_zones_are_there(void **state)
{
    (void)state;
    static const char *const names[] = {"Europe/Berlin",
                                        "America/Argentina/Buenos_Aires",
                                        "Etc/GMT-14", "America/Port-au-Prince"};
    if (access(ZONES_FOLDER "/Europe/Berlin", R_OK) != 0) {
        skip(); /* tzdata isn't installed */
    }
    struct zones *zones = zones_posix_new(ZONES_FOLDER);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct slice out;
        assert_int_equal(zones->find(zones, slice_str(names[i]), &out), ERR_OK);
        assert_true(slice_has_prefix(out, SLICE("TZif")));
        assert_true(out.size > 44); /* RFC 9636's header */
    }
    zones_posix_free(zones);
}

static void *find_often(void *context)
{
    struct zones *zones = context;
    for (int i = 0; i < 200; i++) {
        struct slice out;
        assert_int_equal(zones->find(zones, SLICE("Asia/Shanghai"), &out),
                         ERR_OK);
        assert_int_equal(zones->find(zones, SLICE("GMT+0"), &out), ERR_OK);
    }
    return NULL;
}

static void several_may_ask_at_once(void **state)
{
    (void)state;
    struct zones *zones = zones_posix_new(folder);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, find_often, zones),
                         0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    zones_posix_free(zones);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_zone_is_found_and_kept),
        cmocka_unit_test(no_name_leads_elsewhere),
        cmocka_unit_test(a_missing_package_is_named),
        cmocka_unit_test(the_systems_zones_are_there),
        cmocka_unit_test(several_may_ask_at_once),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
