/* The smaller pure parts: paths and queries, members, help. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "cmd/etchctl/help.h"
#include "cmd/etchctl/member_list.h"
#include "cmd/etchctl/url.h"

/* A small table in place of the program's: the help is made of this. */
static int run_nothing(struct session *session)
{
    (void)session;
    return EXIT_DONE;
}

static const struct flag_spec get_flags[] = {
    {.name = "quorum",
     .letter = 'q',
     .about = "ask a majority of the members, so that the answer can't be "
              "older than the question"},
    {.name = "p", .about = "a slash"},
    {.name = "ttl", .kind = FLAG_INT, .value = "seconds", .about = "its life"},
    {.name = "hidden", .is_hidden = true, .about = "nobody sees this"},
    {0},
};
static const struct command get = {
    .name = "get",
    .family = "Keys",
    .arguments = "<key>",
    .summary = "get it",
    .about = "More of it.\n",
    .flags = get_flags,
    .run = run_nothing,
};
static const struct command list = {
    .name = "list", .arguments = "", .summary = "list them", .is_later = true};
static const struct command *const subcommands[] = {&list, NULL};
static const struct command member = {.name = "member",
                                      .family = "Cluster",
                                      .arguments = "<command>",
                                      .summary = "the members",
                                      .subcommands = subcommands};
const struct command *const commands[] = {&get, &member, NULL};
const struct flag_spec global_flags[] = {{.name = "debug", .about = "say more"},
                                         {0}};

/* ---- paths and queries ------------------------------------------------- */

static void assert_path(const char *key, const char *expected)
{
    struct buf out = {0};

    url_append_key(&out, key);
    buf_append_char(&out, '\0');
    assert_string_equal(out.at, expected);
    buf_deinit(&out);
}

static void keys_become_clean_paths(void **state)
{
    (void)state;
    assert_path("/foo", "/v2/keys/foo");
    assert_path("foo", "/v2/keys/foo");
    assert_path("", "/v2/keys");
    assert_path("/", "/v2/keys/");
    assert_path("a//b/", "/v2/keys/a/b/");
    assert_path("/a/./b", "/v2/keys/a/b");
    assert_path("/a/b/../c", "/v2/keys/a/c");
    assert_path("/a/...", "/v2/keys/a/...");
}

static void dots_never_leave_the_keys(void **state)
{
    (void)state;
    assert_path("..", "/v2/keys");
    assert_path("/../members", "/v2/keys/members");
    assert_path("/a/../../../b", "/v2/keys/b");
    assert_path("/a/..", "/v2/keys");
}

static void paths_are_escaped_as_go_does(void **state)
{
    (void)state;
    assert_path("/x y/$&+,:;=@-_.~", "/v2/keys/x%20y/$&+,:;=@-_.~");
    assert_path("/?#%[]!'()*\"<>\\^`{|}",
                "/v2/keys/%3F%23%25%5B%5D%21%27%28%29%2A%22%3C%3E%5C%5E%60"
                "%7B%7C%7D");
    assert_path("/\xC3\xA9\x01\x7F", "/v2/keys/%C3%A9%01%7F");
}

static void fields_are_joined_and_escaped(void **state)
{
    struct buf out = {0};

    (void)state;
    url_append_field(&out, "ttl", SLICE("5"));
    url_append_field(&out, "value", SLICE("a b&c=d+e/\n~"));
    url_append_field(&out, "empty", slice_of(NULL, 0));
    url_append_field(&out, "zero", slice_of("\0", 1));
    url_append_number(&out, "waitIndex", UINT64_MAX);
    url_append_bool(&out, "wait", true);
    url_append_bool(&out, "dir", false);
    buf_append_char(&out, '\0');
    assert_string_equal(out.at, "ttl=5&value=a+b%26c%3Dd%2Be%2F%0A~&empty=&"
                                "zero=%00&waitIndex=18446744073709551615&"
                                "wait=true&dir=false");
    buf_deinit(&out);
}

/* ---- members ----------------------------------------------------------- */

static const char members_json[] =
    "{\"members\":["
    "{\"id\":\"ddd67b312462fd7b\",\"name\":\"n1\","
    "\"peerURLs\":[\"http://a:2380\"],"
    "\"clientURLs\":[\"http://a:2379\",\"http://a:4001\"]},"
    "{\"id\":\"2f\",\"name\":\"\",\"peerURLs\":[\"http://b:2380\"],"
    "\"clientURLs\":[]}]}\n";

static void members_are_read_and_printed(void **state)
{
    struct arena arena;
    struct member_list members;
    struct buf out = {0};

    (void)state;
    arena_init(&arena, 0);
    assert_true(member_list_parse(&arena, slice_str(members_json), &members));
    assert_int_equal(members.count, 2);
    assert_int_equal(members.at[0].client_urls.count, 2);
    member_print(&members.at[0], SLICE("ddd67b312462fd7b"), &out);
    member_print(&members.at[0], SLICE("2f"), &out);
    member_print(&members.at[1], SLICE("2f"), &out);
    buf_append_char(&out, '\0');
    assert_string_equal(
        out.at, "ddd67b312462fd7b: name=n1 peerURLs=http://a:2380 "
                "clientURLs=http://a:2379,http://a:4001 isLeader=true\n"
                "ddd67b312462fd7b: name=n1 peerURLs=http://a:2380 "
                "clientURLs=http://a:2379,http://a:4001 isLeader=false\n"
                "2f[unstarted]: peerURLs=http://b:2380\n");
    buf_deinit(&out);
    arena_deinit(&arena);
}

static void what_are_no_members_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "x",
        "[]",
        "{}",
        "{\"members\":7}",
        "{\"members\":[7]}",
        "{\"members\":[{\"name\":\"without an id\"}]}"};
    struct arena arena;
    struct member_list members;
    struct member one;

    (void)state;
    arena_init(&arena, 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(member_list_parse(&arena, slice_str(bad[i]), &members));
    assert_true(member_list_parse(&arena, SLICE("{\"members\":[]}"), &members));
    assert_int_equal(members.count, 0);
    assert_false(member_parse(&arena, SLICE("null"), &one));
    assert_true(member_parse(&arena, SLICE("{\"id\":\"a\"}"), &one));
    assert_int_equal(one.client_urls.count, 0);
    arena_deinit(&arena);
}

static void health_is_said_in_two_ways(void **state)
{
    static const struct {
        const char *json;
        int health;
    } cases[] = {
        {"{\"health\":\"true\"}", 1},
        {"{\"health\":true}", 1},
        {"{\"health\": \"false\"}", 0},
        {"{\"health\":false}", 0},
        {"{\"health\":\"yes\"}", 0},
        {"{\"health\":7}", -1},
        {"{}", 0},
        {"true", -1},
        {"garbage", -1},
        {"", -1},
    };
    struct arena arena;

    (void)state;
    arena_init(&arena, 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(health_parse(&arena, slice_str(cases[i].json)),
                         cases[i].health);
    arena_deinit(&arena);
}

/* ---- help -------------------------------------------------------------- */

static void assert_has(const struct buf *text, const char *part)
{
    assert_non_null(memmem(text->at, text->size, part, strlen(part)));
}

static void assert_narrow(const struct buf *text)
{
    size_t column = 0;

    for (size_t i = 0; i < text->size; i++) {
        column = text->at[i] == '\n' ? 0 : column + 1;
        assert_true(column <= HELP_COLUMNS);
    }
}

static void help_of_a_command_is_whole(void **state)
{
    struct buf out = {0};

    (void)state;
    help_command("ctl", NULL, &get, &out);
    buf_append_char(&out, '\0');
    assert_string_equal(
        out.at,
        "ctl get: get it\n\nUsage: ctl get [flags] <key>\n\nMore of it.\n\n"
        "Flags\n"
        "  -q, --quorum   ask a majority of the members, so that the answer "
        "can't be\n"
        "                 older than the question\n"
        "  -p             a slash\n"
        "  --ttl seconds  its life\n"
        "\n'ctl help' lists the flags that every command has.\n");
    assert_narrow(&out);
    buf_deinit(&out);
}

static void help_of_a_group_lists_its_commands(void **state)
{
    struct buf out = {0};

    (void)state;
    help_command("ctl", NULL, &member, &out);
    assert_has(&out, "Usage: ctl member <command>\n");
    assert_has(&out, "\nCommands\n  list  list them (in a later version)\n");
    buf_reset(&out);
    help_command("ctl", &member, &list, &out);
    assert_has(&out, "ctl member list: list them\n\nUsage: ctl member list\n");
    assert_has(&out, "\nThis comes with a later version.\n");
    buf_deinit(&out);
}

static void help_of_the_program_lists_all(void **state)
{
    struct buf out = {0};

    (void)state;
    help_program("ctl", &out);
    assert_has(&out, "Usage: ctl [global flags] <command>");
    assert_has(&out, "\nKeys\n  get     get it\n\nCluster\n"
                     "  member  the members\n");
    assert_has(&out, "\n  --debug  say more\n");
    assert_has(&out, "ETCDCTL_ENDPOINTS");
    assert_has(&out, "Exit codes");
    assert_narrow(&out);
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_become_clean_paths),
        cmocka_unit_test(dots_never_leave_the_keys),
        cmocka_unit_test(paths_are_escaped_as_go_does),
        cmocka_unit_test(fields_are_joined_and_escaped),
        cmocka_unit_test(members_are_read_and_printed),
        cmocka_unit_test(what_are_no_members_is_refused),
        cmocka_unit_test(health_is_said_in_two_ways),
        cmocka_unit_test(help_of_a_command_is_whole),
        cmocka_unit_test(help_of_a_group_lists_its_commands),
        cmocka_unit_test(help_of_the_program_lists_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
