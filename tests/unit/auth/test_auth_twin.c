/* Random changes and questions, against a twin that knows no spans: it asks of
 * each point of a small world of keys whether a permission holds it.
 *
 * That is exact. All bounds are of the world, so where a range isn't covered,
 * the uncovered part begins at a bound, or right behind a single key: a key of
 * the world, or one with a zero behind it. Both are points.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/prng.h"
#include "tests/unit/auth/auth_world.h"

enum {
    KEYS_MAX = 32,
    POINTS_MAX = 2 * KEYS_MAX,
    USERS = 4,
    ROLES = 4,
    GRANTS_MAX = 12,
    ROUNDS = 3000,
    QUESTIONS = 200, /* a round, in each of the worlds */
};

static const char *const user_names[USERS] = {"ann", "bob", "root", "zoe"};
static const char *const role_names[ROLES] = {"guest", "r", "root", "s"};

/* ---- the world ----------------------------------------------------------- */

static struct slice keys[KEYS_MAX];
static size_t key_count;
static struct slice points[POINTS_MAX]; /* in order, each once */
static size_t point_count;

static int compare_slices(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

static void add_key(struct slice key)
{
    assert_true(key_count < KEYS_MAX);
    keys[key_count++] = slice_of(arena_dup(&arena, key.at, key.size), key.size);
}

static void make_points(void)
{
    size_t count = 0;
    for (size_t i = 0; i < key_count; i++) {
        char *with = arena_alloc(&arena, keys[i].size + 1);
        memcpy(with, keys[i].at, keys[i].size);
        with[keys[i].size] = '\0';
        points[count++] = keys[i];
        points[count++] = slice_of(with, keys[i].size + 1);
    }
    qsort(points, count, sizeof *points, compare_slices);
    point_count = 0;
    for (size_t i = 0; i < count; i++)
        if (point_count == 0 || !slice_eq(points[point_count - 1], points[i]))
            points[point_count++] = points[i];
}

/* Strings of up to two of four letters. */
static void make_letters(void)
{
    static const char letters[] = {'\0', 'a', 'b', '\xff'};
    key_count = 0;
    for (size_t i = 0; i < sizeof letters; i++) {
        add_key(slice_of(&letters[i], 1));
        for (size_t j = 0; j < sizeof letters; j++) {
            char two[2] = {letters[i], letters[j]};
            add_key(slice_of(two, 2));
        }
    }
    /* Its bounds are bounds too, of ranges of letters around it. */
    add_key(SLICE("/_recipes/"));
    add_key(SLICE("/_recipes0"));
    make_points();
}

/* Around what is the recipes'. */
static void make_paths(void)
{
    static const char *const paths[] = {
        "/",          "/_",          "/_recipes",   "/_recipes/",
        "/_recipes/", "/_recipes/a", "/_recipes/b", "/_recipes0",
        "/_s",        "/a",          "/a/",         "/a/b",
        "/a0",        "/b",          "0",           "a",
    };
    key_count = 0;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        add_key(slice_str(paths[i]));
    make_points();
}

/* ---- the twin ------------------------------------------------------------ */

struct grant {
    bool there;
    uint32_t access;
    struct slice key, end;
};

static struct {
    bool on;
    uint64_t revision;
    bool user[USERS];
    bool has_role[USERS][ROLES];
    bool role[ROLES];
    struct grant grant[ROLES][GRANTS_MAX];
} twin;

enum { ROOT_USER = 2, ROOT_ROLE = 2, GUEST_ROLE = 0 };

static bool is_open(struct slice end)
{
    return end.size == 1 && end.at[0] == '\0';
}

static bool is_in(struct slice point, struct slice key, struct slice end)
{
    if (end.size == 0)
        return slice_eq(point, key);
    return slice_cmp(point, key) >= 0 &&
           (is_open(end) || slice_cmp(point, end) < 0);
}

static bool is_ours(struct slice point)
{
    return slice_has_prefix(point, SLICE("/_recipes/"));
}

static bool role_allows(size_t role, uint32_t access, struct slice point)
{
    for (size_t i = 0; i < GRANTS_MAX && twin.role[role]; i++) {
        const struct grant *grant = &twin.grant[role][i];
        if (grant->there && role != ROOT_ROLE &&
            (grant->access == access || grant->access == AUTH_READWRITE) &&
            is_in(point, grant->key, grant->end))
            return true;
    }
    return false;
}

/* Who asks: a user, or USERS: the guest. */
static bool allows(size_t who, bool recipe, uint32_t access, struct slice point)
{
    bool is_root = who < USERS && twin.has_role[who][ROOT_ROLE];
    if (is_root && !recipe)
        return true;
    if (is_ours(point) && (recipe || access != AUTH_READ))
        return recipe;
    for (size_t role = 0; role < ROLES; role++) {
        bool has = who < USERS ? twin.has_role[who][role] : role == GUEST_ROLE;
        if (has && role_allows(role, access, point))
            return true;
    }
    return false;
}

static bool is_empty_range(struct slice key, struct slice end)
{
    return end.size > 0 && !is_open(end) && slice_cmp(key, end) >= 0;
}

static bool twin_may_one(size_t who, bool recipe, uint32_t access,
                         struct slice key, struct slice end)
{
    if (is_empty_range(key, end))
        return allows(who, recipe, access, key);
    for (size_t i = 0; i < point_count; i++)
        if (is_in(points[i], key, end) &&
            !allows(who, recipe, access, points[i]))
            return false;
    return true;
}

static enum v3_error twin_may(size_t who, bool recipe, uint32_t access,
                              struct slice key, struct slice end)
{
    if (!twin.on)
        return V3_OK;
    if (who < USERS && !twin.user[who])
        return V3_PERMISSION_DENIED;
    bool good = access == AUTH_READWRITE
                    ? twin_may_one(who, recipe, AUTH_READ, key, end) &&
                          twin_may_one(who, recipe, AUTH_WRITE, key, end)
                    : twin_may_one(who, recipe, access, key, end);
    return good ? V3_OK : V3_PERMISSION_DENIED;
}

/* ---- changes ------------------------------------------------------------- */

/* A change in numbers. */
struct move {
    enum auth_op op;
    size_t user, role;
    uint32_t access;
    struct slice key, end;
};

static struct grant *find_grant(const struct move *move, bool there)
{
    for (size_t i = 0; i < GRANTS_MAX; i++) {
        struct grant *grant = &twin.grant[move->role][i];
        if (grant->there == there &&
            (!there || (slice_eq(grant->key, move->key) &&
                        slice_eq(grant->end, move->end))))
            return grant;
    }
    return NULL;
}

static enum v3_error twin_switch(const struct move *move)
{
    if (move->op == AUTH_DISABLE) {
        twin.revision += twin.on;
        twin.on = false;
    } else if (!twin.on) {
        if (!twin.user[ROOT_USER])
            return V3_ROOT_USER_NOT_EXIST;
        if (!twin.has_role[ROOT_USER][ROOT_ROLE])
            return V3_ROOT_ROLE_NOT_EXIST;
        twin.on = true;
    }
    return V3_OK;
}

static enum v3_error twin_user(const struct move *move)
{
    bool *there = &twin.user[move->user];
    bool *has = &twin.has_role[move->user][move->role];
    bool is_root = twin.on && move->user == ROOT_USER;
    if (move->op == AUTH_USER_ADD && *there)
        return V3_USER_ALREADY_EXIST;
    if (is_root && (move->op == AUTH_USER_DELETE ||
                    (move->op == AUTH_USER_REVOKE && move->role == ROOT_ROLE)))
        return V3_INVALID_AUTH_MGMT;
    if (move->op != AUTH_USER_ADD && !*there)
        return V3_USER_NOT_FOUND;
    if (move->op == AUTH_USER_GRANT) {
        if (move->role != ROOT_ROLE && !twin.role[move->role])
            return V3_ROLE_NOT_FOUND;
        if (*has)
            return V3_OK;
        *has = true;
    } else if (move->op == AUTH_USER_REVOKE) {
        if (!*has)
            return V3_ROLE_NOT_GRANTED;
        *has = false;
    } else if (move->op != AUTH_USER_PASSWORD) {
        *there = move->op == AUTH_USER_ADD;
        memset(twin.has_role[move->user], 0, sizeof twin.has_role[0]);
    }
    twin.revision++;
    return V3_OK;
}

static enum v3_error twin_role(const struct move *move)
{
    bool *there = &twin.role[move->role];
    if (move->op == AUTH_ROLE_ADD && *there)
        return V3_ROLE_ALREADY_EXIST;
    if (move->op == AUTH_ROLE_DELETE && twin.on && move->role == ROOT_ROLE)
        return V3_INVALID_AUTH_MGMT;
    if (move->op == AUTH_ROLE_GRANT && is_empty_range(move->key, move->end))
        return V3_INVALID_AUTH_MGMT;
    if (move->op != AUTH_ROLE_ADD && !*there)
        return V3_ROLE_NOT_FOUND;
    if (move->op == AUTH_ROLE_GRANT) {
        struct grant *grant = find_grant(move, true);
        if (grant == NULL)
            grant = find_grant(move, false);
        *grant = (struct grant){true, move->access, move->key, move->end};
    } else if (move->op == AUTH_ROLE_REVOKE) {
        struct grant *grant = find_grant(move, true);
        if (grant == NULL)
            return V3_PERMISSION_NOT_GRANTED;
        grant->there = false;
    } else {
        *there = move->op == AUTH_ROLE_ADD;
        memset(twin.grant[move->role], 0, sizeof twin.grant[0]);
        for (size_t i = 0; i < USERS && !*there; i++)
            twin.has_role[i][move->role] = false;
    }
    twin.revision++;
    return V3_OK;
}

static enum v3_error twin_move(const struct move *move)
{
    if (move->op <= AUTH_DISABLE)
        return twin_switch(move);
    return move->op <= AUTH_USER_REVOKE ? twin_user(move) : twin_role(move);
}

/* ---- chance -------------------------------------------------------------- */

static struct prng prng;

static struct slice any_key(void)
{
    return keys[prng_below(&prng, key_count)];
}

/* None, open, or any; mostly behind the key. */
static struct slice any_end(struct slice key)
{
    uint64_t kind = prng_below(&prng, 8);
    if (kind < 2)
        return SLICE("");
    if (kind == 2)
        return SLICE("\0");
    struct slice end = any_key();
    for (int i = 0; i < 3 && slice_cmp(key, end) >= 0; i++)
        end = any_key();
    return end;
}

static bool has_room(const struct move *move)
{
    return find_grant(move, true) != NULL || find_grant(move, false) != NULL;
}

/* By chance alone it would seldom be on. */
static void lead_to_on(struct move *move)
{
    static const enum auth_op ops[] = {AUTH_USER_ADD, AUTH_USER_GRANT,
                                       AUTH_ENABLE};
    move->op = ops[prng_below(&prng, 3)];
    move->user = ROOT_USER;
    move->role = ROOT_ROLE;
}

static struct move any_move(void)
{
    static const enum auth_op ops[] = {
        AUTH_ENABLE,        AUTH_ENABLE,      AUTH_DISABLE,    AUTH_USER_ADD,
        AUTH_USER_ADD,      AUTH_USER_DELETE, AUTH_USER_GRANT, AUTH_USER_GRANT,
        AUTH_USER_GRANT,    AUTH_USER_REVOKE, AUTH_ROLE_ADD,   AUTH_ROLE_ADD,
        AUTH_ROLE_DELETE,   AUTH_ROLE_GRANT,  AUTH_ROLE_GRANT, AUTH_ROLE_GRANT,
        AUTH_ROLE_GRANT,    AUTH_ROLE_GRANT,  AUTH_ROLE_GRANT, AUTH_ROLE_REVOKE,
        AUTH_USER_PASSWORD,
    };
    struct move move = {
        .op = ops[prng_below(&prng, sizeof ops / sizeof ops[0])],
        .user = prng_below(&prng, USERS),
        .role = prng_below(&prng, ROLES),
        .access = (uint32_t)prng_below(&prng, 3),
        .key = any_key(),
    };
    move.end = any_end(move.key);
    const struct grant *known =
        &twin.grant[move.role][prng_below(&prng, GRANTS_MAX)];
    bool is_full = move.op == AUTH_ROLE_GRANT && !has_room(&move);
    if (is_full || (move.op == AUTH_ROLE_REVOKE && known->there)) {
        move.op = AUTH_ROLE_REVOKE;
        move.key = known->key;
        move.end = known->end;
    }
    if (twin.on ? move.op == AUTH_DISABLE && prng_below(&prng, 4)
                : prng_below(&prng, 2) == 0)
        lead_to_on(&move);
    return move;
}

/* Up to three in one command: the first that is refused undoes those before. */
static void change(void)
{
    struct auth_change changes[3];
    size_t count = 1 + prng_below(&prng, 3);
    size_t bad = 0;
    enum v3_error expected = V3_OK;
    char before[sizeof twin];
    memcpy(before, &twin, sizeof twin);
    for (size_t i = 0; i < count; i++) {
        struct move move = any_move();
        changes[i] = (struct auth_change){
            .op = move.op,
            .user = slice_str(user_names[move.user]),
            .role = slice_str(role_names[move.role]),
            .hash = SLICE("#"),
            .access = move.access,
            .key = move.key,
            .range_end = move.end,
        };
        if (expected == V3_OK) {
            expected = twin_move(&move);
            bad = i;
        }
    }
    if (expected != V3_OK)
        memcpy(&twin, before, sizeof twin);
    assert_int_equal(apply(changes, count), expected);
    assert_int_equal(refused, bad);
    assert_int_equal(auth_revision(auth), twin.revision);
    assert_int_equal(auth_is_on(auth), twin.on);
}

/* True: it was on, and allowed. */
static bool question(void)
{
    size_t who = prng_below(&prng, USERS + 1);
    bool recipe = prng_below(&prng, 4) == 0;
    uint32_t access = (uint32_t)prng_below(&prng, 3);
    struct slice key = prng_below(&prng, 4)
                           ? any_key()
                           : points[prng_below(&prng, point_count)];
    struct slice end = any_end(key);
    struct buf name = {0};
    if (recipe)
        buf_append_slice(&name, AUTH_RECIPE_OF);
    buf_append_slice(&name,
                     who < USERS ? slice_str(user_names[who]) : AUTH_GUEST);
    enum v3_error expected = twin_may(who, recipe, access, key, end);
    enum v3_error got =
        auth_may(auth, buf_slice(&name), (enum auth_access)access, key, end);
    buf_deinit(&name);
    assert_int_equal(got, expected);
    return twin.on && got == V3_OK;
}

static void run(uint64_t seed)
{
    size_t allowed = 0;
    memset(&twin, 0, sizeof twin);
    twin.revision = auth_revision(auth);
    prng_init(&prng, seed);
    for (int round = 0; round < ROUNDS; round++) {
        change();
        if (prng_below(&prng, 50) == 0)
            load_anew();
        for (int i = 0; i < QUESTIONS; i++)
            allowed += question();
    }
    /* What is always answered the same shows little. */
    assert_true(allowed > ROUNDS * QUESTIONS / 10);
    assert_true(allowed < ROUNDS * QUESTIONS / 10 * 9);
}

static void test_letters(void **state)
{
    (void)state;
    make_letters();
    run(11);
}

static void test_paths(void **state)
{
    (void)state;
    make_paths();
    run(12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(test_letters),
        WORLD(test_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
