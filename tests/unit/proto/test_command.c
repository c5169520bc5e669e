/* Commands survive the way into the log and back, and what is not a command
 * is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/prng.h"
#include "proto/command.h"
#include "proto/pb.h"

static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static void assert_slice(struct slice got, const char *want)
{
    assert_int_equal(got.size, strlen(want));
    assert_true(got.size == 0 || memcmp(got.at, want, got.size) == 0);
}

static void a_tree_command_keeps_every_field(void **state)
{
    (void)state;
    struct command in = {
        .type = COMMAND_TREE,
        .tree = {.op = TREE_COMPARE_AND_SWAP,
                 .path = SLICE("/a/b"),
                 .value = SLICE("hello\0world"),
                 .dir = true,
                 .recursive = true,
                 .refresh = true,
                 .has_ttl = true,
                 .ttl_s = UINT64_MAX,
                 .prev_value = SLICE("old"),
                 .prev_index = 1234567890123},
    };
    struct command out;
    struct refbuf *buf = command_encode(&in);
    assert_int_equal(
        command_decode(slice_of(buf->bytes, buf->size), &arena, &out), ERR_OK);
    assert_int_equal(out.type, COMMAND_TREE);
    assert_int_equal(out.tree.op, TREE_COMPARE_AND_SWAP);
    assert_slice(out.tree.path, "/a/b");
    assert_int_equal(out.tree.value.size, 11);
    assert_memory_equal(out.tree.value.at, "hello\0world", 11);
    assert_true(out.tree.dir && out.tree.recursive && out.tree.refresh);
    assert_true(out.tree.has_ttl);
    assert_true(out.tree.ttl_s == UINT64_MAX);
    assert_slice(out.tree.prev_value, "old");
    assert_int_equal(out.tree.prev_index, 1234567890123);
    refbuf_unref(buf);
}

static void what_is_zero_stays_zero(void **state)
{
    (void)state;
    struct command in = {.type = COMMAND_TREE,
                         .tree = {.op = TREE_SET, .path = SLICE("/")}};
    struct command out;
    memset(&out, 0xff, sizeof(out));
    struct refbuf *buf = command_encode(&in);
    assert_true(buf->size < 16);
    assert_int_equal(
        command_decode(slice_of(buf->bytes, buf->size), &arena, &out), ERR_OK);
    assert_int_equal(out.tree.value.size, 0);
    assert_false(out.tree.dir || out.tree.recursive || out.tree.refresh ||
                 out.tree.has_ttl);
    assert_int_equal(out.tree.prev_index, 0);
    refbuf_unref(buf);
}

static void leases_keep_their_order(void **state)
{
    (void)state;
    int64_t leases[] = {1, INT64_MAX, (int64_t)1 << 62 | 7, 300};
    struct command in = {.type = COMMAND_EXPIRE,
                         .expire = {.leases = leases, .count = 4}};
    struct command out;
    struct refbuf *buf = command_encode(&in);
    assert_int_equal(
        command_decode(slice_of(buf->bytes, buf->size), &arena, &out), ERR_OK);
    assert_int_equal(out.type, COMMAND_EXPIRE);
    assert_int_equal(out.expire.count, 4);
    assert_memory_equal(out.expire.leases, leases, sizeof(leases));
    refbuf_unref(buf);
}

static void compactions_and_publications_too(void **state)
{
    (void)state;
    struct command out;
    struct command compact = {.type = COMMAND_COMPACT, .compact = 99};
    struct refbuf *buf = command_encode(&compact);
    assert_int_equal(
        command_decode(slice_of(buf->bytes, buf->size), &arena, &out), ERR_OK);
    assert_int_equal(out.compact, 99);
    refbuf_unref(buf);
    struct command publish = {
        .type = COMMAND_PUBLISH,
        .publish = {.member = 0x8e9e05c52164694d,
                    .name = SLICE("infra0"),
                    .client_urls = SLICE("http://a:1,http://b:2")}};
    buf = command_encode(&publish);
    assert_int_equal(
        command_decode(slice_of(buf->bytes, buf->size), &arena, &out), ERR_OK);
    assert_true(out.publish.member == 0x8e9e05c52164694d);
    assert_slice(out.publish.name, "infra0");
    assert_slice(out.publish.client_urls, "http://a:1,http://b:2");
    refbuf_unref(buf);
}

static void fields_of_a_newer_version_are_passed_over(void **state)
{
    (void)state;
    struct buf body = {0};
    struct buf whole = {0};
    struct command out;
    pb_put_u64(&body, 1, TREE_SET);
    pb_put_bytes(&body, 2, SLICE("/k"));
    pb_put_bytes(&body, 77, SLICE("what is this"));
    buf_append(&body, "\x85\x06\x01\x02\x03\x04", 6); /* 96: fixed 32 */
    pb_put_u64(&whole, 1, COMMAND_TREE);
    pb_put_bytes(&whole, 2, buf_slice(&body));
    pb_put_u64(&whole, 99, 5);
    assert_int_equal(command_decode(buf_slice(&whole), &arena, &out), ERR_OK);
    assert_slice(out.tree.path, "/k");
    buf_deinit(&body);
    buf_deinit(&whole);
}

static void an_unknown_type_is_not_guessed_at(void **state)
{
    (void)state;
    struct buf whole = {0};
    struct command out;
    pb_put_u64(&whole, 1, 4711);
    assert_int_equal(command_decode(buf_slice(&whole), &arena, &out),
                     ERR_UNSUPPORTED);
    buf_reset(&whole);
    pb_put_u64(&whole, 1, COMMAND_QUOTA + 1); /* the next one's */
    assert_int_equal(command_decode(buf_slice(&whole), &arena, &out),
                     ERR_UNSUPPORTED);
    assert_int_equal(command_decode(SLICE(""), &arena, &out), ERR_UNSUPPORTED);
    buf_deinit(&whole);
}

static void a_path_must_be_rooted(void **state)
{
    (void)state;
    struct buf body = {0};
    struct buf whole = {0};
    struct command out;
    pb_put_u64(&body, 1, TREE_SET);
    pb_put_bytes(&body, 2, SLICE("k"));
    pb_put_u64(&whole, 1, COMMAND_TREE);
    pb_put_bytes(&whole, 2, buf_slice(&body));
    assert_int_equal(command_decode(buf_slice(&whole), &arena, &out),
                     ERR_CORRUPT);
    buf_deinit(&body);
    buf_deinit(&whole);
}

static struct command again(const struct command *in)
{
    struct command out;
    struct refbuf *buf = command_encode(in);
    /* What is read are views: they outlive the buffer in the arena. */
    char *copy = arena_dup(&arena, buf->bytes, buf->size);
    assert_int_equal(command_decode(slice_of(copy, buf->size), &arena, &out),
                     ERR_OK);
    assert_int_equal(out.type, in->type);
    refbuf_unref(buf);
    return out;
}

static void what_is_not_set_of_a_cluster_stays_so(void **state)
{
    (void)state;
    struct command in = {.type = COMMAND_CLUSTER};
    struct command out = again(&in);
    assert_false(out.cluster.has_active_size);
    assert_false(out.cluster.has_remove_delay);
    assert_false(out.cluster.has_sync_interval);
    in.cluster.has_remove_delay = true;
    in.cluster.remove_delay_us = 0; /* is a value like any other */
    out = again(&in);
    assert_false(out.cluster.has_active_size);
    assert_true(out.cluster.has_remove_delay);
    assert_int_equal(out.cluster.remove_delay_us, 0);
    in.cluster = (struct cluster_command){
        .has_active_size = true,
        .has_remove_delay = true,
        .has_sync_interval = true,
        .active_size = 5,
        .remove_delay_us = 1800000000,
        .sync_interval_us = UINT64_MAX - 1,
    };
    out = again(&in);
    assert_true(out.cluster.has_active_size && out.cluster.has_sync_interval);
    assert_int_equal(out.cluster.active_size, 5);
    assert_int_equal(out.cluster.remove_delay_us, 1800000000);
    assert_true(out.cluster.sync_interval_us == UINT64_MAX - 1);
}

static void changes_of_membership_and_transfers_too(void **state)
{
    (void)state;
    struct command in = {
        .type = COMMAND_MEMBER,
        .member = {.op = 5,
                   .member = UINT64_MAX,
                   .name = SLICE("infra7"),
                   .peer_urls = SLICE("http://a:1,http://b:2"),
                   .client_urls = SLICE("http://c:3")},
    };
    struct command out = again(&in);
    assert_int_equal(out.member.op, 5);
    assert_true(out.member.member == UINT64_MAX);
    assert_slice(out.member.name, "infra7");
    assert_slice(out.member.peer_urls, "http://a:1,http://b:2");
    assert_slice(out.member.client_urls, "http://c:3");
    in.member = (struct member_command){0};
    out = again(&in);
    assert_int_equal(out.member.op, 0);
    assert_int_equal(out.member.peer_urls.size, 0);
    in = (struct command){.type = COMMAND_TRANSFER, .transfer_to = 0xa7};
    assert_int_equal(again(&in).transfer_to, 0xa7);
    in.transfer_to = 0;
    assert_int_equal(again(&in).transfer_to, 0);
}

/* A request of v3's is carried as it came, whatever is in it; its type says
 * what it is. */
static void requests_are_carried_as_they_are(void **state)
{
    (void)state;
    static const enum command_type types[] = {
        COMMAND_PUT,         COMMAND_DELETE_RANGE, COMMAND_TXN,
        COMMAND_LEASE_GRANT, COMMAND_LEASE_REVOKE, COMMAND_ALARM,
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct command in = {.type = types[i],
                             .from = 0xa2,
                             .number = 7,
                             .message = SLICE("\x0a\x01k\0\xff not a message")};
        struct command out = again(&in);
        assert_true(slice_eq(out.message, in.message));
        assert_int_equal(out.from, 0xa2);
        assert_int_equal(out.number, 7);
        in.message = SLICE("");
        assert_int_equal(again(&in).message.size, 0);
    }
}

/* With an origin behind it or not. */
static void whose_it_is_is_carried(void **state)
{
    (void)state;
    struct command in = {
        .type = COMMAND_TXN, .by_recipe = true, .message = SLICE("a txn")};
    struct command out = again(&in);
    assert_true(out.by_recipe);
    assert_slice(out.message, "a txn");
    in.from = 0xa2;
    in.number = 300;
    out = again(&in);
    assert_true(out.by_recipe);
    assert_slice(out.message, "a txn");
    assert_int_equal(out.number, 300);
    in.by_recipe = false;
    assert_false(again(&in).by_recipe);
}

static void a_request_may_be_long(void **state)
{
    (void)state;
    enum { SIZE = 1572864 };
    char *bytes = arena_alloc(&arena, SIZE);
    memset(bytes, 'x', SIZE);
    struct command in = {.type = COMMAND_PUT, .message = slice_of(bytes, SIZE)};
    assert_true(slice_eq(again(&in).message, in.message));
}

static void leases_that_are_kept_alive_keep_their_order(void **state)
{
    (void)state;
    int64_t leases[] = {1, INT64_MIN, -1, INT64_MAX, 300};
    struct command in = {.type = COMMAND_LEASE_RENEW,
                         .renew = {.leases = leases, .count = 5}};
    struct command out = again(&in);
    assert_int_equal(out.renew.count, 5);
    assert_memory_equal(out.renew.leases, leases, sizeof(leases));
    in.renew.count = 0;
    assert_int_equal(again(&in).renew.count, 0);
    leases[1] = 0; /* is none */
    in.renew.count = 3;
    out = again(&in);
    assert_int_equal(out.renew.count, 2);
    assert_int_equal(out.renew.leases[1], -1);
}

static void who_asked_goes_along(void **state)
{
    (void)state;
    struct command in = {.type = COMMAND_PUT, .message = SLICE("put")};
    assert_int_equal(again(&in).user.size, 0);
    assert_int_equal(again(&in).auth_revision, 0);
    in.user = SLICE("alice");
    in.auth_revision = 300;
    struct command out = again(&in);
    assert_slice(out.user, "alice");
    assert_int_equal(out.auth_revision, 300);
    assert_slice(out.message, "put");
    in.user = SLICE("\0server"); /* no user is called so */
    assert_true(slice_eq(again(&in).user, in.user));
}

static void changes_of_users_keep_their_order(void **state)
{
    (void)state;
    const struct auth_change changes[] = {
        {.op = AUTH_USER_ADD, .user = SLICE("u"), .hash = SLICE("$2b$10$h")},
        {.op = AUTH_USER_ADD, .user = SLICE("cn"), .no_password = true},
        {.op = AUTH_ROLE_ADD, .role = SLICE("r")},
        {.op = AUTH_ROLE_GRANT,
         .role = SLICE("r"),
         .key = SLICE("a"),
         .range_end = SLICE("\0"),
         .access = AUTH_READWRITE},
        {.op = AUTH_USER_GRANT, .user = SLICE("u"), .role = SLICE("r")},
    };
    enum { CHANGES = sizeof changes / sizeof changes[0] };
    struct command in = {.type = COMMAND_AUTH,
                         .auth = {.changes = changes, .count = CHANGES}};
    struct command out = again(&in);
    assert_int_equal(out.auth.count, CHANGES);
    for (size_t i = 0; i < CHANGES; i++) {
        const struct auth_change *a = &changes[i];
        const struct auth_change *b = &out.auth.changes[i];
        assert_int_equal(a->op, b->op);
        assert_true(slice_eq(a->user, b->user) && slice_eq(a->role, b->role));
        assert_true(slice_eq(a->hash, b->hash) && slice_eq(a->key, b->key));
        assert_true(slice_eq(a->range_end, b->range_end));
        assert_int_equal(a->access, b->access);
        assert_int_equal(a->no_password, b->no_password);
    }
    in.auth.count = 0;
    assert_int_equal(again(&in).auth.count, 0);
}

static void a_change_of_no_known_kind_is_refused(void **state)
{
    (void)state;
    const struct auth_change change = {.op = AUTH_TOKEN + 1};
    struct command in = {.type = COMMAND_AUTH,
                         .auth = {.changes = &change, .count = 1}};
    struct command out;
    struct refbuf *buf = command_encode(&in);
    assert_int_equal(
        command_decode(slice_of(buf->bytes, buf->size), &arena, &out),
        ERR_CORRUPT);
    refbuf_unref(buf);
}

static void a_quota_has_its_bounds(void **state)
{
    (void)state;
    struct command in = {.type = COMMAND_QUOTA,
                         .quota = {.prefix = SLICE("/tenant/"),
                                   .keys_max = 1000,
                                   .bytes_max = UINT64_MAX}};
    struct command out = again(&in);
    assert_slice(out.quota.prefix, "/tenant/");
    assert_int_equal(out.quota.keys_max, 1000);
    assert_true(out.quota.bytes_max == UINT64_MAX);
}

/* Written with it or with it appended: the same bytes. */
static void an_origin_is_appended(void **state)
{
    (void)state;
    static const uint64_t numbers[] = {1, 127, 128, 1u << 20, UINT64_MAX};
    struct command in = {
        .type = COMMAND_TREE,
        .tree = {.op = TREE_SET, .path = SLICE("/a"), .value = SLICE("1")}};
    assert_int_equal(again(&in).from, 0);
    assert_int_equal(again(&in).number, 0);
    struct refbuf *plain = command_encode(&in);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char bytes[COMMAND_ORIGIN_BYTES_MAX];
        in.from = 0xa1 + i;
        in.number = numbers[i];
        struct command out = again(&in);
        assert_true(out.from == in.from);
        assert_true(out.number == in.number);
        assert_slice(out.tree.value, "1");
        struct refbuf *whole = command_encode(&in);
        size_t size = command_origin_encode(in.from, in.number, bytes);
        assert_int_equal(whole->size, plain->size + size);
        assert_memory_equal(whole->bytes, plain->bytes, plain->size);
        assert_memory_equal(whole->bytes + plain->size, bytes, size);
        refbuf_unref(whole);
    }
    refbuf_unref(plain);
}

static void half_an_origin_is_none(void **state)
{
    (void)state;
    struct command in = {.type = COMMAND_COMPACT, .compact = 5};
    struct command out;
    struct refbuf *plain = command_encode(&in);
    struct buf whole = {0};
    buf_append(&whole, plain->bytes, plain->size);
    pb_put_u64(&whole, 4, 7);
    assert_int_equal(command_decode(buf_slice(&whole), &arena, &out),
                     ERR_CORRUPT);
    whole.size = plain->size;
    buf_append(&whole, "\x19\x01\0\0\0\0\0\0\0", 9);
    assert_int_equal(command_decode(buf_slice(&whole), &arena, &out),
                     ERR_CORRUPT);
    pb_put_u64(&whole, 4, 7);
    assert_int_equal(command_decode(buf_slice(&whole), &arena, &out), ERR_OK);
    refbuf_unref(plain);
    buf_deinit(&whole);
}

/* Cut anywhere, a command is refused or is a shorter one; never read past. */
static void cut_short_it_is_refused(void **state)
{
    (void)state;
    struct command in = {.type = COMMAND_TREE,
                         .tree = {.op = TREE_SET,
                                  .path = SLICE("/some/key"),
                                  .value = SLICE("some value")}};
    struct refbuf *buf = command_encode(&in);
    for (size_t size = 0; size < buf->size; size++) {
        struct command out;
        char *copy = mem_dup(buf->bytes, size);
        assert_int_not_equal(command_decode(slice_of(copy, size), &arena, &out),
                             ERR_OK);
        mem_free(copy);
    }
    refbuf_unref(buf);
}

static void garbled_it_is_never_read_past(void **state)
{
    (void)state;
    struct prng prng;
    int64_t leases[] = {5, 600, 70000};
    struct command in = {.type = COMMAND_EXPIRE,
                         .expire = {.leases = leases, .count = 3}};
    prng_init(&prng, 11);
    struct refbuf *buf = command_encode(&in);
    for (int i = 0; i < 20000; i++) {
        struct command out;
        char *copy = mem_dup(buf->bytes, buf->size);
        for (uint64_t n = prng_below(&prng, 4) + 1; n > 0; n--) {
            copy[prng_below(&prng, buf->size)] = (char)prng_next(&prng);
        }
        (void)!command_decode(slice_of(copy, buf->size), &arena, &out);
        mem_free(copy);
        arena_reset(&arena);
    }
    refbuf_unref(buf);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_tree_command_keeps_every_field),
        STORY(what_is_zero_stays_zero),
        STORY(leases_keep_their_order),
        STORY(compactions_and_publications_too),
        STORY(fields_of_a_newer_version_are_passed_over),
        STORY(an_unknown_type_is_not_guessed_at),
        STORY(a_path_must_be_rooted),
        STORY(what_is_not_set_of_a_cluster_stays_so),
        STORY(changes_of_membership_and_transfers_too),
        STORY(requests_are_carried_as_they_are),
        STORY(whose_it_is_is_carried),
        STORY(a_request_may_be_long),
        STORY(leases_that_are_kept_alive_keep_their_order),
        STORY(who_asked_goes_along),
        STORY(changes_of_users_keep_their_order),
        STORY(a_change_of_no_known_kind_is_refused),
        STORY(a_quota_has_its_bounds),
        STORY(an_origin_is_appended),
        STORY(half_an_origin_is_none),
        STORY(cut_short_it_is_refused),
        STORY(garbled_it_is_never_read_past),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
