/* Several members, and all that can happen to them, against a twin that only
 * knows what was answered: for each key the newest value that was, and the
 * newest that was ever asked for. A key has one writer at a time; when nobody
 * knows what came of a write, its key is left alone. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "support/node_cluster.h"
#include "support/node_requests.h"

enum {
    KEYS = 200,
    LEASES = 6,
    MEMBERS = 5,
    FOUNDERS = 3,
    STEPS = 800,
    SEEDS = 30,
};

struct twin_key {
    uint64_t answered; /* this, or what is newer, is there */
    uint64_t asked;
    bool is_open;    /* what came of the newest is not known yet */
    bool is_unknown; /* and never will be */
    struct cluster_wait *wait;
};

struct twin {
    struct node_cluster cluster;
    struct prng prng;
    struct twin_key keys[KEYS];
    bool member[MEMBERS]; /* has been added */
    bool gone[MEMBERS];   /* for good */
    struct cluster_wait *change;
    size_t changing;
    enum node_change_op op;
    size_t acked;
    size_t reads;
};

static uint64_t below(struct twin *twin, uint64_t bound)
{
    return prng_below(&twin->prng, bound);
}

static bool is_up(const struct twin *twin, size_t number)
{
    return twin->cluster.members[number].node != NULL;
}

/* One that is up; false: nobody is. */
static bool pick_up(struct twin *twin, size_t *out)
{
    size_t from = below(twin, MEMBERS);
    for (size_t i = 0; i < MEMBERS; i++) {
        *out = (from + i) % MEMBERS;
        if (is_up(twin, *out))
            return true;
    }
    return false;
}

static const char *key_name(size_t key)
{
    static char name[32];
    snprintf(name, sizeof name, "/key/%zu", key);
    return name;
}

/* ---- writes and reads ---------------------------------------------------- */

static void start_write(struct twin *twin)
{
    struct twin_key *key = &twin->keys[below(twin, KEYS)];
    size_t at;
    char value[32];
    if (key->is_open || key->is_unknown || !pick_up(twin, &at))
        return;
    snprintf(value, sizeof value, "%llu", (unsigned long long)++key->asked);
    const char *name = key_name((size_t)(key - twin->keys));
    key->is_open = true;
    if (below(twin, 2) == 0) {
        key->wait = cluster_set_async(&twin->cluster, at, name, value);
    } else {
        struct command put = ask_put(name, value, 0);
        key->wait = cluster_submit(&twin->cluster, at, &put);
    }
}

/* What comes of it is compared between the members, at the end. */
static void use_lease(struct twin *twin)
{
    lease_id id = 1 + (lease_id)below(twin, LEASES);
    struct command command;
    size_t at;
    if (!pick_up(twin, &at))
        return;
    switch (below(twin, 5)) {
    case 0:
    case 1:
        command = ask_grant(id, 2 + (int64_t)below(twin, 3));
        break;
    case 2:
        command = ask_put("/leased", "v", id);
        break;
    case 3:
        command = ask_renew(id);
        break;
    default:
        command = ask_revoke(id);
    }
    (void)cluster_submit(&twin->cluster, at, &command);
}

static void take_answers(struct twin *twin)
{
    for (size_t i = 0; i < KEYS; i++) {
        struct twin_key *key = &twin->keys[i];
        if (!key->is_open || !key->wait->done)
            continue;
        key->is_open = false;
        if (key->wait->err == ERR_OK) {
            key->answered = key->asked;
            twin->acked++;
        } else if (key->wait->err == ERR_TIMEOUT ||
                   key->wait->err == ERR_STOPPED) {
            key->is_unknown = true;
        } else {
            key->asked--; /* nothing was done */
        }
    }
    if (twin->change != NULL && twin->change->done) {
        if (twin->change->err == ERR_OK && twin->op == NODE_REMOVE)
            twin->gone[twin->changing] = true;
        if (twin->change->err == ERR_OK && twin->op != NODE_REMOVE)
            twin->member[twin->changing] = true;
        twin->change = NULL;
    }
}

static uint64_t value_at(struct twin *twin, size_t at, size_t key)
{
    const char *text = cluster_get(&twin->cluster, at, key_name(key));
    return text == NULL ? 0 : strtoull(text, NULL, 10);
}

static void check_values(struct twin *twin, size_t at,
                         const uint64_t answered[KEYS])
{
    for (size_t i = 0; i < KEYS; i++) {
        uint64_t value = value_at(twin, at, i);
        assert_true(value >= answered[i]);
        assert_true(value <= twin->keys[i].asked + 1);
    }
}

/* What was answered before it was asked, it must see. */
static void read_all(struct twin *twin)
{
    uint64_t answered[KEYS];
    size_t at;
    if (!pick_up(twin, &at) || twin->cluster.members[at].paused)
        return;
    take_answers(twin);
    for (size_t i = 0; i < KEYS; i++)
        answered[i] = twin->keys[i].answered;
    if (cluster_read(&twin->cluster, at) == ERR_OK) {
        check_values(twin, at, answered);
        twin->reads++;
    }
}

/* ---- what happens -------------------------------------------------------- */

static void crash_or_open(struct twin *twin)
{
    size_t at = below(twin, MEMBERS);
    if (is_up(twin, at)) {
        if (below(twin, 3) == 0)
            cluster_close(&twin->cluster, at);
        else
            cluster_crash(&twin->cluster, at);
        twin->cluster.members[at].paused = false;
        return;
    }
    if (twin->gone[at] || (at >= FOUNDERS && !twin->member[at]))
        return;
    assert_int_equal(cluster_open(&twin->cluster, at), ERR_OK);
}

static void cut_or_mend(struct twin *twin)
{
    size_t a = below(twin, MEMBERS), b = below(twin, MEMBERS);
    switch (below(twin, 5)) {
    case 0:
        twin->cluster.cut[a][b] = a != b; /* one way */
        break;
    case 1:
        cluster_isolate(&twin->cluster, a, true);
        break;
    default:
        cluster_mend(&twin->cluster);
        break;
    }
}

/* Those that join later do so once; founders may leave, while three stay. */
static void change(struct twin *twin)
{
    size_t at;
    size_t stay = 0;
    size_t who = below(twin, MEMBERS);
    if (twin->change != NULL || !pick_up(twin, &at))
        return;
    for (size_t i = 0; i < MEMBERS; i++)
        stay += twin->member[i] && !twin->gone[i];
    twin->changing = who;
    twin->op = below(twin, 2) ? NODE_ADD_STANDBY : NODE_ADD_LEARNER;
    if (twin->gone[who])
        return;
    if (twin->member[who])
        twin->op = stay > 3 && below(twin, 4) == 0 ? NODE_REMOVE : NODE_PROMOTE;
    twin->change = cluster_change_async(&twin->cluster, at, twin->op, who);
}

static void do_step(struct twin *twin)
{
    size_t at;
    uint64_t dice = below(twin, 100);
    if (dice < 50)
        start_write(twin);
    else if (dice < 60)
        use_lease(twin);
    else if (dice < 68)
        read_all(twin);
    else if (dice < 71)
        crash_or_open(twin);
    else if (dice < 75)
        cut_or_mend(twin);
    else if (dice < 80)
        change(twin);
    else if (dice < 86 && pick_up(twin, &at))
        assert_int_equal(cluster_flush(&twin->cluster, at), ERR_OK);
    else if (dice < 87 && pick_up(twin, &at))
        node_transfer(twin->cluster.members[at].node, 0);
    else if (dice < 90 && pick_up(twin, &at))
        twin->cluster.members[at].paused ^= true;
    else
        cluster_run(&twin->cluster, (int64_t)below(twin, 150));
    take_answers(twin);
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(twin->cluster.members[i].failed, ERR_OK);
}

/* Who was away when it was removed is told so by the first that it greets. */
static void close_removed(struct twin *twin)
{
    struct node_cluster *cluster = &twin->cluster;
    struct node *leader = cluster->members[cluster_leader(cluster)].node;
    for (size_t i = 0; i < MEMBERS; i++) {
        if (is_up(twin, i) && node_member_removed(leader, cluster_id(i)))
            cluster_close(cluster, i);
    }
}

static void heal(struct twin *twin)
{
    struct node_cluster *cluster = &twin->cluster;
    cluster_mend(cluster);
    cluster->lost_percent = cluster->doubled_percent = 0;
    for (size_t i = 0; i < MEMBERS; i++) {
        cluster->members[i].paused = false;
        if (!is_up(twin, i) && !twin->gone[i] &&
            (i < FOUNDERS || twin->member[i]))
            assert_int_equal(cluster_open(cluster, i), ERR_OK);
    }
    cluster_run(cluster, 6000);
    take_answers(twin);
    close_removed(twin);
    cluster_settle(cluster);
}

static void live(struct twin *twin, uint64_t seed)
{
    uint64_t answered[KEYS];
    prng_init(&twin->prng, seed);
    cluster_init(&twin->cluster, FOUNDERS, MEMBERS - FOUNDERS, seed);
    for (size_t i = 0; i < MEMBERS; i++) {
        twin->cluster.members[i].config.catch_up_entries = below(twin, 3) * 20;
        twin->cluster.members[i].config.wal_segment_bytes = 8192;
        twin->member[i] = i < FOUNDERS;
    }
    cluster_open_all(&twin->cluster);
    twin->cluster.lost_percent = (unsigned)below(twin, 3) * 3;
    twin->cluster.doubled_percent = (unsigned)below(twin, 3) * 3;
    twin->cluster.jitter_ms = (int64_t)below(twin, 10);
    for (size_t i = 0; i < STEPS; i++)
        do_step(twin);
    heal(twin);
    for (size_t i = 0; i < KEYS; i++)
        answered[i] = twin->keys[i].answered;
    for (size_t i = 0; i < MEMBERS; i++)
        if (is_up(twin, i))
            check_values(twin, i, answered);
    cluster_check_same(&twin->cluster);
    size_t leader = cluster_leader(&twin->cluster);
    assert_int_equal(cluster_set(&twin->cluster, leader, "/end", "1"), ERR_OK);
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(twin->cluster.members[i].failed, ERR_OK);
}

static void what_was_answered_is_there_for_all(void **state)
{
    (void)state;
    size_t acked = 0, reads = 0, snapshots = 0;
    const char *first = getenv("SEED");
    uint64_t from = first != NULL ? strtoull(first, NULL, 10) : 1;
    for (uint64_t seed = from; seed < from + SEEDS; seed++) {
        struct twin *twin = mem_alloc_zero(sizeof *twin);
        printf("seed %llu\n", (unsigned long long)seed);
        live(twin, seed);
        acked += twin->acked;
        reads += twin->reads;
        for (size_t i = 0; i < MEMBERS; i++)
            snapshots += twin->cluster.members[i].snapshots_taken;
        cluster_deinit(&twin->cluster);
        mem_free(twin);
        if (first != NULL)
            return;
    }
    printf("%zu writes, %zu reads, %zu snapshots\n", acked, reads, snapshots);
    assert_true(acked > SEEDS * 50);
    assert_true(reads > SEEDS * 5);
    assert_true(snapshots > SEEDS / 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_answered_is_there_for_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
