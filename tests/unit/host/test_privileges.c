/* Who a server may go on as, and that there is no way back. What only root can
 * do is tried by a child, and skipped where this isn't root. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/privileges.h"

/* Whoever has the fewest rights on any machine. */
static const char other[] = "nobody";

static bool is_root(void)
{
    return geteuid() == 0;
}

static void assert_note_has(const char *text)
{
    if (strstr(err_note(), text) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", text, err_note());
    }
}

/* ---- who ----------------------------------------------------------------- */

static void without_the_flag_nothing_changes(void **state)
{
    (void)state;
    struct privileges who;
    assert_int_equal(privileges_find("", &who), ERR_OK);
    assert_false(who.change);
    assert_int_equal(who.uid, geteuid());
    assert_int_equal(who.gid, getegid());
    assert_int_equal(privileges_drop(&who), ERR_OK);
    assert_int_equal(geteuid(), who.uid);
}

static void a_user_that_is_none_is_named(void **state)
{
    (void)state;
    struct privileges who;
    assert_int_equal(privileges_find("no-such-user-here", &who), ERR_NOT_FOUND);
    assert_note_has("--user no-such-user-here");
    assert_int_equal(privileges_find("4294967290", &who), ERR_NOT_FOUND);
    assert_note_has("4294967290");
    assert_int_equal(privileges_find("99999999999999999999", &who),
                     ERR_NOT_FOUND);
}

static void names_and_numbers_are_the_same_user(void **state)
{
    (void)state;
    struct privileges by_name;
    struct privileges by_number;
    char number[16];
    if (!is_root()) {
        skip();
    }
    const struct passwd *entry = getpwnam(other);
    assert_non_null(entry);
    snprintf(number, sizeof number, "%u", (unsigned)entry->pw_uid);
    assert_int_equal(privileges_find(other, &by_name), ERR_OK);
    assert_int_equal(privileges_find(number, &by_number), ERR_OK);
    assert_true(by_name.change && by_number.change);
    assert_int_equal(by_name.uid, by_number.uid);
    assert_int_equal(by_name.gid, by_number.gid);
    assert_string_equal(by_name.name, other);
    assert_string_equal(by_number.name, other);
}

static void root_would_drop_nothing(void **state)
{
    (void)state;
    struct privileges who;
    if (!is_root()) {
        skip();
    }
    assert_int_equal(privileges_find("root", &who), ERR_INVALID);
    assert_note_has("nothing would be dropped");
    assert_int_equal(privileges_find("0", &who), ERR_INVALID);
}

/* ---- and no way back ----------------------------------------------------- */

/* What the child found, as its exit status. */
enum found {
    FOUND_GOOD,
    FOUND_NOT_DROPPED,
    FOUND_GROUPS,
    FOUND_WAY_BACK,
    FOUND_ANOTHER,
    FOUND_FILE,
};

static enum found look_around(const struct privileges *who)
{
    gid_t groups[64];
    int count = getgroups(64, groups);
    if (geteuid() != who->uid || getuid() != who->uid ||
        getegid() != who->gid || getgid() != who->gid) {
        return FOUND_NOT_DROPPED;
    }
    for (int i = 0; i < count; i++) {
        if (groups[i] == 0) {
            return FOUND_GROUPS;
        }
    }
    if (setuid(0) == 0 || seteuid(0) == 0 || setgid(0) == 0) {
        return FOUND_WAY_BACK;
    }
    return open("/etc/shadow", O_RDONLY) >= 0 ? FOUND_FILE : FOUND_GOOD;
}

static enum found drop_and_look(void)
{
    struct privileges who;
    struct privileges again;
    if (privileges_find(other, &who) != ERR_OK ||
        privileges_drop(&who) != ERR_OK) {
        return FOUND_NOT_DROPPED;
    }
    enum found found = look_around(&who);
    if (found != FOUND_GOOD) {
        return found;
    }
    /* From here on it is that user, and can become nobody else. */
    bool is_itself = privileges_find(other, &again) == ERR_OK && !again.change;
    bool is_stuck = privileges_find("root", &again) == ERR_PERMISSION &&
                    strstr(err_note(), "only root can") != NULL;
    return is_itself && is_stuck ? FOUND_GOOD : FOUND_ANOTHER;
}

static void what_is_dropped_is_gone(void **state)
{
    (void)state;
    int status = 0;
    if (!is_root()) {
        skip();
    }
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit((int)drop_and_look());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), FOUND_GOOD);
    assert_true(is_root()); /* the child's alone */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_the_flag_nothing_changes),
        cmocka_unit_test(a_user_that_is_none_is_named),
        cmocka_unit_test(names_and_numbers_are_the_same_user),
        cmocka_unit_test(root_would_drop_nothing),
        cmocka_unit_test(what_is_dropped_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
