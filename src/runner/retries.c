/* Dead letters that are wanted again.
 *
 * Whoever wants one puts in/<name>/retry/<id>, <id> being that of
 * dead/<name>/<id>. The owner of the recipe reads the dead letter, gives it
 * back to the machine, and deletes the wish in that same turn. */
#include "proto/message.h"
#include "proto/rpc.pb-c.h"
#include "runner/runner_core.h"

enum { RETRIES_OF_TURN_MAX = 20 };

struct retry {
    struct list node;
    struct work *work;
    uint64_t call;
    bool is_read;
    bool is_taken; /* it is in the turn */
    bool is_there;
    struct buf key;
    struct buf dead;
    struct buf value;
};

static void free_retry(struct runner *runner, struct retry *retry)
{
    store__cancel(runner, retry->call);
    list_remove(&retry->node);
    buf_deinit(&retry->key);
    buf_deinit(&retry->dead);
    buf_deinit(&retry->value);
    mem_free(retry);
}

static void read_dead(struct runner *runner, void *context,
                      const struct store_answer *answer)
{
    struct retry *retry = context;
    struct work *work = retry->work;
    retry->call = 0;
    if (answer->code != 0) {
        work__failed(runner, work, "a dead letter can't be read", answer);
        return;
    }
    retry->is_read = true;
    if (answer->range->n_kvs) {
        retry->is_there = true;
        buf_append_slice(&retry->value,
                         message_bytes(answer->range->kvs[0]->value));
    }
    work__ready(runner, work);
}

void retries__add(struct runner *runner, struct work *work, struct slice key)
{
    enum recipe_key kind;
    struct slice name;
    struct slice rest;
    struct slice prefix = SLICE("retry/");
    if (!recipe_key_read(key, &kind, &name, &rest) ||
        !slice_has_prefix(rest, prefix))
        return;
    LIST_EACH (node, &work->retries) {
        const struct retry *other = CONTAINER_OF(node, struct retry, node);
        if (slice_eq(buf_slice(&other->key), key))
            return;
    }
    struct slice id = slice_of(rest.at + prefix.size, rest.size - prefix.size);
    struct retry *retry = mem_alloc_zero(sizeof *retry);
    retry->work = work;
    buf_append_slice(&retry->key, key);
    recipe_key_write(&retry->dead, RECIPE_KEY_DEAD, name, &id);
    list_push_back(&work->retries, &retry->node);
    retry->call = store__range(runner, buf_slice(&retry->dead), NULL, 0, 0,
                               read_dead, retry);
}

enum turn_end retries__take(struct runner *runner, struct work *work)
{
    size_t count = 0;
    LIST_EACH (node, &work->retries) {
        struct retry *retry = CONTAINER_OF(node, struct retry, node);
        if (!retry->is_read || retry->is_taken)
            continue;
        if (count++ == RETRIES_OF_TURN_MAX)
            break;
        if (retry->is_there) {
            enum turn_end end =
                machine_revive(work->machine, buf_slice(&retry->dead),
                               buf_slice(&retry->value), runner->now.wall_ns,
                               work__turn(work));
            if (end != TURN_TAKEN)
                return end;
            work->retried++;
            runner->told.retried++;
        }
        retry->is_taken = true;
    }
    return TURN_TAKEN;
}

bool retries__are_taken(const struct work *work)
{
    LIST_EACH (node, &work->retries) {
        if (CONTAINER_OF(node, struct retry, node)->is_taken)
            return true;
    }
    return false;
}

void retries__write(const struct work *work, struct store_txn *txn)
{
    LIST_EACH (node, &work->retries) {
        const struct retry *retry = CONTAINER_OF(node, struct retry, node);
        CHECK(!retry->is_taken || retry->is_read);
        if (retry->is_taken)
            store_txn__delete(txn, buf_slice(&retry->key), SLICE(""));
    }
}

void retries__committed(struct runner *runner, struct work *work)
{
    bool has_more = false;
    LIST_EACH (node, &work->retries) {
        struct retry *retry = CONTAINER_OF(node, struct retry, node);
        if (retry->is_taken)
            free_retry(runner, retry);
        else
            has_more = true;
    }
    if (has_more)
        work__ready(runner, work);
}

void retries__drop(struct runner *runner, struct work *work)
{
    LIST_EACH (node, &work->retries) {
        free_retry(runner, CONTAINER_OF(node, struct retry, node));
    }
}
