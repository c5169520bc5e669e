/* What the files of this folder share.
 *
 *   sim.c       the world: its time, its beginning and its end
 *   member.c    a process on a machine: start, run, kill, pause; its doors
 *   net.c       packets;  transfer.c  snapshots beside them
 *   client.c    who writes and reads;  watching.c  who watches
 *   v3_ask.c    what they ask of v3;  v3_told.c  what they are told
 *   plan.c      which faults when;  operator.c  who comes and goes
 *   check.c     looks on after each step;  heal.c  the end: all must go on
 *   service.h   recipes, and the workers that do them
 */
#ifndef ETCHED_SIM_SIM_INT_H
#define ETCHED_SIM_SIM_INT_H

#include "base/heap.h"
#include "base/list.h"
#include "base/prng.h"
#include "memory/disk_memory.h"
#include "memory/kv_memory.h"
#include "mvcc/watch.h"
#include "node/node.h"
#include "sim/ledger.h"
#include "sim/linear.h"
#include "sim/sim.h"
#include "sim/trace.h"

enum {
    /* Members that ever are in one run: with churn, more than at once. */
    SIM_PLACES_MAX = 16,
    SIM_CLIENTS_MAX = 6,
    SIM_WATCHERS_MAX = 8,
    /* Objects whose histories must be linearizable: plain keys, of both APIs;
     * and pairs of keys that only v3 writes, both at once. */
    SIM_KEYS = 6,
    SIM_PAIRS = 2,
    SIM_OBJECTS = SIM_KEYS + SIM_PAIRS,
    SIM_LEASES = 3, /* at once, of v3's */
    SIM_PATH_BYTES_MAX = 32,
    SIM_VALUES_MAX = 64 * 1024, /* written in one run */
    SIM_LINEAR_STEPS_MAX = 200 * 1000,
    /* Fifty times what the busiest runs have. */
    SIM_EVENTS_MAX = 20 * 1000 * 1000,
};

#define SIM_US INT64_C(1000)
#define SIM_MS INT64_C(1000000)
#define SIM_SECOND INT64_C(1000000000)
/* 2026-01-01T00:00:00Z */
#define SIM_START_NS INT64_C(1767225600000000000)

/* ---- time (sim.c) -------------------------------------------------------- */

struct sim_event {
    struct heap_node node;
    void (*fire)(struct sim *sim, struct sim_event *event);
};

/* Sets it, or moves it. */
void sim__at(struct sim *sim, struct sim_event *event, int64_t at_ns);
/* As sim__at, where it isn't set for sooner. */
void sim__at_latest(struct sim *sim, struct sim_event *event, int64_t at_ns);
void sim__cancel(struct sim *sim, struct sim_event *event);
bool sim__is_set(const struct sim_event *event);

/* All starts; the next event happens. */
void sim__begin(struct sim *sim);
void sim__turn(struct sim *sim);

/* The first failure is the one that counts; the run ends with this event. */
void sim__fail(struct sim *sim, const char *format, ...) PRINTF_LIKE(2, 3);
/* With the note, and the member's name before it. */
struct sim_member;
void sim__fail_at(struct sim_member *member, const char *what);
void sim__trace(struct sim *sim, int place, enum sim_trace_what what,
                uint64_t a, uint64_t b, uint64_t c);
/* True once in a million / `ppm`. */
bool sim__chance(struct prng *prng, uint32_t ppm);

/* ---- members (member.c) -------------------------------------------------- */

enum sim_state {
    SIM_DOWN,
    SIM_UP,
    SIM_PAUSED,
    SIM_ENDED,  /* removed from the cluster, or never needed any more */
    SIM_BROKEN, /* its disk was damaged, and it has refused to start */
};

/* What the checkers remember of a member. */
struct sim_view {
    raft_term *terms; /* of its log, by index */
    uint64_t *chains;
    size_t capacity;
    raft_index last;
    raft_index commit;
    raft_index applied;
    raft_term term;
    raft_term promised; /* it has acted in it: never less, ever */
    enum raft_role role;
    revision revision;
    /* What it said was durable; must be there after a restart. */
    raft_index durable;
    struct raft_members members; /* of a leader, after its last step */
};

struct sim_member {
    struct sim *sim;
    int place; /* from 1 */
    member_id id;
    char name[8];
    char urls[24];
    bool joined;  /* is a member, or was one once */
    bool founder; /* one of those that the cluster began with */

    enum sim_state state;
    bool dying; /* killed: what it still says is not heard */
    bool armed; /* its disk or kv file will fail, as the plan has it */
    bool damaged;
    bool full;
    bool jumped; /* a snapshot came in this step */
    uint64_t incarnation;
    int64_t died_ns;

    struct clock clock;
    int64_t mono_base_ns;
    int64_t mono_last_ns;
    int64_t wall_offset_ns;
    int64_t rate_ppm; /* its clocks run faster by so much */

    struct lock lock;
    int readers;
    bool writing;

    struct disk_memory *disk;
    int64_t sync_ns; /* what one sync takes */
    uint64_t syncs_before;
    bool in_run;
    struct kv *kv;

    struct net net;
    member_id peers[RAFT_MEMBERS_MAX];
    size_t peer_count;
    uint32_t guests; /* by place: they have spoken to this life of it */

    struct node *node; /* NULL: down */
    struct mvcc_reader *reader;
    struct watch_hub *hub;
    revision hub_revision;
    int64_t busy_until_ns; /* its writer is */
    struct sim_event run;
    struct sim_event flush;
    struct sim_event look; /* watchers that are behind */
    struct sim_event rise; /* starts again, or goes on */
    struct sim_event mend; /* its disk */

    struct sim_view view;
};

struct sim_member *sim__member_new(struct sim *sim, bool founder);
void sim__member_free(struct sim_member *member);
/* Of that id; NULL: none. */
struct sim_member *sim__member_of(struct sim *sim, member_id id);
/* A random one that is up; NULL: none is. */
struct sim_member *sim__any_up(struct sim *sim, struct prng *prng);
void sim__start(struct sim_member *member);
/* kill -9 and the loss of what wasn't synced; in order: with a last flush. */
void sim__kill(struct sim_member *member);
void sim__stop(struct sim_member *member);
void sim__pause(struct sim_member *member, int64_t ns);
void sim__resume(struct sim_member *member);
/* Its writer has work. */
void sim__wake(struct sim_member *member);
/* When what it does in this step is done: the syncs take their time. */
int64_t sim__done_ns(const struct sim_member *member);
/* Reading: the lock and the reader. */
void sim__read_begin(struct sim_member *member);
void sim__read_end(struct sim_member *member);

/* ---- network (net.c, transfer.c) ----------------------------------------- */

struct sim_transfer;

struct sim_link {
    bool cut;
    uint32_t waiting; /* packets */
    uint64_t epoch;   /* of its connection: what was sent on an older one is
                         lost */
    int64_t last_ns;  /* arrival of the newest packet, where order is kept */
};

struct sim_weather {
    int64_t delay_ns;
    int64_t jitter_ns;
    uint32_t loss_ppm;
    uint32_t twice_ppm;
    bool keeps_order;
    uint32_t queue_max;
};

void sim__net_init(struct sim_member *member);
struct sim_link *sim__link(struct sim *sim, int from, int to);
/* Breaks the connections between two members; both are told, where they hear
 * of it. */
void sim__break(struct sim *sim, int a, int b, bool tell);
void sim__break_all(struct sim_member *member, bool tell);
void sim__net_free(struct sim *sim);

void sim__transfer_begin(struct sim_member *from, member_id to);
void sim__transfer_free(struct sim_transfer *transfer);
/* A member ends: transfers let go of its node. */
void sim__transfers_drop(struct sim_member *member);

/* ---- clients (client.c, watching.c) -------------------------------------- */

enum sim_kind {
    /* As enum linear_kind. */
    SIM_READ,
    SIM_SET,
    SIM_CREATE,
    SIM_UPDATE,
    SIM_SWAP,
    SIM_DELETE,
    SIM_REMOVE,
    /* On other keys: */
    SIM_IN_ORDER,
    SIM_TTL,
    SIM_REFRESH,
    SIM_NESTED,
    SIM_DIR_TTL,
    SIM_DIR_DELETE,
    SIM_LOOSEN, /* a set of a key that may have a lease of v3's */
    /* v3, on an object: */
    SIM_GET,
    SIM_PUT,
    SIM_PUT_NEW, /* a txn: if it isn't there */
    SIM_PUT_OLD, /* if it is */
    SIM_PUT_IF,  /* if it has this value, or is of this revision */
    SIM_END,     /* delete range */
    SIM_END_IF,
    /* On other keys: */
    SIM_GRANT,
    SIM_KEEP,
    SIM_REVOKE,
    SIM_ATTACH,    /* a put with a lease */
    SIM_TAKE_OVER, /* a put of a key that may have a TTL of v2's */
    SIM_KIND_COUNT,
};

struct sim_client;

struct sim_op {
    struct list link; /* of all */
    struct sim *sim;
    struct sim_client *client; /* NULL: it gave up */
    struct node_request request;
    struct node_read read;
    struct sim_event answer;
    bool waits; /* the node has it */
    enum err err;
    enum sim_kind kind;
    int key; /* an object's number */
    uint32_t value;
    uint32_t expect;
    revision expect_at; /* where that was written */
    lease_id lease;
    struct refbuf *command;
    struct sim_member *member;
    uint64_t incarnation;
    int64_t call_ns;
    raft_index index_floor;
    revision revision_floor;
    size_t history; /* its number in the key's history */
    char path[SIM_PATH_BYTES_MAX];
};

struct sim_client {
    struct sim *sim;
    int number;
    struct sim_event next;
    struct sim_op *op; /* NULL: thinks */
    struct sim_member *member;
    /* Called before what it was told is looked at; may be NULL. */
    void (*on_answer)(struct sim_client *client, enum err err);
};

/* One history for each key. */
struct sim_history {
    struct linear_op *ops;
    size_t count;
    size_t capacity;
    uint32_t newest; /* value that somebody was told of */
    revision newest_at;
};

/* A lease of v3's that clients keep alive and put keys to. */
struct sim_lease {
    lease_id id;
    int64_t ttl_s;
    int64_t kept_ns; /* the newest renewal that was acknowledged: its call */
};

struct sim_watcher {
    struct sim *sim;
    struct watcher watcher;
    int number;
    struct sim_member *member; /* NULL: between two */
    struct sim_event next;
    struct rev cursor; /* the next record that may match */
    bool lags;
};

void sim__clients_start(struct sim *sim);
/* No more of them; those that wait are let go. */
void sim__clients_stop(struct sim *sim);
void sim__clients_free(struct sim *sim);
/* Asks now, through this member; for the end of the run. NULL: the member
 * refuses. */
struct sim_op *sim__ask(struct sim_member *member, struct sim_client *client,
                        enum sim_kind kind, int key);
/* A client's command was done in a new commit. */
void sim__note_commit(struct sim *sim, const struct mvcc_commit *commit);
/* Histories are linearizable. */
void sim__check_histories(struct sim *sim);

/* ---- v3 (v3_ask.c, v3_told.c) -------------------------------------------- */

/* Which keys an object has: one, or two. */
int sim__part_count(int object);
void sim__part_name(int object, int part, char out[SIM_PATH_BYTES_MAX]);
bool sim__is_v3(enum sim_kind kind);
/* On an object whose history is checked. */
bool sim__is_plain(enum sim_kind kind);
/* Values, as texts. */
void sim__put_value(struct buf *out, uint32_t value, size_t bytes);
uint32_t sim__value_of(struct slice text);
/* What the operation asks for, encoded. */
struct refbuf *sim__v3_command(struct sim_op *op);

/* What an object was when it was asked for. */
struct sim_found {
    bool refused; /* its condition didn't hold */
    uint32_t value;
};
/* The answer to a write must be what the twin says. */
enum err sim__v3_take(struct sim_op *op, struct sim_found *out) MUST_USE;
/* A range of an object at a revision (0: now), here: *at is the one; it must
 * be what the twin has. */
enum err sim__v3_range(struct sim_member *member, int object, revision *at,
                       uint32_t *value) MUST_USE;
/* Pairs are written together; leases don't end early. */
void sim__v3_note_commit(struct sim *sim, const struct mvcc_commit *commit);

void sim__watchers_start(struct sim *sim);
void sim__watchers_detach(struct sim_member *member);
void sim__watchers_look(struct sim_member *member);
/* One that was not told of everything; NULL: all were. */
struct sim_watcher *sim__watcher_behind(struct sim *sim);

/* ---- recipes (service.h) ------------------------------------------------- */

void sim__service_start(struct sim *sim, int workers);
/* The workers end, and what they have asked of the outside. */
void sim__service_stop(struct sim *sim);
/* Needs: no member runs any more. */
void sim__service_free(struct sim *sim);
void sim__service_note(struct sim *sim, const struct mvcc_commit *commit);
/* A member ends: streams at it break. */
void sim__service_detach(struct sim *sim, struct sim_member *member);
void sim__service_heal(struct sim *sim);
/* All has come of it that must, and no more; the workers have left. */
bool sim__service_is_over(struct sim *sim);
void sim__service_say_why(struct sim *sim, struct buf *why);
struct zones;
const struct zones *sim__zones(void);

/* ---- faults (plan.c, operator.c, heal.c) --------------------------------- */

enum {
    SIM_FAULT_KILL = 1 << 0,
    SIM_FAULT_POWER = 1 << 1, /* all at once */
    SIM_FAULT_PAUSE = 1 << 2,
    SIM_FAULT_CUT = 1 << 3,
    SIM_FAULT_WEATHER = 1 << 4,
    SIM_FAULT_BREAK = 1 << 5,
    SIM_FAULT_CLOCK = 1 << 6,
    SIM_FAULT_SLOW = 1 << 7,
    SIM_FAULT_FULL = 1 << 8,
    SIM_FAULT_DAMAGE = 1 << 9,
    SIM_FAULT_ARM = 1 << 10, /* fails in the middle of a step */
    SIM_FAULT_CHURN = 1 << 11,
    SIM_FAULT_TRANSFER = 1 << 12,
    SIM_FAULT_RESTART = 1 << 13,
    SIM_FAULT_COUNT = 14,
};

struct sim_change;

void sim__plan_start(struct sim *sim);
/* Links work, disks are fast and have room. */
void sim__plan_mend(struct sim *sim);
/* Fast, and with room. */
void sim__mend_disk(struct sim_member *member);
void sim__operator_start(struct sim *sim);
/* Asks for a change, through any member that is up. NULL: nobody is, another
 * one is under way, or it was refused. */
struct sim_change *sim__operator_ask(struct sim *sim, enum node_change_op op,
                                     struct sim_member *member);
void sim__operator_stop(struct sim *sim);
void sim__heal_start(struct sim *sim);

/* ---- checkers (check.c) -------------------------------------------------- */

void sim__check_opened(struct sim_member *member);
void sim__check_step(struct sim_member *member);
/* A step that broke down: what was durable before the end counts. */
void sim__check_broken(struct sim_member *member);
/* A message as it leaves: votes. */
void sim__check_message(struct sim_member *member, struct slice message);
void sim__check_commits(struct sim_member *member,
                        struct mvcc_commit *const *commits, size_t count);
/* The member's whole store is the twin's, key by key. */
void sim__check_store(struct sim_member *member);
/* HashKV is the same for all who have applied as much. */
void sim__check_hash(struct sim_member *member);
void sim__check_free(struct sim *sim);

/* A vote that was given, ever. */
struct sim_vote {
    member_id voter;
    raft_term term;
    member_id candidate;
};

/* ---- the world ----------------------------------------------------------- */

struct sim_change {
    struct node_change change;
    struct sim *sim;
    struct sim_member *member; /* who comes or goes */
};

struct sim_operator {
    struct sim_event next;
    struct sim_change *change; /* under way; NULL: none */
};

struct sim_healing {
    struct sim_event next;
    int64_t deadline_ns;
    bool wrote[SIM_PLACES_MAX + 1];
    bool read[SIM_PLACES_MAX + 1];
    struct sim_client probes[SIM_PLACES_MAX + 1];
};

struct sim {
    struct sim_options options;
    struct sim_result result;
    bool over;
    int64_t now_ns;
    struct heap events;
    struct sim_trace trace;
    struct prng prng; /* of the network and the machines */

    struct sim_member *members[SIM_PLACES_MAX + 1]; /* from 1 */
    int member_count;
    struct node_member founders[SIM_MEMBERS_MAX];
    int founder_count;
    struct ledger ledger;
    struct sim_vote *votes;
    size_t vote_count;
    size_t vote_capacity;

    /* What this world is like, by the seed. */
    uint32_t faults;
    int64_t election_ms;
    int64_t heartbeat_ms;
    bool pre_vote;
    bool lease_reads;
    bool strict;
    size_t catch_up_entries;
    size_t flush_revisions;
    int64_t flush_ns;
    int64_t compaction_keep; /* 0: none */
    size_t value_bytes;
    size_t chunk_bytes;
    int64_t think_ns; /* of a client */
    uint64_t active_size;
    double remove_delay_s;

    struct sim_weather weather;
    struct sim_link links[SIM_PLACES_MAX + 1][SIM_PLACES_MAX + 1];
    struct list packets;
    struct sim_transfer *transfers;

    struct prng client_prng;
    struct sim_client clients[SIM_CLIENTS_MAX];
    int client_count;
    struct list ops;
    struct sim_history histories[SIM_OBJECTS];
    struct sim_lease leases[SIM_LEASES];
    uint32_t value_count;
    unsigned char *values; /* SIM_VALUE_*, by number */
    raft_index acked_index;
    revision acked_revision;
    struct sim_watcher watchers[SIM_WATCHERS_MAX];
    int watcher_count;

    int worker_count;
    struct sim_service *service; /* NULL: no recipes */

    struct prng plan_prng;
    struct sim_event plan;
    struct sim_event join; /* a partition ends */
    int64_t faults_until_ns;
    struct sim_operator operators;
    struct sim_healing healing;
};

/* What is known of a value: bits. */
enum { SIM_VALUE_DONE = 1, SIM_VALUE_REFUSED = 2 };

static inline void sim__count(struct sim *sim, enum sim_count count,
                              uint64_t by)
{
    sim->result.counts[count] += by;
}

#endif
