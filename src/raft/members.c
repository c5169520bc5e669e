/* Who belongs to the cluster (thesis 4): how a membership becomes the next
 * one, and its form as bytes.
 *
 * The bytes are a length (varint), then protobuf fields, each once for each
 * member, ids rising:
 *     1 voters  2 outgoing  3 learners  4 learners_next
 * Unknown fields are skipped.
 */
#include <string.h>

#include "base/check.h"
#include "proto/pb.h"
#include "raft/raft.h"

/* ---- a sorted list of ids ------------------------------------------------ */

/* Where `id` is, or would have to be. */
static size_t place_of(const member_id *ids, size_t count, member_id id)
{
    size_t at = 0;
    while (at < count && ids[at] < id) {
        at++;
    }
    return at;
}

static bool list_has(const member_id *ids, size_t count, member_id id)
{
    size_t at = place_of(ids, count, id);
    return at < count && ids[at] == id;
}

/* False: there is no room. */
static bool list_add(member_id *ids, size_t *count, member_id id)
{
    size_t at = place_of(ids, *count, id);
    CHECK_LE(*count, RAFT_MEMBERS_MAX);
    CHECK(at == *count || ids[at] != id);
    if (*count == RAFT_MEMBERS_MAX) {
        return false;
    }
    memmove(ids + at + 1, ids + at, (*count - at) * sizeof(*ids));
    ids[at] = id;
    (*count)++;
    return true;
}

static void list_drop(member_id *ids, size_t *count, member_id id)
{
    size_t at = place_of(ids, *count, id);
    CHECK_LE(*count, RAFT_MEMBERS_MAX);
    if (at < *count && ids[at] == id) {
        (*count)--;
        memmove(ids + at, ids + at + 1, (*count - at) * sizeof(*ids));
        ids[*count] = 0; /* the same membership is the same memory */
    }
}

static bool list_eq(const member_id *a, size_t a_count, const member_id *b,
                    size_t b_count)
{
    return a_count == b_count && memcmp(a, b, a_count * sizeof(*a)) == 0;
}

/* How many of `a` are not in `b`. */
static size_t list_beyond(const member_id *a, size_t a_count,
                          const member_id *b, size_t b_count)
{
    size_t beyond = 0;
    for (size_t i = 0; i < a_count; i++) {
        beyond += !list_has(b, b_count, a[i]);
    }
    return beyond;
}

/* ---- what must hold ------------------------------------------------------ */

/* Rising, and nobody is 0. */
static bool is_sorted(const member_id *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (ids[i] <= (i == 0 ? 0 : ids[i - 1])) {
            return false;
        }
    }
    return true;
}

static size_t member_count(const struct raft_members *members)
{
    return members->voter_count + members->learner_count +
           list_beyond(members->outgoing, members->outgoing_count,
                       members->voters, members->voter_count);
}

/* Nobody at all is valid too: one that joins knows of nobody yet. */
static bool is_valid(const struct raft_members *members)
{
    const struct raft_members *m = members;
    bool valid = m->voter_count <= RAFT_MEMBERS_MAX &&
                 m->outgoing_count <= RAFT_MEMBERS_MAX &&
                 m->learner_count <= RAFT_MEMBERS_MAX &&
                 m->learner_next_count <= RAFT_MEMBERS_MAX &&
                 is_sorted(m->voters, m->voter_count) &&
                 is_sorted(m->outgoing, m->outgoing_count) &&
                 is_sorted(m->learners, m->learner_count) &&
                 is_sorted(m->learners_next, m->learner_next_count) &&
                 member_count(m) <= RAFT_MEMBERS_MAX &&
                 (m->voter_count > 0 ||
                  (m->outgoing_count == 0 && m->learner_count == 0));
    for (size_t i = 0; valid && i < m->learner_count; i++) {
        valid = !raft_members_votes(m, m->learners[i]);
    }
    for (size_t i = 0; valid && i < m->learner_next_count; i++) {
        member_id id = m->learners_next[i];
        valid = list_has(m->outgoing, m->outgoing_count, id) &&
                !list_has(m->voters, m->voter_count, id);
    }
    return valid;
}

bool raft_members_votes(const struct raft_members *members, member_id id)
{
    return list_has(members->voters, members->voter_count, id) ||
           list_has(members->outgoing, members->outgoing_count, id);
}

bool raft_members_have(const struct raft_members *members, member_id id)
{
    return raft_members_votes(members, id) ||
           list_has(members->learners, members->learner_count, id);
}

/* ---- from one to the next ------------------------------------------------ */

static bool change_one(struct raft_members *members,
                       const struct raft_change *change)
{
    list_drop(members->voters, &members->voter_count, change->id);
    list_drop(members->learners, &members->learner_count, change->id);
    switch (change->op) {
    case RAFT_ADD_VOTER:
        return list_add(members->voters, &members->voter_count, change->id);
    case RAFT_ADD_LEARNER:
        return list_add(members->learners, &members->learner_count, change->id);
    case RAFT_REMOVE:
        return true;
    }
    UNREACHABLE();
}

/* Where the changes lead, whatever the way there. */
static enum err find_goal(const struct raft_members *now,
                          const struct raft_change *changes, size_t count,
                          struct raft_members *goal)
{
    *goal = *now;
    for (size_t i = 0; i < count; i++) {
        if (changes[i].id == 0) {
            return err_set(ERR_INVALID, "no member has the id 0");
        }
        if (!change_one(goal, &changes[i])) {
            return err_set(ERR_FULL, "more than %d members", RAFT_MEMBERS_MAX);
        }
    }
    if (goal->voter_count == 0) {
        return err_set(ERR_INVALID, "no voter would be left");
    }
    if (list_eq(goal->voters, goal->voter_count, now->voters,
                now->voter_count) &&
        list_eq(goal->learners, goal->learner_count, now->learners,
                now->learner_count)) {
        return err_set(ERR_INVALID, "the membership would not change");
    }
    return ERR_OK;
}

/* Thesis 4.3: until the change ends, the old voters must agree too; those of
 * them who become learners stay voters until then. */
static void enter_joint(const struct raft_members *now,
                        struct raft_members *members)
{
    CHECK_EQ(members->outgoing_count, 0);
    CHECK_EQ(members->learner_next_count, 0);
    memcpy(members->outgoing, now->voters, sizeof(now->voters));
    members->outgoing_count = now->voter_count;
    for (size_t i = members->learner_count; i-- > 0;) {
        member_id id = members->learners[i];
        if (list_has(now->voters, now->voter_count, id)) {
            list_drop(members->learners, &members->learner_count, id);
            CHECK(list_add(members->learners_next, &members->learner_next_count,
                           id));
        }
    }
}

enum err raft_members_change(const struct raft_members *now,
                             const struct raft_change *changes, size_t count,
                             struct raft_members *out)
{
    struct raft_members next;
    CHECK(is_valid(now));
    if (now->outgoing_count > 0) {
        return err_set(ERR_INVALID, "a joint change is under way");
    }
    enum err err = find_goal(now, changes, count, &next);
    if (err != ERR_OK) {
        return err;
    }
    size_t steps = list_beyond(next.voters, next.voter_count, now->voters,
                               now->voter_count) +
                   list_beyond(now->voters, now->voter_count, next.voters,
                               next.voter_count);
    if (steps > 1) {
        enter_joint(now, &next);
    }
    if (member_count(&next) > RAFT_MEMBERS_MAX) {
        return err_set(ERR_FULL, "more than %d members", RAFT_MEMBERS_MAX);
    }
    CHECK(is_valid(&next));
    *out = next;
    return ERR_OK;
}

void raft_members_leave_joint(const struct raft_members *now,
                              struct raft_members *out)
{
    struct raft_members next = *now;
    CHECK(is_valid(now));
    CHECK(now->outgoing_count > 0);
    next.outgoing_count = 0;
    next.learner_next_count = 0;
    memset(next.outgoing, 0, sizeof(next.outgoing));
    memset(next.learners_next, 0, sizeof(next.learners_next));
    for (size_t i = 0; i < now->learner_next_count; i++) {
        CHECK(list_add(next.learners, &next.learner_count,
                       now->learners_next[i]));
    }
    CHECK(is_valid(&next));
    *out = next;
}

/* ---- as bytes ------------------------------------------------------------ */

static void put_ids(struct buf *out, uint32_t number, const member_id *ids,
                    size_t count)
{
    for (size_t i = 0; i < count; i++) {
        CHECK_NE(ids[i], 0);
        pb_put_u64(out, number, ids[i]);
    }
}

void raft_members_encode(const struct raft_members *members, struct buf *out)
{
    const struct raft_members *m = members;
    struct buf body = {0};
    char size[VARINT_BYTES_MAX];
    CHECK(is_valid(m));
    put_ids(&body, 1, m->voters, m->voter_count);
    put_ids(&body, 2, m->outgoing, m->outgoing_count);
    put_ids(&body, 3, m->learners, m->learner_count);
    put_ids(&body, 4, m->learners_next, m->learner_next_count);
    buf_append(out, size, put_varint(size, body.size));
    buf_append_slice(out, buf_slice(&body));
    buf_deinit(&body);
}

/* Each list comes in its order, and so the newest id is the last. */
static bool take_id(const struct pb_field *field, member_id *ids, size_t *count)
{
    CHECK_LE(*count, RAFT_MEMBERS_MAX);
    if (field->type != PB_VARINT || *count == RAFT_MEMBERS_MAX) {
        return false;
    }
    ids[(*count)++] = field->value;
    return true;
}

static bool take_field(const struct pb_field *field, struct raft_members *out)
{
    switch (field->number) {
    case 1:
        return take_id(field, out->voters, &out->voter_count);
    case 2:
        return take_id(field, out->outgoing, &out->outgoing_count);
    case 3:
        return take_id(field, out->learners, &out->learner_count);
    case 4:
        return take_id(field, out->learners_next, &out->learner_next_count);
    default:
        return true; /* a newer version's */
    }
}

static bool decode_body(struct slice body, struct raft_members *out)
{
    struct pb_reader reader;
    struct pb_field field;
    memset(out, 0, sizeof(*out));
    pb_reader_init(&reader, body);
    while (pb_next(&reader, &field)) {
        if (!take_field(&field, out)) {
            return false;
        }
    }
    return !reader.failed && is_valid(out);
}

enum err raft_members_decode(struct slice bytes, struct raft_members *out,
                             struct slice *rest)
{
    uint64_t size;
    const char *at = bytes.size > 0 ? bytes.at : "";
    const char *end = at + bytes.size;
    if (!get_varint(&at, end, &size) || size > (uint64_t)(end - at)) {
        return err_set(ERR_CORRUPT, "a membership is cut short");
    }
    if (!decode_body(slice_of(at, (size_t)size), out)) {
        return err_set(ERR_CORRUPT, "a membership is malformed");
    }
    if (rest != NULL) {
        *rest = slice_of(at + size, (size_t)(end - at) - (size_t)size);
    }
    return ERR_OK;
}
