/* The member's folder: made, narrowed, locked, and what is refused. */
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

#include "base/log.h"
#include "host/data_dir.h"

struct place {
    char root[64];
    char path[96];
};

static void assert_note_has(const char *text)
{
    if (strstr(err_note(), text) == NULL) {
        fail_msg("\"%s\" is not in the note \"%s\"", text, err_note());
    }
}

static void place_begin(struct place *place)
{
    snprintf(place->root, sizeof(place->root), "%s/etched-data-XXXXXX",
             P_tmpdir);
    assert_non_null(mkdtemp(place->root));
    snprintf(place->path, sizeof(place->path), "%s/data", place->root);
}

static const char *in_root(const struct place *place, const char *name)
{
    static char path[256];
    snprintf(path, sizeof(path), "%s/%s", place->root, name);
    return path;
}

static void place_end(const struct place *place)
{
    /* What a test leaves, from the inside out; most of it isn't there. */
    static const char *const files[] = {
        "data/LOCK",      "data/db",    "data/db-lock",    "data/wal/kept",
        "data/wal/notes", "data/other", "wal/notes.txt",   "a/b/c/LOCK",
        "file",           "target",     "wal/own.wal.txt",
    };
    static const char *const folders[] = {
        "data/wal",  "data/member", "data", "wal",
        "a/b/c/wal", "a/b/c",       "a/b",  "a",
    };
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        unlink(in_root(place, files[i]));
    }
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        rmdir(in_root(place, folders[i]));
    }
    assert_int_equal(rmdir(place->root), 0);
}

static void make_file(const struct place *place, const char *name)
{
    int fd = open(in_root(place, name), O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static bool exists(const struct place *place, const char *name)
{
    return access(in_root(place, name), F_OK) == 0;
}

static unsigned mode_of(const char *path)
{
    struct stat found;
    assert_int_equal(stat(path, &found), 0);
    return found.st_mode & 0777;
}

static void all_that_is_missing_is_made(void **state)
{
    struct place place;
    struct data_dir dir;
    (void)state;
    place_begin(&place);
    mode_t before = umask(0);
    assert_int_equal(
        data_dir_open(in_root(&place, "a/b/c///"), "", false, &dir), ERR_OK);
    umask(before);
    assert_string_equal(dir.path, in_root(&place, "a/b/c"));
    assert_string_equal(dir.wal_path, in_root(&place, "a/b/c/wal"));
    assert_string_equal(dir.db_path, in_root(&place, "a/b/c/db"));
    assert_int_equal(mode_of(in_root(&place, "a")), 0700);
    assert_int_equal(mode_of(in_root(&place, "a/b/c")), 0700);
    assert_int_equal(mode_of(in_root(&place, "a/b/c/wal")), 0700);
    assert_int_equal(mode_of(in_root(&place, "a/b/c/LOCK")), 0600);
    data_dir_close(&dir);
    assert_null(dir.path);
    place_end(&place);
}

static void wider_rights_are_narrowed(void **state)
{
    struct place place;
    struct data_dir dir;
    (void)state;
    place_begin(&place);
    assert_int_equal(mkdir(place.path, 0700), 0);
    assert_int_equal(chmod(place.path, 0777), 0);
    assert_int_equal(mkdir(in_root(&place, "data/wal"), 0700), 0);
    assert_int_equal(chmod(in_root(&place, "data/wal"), 0755), 0);
    assert_int_equal(data_dir_open(place.path, "", false, &dir), ERR_OK);
    assert_int_equal(mode_of(place.path), 0700);
    assert_int_equal(mode_of(dir.wal_path), 0700);
    data_dir_close(&dir);
    place_end(&place);
}

/* CVE-2020-15113, TOB-ETCD-003: and those of the files in them. */
static void wider_rights_of_files_are_narrowed(void **state)
{
    static const char *const ours[] = {
        "data/db", "data/LOCK", "data/wal/identity",
        "data/wal/0000000000000001-0000000000000001.wal"};
    struct place place;
    struct data_dir dir;
    (void)state;
    place_begin(&place);
    assert_int_equal(mkdir(place.path, 0700), 0);
    assert_int_equal(mkdir(in_root(&place, "data/wal"), 0700), 0);
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        make_file(&place, ours[i]);
        assert_int_equal(chmod(in_root(&place, ours[i]), 0666), 0);
    }
    make_file(&place, "data/other");
    assert_int_equal(chmod(in_root(&place, "data/other"), 0644), 0);
    assert_int_equal(data_dir_open(place.path, "", false, &dir), ERR_OK);
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        assert_int_equal(mode_of(in_root(&place, ours[i])), 0600);
    }
    assert_int_equal(mode_of(in_root(&place, "data/other")), 0644);
    data_dir_close(&dir);
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        unlink(in_root(&place, ours[i]));
    }
    place_end(&place);
}

/* Whoever owns it could widen the rights again. */
static void what_belongs_to_another_is_refused(void **state)
{
    const struct privileges another = {.uid = geteuid() + 1, .gid = getegid()};
    struct place place;
    struct data_dir dir;
    (void)state;
    place_begin(&place);
    assert_int_equal(mkdir(place.path, 0700), 0);
    assert_int_equal(data_dir_open_as(&another, place.path, "", false, &dir),
                     ERR_PERMISSION);
    assert_note_has("belongs to user");
    assert_note_has("chown");
    assert_null(dir.path);
    assert_false(exists(&place, "data/LOCK"));
    place_end(&place);
}

static void root_gives_it_to_who_it_becomes(void **state)
{
    const struct privileges nobody = {
        .change = true, .uid = 65534, .gid = 65534, .name = "nobody"};
    struct place place;
    struct data_dir dir;
    struct stat found;
    (void)state;
    if (geteuid() != 0) {
        skip();
    }
    place_begin(&place);
    assert_int_equal(mkdir(place.path, 0700), 0);
    make_file(&place, "data/db");
    assert_int_equal(data_dir_open_as(&nobody, place.path, "", false, &dir),
                     ERR_OK);
    static const char *const given[] = {"data", "data/db", "data/LOCK",
                                        "data/wal"};
    for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
        assert_int_equal(stat(in_root(&place, given[i]), &found), 0);
        assert_int_equal(found.st_uid, 65534);
    }
    data_dir_close(&dir);
    place_end(&place);
}

/* Somebody who could write here once may have left them. */
static void links_in_it_are_not_followed(void **state)
{
    static const char *const names[] = {"data/db", "data/db-lock", "data/wal"};
    struct place place;
    struct data_dir dir;
    char target[128];
    (void)state;
    place_begin(&place);
    snprintf(target, sizeof(target), "%s/target", place.root);
    assert_int_equal(mkdir(place.path, 0700), 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        make_file(&place, "target");
        assert_int_equal(symlink(target, in_root(&place, names[i])), 0);
        assert_int_not_equal(data_dir_open(place.path, "", false, &dir),
                             ERR_OK);
        assert_note_has(in_root(&place, names[i]));
        assert_int_equal(unlink(in_root(&place, names[i])), 0);
    }
    place_end(&place);
}

static void only_one_may_have_it(void **state)
{
    struct place place;
    struct data_dir first;
    struct data_dir second;
    (void)state;
    place_begin(&place);
    assert_int_equal(data_dir_open(place.path, "", false, &first), ERR_OK);
    assert_int_equal(data_dir_open(place.path, "", false, &second), ERR_BUSY);
    assert_note_has(place.path);
    assert_note_has("in use by another process");
    assert_note_has("--data-dir");
    assert_null(second.path);
    data_dir_close(&first);
    assert_int_equal(data_dir_open(place.path, "", false, &second), ERR_OK);
    data_dir_close(&second);
    place_end(&place);
}

static void the_log_may_be_elsewhere(void **state)
{
    struct place place;
    struct data_dir dir;
    char wal[128];
    (void)state;
    place_begin(&place);
    snprintf(wal, sizeof(wal), "%s/wal", place.root);
    assert_int_equal(data_dir_open(place.path, wal, false, &dir), ERR_OK);
    assert_string_equal(dir.wal_path, wal);
    assert_int_equal(mode_of(wal), 0700);
    assert_false(exists(&place, "data/wal"));
    data_dir_close(&dir);
    place_end(&place);
}

static void data_of_etcd_is_refused_even_by_force(void **state)
{
    struct place place;
    struct data_dir dir;
    (void)state;
    place_begin(&place);
    assert_int_equal(mkdir(place.path, 0700), 0);
    assert_int_equal(mkdir(in_root(&place, "data/member"), 0700), 0);
    for (int force = 0; force < 2; force++) {
        assert_int_equal(data_dir_open(place.path, "", force == 1, &dir),
                         ERR_UNSUPPORTED);
        assert_note_has("etcd server");
        assert_note_has(place.path);
        assert_null(dir.path);
    }
    assert_true(exists(&place, "data/member"));
    assert_false(exists(&place, "data/wal"));
    place_end(&place);
}

static void force_forgets_what_is_ours_and_nothing_else(void **state)
{
    static const char *const ours[] = {
        "data/db",          "data/db-lock",
        "wal/identity",     "wal/identity.new",
        "wal/next.wal.tmp", "wal/0000000000000001-0000000000000001.wal",
    };
    static const char *const others[] = {
        "data/other",
        "wal/notes.txt",
        "wal/own.wal.txt",
    };
    struct place place;
    struct data_dir dir;
    char wal[128];
    (void)state;
    place_begin(&place);
    snprintf(wal, sizeof(wal), "%s/wal", place.root);
    assert_int_equal(data_dir_open(place.path, wal, true, &dir), ERR_OK);
    data_dir_close(&dir);
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        make_file(&place, ours[i]);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        make_file(&place, others[i]);
    }
    assert_int_equal(data_dir_open(place.path, wal, false, &dir), ERR_OK);
    data_dir_close(&dir);
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        assert_true(exists(&place, ours[i]));
    }
    assert_int_equal(data_dir_open(place.path, wal, true, &dir), ERR_OK);
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        assert_false(exists(&place, ours[i]));
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_true(exists(&place, others[i]));
    }
    data_dir_close(&dir);
    place_end(&place);
}

static void force_takes_nothing_from_another_process(void **state)
{
    struct place place;
    struct data_dir first;
    struct data_dir second;
    (void)state;
    place_begin(&place);
    assert_int_equal(data_dir_open(place.path, "", false, &first), ERR_OK);
    make_file(&place, "data/db");
    assert_int_equal(data_dir_open(place.path, "", true, &second), ERR_BUSY);
    assert_true(exists(&place, "data/db"));
    data_dir_close(&first);
    place_end(&place);
}

static void a_file_in_its_place_is_an_error(void **state)
{
    struct place place;
    struct data_dir dir;
    (void)state;
    place_begin(&place);
    make_file(&place, "file");
    assert_int_equal(data_dir_open(in_root(&place, "file"), "", false, &dir),
                     ERR_INVALID);
    assert_note_has(in_root(&place, "file"));
    assert_int_equal(
        data_dir_open(in_root(&place, "file/below"), "", false, &dir),
        ERR_INVALID);
    assert_note_has("file");
    assert_null(dir.path);
    place_end(&place);
}

static void a_lock_that_is_a_link_is_not_followed(void **state)
{
    struct place place;
    struct data_dir dir;
    (void)state;
    place_begin(&place);
    assert_int_equal(mkdir(place.path, 0700), 0);
    char target[128];
    snprintf(target, sizeof(target), "%s/target", place.root);
    assert_int_equal(symlink(target, in_root(&place, "data/LOCK")), 0);
    assert_int_not_equal(data_dir_open(place.path, "", false, &dir), ERR_OK);
    assert_note_has("LOCK");
    assert_false(exists(&place, "target"));
    place_end(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_that_is_missing_is_made),
        cmocka_unit_test(wider_rights_are_narrowed),
        cmocka_unit_test(wider_rights_of_files_are_narrowed),
        cmocka_unit_test(what_belongs_to_another_is_refused),
        cmocka_unit_test(root_gives_it_to_who_it_becomes),
        cmocka_unit_test(links_in_it_are_not_followed),
        cmocka_unit_test(only_one_may_have_it),
        cmocka_unit_test(the_log_may_be_elsewhere),
        cmocka_unit_test(data_of_etcd_is_refused_even_by_force),
        cmocka_unit_test(force_forgets_what_is_ours_and_nothing_else),
        cmocka_unit_test(force_takes_nothing_from_another_process),
        cmocka_unit_test(a_file_in_its_place_is_an_error),
        cmocka_unit_test(a_lock_that_is_a_link_is_not_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
