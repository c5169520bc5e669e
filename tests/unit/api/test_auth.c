/* /v2/auth: users and roles as v2 has them, and that they are v3's. */
#include "auth_story.h"

#include <stdio.h>

#define STORY(name) cmocka_unit_test_setup_teardown(name, auth_begin, auth_end)

#define U "/v2/auth/users"
#define R "/v2/auth/roles"
#define E "/v2/auth/enable"
#define MESSAGE(text) "{\"message\":\"" text "\"}"
#define NO_RIGHT MESSAGE("Insufficient credentials")
#define ROLE(name, read, write)                                      \
    "{\"role\":\"" name "\",\"permissions\":{\"kv\":{\"read\":" read \
    ",\"write\":" write "}}}"
#define ROOT_ROLE ROLE("root", "[\"/*\"]", "[\"/*\"]")

/* ---- users --------------------------------------------------------------- */

static void a_user_is_made_changed_and_deleted(void **state)
{
    struct world *world = *state;
    as(world, NULL, "GET " U, NULL, 200, "{\"users\":null}\n");
    as(world, NULL, "PUT " U "/a", "{\"user\":\"a\",\"password\":\"p\"}", 201,
       "{\"user\":\"a\",\"roles\":null}\n");
    as(world, NULL, "GET " U "/a", NULL, 200, "{\"user\":\"a\"}\n");
    as(world, NULL, "PUT " U "/a", "{\"user\":\"a\",\"password\":\"q\"}", 200,
       "{\"user\":\"a\",\"roles\":[]}\n");
    as(world, NULL, "PUT " U "/a", "{\"user\":\"a\"}", 400,
       MESSAGE("auth: User not updated. Use grant/revoke/password to update "
               "the user."));
    users(world, "+role r");
    users(world, "+role s");
    as(world, NULL, "PUT " U "/a", "{\"user\":\"a\",\"grant\":[\"s\",\"r\"]}",
       200, "{\"user\":\"a\",\"roles\":[\"r\",\"s\"]}\n");
    as(world, NULL, "PUT " U "/a", "{\"user\":\"a\",\"grant\":[\"r\"]}", 409,
       MESSAGE("auth: Granting duplicate role r for user a"));
    as(world, NULL, "PUT " U "/a", "{\"user\":\"a\",\"revoke\":[\"x\"]}", 409,
       MESSAGE("auth: Revoking ungranted role x for user a"));
    as(world, NULL, "PUT " U "/a", "{\"user\":\"a\",\"grant\":[\"x\"]}", 404,
       MESSAGE("auth: Role x does not exist."));
    as(world, NULL, "PUT " U "/a", "{\"user\":\"a\",\"revoke\":[\"s\"]}", 200,
       "{\"user\":\"a\",\"roles\":[\"r\"]}\n");
    as(world, NULL, "GET " U, NULL, 200,
       "{\"users\":[{\"user\":\"a\",\"roles\":[" ROLE("r", "null",
                                                      "null") "]}]}\n");
    as(world, NULL, "DELETE " U "/a", NULL, 200, "");
    as(world, NULL, "DELETE " U "/a", NULL, 404,
       MESSAGE("auth: User a does not exist"));
    as(world, NULL, "GET " U "/a", NULL, 404,
       MESSAGE("auth: User a does not exist."));
}

static void what_is_wrong_with_a_user_is_said(void **state)
{
    static const struct {
        const char *body;
        const char *message;
    } cases[] = {
        {"nonsense", MESSAGE("Invalid JSON in request body.")},
        {"{\"user\":7}", MESSAGE("Invalid JSON in request body.")},
        {"{\"user\":\"a\",\"roles\":\"r\"}",
         MESSAGE("Invalid JSON in request body.")},
        {"{\"user\":\"a\",\"roles\":[1]}",
         MESSAGE("Invalid JSON in request body.")},
        {"{\"user\":\"b\"}",
         MESSAGE("User JSON name does not match the name in the URL")},
        {"{\"user\":\"a\",\"roles\":[\"r\"],\"grant\":[\"s\"]}",
         MESSAGE("User JSON contains both roles and grant/revoke")},
        {"{\"user\":\"a\"}",
         MESSAGE("auth: Cannot create user a with an empty password")},
    };
    struct world *world = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        as(world, NULL, "PUT " U "/a", cases[i].body, 400, cases[i].message);
    }
    as(world, NULL, "GET " U "/a/b", NULL, 400, MESSAGE("Invalid path"));
    as(world, NULL, "PUT " U "/a%00", "{\"user\":\"a\\u0000\"}", 400,
       "*without a NUL*");
    as(world, NULL, "PUT " U, "{}", 405, "Method Not Allowed\n");
    as(world, NULL, "GET " U, NULL, 200, "{\"users\":null}\n");
}

static void a_password_that_cant_be_hashed_is_refused(void **state)
{
    struct world *world = *state;
    char body[200];
    snprintf(body, sizeof(body), "{\"user\":\"a\",\"password\":\"%0100d\"}", 0);
    as(world, NULL, "PUT " U "/a", body, 400,
       MESSAGE("auth: a password has at most 72 bytes"));
    as(world, NULL, "PUT " U "/a",
       "{\"user\":\"a\",\"password\":\"a\\u0000b\"}", 400,
       MESSAGE("auth: no byte of a password is zero"));
    auth_crypto()->door.password_bytes_min = 8;
    as(world, NULL, "PUT " U "/a", "{\"user\":\"a\",\"password\":\"1234567\"}",
       400, MESSAGE("auth: a password has at least 8 bytes"));
    assert_int_equal(auth_crypto()->hashed, 0);
    as(world, NULL, "GET " U, NULL, 200, "{\"users\":null}\n");
}

static void with_roles_a_user_is_new(void **state)
{
    struct world *world = *state;
    users(world, "+role r");
    as(world, NULL, "PUT " U "/a",
       "{\"user\":\"a\",\"password\":\"p\",\"roles\":[\"r\"]}", 200,
       "{\"user\":\"a\",\"roles\":[\"r\"]}\n");
    as(world, NULL, "PUT " U "/a",
       "{\"user\":\"a\",\"password\":\"p\",\"roles\":[\"r\"]}", 409,
       MESSAGE("auth: User a already exists."));
}

static void root_gets_its_role(void **state)
{
    struct world *world = *state;
    as(world, NULL, "PUT " U "/root", "{\"user\":\"root\",\"password\":\"p\"}",
       201, "{\"user\":\"root\",\"roles\":[\"root\"]}\n");
    as(world, NULL, "GET " U "/root", NULL, 200,
       "{\"user\":\"root\",\"roles\":[" ROOT_ROLE "]}\n");
}

/* One request is one command: where a part of it can't be, nothing is. */
static void all_of_a_request_or_nothing(void **state)
{
    struct world *world = *state;
    struct auth_user user;
    users(world, "+role r");
    uint64_t before = auth_revision(node_auth(world->node));
    as(world, NULL, "PUT " U "/a",
       "{\"user\":\"a\",\"password\":\"p\",\"roles\":[\"r\",\"none\"]}", 404,
       MESSAGE("auth: Role none does not exist."));
    assert_int_equal(auth_revision(node_auth(world->node)), before);
    assert_false(auth_user(node_auth(world->node), SLICE("a"), &user));
}

/* ---- roles --------------------------------------------------------------- */

static void a_role_is_made_changed_and_deleted(void **state)
{
    struct world *world = *state;
    as(world, NULL, "GET " R, NULL, 200, "{\"roles\":[" ROOT_ROLE "]}\n");
    as(world, NULL, "PUT " R "/r",
       "{\"role\":\"r\",\"permissions\":{\"kv\":{\"read\":[\"/a\",\"/b*\"],"
       "\"write\":[\"/a\"]}}}",
       201, ROLE("r", "[\"/a\",\"/b*\"]", "[\"/a\"]") "\n");
    as(world, NULL, "PUT " R "/r", "{\"role\":\"r\"}", 409,
       MESSAGE("auth: Role r already exists."));
    as(world, NULL, "PUT " R "/r",
       "{\"role\":\"r\",\"grant\":{\"kv\":{\"read\":[\"/a\"]}}}", 409,
       MESSAGE("auth: Granting duplicate read permission /a"));
    as(world, NULL, "PUT " R "/r",
       "{\"role\":\"r\",\"grant\":{\"kv\":{\"write\":[\"/a\"]}}}", 409,
       MESSAGE("auth: Granting duplicate write permission /a"));
    as(world, NULL, "PUT " R "/r",
       "{\"role\":\"r\",\"grant\":{\"kv\":{\"write\":[\"/c\"]}},"
       "\"revoke\":{\"kv\":{\"read\":[\"/a\",\"/none\"]}}}",
       200, ROLE("r", "[\"/b*\"]", "[\"/a\",\"/c\"]") "\n");
    as(world, NULL, "PUT " R "/r",
       "{\"role\":\"r\",\"revoke\":{\"kv\":{\"read\":[\"/none\"]}}}", 400,
       MESSAGE("auth: Role not updated. Use grant/revoke to update the "
               "role."));
    as(world, NULL, "GET " R "/r", NULL, 200,
       ROLE("r", "[\"/b*\"]", "[\"/a\",\"/c\"]") "\n");
    as(world, NULL, "GET " R, NULL, 200,
       "{\"roles\":[" ROLE("r", "[\"/b*\"]", "[\"/a\",\"/c\"]") "," ROOT_ROLE
                                                                "]}\n");
    as(world, NULL, "DELETE " R "/r", NULL, 200, "");
    as(world, NULL, "DELETE " R "/r", NULL, 404,
       MESSAGE("auth: Role r doesn't exist."));
}

static void what_is_wrong_with_a_role_is_said(void **state)
{
    struct world *world = *state;
    const char *const is_root =
        MESSAGE("auth: Cannot modify role root: is root role.");
    as(world, NULL, "PUT " R "/r", "{", 400,
       MESSAGE("Invalid JSON in request body."));
    as(world, NULL, "PUT " R "/r", "{\"role\":\"s\"}", 400,
       MESSAGE("Role JSON name does not match the name in the URL"));
    as(world, NULL, "PUT " R "/r",
       "{\"role\":\"r\",\"permissions\":{\"kv\":{\"read\":[\"/a\"]}},"
       "\"grant\":{\"kv\":{\"read\":[\"/b\"]}}}",
       400, MESSAGE("Role JSON contains both permissions and grant/revoke"));
    as(world, NULL, "PUT " R "/r",
       "{\"role\":\"r\",\"grant\":{\"kv\":{\"read\":[\"/b\"]}}}", 404,
       MESSAGE("auth: Role r does not exist."));
    as(world, NULL, "PUT " R "/r",
       "{\"role\":\"r\",\"permissions\":{\"kv\":{\"read\":[\"\"]}}}", 400,
       MESSAGE("auth: a permission needs a pattern"));
    as(world, NULL, "PUT " R "/root", "{\"role\":\"root\"}", 403, is_root);
    as(world, NULL, "DELETE " R "/root", NULL, 403, is_root);
    as(world, NULL, "GET " R "/r", NULL, 404,
       MESSAGE("auth: Role r does not exist."));
}

/* The same pattern to read and to write is one permission of v3's. */
static void a_role_is_v3s(void **state)
{
    struct world *world = *state;
    struct auth_role role;
    as(world, NULL, "PUT " R "/r",
       "{\"role\":\"r\",\"permissions\":{\"kv\":{\"read\":[\"/a*\",\"/k\"],"
       "\"write\":[\"/a*\"]}}}",
       201, "*");
    assert_true(auth_role(node_auth(world->node), SLICE("r"), &role));
    assert_int_equal(role.permission_count, 2);
    assert_int_equal(role.permissions[0].access, AUTH_READWRITE);
    assert_true(slice_eq(role.permissions[0].key, SLICE("/a")));
    assert_true(slice_eq(role.permissions[0].range_end, SLICE("/b")));
    assert_int_equal(role.permissions[1].access, AUTH_READ);
    assert_true(slice_eq(role.permissions[1].range_end, SLICE("")));
    as(world, NULL, "PUT " R "/r",
       "{\"role\":\"r\",\"revoke\":{\"kv\":{\"read\":[\"/a*\",\"/k\"]}}}", 200,
       ROLE("r", "[]", "[\"/a*\"]") "\n");
    assert_true(auth_role(node_auth(world->node), SLICE("r"), &role));
    assert_int_equal(role.permission_count, 1);
    assert_int_equal(role.permissions[0].access, AUTH_WRITE);
}

static void what_v2_cant_say_is_refused_with_the_reason(void **state)
{
    struct world *world = *state;
    users(world, "+role r");
    users(world, "role r + a z");
    users(world, "role r +rw /k");
    as(world, NULL, "GET " R "/r", NULL, 409,
       MESSAGE("auth: Role r can't be told by the v2 API: the range of keys "
               "from \\\"a\\\" to \\\"z\\\" is no pattern of v2's."));
    as(world, NULL, "PUT " R "/r",
       "{\"role\":\"r\",\"grant\":{\"kv\":{\"read\":[\"/b\"]}}}", 409,
       "*can't be told by the v2 API*");
    as(world, NULL, "GET " R, NULL, 200,
       "{\"roles\":[{\"role\":\"r\",\"permissions\":{\"kv\":{\"read\":"
       "[\"/k\"],\"write\":[\"/k\"]}},\"unsaid\":\"the range of keys from "
       "\\\"a\\\" to \\\"z\\\" is no pattern of v2's\"}," ROOT_ROLE "]}\n");
    as(world, NULL, "DELETE " R "/r", NULL, 200, "");
}

/* ---- on and off ---------------------------------------------------------- */

static void enabling_needs_root_and_makes_guest(void **state)
{
    struct world *world = *state;
    as(world, NULL, "GET " E, NULL, 200, "{\"enabled\":false}\n");
    as(world, NULL, "DELETE " E, NULL, 409, MESSAGE("auth: already disabled"));
    as(world, NULL, "PUT " E, NULL, 409,
       MESSAGE("auth: No root user available, please create one"));
    as(world, NULL, "PUT " U "/root", "{\"user\":\"root\",\"password\":\"pw\"}",
       201, "*");
    as(world, NULL, "PUT " E, NULL, 200, "");
    as(world, NULL, "GET " E, NULL, 200, "{\"enabled\":true}\n");
    as(world, NULL, "GET " R "/guest", NULL, 401, NO_RIGHT);
    as(world, "root:pw", "GET " R "/guest", NULL, 200,
       ROLE("guest", "[\"/*\"]", "[\"/*\"]") "\n");
    as(world, "root:pw", "PUT " E, NULL, 409, MESSAGE("auth: already enabled"));
    as(world, "root:pw", "DELETE " U "/root", NULL, 403,
       MESSAGE("auth: Cannot delete root user while auth is enabled."));
    as(world, NULL, "PUT /v2/keys/k", "value=1", 201, "*");
    as(world, "root:pw", "DELETE " E, NULL, 200, "");
    as(world, NULL, "GET " E, NULL, 200, "{\"enabled\":false}\n");
}

static void a_guest_that_is_there_stays_as_it_is(void **state)
{
    struct world *world = *state;
    as(world, NULL, "PUT " U "/root", "{\"user\":\"root\",\"password\":\"pw\"}",
       201, "*");
    users(world, "+role guest");
    users(world, "role guest +r /open*");
    as(world, NULL, "PUT " E, NULL, 200, "");
    as(world, "root:pw", "GET " R "/guest", NULL, 200,
       ROLE("guest", "[\"/open*\"]", "[]") "\n");
}

/* v3 has it that root needs its role: v2 says so. */
static void a_root_without_its_role_is_refused(void **state)
{
    struct world *world = *state;
    users(world, "+user root pw");
    as(world, NULL, "PUT " E, NULL, 409,
       MESSAGE("auth: root user does not have root role"));
    as(world, NULL, "GET " E, NULL, 200, "{\"enabled\":false}\n");
}

static void without_a_door_nobody_can_be_made(void **state)
{
    struct world *world = *state;
    world->shared.crypto = NULL;
    as(world, NULL, "PUT " U "/a", "{\"user\":\"a\",\"password\":\"p\"}", 503,
       "*can't check passwords*");
}

/* Two clients make the same user: both looked before either was applied. */
static void the_second_of_two_is_told(void **state)
{
    struct world *world = *state;
    struct client *one = client_new(world);
    struct client *two = client_new(world);
    const char *body = "{\"user\":\"a\",\"password\":\"p\"}";
    world->idle_core = true;
    client_ask(one, "PUT", U "/a", auth_headers(NULL, body), body);
    client_ask(two, "PUT", U "/a", auth_headers(NULL, body), body);
    world->idle_core = false;
    world_turn(world);
    struct reply reply;
    assert_true(client_reply(one, false, &reply));
    assert_int_equal(reply.status, 201);
    assert_true(client_reply(two, false, &reply));
    assert_int_equal(reply.status, 409);
    expect_text(reply.body, MESSAGE("auth: user name already exists"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_user_is_made_changed_and_deleted),
        STORY(what_is_wrong_with_a_user_is_said),
        STORY(a_password_that_cant_be_hashed_is_refused),
        STORY(with_roles_a_user_is_new),
        STORY(root_gets_its_role),
        STORY(all_of_a_request_or_nothing),
        STORY(a_role_is_made_changed_and_deleted),
        STORY(what_is_wrong_with_a_role_is_said),
        STORY(a_role_is_v3s),
        STORY(what_v2_cant_say_is_refused_with_the_reason),
        STORY(enabling_needs_root_and_makes_guest),
        STORY(a_guest_that_is_there_stays_as_it_is),
        STORY(a_root_without_its_role_is_refused),
        STORY(without_a_door_nobody_can_be_made),
        STORY(the_second_of_two_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
