/* A cluster in memory, for stories and for random runs: members with a disk
 * each that remembers only what was written, a network that does what it is
 * told, and a clock that stands still until it is moved.
 *
 * The application's state is the list of what was applied, as a hash. What
 * must be true is tested after each step of each member (raft_cluster_check.c):
 * one leader a term, log matching, leader completeness, the same entries
 * applied everywhere, nothing committed that a quorum hasn't got on disk,
 * nothing promised that isn't on disk, reads that see what was committed, time
 * that never falls.
 *
 *   raft_cluster.c        members, their turns, their disks
 *   raft_cluster_net.c    packets on their way
 *   raft_cluster_check.c  what must be true
 *   raft_cluster_trace.c  a line for each thing that happens
 *   raft_script.c         commands that a person writes
 */
#ifndef ETCHED_TESTS_UNIT_RAFT_RAFT_CLUSTER_H
#define ETCHED_TESTS_UNIT_RAFT_RAFT_CLUSTER_H

#include "base/bytes.h"
#include "base/prng.h"
#include "raft/raft.h"

enum {
    CLUSTER_MEMBERS_MAX = 10,
    CLUSTER_LOG_MAX = 8192,
    CLUSTER_TERMS_MAX = 8192,
    CLUSTER_PACKETS_MAX = 1024,
    CLUSTER_READS_MAX = 256,
};

/* What is applied. */
struct cluster_state {
    raft_index index;
    raft_term term;
    uint64_t hash;   /* of all entries up to the index */
    int64_t time_ns; /* of the newest that has one */
    struct raft_members members;
};

/* What a crash leaves. Entries at state.index and below are of no use. */
struct cluster_disk {
    struct raft_hard_state hard;
    struct cluster_state state;
    raft_index last;
    struct raft_entry *log; /* by index */
};

struct cluster_read {
    uint64_t number;
    raft_index committed; /* in the whole cluster when it was asked */
};

struct cluster_member {
    member_id id;
    struct raft *raft; /* NULL: down */
    bool paused;       /* takes no turns, and what comes waits */
    struct raft_members first_members; /* before all entries; or nobody */
    struct raft_update update;
    int64_t deadline_ms; /* in its own time */
    struct cluster_disk disk;
    struct cluster_state state;
    struct cluster_state incoming; /* a snapshot; index 0: none */
    member_id incoming_from;
    uint64_t read_next;
    struct cluster_read reads[CLUSTER_READS_MAX]; /* not answered yet */
    size_t read_count;
    uint64_t lives; /* starts so far */
    /* Its clock. */
    int64_t clock_offset_ms;
    int64_t clock_permille; /* 1000: right */
    /* As last seen: by the checks and by the trace. */
    raft_term term_seen;
    raft_index commit_seen;
    raft_index last_seen;
    raft_term last_term_seen;
    enum raft_role role_seen;
    member_id leader_seen;
};

struct cluster_packet {
    struct raft_message message;
    struct raft_entry *entries;
    struct cluster_state *state; /* SNAPSHOT */
    int64_t sent_ms;
};

/* An entry as the leader of its term made it. */
struct cluster_version {
    raft_term term;
    raft_term prev_term;
    enum raft_entry_type type;
    uint64_t hash;
    int64_t time_ns;
};

struct cluster_slot {
    struct cluster_version *versions;
    size_t version_count;
    bool committed;
    raft_term term;       /* committed: of the entry */
    raft_term known_term; /* leaders of later terms have it */
    uint64_t state_hash;  /* with this entry applied */
    raft_index change;    /* the newest change up to here; 0: none */
    struct refbuf *data;  /* of a change */
};

struct cluster_counters {
    uint64_t elections; /* terms with a leader */
    uint64_t applied;
    uint64_t reads;
    uint64_t snapshots; /* installed */
    uint64_t changes;   /* committed */
    uint64_t crashes;
};

struct cluster_trace {
    struct buf out;
    bool heartbeats; /* are shown too */
    int64_t said_ms; /* the time that the lines are of */
};

struct cluster {
    struct raft_config config; /* of every member, but for id and seed */
    struct cluster_member members[CLUSTER_MEMBERS_MAX];
    size_t member_count;
    int64_t now_ms;
    bool cut[CLUSTER_MEMBERS_MAX][CLUSTER_MEMBERS_MAX];  /* from, to */
    struct cluster_packet *packets[CLUSTER_PACKETS_MAX]; /* oldest first */
    size_t packet_count;
    struct cluster_packet *aside; /* one that is held back; or NULL */
    /* The truth. */
    struct raft_members first_members;
    struct cluster_slot slots[CLUSTER_LOG_MAX];
    raft_index commit_max; /* anybody ever knew of */
    member_id leaders[CLUSTER_TERMS_MAX];
    struct cluster_counters counters;
    bool leave_joint;            /* leaders end joint changes by themselves */
    struct cluster_trace *trace; /* NULL: none */
    uint64_t seed;
};

/* `voters` members with ids from 1 on, all up. Fields of `config` but id, seed
 * and members are used. */
struct cluster *cluster_new(const struct raft_config *config, size_t voters,
                            size_t learners, uint64_t seed);
void cluster_free(struct cluster *cluster);
/* One that knows of nobody, up, or (up false) not. */
struct cluster_member *cluster_add(struct cluster *cluster, bool up);
/* NULL: none of that id. */
struct cluster_member *cluster_member(struct cluster *cluster, member_id id);
/* The one of the highest term; NULL: nobody leads. */
struct cluster_member *cluster_leader(struct cluster *cluster);

/* ---- one member ---------------------------------------------------------- */

/* Steps and checks; the member is up. */
enum err cluster_step(struct cluster *cluster, struct cluster_member *member,
                      struct raft_event event);
void cluster_tick(struct cluster *cluster, struct cluster_member *member);
enum err cluster_propose(struct cluster *cluster, struct cluster_member *member,
                         const char *text);
/* From what the member has as the membership now. */
enum err cluster_change(struct cluster *cluster, struct cluster_member *member,
                        const struct raft_change *changes, size_t count);
enum err cluster_leave_joint(struct cluster *cluster,
                             struct cluster_member *member);
enum err cluster_read(struct cluster *cluster, struct cluster_member *member);

/* The parts of a turn; each false when there was nothing to do. */
bool cluster_send(struct cluster *cluster, struct cluster_member *member);
bool cluster_write(struct cluster *cluster, struct cluster_member *member);
bool cluster_apply(struct cluster *cluster, struct cluster_member *member);
/* All of them, in their order. */
bool cluster_turn(struct cluster *cluster, struct cluster_member *member);
/* The power fails in the middle of a write: the hard state and at most
 * `entries` entries are on disk. */
void cluster_crash_in_write(struct cluster *cluster,
                            struct cluster_member *member, size_t entries);
void cluster_crash(struct cluster *cluster, struct cluster_member *member);
void cluster_start(struct cluster *cluster, struct cluster_member *member);
/* The applied state becomes durable. */
void cluster_save(struct cluster *cluster, struct cluster_member *member);
/* The log up to `index` is forgotten. Needs: saved so far. */
void cluster_compact(struct cluster *cluster, struct cluster_member *member,
                     raft_index index);

/* ---- all ----------------------------------------------------------------- */

/* Turns and deliveries until nothing is left to do. */
void cluster_settle(struct cluster *cluster);
/* So much time, with all that is due in it. */
void cluster_run(struct cluster *cluster, int64_t ms);

/* ---- the network --------------------------------------------------------- */

/* Sends (as bytes and back); where the link is cut it is lost. */
void cluster_net_send(struct cluster *cluster,
                      const struct raft_message *message,
                      const struct cluster_state *state);
/* The packet of that number in the queue is taken out, and comes or not. */
void cluster_net_deliver(struct cluster *cluster, size_t at);
void cluster_net_drop(struct cluster *cluster, size_t at);
/* It stays, and a copy of it comes. */
void cluster_net_duplicate(struct cluster *cluster, size_t at);
/* It is held back until it is brought back. */
void cluster_net_set_aside(struct cluster *cluster, size_t at);
void cluster_net_bring_back(struct cluster *cluster);
/* Of those that are on their way the oldest from `from` to `to` (0: any). */
bool cluster_net_find(const struct cluster *cluster, member_id from,
                      member_id to, size_t *at);
void cluster_net_cut(struct cluster *cluster, member_id from, member_id to,
                     bool cut);
void cluster_net_heal(struct cluster *cluster);
void cluster__net_deinit(struct cluster *cluster);

/* ---- checks and the trace ------------------------------------------------ */

_Noreturn void cluster_fail(const struct cluster *cluster, const char *format,
                            ...) PRINTF_LIKE(2, 3);
void cluster__check(struct cluster *cluster, struct cluster_member *member);
void cluster__check_message(const struct cluster *cluster,
                            const struct raft_message *message);
void cluster__check_apply(struct cluster *cluster,
                          struct cluster_member *member,
                          const struct raft_entry *entry);
void cluster__check_reads(struct cluster *cluster,
                          struct cluster_member *member);
/* The membership as of a committed entry. */
struct raft_members cluster__members_at(const struct cluster *cluster,
                                        raft_index index);
void cluster__check_deinit(struct cluster *cluster);
bool cluster__disk_has(const struct cluster_member *member, raft_index index,
                       raft_term term);

void cluster__say(const struct cluster *cluster, member_id member,
                  const char *what, const char *format, ...) PRINTF_LIKE(4, 5);
/* lost: the network has dropped it. */
void cluster__say_message(const struct cluster *cluster,
                          const struct raft_message *message, bool lost);
void cluster__say_entries(const struct cluster *cluster, member_id member,
                          const char *what, const struct raft_entry *entries,
                          size_t count);
void cluster__say_role(const struct cluster *cluster,
                       struct cluster_member *member);
/* "1 2 3, learners 4"; "nobody". */
void cluster_members_text(const struct raft_members *members, struct buf *out);
/* "1/2:a": term, index, data. */
void cluster_entry_text(const struct raft_entry *entry, struct buf *out);

#endif
