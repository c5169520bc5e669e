#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/harden.h"
#include "host/harden_hosts.h"
#include "told_exchange.h"

static enum err no_file(void *context, const char *path, struct buf *out)
{
    (void)context;
    (void)path;
    (void)out;
    return ERR_NOT_FOUND;
}

static struct config configured(const char *first, const char *second,
                                const char *third)
{
    char *argv[] = {(char *)(uintptr_t) "etched", (char *)(uintptr_t)first,
                    (char *)(uintptr_t)second, (char *)(uintptr_t)third};
    int argc = third != NULL ? 4 : second != NULL ? 3 : first != NULL ? 2 : 1;
    const struct config_input input = {
        .argc = argc, .argv = argv, .read = no_file};
    struct config config;
    if (config_load(&config, &input) != ERR_OK) {
        fail_msg("%s", err_note());
    }
    return config;
}

/* ---- names --------------------------------------------------------------- */

static bool allows(const struct config *config, const char *host, bool is_local)
{
    struct harden_hosts *hosts = harden_hosts_new(config);
    bool allowed = harden_hosts_allow(hosts, slice_str(host), is_local);
    harden_hosts_free(hosts);
    return allowed;
}

/* CVE-2018-1099: a page lets its name stand for 127.0.0.1. */
static void a_name_of_others_is_refused_on_this_machine(void **state)
{
    struct config config = configured(NULL, NULL, NULL);
    char machine[256] = "";
    (void)state;
    assert_false(allows(&config, "evil.example", true));
    assert_false(allows(&config, "evil.example:2379", true));
    assert_false(allows(&config, "localhost.evil.example", true));
    assert_false(allows(&config, "127.0.0.1.evil.example:2379", true));
    assert_false(allows(&config, "evillocalhost", true));
    assert_true(allows(&config, "localhost", true));
    assert_true(allows(&config, "LOCALHOST:2379", true));
    assert_true(allows(&config, "localhost.:2379", true));
    assert_true(allows(&config, "etcd.localhost", true));
    assert_true(allows(&config, "127.0.0.1:2379", true));
    assert_true(allows(&config, "[::1]:2379", true));
    assert_true(allows(&config, "192.168.0.7", true));
    assert_true(allows(&config, "", true));
    assert_int_equal(gethostname(machine, sizeof(machine) - 1), 0);
    assert_true(allows(&config, machine, true));
    /* From elsewhere it was let in before, as etcd does. */
    assert_true(allows(&config, "evil.example", false));
    config_deinit(&config);
}

static void its_own_urls_name_it(void **state)
{
    struct config config =
        configured("--advertise-client-urls=http://store.example:2379",
                   "--listen-client-urls=http://127.0.0.1:2379", NULL);
    (void)state;
    assert_true(allows(&config, "store.example:2379", true));
    assert_true(allows(&config, "Store.Example", true));
    assert_false(allows(&config, "other.example", true));
    config_deinit(&config);
}

static void a_list_is_all_there_is(void **state)
{
    struct config config =
        configured("--host-whitelist=good.example,10.0.0.1", NULL, NULL);
    (void)state;
    for (int is_local = 0; is_local < 2; is_local++) {
        assert_true(allows(&config, "good.example:2379", is_local != 0));
        assert_true(allows(&config, "10.0.0.1", is_local != 0));
        assert_false(allows(&config, "10.0.0.2", is_local != 0));
        assert_false(allows(&config, "localhost", is_local != 0));
    }
    config_deinit(&config);
    config = configured("--host-whitelist=*", NULL, NULL);
    assert_true(allows(&config, "evil.example", true));
    config_deinit(&config);
}

static bool refuses(const struct config *config, const char *host,
                    const char *peer, bool is_own, struct buf *body)
{
    struct told told;
    struct http_header header = {SLICE("Host"), slice_str(host)};
    struct harden_hosts *hosts = harden_hosts_new(config);
    open_told(&told, HTTP_GET, "/v2/keys", SLICE(""));
    told.exchange.request.headers = &header;
    told.exchange.request.header_count = 1;
    told.exchange.request.peer = slice_str(peer);
    told.exchange.request.is_own = is_own;
    bool refused = harden_hosts_refuse(hosts, &told.exchange);
    assert_int_equal(told.status, refused ? 403 : 0);
    if (refused) {
        buf_append_slice(body, buf_slice(&told.body));
    }
    close_told(&told);
    harden_hosts_free(hosts);
    return refused;
}

static void the_answer_says_why(void **state)
{
    struct config config = configured(NULL, NULL, NULL);
    struct buf body = {0};
    (void)state;
    assert_true(refuses(&config, "e\"vil", "127.0.0.1:1", false, &body));
    assert_non_null(strstr(body.at, "under the name e\\\"vil"));
    assert_non_null(strstr(body.at, "--host-whitelist"));
    assert_true(refuses(&config, "evil.example", "::1:4711", false, &body));
    assert_false(refuses(&config, "evil.example", "10.0.0.1:1", false, &body));
    assert_false(refuses(&config, "evil.example", "127.0.0.1:1", true, &body));
    /* With TLS the certificate says by which name. */
    struct told told;
    struct http_header header = {SLICE("Host"), SLICE("evil.example")};
    struct harden_hosts *hosts = harden_hosts_new(&config);
    open_told(&told, HTTP_GET, "/", SLICE(""));
    told.exchange.request.headers = &header;
    told.exchange.request.header_count = 1;
    told.exchange.request.peer = SLICE("127.0.0.1:1");
    assert_true(harden_hosts_refuse(hosts, &told.exchange));
    close_told(&told);
    open_told(&told, HTTP_GET, "/", SLICE(""));
    told.exchange.request.headers = &header;
    told.exchange.request.header_count = 1;
    told.exchange.request.peer = SLICE("127.0.0.1:1");
    told.exchange.request.is_tls = true;
    assert_false(harden_hosts_refuse(hosts, &told.exchange));
    close_told(&told);
    harden_hosts_free(hosts);
    /* A Unix socket: no browser gets there. */
    assert_false(refuses(&config, "evil.example", "", false, &body));
    buf_deinit(&body);
    config_deinit(&config);
}

/* ---- open doors ---------------------------------------------------------- */

static int doors(const char *clients, const char *more, bool has_users)
{
    struct config config =
        configured(clients, "--advertise-client-urls=http://127.0.0.1:1", more);
    int count = harden_warn_open(&config, has_users);
    config_deinit(&config);
    return count;
}

/* TOB-ETCD-016. */
static void doors_that_stand_open_are_told(void **state)
{
    (void)state;
    assert_int_equal(doors("--listen-client-urls=http://127.0.0.1:1",
                           "--listen-peer-urls=http://localhost:2", false),
                     0);
    assert_int_equal(
        doors("--listen-client-urls=http://0.0.0.0:1", NULL, false), 1);
    assert_int_equal(doors("--listen-client-urls=http://10.0.0.1:1,"
                           "http://[::]:1,http://[::1]:1",
                           NULL, true),
                     2);
    assert_int_equal(doors("--listen-client-urls=unix:///tmp/x", NULL, false),
                     0);
    assert_int_equal(doors("--listen-client-urls=http://127.0.0.1:1",
                           "--listen-peer-urls=http://10.0.0.1:2", true),
                     1);
}

/* ---- the process --------------------------------------------------------- */

/* What is given up is given up for good, so it is tried in a child. */
static int in_child(void (*act)(void))
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        act();
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void begin_by_default(void)
{
    struct config config = configured(NULL, NULL, NULL);
    struct rlimit cores;
    harden_begin(&config);
    getrlimit(RLIMIT_CORE, &cores);
    _exit(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 &&
                  prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 &&
                  cores.rlim_cur == 0 && cores.rlim_max == 0
              ? 7
              : 1);
}

static void begin_with_cores(void)
{
    struct config config = configured("--core-dumps", NULL, NULL);
    int before = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
    harden_begin(&config);
    _exit(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 &&
                  prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == before
              ? 7
              : 1);
}

static void a_process_leaves_no_core(void **state)
{
    (void)state;
    assert_int_equal(in_child(begin_by_default), 7);
    assert_int_equal(in_child(begin_with_cores), 7);
}

static void become_nobody(void)
{
    struct privileges who;
    struct config config = configured("--seccomp=off", NULL, NULL);
    if (privileges_find("nobody", &who) != ERR_OK ||
        harden_confine(&config, &who) != ERR_OK) {
        _exit(2);
    }
    /* It can neither go back nor read what root alone may. */
    _exit(geteuid() == who.uid && getuid() == who.uid && setuid(0) != 0 &&
                  getgid() == who.gid
              ? 7
              : 3);
}

static void root_becomes_another_for_good(void **state)
{
    (void)state;
    if (geteuid() != 0 || getpwnam("nobody") == NULL) {
        skip();
    }
    assert_int_equal(in_child(become_nobody), 7);
}

static void find_as_nobody(void)
{
    struct privileges who;
    const struct passwd *nobody = getpwnam("nobody");
    if (setresuid(nobody->pw_uid, nobody->pw_uid, nobody->pw_uid) != 0) {
        _exit(2);
    }
    bool refused = privileges_find("root", &who) == ERR_PERMISSION &&
                   strstr(err_note(), "only root can") != NULL;
    bool same = privileges_find("nobody", &who) == ERR_OK && !who.change;
    _exit(refused && same ? 7 : 3);
}

static void only_root_becomes_another(void **state)
{
    struct privileges who;
    (void)state;
    assert_int_equal(privileges_find("", &who), ERR_OK);
    assert_false(who.change);
    assert_int_equal(who.uid, geteuid());
    assert_int_equal(privileges_find("no-such-user-here", &who), ERR_NOT_FOUND);
    assert_non_null(strstr(err_note(), "no-such-user-here"));
    if (geteuid() != 0 || getpwnam("nobody") == NULL) {
        skip();
    }
    assert_int_equal(privileges_find("root", &who), ERR_INVALID);
    assert_int_equal(privileges_find("0", &who), ERR_INVALID);
    assert_int_equal(in_child(find_as_nobody), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_of_others_is_refused_on_this_machine),
        cmocka_unit_test(its_own_urls_name_it),
        cmocka_unit_test(a_list_is_all_there_is),
        cmocka_unit_test(the_answer_says_why),
        cmocka_unit_test(doors_that_stand_open_are_told),
        cmocka_unit_test(a_process_leaves_no_core),
        cmocka_unit_test(root_becomes_another_for_good),
        cmocka_unit_test(only_root_becomes_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
