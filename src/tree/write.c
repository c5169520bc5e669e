/* Writes: each v2 verb, in one transaction.
 *
 * What is wrong is found before the first put, so a transaction that fails
 * is an empty one and makes no revision. */
#include "base/check.h"
#include "base/mem.h"
#include "tree/tree_int.h"

enum { ORDER_DIGITS = 20 }; /* of the name that an in-order create makes */

/* One write on its way. */
struct job {
    struct tree *tree;
    const struct tree_command *command;
    struct tree_result *result;
    struct slice path; /* of the node */
    bool found;        /* the node is there: */
    struct tree_node prev;
};

static enum err fail(struct job *job, enum tree_error error, struct slice cause)
{
    struct tree_result *result = job->result;
    CHECK(error != TREE_NONE && result->error == TREE_NONE);
    result->error = error;
    result->cause = cause.size ? mem_dup(cause.at, cause.size) : NULL;
    result->cause_size = cause.size;
    return ERR_OK;
}

static bool failed(const struct job *job)
{
    return job->result->error != TREE_NONE;
}

static enum err fail_root(struct job *job)
{
    return fail(job, TREE_ROOT_READ_ONLY, SLICE("/"));
}

static enum err look(struct job *job)
{
    return tree__look(job->tree->reader, job->path, 0, &job->prev, &job->found);
}

static enum err fail_missing(struct job *job)
{
    enum tree_error error;
    struct slice cause;
    enum err err =
        tree__why_missing(job->tree->reader, job->path, 0, &error, &cause);
    return err == ERR_OK ? fail(job, error, cause) : err;
}

/* For the verbs that need a node: fails where there is none. */
static enum err look_for(struct job *job)
{
    enum err err = look(job);
    return err == ERR_OK && !job->found ? fail_missing(job) : err;
}

/* ---- TTLs ---------------------------------------------------------------- */

#define SECOND_NS UINT64_C(1000000000)
#define YEAR_2000_NS INT64_C(946684800000000000)

/* The sum wraps around, as etcd's does, and what comes out before the year
 * 2000 has no end. (Where a clock is that early itself, as a made-up one may
 * be, only what lies before its zero.) */
static int64_t expire_of(const struct tree_command *command, int64_t now_ns)
{
    int64_t oldest_ns = now_ns < YEAR_2000_NS ? 1 : YEAR_2000_NS;
    if (!command->has_ttl)
        return 0;
    int64_t expire_ns =
        (int64_t)((uint64_t)now_ns + command->ttl_s * SECOND_NS);
    return expire_ns < oldest_ns ? 0 : expire_ns;
}

static void add_ttl(const struct job *job, struct mvcc_put *put)
{
    struct mvcc *mvcc = job->tree->mvcc;
    put->expire_ns = expire_of(job->command, mvcc_begin_time_ns(mvcc));
    if (put->expire_ns != 0)
        put->lease = LEASE_V2 | mvcc_next_revision(mvcc);
}

/* ---- directories on the way ---------------------------------------------- */

static void put_parents(struct job *job, size_t from, enum mvcc_cause cause)
{
    for (size_t i = from; i < job->path.size; i++) {
        if (job->path.at[i] != '/')
            continue;
        mvcc_put(job->tree->mvcc,
                 &(struct mvcc_put){.table = MVCC_DIRS,
                                    .cause = cause,
                                    .flags = MVCC_PART,
                                    .key = tree__head(job->path, i)});
    }
}

/* Gives a record to each directory above the node that has none. They are
 * looked at from the node up; above one that has a record all have (what v2
 * makes and removes keeps it so). Above something that is there nothing is in
 * the way, though v3 may have put a file over it; else the first thing that
 * is there must be a directory. */
static enum err make_parents(struct job *job, enum mvcc_cause cause)
{
    struct mvcc_reader *reader = job->tree->reader;
    bool there = job->found;
    struct slice above = tree__parent(job->path);
    enum err err = ERR_OK;
    while (!tree__is_root(above)) {
        bool has = false;
        if (!there)
            err = tree__has(reader, MVCC_KEYS, above, 0, &has);
        if (err == ERR_OK && has)
            return fail(job, TREE_NOT_DIR, above);
        if (err == ERR_OK)
            err = tree__has(reader, MVCC_DIRS, above, 0, &has);
        if (err == ERR_OK && !has && !there)
            err = tree__has_below(reader, above, 0, &there);
        if (err != ERR_OK)
            return err;
        if (has)
            break;
        above = tree__parent(above);
    }
    put_parents(job, above.size + !tree__is_root(above), cause);
    return ERR_OK;
}

/* ---- the verbs ----------------------------------------------------------- */

/* A new life at the path: of a file, or of a directory, which a file makes
 * room for. */
static enum err put_new(struct job *job, enum mvcc_cause cause, bool refresh)
{
    const struct tree_command *command = job->command;
    struct mvcc_put put = {
        .table = command->dir ? MVCC_DIRS : MVCC_KEYS,
        .cause = cause,
        .flags = refresh ? MVCC_REFRESH : 0,
        .key = job->path,
        .anew = true,
    };
    enum err err = make_parents(job, cause);
    if (err != ERR_OK || failed(job))
        return err;
    if (!command->dir)
        put.value = refresh ? job->prev.value : command->value;
    else if (job->found)
        tree__end(job->tree, MVCC_KEYS, job->path, cause, MVCC_PART);
    add_ttl(job, &put);
    tree__put(job->tree, &put);
    return ERR_OK;
}

static enum err set(struct job *job)
{
    enum err err = look(job);
    if (err != ERR_OK)
        return err;
    if (job->found && job->prev.dir)
        return fail(job, TREE_NOT_FILE, job->path);
    if (!job->found && job->command->refresh)
        return fail_missing(job);
    return put_new(job, MVCC_SET, job->command->refresh);
}

static enum err create(struct job *job)
{
    enum err err = look(job);
    if (err == ERR_OK && job->found)
        return fail(job, TREE_NODE_EXIST, job->path);
    return err == ERR_OK ? put_new(job, MVCC_CREATE, false) : err;
}

static enum err create_in_order(struct job *job)
{
    char digits[ORDER_DIGITS];
    struct buf path = {0};
    revision next = mvcc_next_revision(job->tree->mvcc);
    size_t size = u64_to_text((uint64_t)next, digits);
    if (!tree__is_root(job->path))
        buf_append_slice(&path, job->path);
    buf_append_char(&path, '/');
    for (size_t i = size; i < ORDER_DIGITS; i++)
        buf_append_char(&path, '0');
    buf_append(&path, digits, size);
    job->path = buf_slice(&path);
    enum err err = create(job);
    job->path = job->command->path;
    buf_deinit(&path);
    return err;
}

/* The life goes on: with another value, another end. */
static enum err put_on(struct job *job, enum mvcc_cause cause)
{
    const struct tree_command *command = job->command;
    struct mvcc_put put = {
        .table = job->prev.dir ? MVCC_DIRS : MVCC_KEYS,
        .cause = cause,
        .flags = command->refresh ? MVCC_REFRESH : 0,
        .key = job->path,
    };
    if (job->prev.implied) {
        enum err err = make_parents(job, cause);
        if (err != ERR_OK)
            return err;
        CHECK(!failed(job)); /* it is there, so nothing is in its way */
    }
    if (!job->prev.dir)
        put.value = command->refresh ? job->prev.value : command->value;
    add_ttl(job, &put);
    tree__put(job->tree, &put);
    return ERR_OK;
}

static enum err update(struct job *job)
{
    enum err err = look_for(job);
    if (err != ERR_OK || failed(job))
        return err;
    if (job->prev.dir && job->command->value.size > 0)
        return fail(job, TREE_NOT_FILE, job->path);
    return put_on(job, MVCC_UPDATE);
}

static enum err fail_compare(struct job *job, bool value_fits, bool index_fits)
{
    struct buf cause = {0};
    if (!value_fits) {
        buf_append_char(&cause, '[');
        buf_append_slice(&cause, job->command->prev_value);
        buf_append_str(&cause, " != ");
        buf_append_slice(&cause, job->prev.value);
        buf_append_char(&cause, ']');
    }
    if (!value_fits && !index_fits)
        buf_append_char(&cause, ' ');
    if (!index_fits) {
        buf_append_char(&cause, '[');
        buf_append_u64(&cause, job->command->prev_index);
        buf_append_str(&cause, " != ");
        buf_append_i64(&cause, job->prev.modified);
        buf_append_char(&cause, ']');
    }
    enum err err = fail(job, TREE_COMPARE_FAILED, buf_slice(&cause));
    buf_deinit(&cause);
    return err;
}

static enum err compare(struct job *job)
{
    struct slice value = job->command->prev_value;
    uint64_t index = job->command->prev_index;
    bool value_fits = value.size == 0 || slice_eq(value, job->prev.value);
    bool index_fits = index == 0 || index == (uint64_t)job->prev.modified;
    return value_fits && index_fits ? ERR_OK
                                    : fail_compare(job, value_fits, index_fits);
}

static enum err compare_and_swap(struct job *job)
{
    enum err err = look_for(job);
    if (err != ERR_OK || failed(job))
        return err;
    if (job->prev.dir)
        return fail(job, TREE_NOT_FILE, job->path);
    err = compare(job);
    if (err != ERR_OK || failed(job))
        return err;
    return put_on(job, MVCC_COMPARE_AND_SWAP);
}

static enum err compare_and_delete(struct job *job)
{
    enum err err = look_for(job);
    if (err != ERR_OK || failed(job))
        return err;
    if (job->prev.dir) /* the root is one, and etcd then names no cause */
        return fail(job, TREE_NOT_FILE,
                    tree__is_root(job->path) ? slice_of(NULL, 0) : job->path);
    err = compare(job);
    if (err != ERR_OK || failed(job))
        return err;
    tree__remove(job->tree, &job->prev, MVCC_COMPARE_AND_DELETE);
    return ERR_OK;
}

/* True when nothing is below a directory, hidden or not. */
static enum err is_empty(struct job *job, bool *empty)
{
    struct buf from = {0}, end = {0};
    uint64_t dirs = 0;
    bool has = false;
    tree_range_below(job->path, &from, &end);
    enum err err = mvcc_count(job->tree->reader, MVCC_DIRS, buf_slice(&from),
                              buf_slice(&end), 0, &dirs);
    buf_deinit(&from);
    buf_deinit(&end);
    if (err == ERR_OK && dirs == 0)
        err = tree__has_below(job->tree->reader, job->path, 0, &has);
    *empty = dirs == 0 && !has;
    return err;
}

static enum err delete (struct job *job) {
    bool empty = true; enum err err = look_for(job);
    if (err != ERR_OK || failed(job)) return err;
    if (job->prev.dir && !job->command->dir &&
        !job->command->recursive) return fail(job, TREE_NOT_FILE, job->path);
    if (job->prev.dir && !job->command->recursive) err = is_empty(job, &empty);
    if (err != ERR_OK) return err;
    if (!empty) return fail(job, TREE_DIR_NOT_EMPTY, job->path);
    tree__remove(job->tree, &job->prev, MVCC_DELETE);
    return ERR_OK;
}

static enum err run(struct job *job)
{
    enum tree_op op = job->command->op;
    if (tree__is_root(job->path) && op != TREE_CREATE_IN_ORDER &&
        op != TREE_COMPARE_AND_DELETE)
        return fail_root(job);
    switch (op) {
    case TREE_SET:
        return set(job);
    case TREE_CREATE:
        return create(job);
    case TREE_UPDATE:
        return update(job);
    case TREE_COMPARE_AND_SWAP:
        return compare_and_swap(job);
    case TREE_DELETE:
        return delete (job);
    case TREE_COMPARE_AND_DELETE:
        return compare_and_delete(job);
    case TREE_CREATE_IN_ORDER:
        return create_in_order(job);
    }
    UNREACHABLE();
}

/* ---- the result ---------------------------------------------------------- */

static const struct record *head_of(const struct mvcc_commit *commit)
{
    uint32_t i = 0;
    while ((commit->records[i].flags & MVCC_PART) != 0) {
        i++;
        CHECK_LT(i, commit->count);
    }
    return &commit->records[i];
}

/* The previous value is the store's, and the result may outlive it. */
static void tell(struct job *job, struct mvcc_commit *commit)
{
    struct tree_result *result = job->result;
    struct slice value = job->prev.value;
    enum tree_op op = job->command->op;
    if (job->found && value.size > 0) {
        result->prev_bytes = mem_dup(value.at, value.size);
        job->prev.value.at = result->prev_bytes;
    }
    tree__make_event(head_of(commit), job->found ? &job->prev : NULL,
                     &result->event);
    result->index = commit->main;
    result->created = op == TREE_CREATE || op == TREE_CREATE_IN_ORDER ||
                      (op == TREE_SET && !job->found);
    result->replaced = op == TREE_SET && job->found;
    result->commit = mvcc_commit_ref(commit);
}

enum err tree_write(struct tree *tree, const struct tree_command *command,
                    int64_t time_ns, struct tree_result *result,
                    struct mvcc_commit **commit)
{
    struct job job = {.tree = tree,
                      .command = command,
                      .result = result,
                      .path = command->path};
    CHECK(tree__is_root(job.path) || tree__is_clean(job.path));
    *result = (struct tree_result){0};
    mvcc_begin(tree->mvcc, time_ns);
    enum err err = run(&job);
    *commit = mvcc_commit(tree->mvcc);
    CHECK((*commit != NULL) == (err == ERR_OK && !failed(&job)));
    if (*commit != NULL)
        tell(&job, *commit);
    else
        result->index = mvcc_next_revision(tree->mvcc) - 1;
    return err;
}

struct slice tree_result_cause(const struct tree_result *result)
{
    return slice_of(result->cause, result->cause_size);
}

void tree_result_deinit(struct tree_result *result)
{
    if (result->commit != NULL)
        mvcc_commit_unref(result->commit);
    mem_free(result->cause);
    mem_free(result->prev_bytes);
    *result = (struct tree_result){0};
}
