/* Log lines on their way to files. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/log_output.h"

enum { FILES = 9 };

struct place {
    char folder[64];
    char paths[FILES][96];
    const char *names[FILES];
    struct config config;
};

static void place_begin(struct place *place, size_t count)
{
    snprintf(place->folder, sizeof(place->folder), "%s/etched-log-XXXXXX",
             P_tmpdir);
    assert_non_null(mkdtemp(place->folder));
    for (size_t i = 0; i < FILES; i++) {
        snprintf(place->paths[i], sizeof(place->paths[i]), "%s/%zu",
                 place->folder, i);
        place->names[i] = place->paths[i];
    }
    place->config = (struct config){
        .log_level = LOG_INFO,
        .log_format = LOG_TEXT,
        .log_outputs = {.at = place->names, .count = count},
    };
}

static void place_end(const struct place *place)
{
    for (size_t i = 0; i < FILES; i++) {
        unlink(place->paths[i]);
    }
    assert_int_equal(rmdir(place->folder), 0);
}

static const char *content(const struct place *place, size_t i)
{
    static char text[8192];
    int fd = open(place->paths[i], O_RDONLY);
    assert_true(fd >= 0);
    ssize_t size = read(fd, text, sizeof(text) - 1);
    assert_true(size >= 0);
    text[size] = '\0';
    close(fd);
    return text;
}

static int lines(const char *text)
{
    int count = 0;
    for (; *text != '\0'; text++) {
        count += *text == '\n';
    }
    return count;
}

static void a_line_goes_to_each_output(void **state)
{
    struct place place;
    struct stat found;
    (void)state;
    place_begin(&place, 2);
    mode_t before = umask(0);
    assert_int_equal(log_output_open(&place.config), ERR_OK);
    umask(before);
    log_info("test", "one line", LOG_INT("n", 7));
    log_debug("test", "below the level");
    for (size_t i = 0; i < 2; i++) {
        const char *text = content(&place, i);
        assert_int_equal(lines(text), 1);
        assert_non_null(strstr(text, "one line n=7\n"));
        assert_int_equal(stat(place.paths[i], &found), 0);
        assert_int_equal(found.st_mode & 0777, 0600);
    }
    /* The time is the wall clock's. */
    assert_memory_equal(content(&place, 0), "20", 2);
    log_output_close();
    log_info("test", "after the end");
    assert_int_equal(lines(content(&place, 0)), 1);
    place_end(&place);
}

static void a_file_is_continued(void **state)
{
    struct place place;
    (void)state;
    place_begin(&place, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(log_output_open(&place.config), ERR_OK);
        log_warn("test", "a start");
        log_output_close();
    }
    assert_int_equal(lines(content(&place, 0)), 3);
    place_end(&place);
}

static void json_and_level_are_as_configured(void **state)
{
    struct place place;
    (void)state;
    place_begin(&place, 1);
    place.config.log_format = LOG_JSON;
    place.config.log_level = LOG_ERROR;
    assert_int_equal(log_output_open(&place.config), ERR_OK);
    assert_int_equal(log_get_level(), LOG_ERROR);
    log_warn("test", "not heard");
    log_error("test", "heard", LOG_STR("text", "a\n\"b\""));
    const char *text = content(&place, 0);
    assert_int_equal(lines(text), 1);
    assert_memory_equal(text, "{\"level\":\"error\"", 16);
    assert_non_null(strstr(text, "a\\n\\\"b\\\""));
    log_output_close();
    log_set_level(LOG_INFO);
    place_end(&place);
}

static void one_that_cannot_be_opened_is_named(void **state)
{
    struct place place;
    char path[128];
    (void)state;
    place_begin(&place, 2);
    snprintf(path, sizeof(path), "%s/no/folder", place.folder);
    place.names[1] = path;
    assert_int_equal(log_output_open(&place.config), ERR_NOT_FOUND);
    assert_non_null(strstr(err_note(), path));
    /* What was opened before it is closed, and another try is possible. */
    place.config.log_outputs.count = 1;
    assert_int_equal(log_output_open(&place.config), ERR_OK);
    log_info("test", "a line");
    assert_int_equal(lines(content(&place, 0)), 1);
    log_output_close();
    place_end(&place);
}

static void there_may_be_eight(void **state)
{
    struct place place;
    (void)state;
    place_begin(&place, FILES);
    assert_int_equal(log_output_open(&place.config), ERR_INVALID);
    assert_non_null(strstr(err_note(), "8"));
    place.config.log_outputs.count = FILES - 1;
    assert_int_equal(log_output_open(&place.config), ERR_OK);
    log_info("test", "a line");
    for (size_t i = 0; i < FILES - 1; i++) {
        assert_int_equal(lines(content(&place, i)), 1);
    }
    log_output_close();
    place_end(&place);
}

static void a_full_disk_is_no_reason_to_end(void **state)
{
    struct place place;
    (void)state;
    place_begin(&place, 2);
    place.names[0] = "/dev/full";
    if (access("/dev/full", W_OK) != 0) {
        place_end(&place);
        skip();
    }
    assert_int_equal(log_output_open(&place.config), ERR_OK);
    log_info("test", "a line");
    assert_int_equal(lines(content(&place, 1)), 1);
    log_output_close();
    place_end(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_goes_to_each_output),
        cmocka_unit_test(a_file_is_continued),
        cmocka_unit_test(json_and_level_are_as_configured),
        cmocka_unit_test(one_that_cannot_be_opened_is_named),
        cmocka_unit_test(there_may_be_eight),
        cmocka_unit_test(a_full_disk_is_no_reason_to_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
