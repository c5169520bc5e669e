/* Users of v3: who is let in and by what, what each may do, and what is refused
 * in etcd's words. */
#include "auth_world.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

#define AUTH(method) "/etcdserverpb.Auth/" method
#define KV(method) "/etcdserverpb.KV/" method
#define LEASE(method) "/etcdserverpb.Lease/" method

static struct auth_world world;

static int begin_off(void **state)
{
    (void)state;
    auth_world_init(&world, 7);
    return 0;
}

static int begin(void **state)
{
    begin_off(state);
    auth_world_enable(&world);
    buf_reset(&world.audited);
    return 0;
}

static int end(void **state)
{
    (void)state;
    auth_world_deinit(&world);
    return 0;
}

static void expect_audit(const char *lines)
{
    buf_append_char(&world.audited, '\0');
    assert_string_equal(world.audited.at, lines);
    buf_reset(&world.audited);
}

/* With headers of its own, on a line of its own. */
static void expect_on(struct line *line, const char *headers, const char *path,
                      struct slice message, int code, const char *text)
{
    struct talk *talk = ask(line, path, headers, message);
    auth_world_turn(&world);
    expect_end(talk, code, text);
    talk_free(talk);
}

static struct slice nothing(void)
{
    return SLICE("");
}

/* ---- on and off ------------------------------------------------------- */

static void while_it_is_off_everybody_may_do_everything(void **state)
{
    (void)state;
    do_as(&world, NULL, KV("Put"), put_request("zz", "1"));
    do_as(&world, "any token at all", KV("Put"), put_request("zz", "2"));
    do_as(&world, NULL, AUTH("UserList"), nothing());
    expect_no_login(&world, "root", "root", GRPC_FAILED_PRECONDITION,
                    "etcdserver: authentication is not enabled");
    struct talk *talk = ask_as(&world, NULL, AUTH("AuthStatus"), nothing());
    assert_int_equal(number_of(expect_message(talk), 2), false);
    assert_int_equal(number_of(expect_message(talk), 3),
                     auth_revision(node_auth(world.grpc->world.node)));
    talk_free(talk);
}

static void it_is_enabled_once_and_disabled_by_root(void **state)
{
    (void)state;
    const char *root = login(&world, "root", "root");
    const char *with = login(&world, "with", "with");
    expect_as(&world, NULL, AUTH("AuthEnable"), nothing(),
              GRPC_INVALID_ARGUMENT, user_empty);
    do_as(&world, root, AUTH("AuthEnable"), nothing());
    /* That was no change: tokens are as good as before. */
    do_as(&world, with, KV("Put"), put_request("k/1", "1"));
    expect_as(&world, with, AUTH("AuthDisable"), nothing(),
              GRPC_PERMISSION_DENIED, denied);
    expect_as(&world, with, AUTH("AuthStatus"), nothing(),
              GRPC_PERMISSION_DENIED, denied);
    do_as(&world, root, AUTH("AuthDisable"), nothing());
    do_as(&world, NULL, KV("Put"), put_request("zz", "1"));
    /* On again nobody is logged in. */
    auth_world_enable(&world);
    expect_as(&world, root, KV("Put"), put_request("zz", "1"),
              GRPC_UNAUTHENTICATED, no_token);
}

static void root_is_needed_before_it_is_enabled(void **state)
{
    (void)state;
    do_as(&world, NULL, AUTH("UserRevokeRole"),
          revoke_role_request("root", "root"));
    expect_as(&world, NULL, AUTH("AuthEnable"), nothing(),
              GRPC_FAILED_PRECONDITION,
              "etcdserver: root user does not have root role");
    do_as(&world, NULL, AUTH("UserDelete"),
          name_request(&etcdserverpb__auth_user_delete_request__descriptor,
                       "root"));
    expect_as(&world, NULL, AUTH("AuthEnable"), nothing(),
              GRPC_FAILED_PRECONDITION, "etcdserver: root user does not exist");
}

/* ---- passwords -------------------------------------------------------- */

static void a_password_is_hashed_by_a_worker_and_compared_by_one(void **state)
{
    (void)state;
    size_t hashed = world.hashed;
    size_t compared = world.compared;
    const char *root = login(&world, "root", "root");
    assert_int_equal(world.compared, compared + 1);
    do_as(&world, root, AUTH("UserAdd"), user_request("new", "secret"));
    assert_int_equal(world.hashed, hashed + 1);
    login(&world, "new", "secret");
    do_as(&world, root, AUTH("UserChangePassword"),
          password_request("new", "another"));
    login(&world, "new", "another");
    expect_no_login(&world, "new", "secret", GRPC_INVALID_ARGUMENT,
                    v3_error_text(V3_AUTH_FAILED));
}

/* A name that nobody has costs the same work as one that somebody has. */
static void nobody_is_told_whether_it_was_the_name(void **state)
{
    (void)state;
    size_t compared = world.compared;
    expect_no_login(&world, "root", "rood", GRPC_INVALID_ARGUMENT,
                    v3_error_text(V3_AUTH_FAILED));
    expect_no_login(&world, "rood", "root", GRPC_INVALID_ARGUMENT,
                    v3_error_text(V3_AUTH_FAILED));
    expect_no_login(&world, "", "", GRPC_INVALID_ARGUMENT,
                    v3_error_text(V3_AUTH_FAILED));
    assert_int_equal(world.compared, compared + 3);
}

/* CVE-2020-15115 GHSA-4993-m7g5-r9hh TOB-ETCD-008: an empty one is none. */
static void a_password_is_neither_empty_nor_too_long(void **state)
{
    char passwords[80];
    (void)state;
    const char *root = login(&world, "root", "root");
    expect_as(&world, root, AUTH("UserAdd"), user_request("new", ""),
              GRPC_INVALID_ARGUMENT, "etched: the password is empty");
    expect_as(&world, root, AUTH("UserChangePassword"),
              password_request("with", ""), GRPC_INVALID_ARGUMENT,
              "etched: the password is empty");
    memset(passwords, 'p', sizeof(passwords));
    passwords[73] = '\0';
    expect_as(&world, root, AUTH("UserAdd"), user_request("new", passwords),
              GRPC_INVALID_ARGUMENT, "etched: a password has at most 72 bytes");
    passwords[72] = '\0';
    do_as(&world, root, AUTH("UserAdd"), user_request("new", passwords));
    login(&world, "new", passwords);
    expect_as(&world, root, AUTH("UserAdd"), user_request("", "x"),
              GRPC_INVALID_ARGUMENT, user_empty);
}

static struct slice hashed_request(char *name, char *base64)
{
    Etcdserverpb__AuthUserAddRequest request =
        ETCDSERVERPB__AUTH_USER_ADD_REQUEST__INIT;
    request.name = name;
    request.hashedpassword = base64;
    return request_of(&request.base);
}

static void a_hash_that_the_client_has_made_will_do(void **state)
{
    char name[] = "new";
    char bad[] = "bm8gaGFzaA=="; /* "no hash" */
    char worse[] = "!";
    /* The hash of "x", by this world's door. */
    struct buf hash = {0};
    struct buf base64 = {0};
    (void)state;
    const char *root = login(&world, "root", "root");
    enum err err = world.crypto.ops->password_hash(&world.crypto, SLICE("x"),
                                                   AUTH_WORLD_COST, &hash);
    assert_int_equal(err, ERR_OK);
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "abcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < hash.size; i += 3) {
        uint32_t bits = (uint32_t)(uint8_t)hash.at[i] << 16 |
                        (uint32_t)(uint8_t)hash.at[i + 1] << 8 |
                        (uint8_t)hash.at[i + 2];
        for (int shift = 18; shift >= 0; shift -= 6) {
            buf_append_char(&base64, letters[bits >> shift & 63]);
        }
    }
    buf_append_char(&base64, '\0');
    do_as(&world, root, AUTH("UserAdd"), hashed_request(name, base64.at));
    login(&world, "new", "x");
    expect_as(&world, root, AUTH("UserAdd"), hashed_request(name, bad),
              GRPC_INVALID_ARGUMENT,
              "etched: hashedPassword is no hash of bcrypt's");
    expect_as(&world, root, AUTH("UserAdd"), hashed_request(name, worse),
              GRPC_INVALID_ARGUMENT,
              "etched: hashedPassword is no hash of bcrypt's");
    buf_deinit(&hash);
    buf_deinit(&base64);
}

static void who_has_no_password_logs_in_with_none(void **state)
{
    char name[] = "cert";
    char password[] = "given, and passed over";
    Authpb__UserAddOptions options = AUTHPB__USER_ADD_OPTIONS__INIT;
    Etcdserverpb__AuthUserAddRequest request =
        ETCDSERVERPB__AUTH_USER_ADD_REQUEST__INIT;
    (void)state;
    const char *root = login(&world, "root", "root");
    options.no_password = true;
    request.name = name;
    request.password = password;
    request.options = &options;
    do_as(&world, root, AUTH("UserAdd"), request_of(&request.base));
    const char *text =
        "auth: authentication failed, password was given for no password user";
    expect_no_login(&world, name, password, GRPC_UNKNOWN, text);
    expect_no_login(&world, name, "", GRPC_UNKNOWN, text);
}

static void so_many_passwords_at_once_and_no_more(void **state)
{
    enum { MANY = 70, MOST = 64 };
    struct talk *talks[MANY];
    size_t refused = 0;
    (void)state;
    world.holds_work = true;
    for (size_t i = 0; i < MANY; i++) {
        talks[i] = ask_as(&world, NULL, AUTH("Authenticate"),
                          login_request("with", "with"));
        refused += talks[i]->code == GRPC_RESOURCE_EXHAUSTED;
    }
    assert_int_equal(refused, MANY - MOST);
    assert_int_equal(world.work_count, MOST);
    /* Half of them don't wait for it. */
    for (size_t i = 0; i < MOST / 2; i++) {
        talk_reset(talks[i]);
    }
    world.holds_work = false;
    auth_world_turn(&world);
    for (size_t i = 0; i < MANY; i++) {
        if (i >= MOST / 2 && i < MOST) {
            expect_end(talks[i], GRPC_OK, "");
        }
        talk_free(talks[i]);
    }
    login(&world, "with", "with");
}

/* A login that a change of users has overtaken is made with what holds now. */
static void a_password_that_changes_meanwhile_lets_nobody_in(void **state)
{
    (void)state;
    const char *root = login(&world, "root", "root");
    world.holds_work = true;
    struct talk *old = ask_as(&world, NULL, AUTH("Authenticate"),
                              login_request("with", "with"));
    struct talk *other = ask_as(&world, NULL, AUTH("Authenticate"),
                                login_request("bare", "bare"));
    struct talk *change = ask_as(&world, root, AUTH("UserChangePassword"),
                                 password_request("with", "later"));
    assert_int_equal(world.work_count, 3);
    /* The new hash first. */
    struct work *last = world.works[2];
    world.works[2] = world.works[0];
    world.works[0] = last;
    world.holds_work = false;
    auth_world_turn(&world);
    expect_end(change, GRPC_OK, "");
    expect_end(old, GRPC_INVALID_ARGUMENT, v3_error_text(V3_AUTH_FAILED));
    expect_end(other, GRPC_OK, "");
    talk_free(change);
    talk_free(old);
    talk_free(other);
}

/* ---- who asks --------------------------------------------------------- */

static void a_token_is_told_in_two_ways(void **state)
{
    char header[128];
    static const char *const forms[] = {"token: %s\n", "authorization: %s\n",
                                        "authorization: Bearer %s\n",
                                        "authorization: bearer %s\n"};
    (void)state;
    const char *with = login(&world, "with", "with");
    for (size_t i = 0; i < 4; i++) {
        snprintf(header, sizeof(header), forms[i], with);
        expect_on(world.line, header, KV("Put"), put_request("k/1", "1"),
                  GRPC_OK, "");
    }
    /* The first of the two counts. */
    snprintf(header, sizeof(header), "token: no\nauthorization: %s\n", with);
    expect_on(world.line, header, KV("Put"), put_request("k/1", "1"),
              GRPC_UNAUTHENTICATED, no_token);
}

static void a_token_ends_with_its_time(void **state)
{
    (void)state;
    const char *with = login(&world, "with", "with");
    /* It is used, and lives on. */
    for (int i = 0; i < 4; i++) {
        auth_world_wait(&world, AUTH_WORLD_TTL_MS * 3 / 4);
        do_as(&world, with, KV("Put"), put_request("k/1", "1"));
    }
    auth_world_wait(&world, AUTH_WORLD_TTL_MS + 200);
    expect_as(&world, with, KV("Put"), put_request("k/1", "1"),
              GRPC_UNAUTHENTICATED, no_token);
}

static void a_token_ends_with_its_user_and_password(void **state)
{
    (void)state;
    const char *root = login(&world, "root", "root");
    const char *with = login(&world, "with", "with");
    do_as(&world, with, KV("Put"), put_request("k/1", "1"));
    do_as(&world, root, AUTH("UserChangePassword"),
          password_request("with", "new"));
    expect_as(&world, with, KV("Put"), put_request("k/1", "1"),
              GRPC_UNAUTHENTICATED, no_token);
    with = login(&world, "with", "new");
    do_as(&world, with, KV("Put"), put_request("k/1", "1"));
    do_as(&world, root, AUTH("UserDelete"),
          name_request(&etcdserverpb__auth_user_delete_request__descriptor,
                       "with"));
    expect_as(&world, with, KV("Put"), put_request("k/1", "1"),
              GRPC_UNAUTHENTICATED, no_token);
    /* Others have lost nothing. */
    do_as(&world, root, KV("Put"), put_request("k/1", "1"));
}

static void a_certificate_says_who_asks(void **state)
{
    (void)state;
    struct line *with = line_open_as(world.grpc, SLICE("with"), false);
    struct line *strange = line_open_as(world.grpc, SLICE("stranger"), false);
    struct line *forged = line_open_as(world.grpc, SLICE("\0server"), false);
    expect_on(with, NULL, KV("Put"), put_request("k/1", "1"), GRPC_OK, "");
    expect_on(with, NULL, KV("Put"), put_request("zz", "1"),
              GRPC_PERMISSION_DENIED, denied);
    expect_on(strange, NULL, KV("Put"), put_request("k/1", "1"),
              GRPC_PERMISSION_DENIED, denied);
    expect_on(forged, NULL, KV("Put"), put_request("k/1", "1"),
              GRPC_INVALID_ARGUMENT, user_empty);
    /* As in etcd: a token that isn't good isn't made up for by it. */
    expect_on(with, "token: no\n", KV("Put"), put_request("k/1", "1"),
              GRPC_UNAUTHENTICATED, no_token);
    char header[64];
    snprintf(header, sizeof(header), "token: %s\n",
             login(&world, "bare", "bare"));
    expect_on(with, header, KV("Put"), put_request("k/1", "1"),
              GRPC_PERMISSION_DENIED, denied);
}

static void
the_process_itself_may_do_all_and_a_recipe_what_its_owner_may(void **state)
{
    (void)state;
    struct line *own = line_open_as(world.grpc, SLICE(""), true);
    expect_on(own, NULL, KV("Put"), put_request("/_recipes/a", "1"), GRPC_OK,
              "");
    expect_on(own, "etched-owner: with\n", KV("Put"),
              put_request("/_recipes/a", "1"), GRPC_OK, "");
    expect_on(own, "etched-owner: with\n", KV("Put"), put_request("k/1", "1"),
              GRPC_OK, "");
    expect_on(own, "etched-owner: with\n", KV("Put"), put_request("zz", "1"),
              GRPC_PERMISSION_DENIED, denied);
    expect_on(own, "etched-owner: nobody\n", KV("Put"), put_request("k/1", "1"),
              GRPC_PERMISSION_DENIED, denied);
    /* Root's recipes have no more than root's other roles give. */
    expect_on(own, "etched-owner: root\n", KV("Put"), put_request("k/1", "1"),
              GRPC_PERMISSION_DENIED, denied);
    /* What anybody can say counts for nobody else. */
    expect_on(world.line, "etched-owner: root\n", KV("Put"),
              put_request("k/1", "1"), GRPC_INVALID_ARGUMENT, user_empty);
    struct line *other = line_open_as(world.grpc, SLICE("bare"), false);
    expect_on(other, "etched-owner: with\n", KV("Put"), put_request("k/1", "1"),
              GRPC_PERMISSION_DENIED, denied);
}

/* ---- what each may do ------------------------------------------------- */

static void keys_are_read_and_written_by_role(void **state)
{
    (void)state;
    const char *with = login(&world, "with", "with");
    const char *root = login(&world, "root", "root");
    do_as(&world, with, KV("Put"), put_request("k/1", "1"));
    do_as(&world, with, KV("Range"), range_request("k/", "k0"));
    do_as(&world, with, KV("Range"), range_request("r/1", ""));
    expect_as(&world, with, KV("Put"), put_request("r/1", "1"),
              GRPC_PERMISSION_DENIED, denied);
    expect_as(&world, with, KV("Range"), range_request("k/", "k1"),
              GRPC_PERMISSION_DENIED, denied);
    expect_as(&world, with, KV("RangeStream"), range_request("k/", "k1"),
              GRPC_PERMISSION_DENIED, denied);
    do_as(&world, with, KV("RangeStream"), range_request("k/", "k0"));
    expect_as(&world, with, KV("DeleteRange"), range_request("k/", "k1"),
              GRPC_PERMISSION_DENIED, denied);
    do_as(&world, with, KV("DeleteRange"), range_request("k/", "k0"));
    do_as(&world, root, KV("Put"), put_request("zz", "1"));
    do_as(&world, root, KV("Range"), range_request("a", "zzz"));
    /* Even a big answer, which is made in pieces, is asked for first. */
    expect_as(&world, NULL, KV("Range"), range_request("k/1", ""),
              GRPC_INVALID_ARGUMENT, user_empty);
}

static Etcdserverpb__RequestOp *put_op(Etcdserverpb__RequestOp *op,
                                       Etcdserverpb__PutRequest *put,
                                       const char *key)
{
    etcdserverpb__request_op__init(op);
    etcdserverpb__put_request__init(put);
    put->key = message_data(slice_str(key));
    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    op->request_put = put;
    return op;
}

/* A txn in which there is nothing but this. */
static struct slice txn_of(Etcdserverpb__RequestOp *op, bool in_failure)
{
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    if (in_failure) {
        txn.failure = &op;
        txn.n_failure = 1;
    } else {
        txn.success = &op;
        txn.n_success = 1;
    }
    return request_of(&txn.base);
}

/* CVE-2026-33343 GHSA-rfx7-8w68-q57q: what lies in a txn that lies in a txn. */
static void a_txn_in_a_txn_is_looked_at(void **state)
{
    Etcdserverpb__RequestOp inner;
    Etcdserverpb__PutRequest put;
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    Etcdserverpb__RequestOp *ops = &inner;
    Etcdserverpb__RequestOp outer = ETCDSERVERPB__REQUEST_OP__INIT;
    (void)state;
    const char *with = login(&world, "with", "with");
    put_op(&inner, &put, "zz");
    txn.failure = &ops; /* which isn't even the branch that is taken */
    txn.n_failure = 1;
    outer.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN;
    outer.request_txn = &txn;
    expect_as(&world, with, KV("Txn"), txn_of(&outer, false),
              GRPC_PERMISSION_DENIED, denied);
    expect_as(&world, with, KV("Txn"), txn_of(&outer, true),
              GRPC_PERMISSION_DENIED, denied);
    put_op(&inner, &put, "k/1");
    do_as(&world, with, KV("Txn"), txn_of(&outer, false));
    /* One that only reads is answered here, and looked at here. */
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    etcdserverpb__request_op__init(&inner);
    range.key = message_data(SLICE("zz"));
    inner.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    inner.request_range = &range;
    expect_as(&world, with, KV("Txn"), txn_of(&outer, false),
              GRPC_PERMISSION_DENIED, denied);
    range.key = message_data(SLICE("r/1"));
    do_as(&world, with, KV("Txn"), txn_of(&outer, false));
}

/* What is compared is read. */
static void a_compare_is_a_read(void **state)
{
    Etcdserverpb__Compare compare = ETCDSERVERPB__COMPARE__INIT;
    Etcdserverpb__Compare *compares = &compare;
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    (void)state;
    const char *with = login(&world, "with", "with");
    compare.key = message_data(SLICE("zz"));
    compare.target_union_case =
        ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION;
    compare.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE;
    txn.compare = &compares;
    txn.n_compare = 1;
    expect_as(&world, with, KV("Txn"), request_of(&txn.base),
              GRPC_PERMISSION_DENIED, denied);
    compare.key = message_data(SLICE("r/1"));
    do_as(&world, with, KV("Txn"), request_of(&txn.base));
}

/* CVE-2026-44283 GHSA-x35m-3gp4-4fh5: what a put in a txn shows, and the lease
 * that it is attached to, are looked at as outside of one. */
static void a_put_in_a_txn_is_looked_at_whole(void **state)
{
    Etcdserverpb__RequestOp op;
    Etcdserverpb__PutRequest put;
    (void)state;
    const char *root = login(&world, "root", "root");
    const char *bare = login(&world, "bare", "bare");
    do_as(&world, root, AUTH("RoleAdd"),
          name_request(&etcdserverpb__auth_role_add_request__descriptor,
                       "writer"));
    do_as(&world, root, AUTH("RoleGrantPermission"),
          permission_request("writer", AUTH_WRITE, "w", ""));
    do_as(&world, root, AUTH("UserGrantRole"),
          grant_role_request("bare", "writer"));
    do_as(&world, root, LEASE("LeaseGrant"), lease_request(77));
    do_as(&world, root, KV("Put"), leased_put_request("zz", 77));
    put_op(&op, &put, "w");
    do_as(&world, bare, KV("Txn"), txn_of(&op, false));
    put.prev_kv = true;
    expect_as(&world, bare, KV("Txn"), txn_of(&op, false),
              GRPC_PERMISSION_DENIED, denied);
    expect_as(&world, bare, KV("Put"), request_of(&put.base),
              GRPC_PERMISSION_DENIED, denied);
    put.prev_kv = false;
    put.lease = 77;
    expect_as(&world, bare, KV("Txn"), txn_of(&op, false),
              GRPC_PERMISSION_DENIED, denied);
    expect_as(&world, bare, KV("Put"), request_of(&put.base),
              GRPC_PERMISSION_DENIED, denied);
}

static struct slice ttl_request(lease_id id, bool keys)
{
    Etcdserverpb__LeaseTimeToLiveRequest request =
        ETCDSERVERPB__LEASE_TIME_TO_LIVE_REQUEST__INIT;
    request.id = id;
    request.keys = keys;
    return request_of(&request.base);
}

/* CVE-2023-32082 GHSA-3p4g-rcw5-8298: the names of a lease's keys are for those
 * who may read them. */
static void the_keys_of_a_lease_are_read(void **state)
{
    (void)state;
    const char *root = login(&world, "root", "root");
    const char *with = login(&world, "with", "with");
    do_as(&world, root, LEASE("LeaseGrant"), lease_request(77));
    do_as(&world, root, KV("Put"), leased_put_request("r/1", 77));
    do_as(&world, with, LEASE("LeaseTimeToLive"), ttl_request(77, true));
    do_as(&world, with, LEASE("LeaseLeases"), nothing());
    do_as(&world, root, KV("Put"), leased_put_request("zz", 77));
    expect_as(&world, with, LEASE("LeaseTimeToLive"), ttl_request(77, true),
              GRPC_PERMISSION_DENIED, denied);
    do_as(&world, with, LEASE("LeaseTimeToLive"), ttl_request(77, false));
    expect_as(&world, with, LEASE("LeaseLeases"), nothing(),
              GRPC_PERMISSION_DENIED, denied);
    do_as(&world, root, LEASE("LeaseTimeToLive"), ttl_request(77, true));
    do_as(&world, root, LEASE("LeaseLeases"), nothing());
    expect_as(&world, NULL, LEASE("LeaseTimeToLive"), ttl_request(77, false),
              GRPC_INVALID_ARGUMENT, user_empty);
}

static void a_lease_is_kept_and_ended_by_who_may_write_its_keys(void **state)
{
    Etcdserverpb__LeaseRevokeRequest revoke =
        ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
    Etcdserverpb__LeaseKeepAliveRequest keep =
        ETCDSERVERPB__LEASE_KEEP_ALIVE_REQUEST__INIT;
    (void)state;
    const char *root = login(&world, "root", "root");
    const char *with = login(&world, "with", "with");
    do_as(&world, root, LEASE("LeaseGrant"), lease_request(77));
    do_as(&world, root, KV("Put"), leased_put_request("zz", 77));
    do_as(&world, with, LEASE("LeaseGrant"), lease_request(78));
    do_as(&world, with, KV("Put"), leased_put_request("k/1", 78));
    revoke.id = keep.id = 77;
    expect_as(&world, with, LEASE("LeaseRevoke"), request_of(&revoke.base),
              GRPC_PERMISSION_DENIED, denied);
    expect_as(&world, with, LEASE("LeaseKeepAlive"), request_of(&keep.base),
              GRPC_PERMISSION_DENIED, denied);
    revoke.id = keep.id = 78;
    do_as(&world, with, LEASE("LeaseKeepAlive"), request_of(&keep.base));
    do_as(&world, with, LEASE("LeaseRevoke"), request_of(&revoke.base));
}

/* A stream of keepalives is looked at anew when users change, and goes on
 * though the token that it began with has ended. */
static void a_stream_of_keepalives_ends_with_its_user(void **state)
{
    Etcdserverpb__LeaseKeepAliveRequest keep =
        ETCDSERVERPB__LEASE_KEEP_ALIVE_REQUEST__INIT;
    (void)state;
    const char *with = login(&world, "with", "with");
    do_as(&world, with, LEASE("LeaseGrant"), lease_request(78));
    struct talk *talk = open_as(&world, with, LEASE("LeaseKeepAlive"));
    keep.id = 78;
    auth_world_wait(&world, AUTH_WORLD_TTL_MS * 2);
    talk_send(talk, request_of(&keep.base), false);
    assert_int_equal(number_of(expect_message(talk), 3), 600);
    talk_next(talk);
    const char *root = login(&world, "root", "root");
    do_as(&world, root, AUTH("UserAdd"), user_request("other", "x"));
    talk_send(talk, request_of(&keep.base), false);
    assert_int_equal(number_of(expect_message(talk), 3), 600);
    do_as(&world, root, AUTH("UserDelete"),
          name_request(&etcdserverpb__auth_user_delete_request__descriptor,
                       "with"));
    talk_send(talk, request_of(&keep.base), false);
    expect_end(talk, GRPC_PERMISSION_DENIED, denied);
    talk_free(talk);
}

/* CVE-2026-33413 GHSA-q8m4-xhhv-38mg: the others' services without a user. */
static void nobody_is_told_nothing_and_changes_nothing(void **state)
{
    static const char *const paths[] = {
        "/etcdserverpb.Cluster/MemberList",
        "/etcdserverpb.Maintenance/Alarm",
        "/etcdserverpb.Maintenance/Status",
        LEASE("LeaseGrant"),
        LEASE("LeaseLeases"),
        LEASE("LeaseRevoke"),
        LEASE("LeaseTimeToLive"),
        KV("Compact"),
    };
    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        expect_as(&world, NULL, paths[i], nothing(), GRPC_INVALID_ARGUMENT,
                  user_empty);
        expect_as(&world, "wrong", paths[i], nothing(), GRPC_UNAUTHENTICATED,
                  no_token);
    }
    Etcdserverpb__AlarmRequest alarm = ETCDSERVERPB__ALARM_REQUEST__INIT;
    const char *with = login(&world, "with", "with");
    do_as(&world, with, "/etcdserverpb.Maintenance/Alarm",
          request_of(&alarm.base));
    alarm.action = ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__ACTIVATE;
    alarm.alarm = ETCDSERVERPB__ALARM_TYPE__NOSPACE;
    expect_as(&world, with, "/etcdserverpb.Maintenance/Alarm",
              request_of(&alarm.base), GRPC_PERMISSION_DENIED, denied);
    do_as(&world, with, "/etcdserverpb.Cluster/MemberList", nothing());
}

static void of_oneself_one_may_know(void **state)
{
    const ProtobufCMessageDescriptor *user =
        &etcdserverpb__auth_user_get_request__descriptor;
    const ProtobufCMessageDescriptor *role =
        &etcdserverpb__auth_role_get_request__descriptor;
    (void)state;
    const char *with = login(&world, "with", "with");
    const char *root = login(&world, "root", "root");
    struct talk *talk =
        ask_as(&world, with, AUTH("UserGet"), name_request(user, "with"));
    expect_end(talk, GRPC_OK, "");
    assert_true(slice_eq(bytes_of(expect_message(talk), 2), SLICE("keeper")));
    talk_free(talk);
    talk = ask_as(&world, with, AUTH("RoleGet"), name_request(role, "keeper"));
    expect_end(talk, GRPC_OK, "");
    assert_int_equal(count_of(expect_message(talk), 2), 2);
    talk_free(talk);
    expect_as(&world, with, AUTH("UserGet"), name_request(user, "root"),
              GRPC_PERMISSION_DENIED, denied);
    expect_as(&world, with, AUTH("RoleGet"), name_request(role, "root"),
              GRPC_PERMISSION_DENIED, denied);
    expect_as(&world, root, AUTH("UserGet"), name_request(user, "nobody"),
              GRPC_FAILED_PRECONDITION, v3_error_text(V3_USER_NOT_FOUND));
    expect_as(&world, root, AUTH("RoleGet"), name_request(role, "none"),
              GRPC_FAILED_PRECONDITION, v3_error_text(V3_ROLE_NOT_FOUND));
    talk = ask_as(&world, root, AUTH("UserList"), nothing());
    expect_end(talk, GRPC_OK, "");
    assert_int_equal(count_of(expect_message(talk), 2), 4);
    assert_true(slice_eq(bytes_of(expect_message(talk), 2), SLICE("bare")));
    talk_free(talk);
    talk = ask_as(&world, root, AUTH("RoleList"), nothing());
    assert_int_equal(count_of(expect_message(talk), 2), 1);
    talk_free(talk);
}

static void mistakes_are_told_in_etcds_words(void **state)
{
    (void)state;
    const char *root = login(&world, "root", "root");
    expect_as(&world, root, AUTH("UserAdd"), user_request("with", "x"),
              GRPC_FAILED_PRECONDITION, v3_error_text(V3_USER_ALREADY_EXIST));
    expect_as(&world, root, AUTH("UserChangePassword"),
              password_request("nobody", "x"), GRPC_FAILED_PRECONDITION,
              v3_error_text(V3_USER_NOT_FOUND));
    expect_as(&world, root, AUTH("UserGrantRole"),
              grant_role_request("with", "none"), GRPC_FAILED_PRECONDITION,
              v3_error_text(V3_ROLE_NOT_FOUND));
    expect_as(&world, root, AUTH("UserRevokeRole"),
              revoke_role_request("bare", "keeper"), GRPC_FAILED_PRECONDITION,
              v3_error_text(V3_ROLE_NOT_GRANTED));
    expect_as(&world, root, AUTH("UserDelete"),
              name_request(&etcdserverpb__auth_user_delete_request__descriptor,
                           "root"),
              GRPC_INVALID_ARGUMENT, v3_error_text(V3_INVALID_AUTH_MGMT));
    expect_as(&world, root, AUTH("RoleAdd"),
              name_request(&etcdserverpb__auth_role_add_request__descriptor,
                           "keeper"),
              GRPC_FAILED_PRECONDITION, v3_error_text(V3_ROLE_ALREADY_EXIST));
    expect_as(&world, root, AUTH("RoleDelete"),
              name_request(&etcdserverpb__auth_role_delete_request__descriptor,
                           "none"),
              GRPC_FAILED_PRECONDITION, v3_error_text(V3_ROLE_NOT_FOUND));
    /* Without a permission in it, of which etcd 3.4 dies. */
    Etcdserverpb__AuthRoleGrantPermissionRequest grant =
        ETCDSERVERPB__AUTH_ROLE_GRANT_PERMISSION_REQUEST__INIT;
    expect_as(&world, root, AUTH("RoleGrantPermission"),
              request_of(&grant.base), GRPC_INVALID_ARGUMENT,
              v3_error_text(V3_PERMISSION_NOT_GIVEN));
    Etcdserverpb__AuthRoleRevokePermissionRequest revoke =
        ETCDSERVERPB__AUTH_ROLE_REVOKE_PERMISSION_REQUEST__INIT;
    char role[] = "keeper";
    revoke.role = role;
    revoke.key = message_data(SLICE("other"));
    expect_as(&world, root, AUTH("RoleRevokePermission"),
              request_of(&revoke.base), GRPC_FAILED_PRECONDITION,
              v3_error_text(V3_PERMISSION_NOT_GRANTED));
}

/* ---- what has changed meanwhile --------------------------------------- */

/* A write that was let in before a revocation, and is applied behind it. */
static void a_write_is_of_the_revision_that_it_was_let_in_with(void **state)
{
    (void)state;
    const char *root = login(&world, "root", "root");
    const char *with = login(&world, "with", "with");
    world.grpc->world.idle_core = true;
    struct talk *revocation = ask_as(&world, root, AUTH("UserRevokeRole"),
                                     revoke_role_request("with", "keeper"));
    struct talk *put = ask_as(&world, with, KV("Put"), put_request("k/1", "1"));
    struct talk *other =
        ask_as(&world, root, KV("Put"), put_request("k/1", "1"));
    world.grpc->world.idle_core = false;
    auth_world_turn(&world);
    expect_end(revocation, GRPC_OK, "");
    expect_end(put, GRPC_INVALID_ARGUMENT, v3_error_text(V3_AUTH_OLD_REVISION));
    expect_end(other, GRPC_INVALID_ARGUMENT,
               v3_error_text(V3_AUTH_OLD_REVISION));
    talk_free(revocation);
    talk_free(put);
    talk_free(other);
    /* Asked again it is as it is now. */
    expect_as(&world, with, KV("Put"), put_request("k/1", "1"),
              GRPC_PERMISSION_DENIED, denied);
    do_as(&world, root, KV("Put"), put_request("k/1", "1"));
}

/* The head of a call has come, and its message after auth was enabled. */
static void who_was_let_in_before_is_asked_again(void **state)
{
    (void)state;
    struct talk *put = open_as(&world, NULL, KV("Put"));
    struct talk *list = open_as(&world, NULL, AUTH("UserList"));
    struct talk *status =
        open_as(&world, NULL, "/etcdserverpb.Maintenance/Status");
    auth_world_enable(&world);
    talk_send(put, put_request("k/1", "1"), true);
    talk_send(list, nothing(), true);
    talk_send(status, nothing(), true);
    expect_end(put, GRPC_INVALID_ARGUMENT, user_empty);
    expect_end(list, GRPC_INVALID_ARGUMENT, user_empty);
    expect_end(status, GRPC_INVALID_ARGUMENT, user_empty);
    talk_free(put);
    talk_free(list);
    talk_free(status);
}

/* The log has it, and it comes before the put. */
static void what_is_on_its_way_when_auth_is_enabled_is_nobodys(void **state)
{
    (void)state;
    world.grpc->world.idle_core = true;
    struct talk *enabling = ask_as(&world, NULL, AUTH("AuthEnable"), nothing());
    struct talk *put = ask_as(&world, NULL, KV("Put"), put_request("k", "1"));
    world.grpc->world.idle_core = false;
    auth_world_turn(&world);
    expect_end(enabling, GRPC_OK, "");
    expect_end(put, GRPC_INVALID_ARGUMENT, user_empty);
    talk_free(enabling);
    talk_free(put);
}

/* ---- the audit -------------------------------------------------------- */

/* GHSA-vjg6-93fv-qv64 TOB-ETCD-009: the log says who it was, and by what. */
static void the_audit_names_who_it_was_and_what_said_so(void **state)
{
    (void)state;
    const char *with = login(&world, "with", "with");
    expect_audit("with|password|/etcdserverpb.Auth/Authenticate|||1.2.3.4:5|"
                 "ok|\n");
    expect_no_login(&world, "root", "guess", GRPC_INVALID_ARGUMENT,
                    v3_error_text(V3_AUTH_FAILED));
    expect_audit("root|password|/etcdserverpb.Auth/Authenticate|||1.2.3.4:5|"
                 "etcdserver: authentication failed, invalid user ID or "
                 "password|\n");
    do_as(&world, with, KV("Put"), put_request("k/1", "secret"));
    expect_audit("with|token|/etcdserverpb.KV/Put|k/1||1.2.3.4:5|ok|\n");
    expect_as(&world, with, KV("Range"), range_request("a", "b"),
              GRPC_PERMISSION_DENIED, denied);
    expect_audit("with|token|/etcdserverpb.KV/Range|a|b|1.2.3.4:5|"
                 "etcdserver: permission denied|\n");
    expect_as(&world, NULL, KV("Put"), put_request("k/1", "1"),
              GRPC_INVALID_ARGUMENT, user_empty);
    expect_audit("||/etcdserverpb.KV/Put|||1.2.3.4:5|"
                 "etcdserver: user name is empty|\n");
    /* The certificate's name, and no other that stands beside it. */
    struct line *line = line_open_as(world.grpc, SLICE("bare"), false);
    expect_on(line, "etched-owner: root\n", KV("DeleteRange"),
              range_request("k/1", ""), GRPC_PERMISSION_DENIED, denied);
    expect_audit("bare|certificate|/etcdserverpb.KV/DeleteRange|k/1||"
                 "1.2.3.4:5|etcdserver: permission denied|\n");
    /* A failure of another kind was allowed. */
    expect_as(&world, with, KV("Put"), put_request("", ""),
              GRPC_INVALID_ARGUMENT, v3_error_text(V3_EMPTY_KEY));
    expect_audit("with|token|/etcdserverpb.KV/Put|||1.2.3.4:5|ok|\n");
    struct line *own = line_open_as(world.grpc, SLICE(""), true);
    expect_on(own, NULL, KV("Put"), put_request("k/1", "1"), GRPC_OK, "");
    expect_audit("");
    expect_on(own, "etched-owner: with\n", KV("Put"), put_request("k/1", "1"),
              GRPC_OK, "");
    expect_audit("with|recipe|/etcdserverpb.KV/Put|k/1||1.2.3.4:5|ok|\n");
}

#define ON(test) cmocka_unit_test_setup_teardown(test, begin, end)
#define OFF(test) cmocka_unit_test_setup_teardown(test, begin_off, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OFF(while_it_is_off_everybody_may_do_everything),
        ON(it_is_enabled_once_and_disabled_by_root),
        OFF(root_is_needed_before_it_is_enabled),
        ON(a_password_is_hashed_by_a_worker_and_compared_by_one),
        ON(nobody_is_told_whether_it_was_the_name),
        ON(a_password_is_neither_empty_nor_too_long),
        ON(a_hash_that_the_client_has_made_will_do),
        ON(who_has_no_password_logs_in_with_none),
        ON(so_many_passwords_at_once_and_no_more),
        ON(a_password_that_changes_meanwhile_lets_nobody_in),
        ON(a_token_is_told_in_two_ways),
        ON(a_token_ends_with_its_time),
        ON(a_token_ends_with_its_user_and_password),
        ON(a_certificate_says_who_asks),
        ON(the_process_itself_may_do_all_and_a_recipe_what_its_owner_may),
        ON(keys_are_read_and_written_by_role),
        ON(a_txn_in_a_txn_is_looked_at),
        ON(a_compare_is_a_read),
        ON(a_put_in_a_txn_is_looked_at_whole),
        ON(the_keys_of_a_lease_are_read),
        ON(a_lease_is_kept_and_ended_by_who_may_write_its_keys),
        ON(a_stream_of_keepalives_ends_with_its_user),
        ON(nobody_is_told_nothing_and_changes_nothing),
        ON(of_oneself_one_may_know),
        ON(mistakes_are_told_in_etcds_words),
        ON(a_write_is_of_the_revision_that_it_was_let_in_with),
        OFF(who_was_let_in_before_is_asked_again),
        OFF(what_is_on_its_way_when_auth_is_enabled_is_nobodys),
        ON(the_audit_names_who_it_was_and_what_said_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
