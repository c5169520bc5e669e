/* What is with the node, until its answer comes back.
 *
 *   task__write, _read, _change --> node     writer: on_..._done
 *                                               | host's inbox
 *   task->finish <-- rpc_answer <---------------'
 */
#include "base/check.h"
#include "rpc/rpc_int.h"

static_assert(offsetof(struct task, link) == 0 &&
                  offsetof(struct node_request, link) == 0 &&
                  offsetof(struct node_read, link) == 0 &&
                  offsetof(struct node_change, link) == 0,
              "an answer's link is its task");

static struct task *take(struct rpc *rpc)
{
    struct task *task = rpc->spare;
    if (task == NULL) {
        task = mem_alloc(sizeof(*task));
    } else {
        rpc->spare = task->next;
        rpc->spare_count--;
    }
    rpc->task_count++;
    return task;
}

static void give(struct rpc *rpc, struct task *task)
{
    CHECK_LT(0, rpc->task_count);
    rpc->task_count--;
    list_remove(&task->of_call);
    if (rpc->spare_count == RPC_SPARE_TASKS_MAX) {
        mem_free(task);
        return;
    }
    task->next = rpc->spare;
    rpc->spare = task;
    rpc->spare_count++;
}

void task__free_spare(struct rpc *rpc)
{
    while (rpc->spare != NULL) {
        struct task *next = rpc->spare->next;
        mem_free(rpc->spare);
        rpc->spare = next;
    }
    rpc->spare_count = 0;
}

struct task *task__new(struct rpc *rpc, struct call *call,
                       void (*finish)(struct rpc *rpc, struct task *done))
{
    struct task *task = take(rpc);
    *task = (struct task){.rpc = rpc, .call = call, .finish = finish};
    list_init(&task->of_call);
    if (call != NULL) {
        list_push_back(&call->tasks, &task->of_call);
    }
    return task;
}

/* On the writer's thread. */
static void hand_back(struct task *task)
{
    const struct rpc_config *config = &task->rpc->config;
    config->on_answer(config->context, &task->link);
}

static void on_write_done(struct node_request *request)
{
    hand_back(CONTAINER_OF(request, struct task, write));
}

static void on_read_done(struct node_read *read)
{
    hand_back(CONTAINER_OF(read, struct task, read));
}

static void on_change_done(struct node_change *change)
{
    hand_back(CONTAINER_OF(change, struct task, change));
}

/* The node didn't take it. `err_at` is where in a task of this kind the error
 * stands. */
static void refuse(struct task *task, enum err err, enum err *err_at)
{
    struct rpc *rpc = task->rpc;
    *err_at = err;
    struct task done = *task;
    give(rpc, task);
    if (done.call != NULL) {
        call__fail_err(done.call, err);
    } else {
        done.finish(rpc, &done);
    }
}

void task__write(struct task *task, struct refbuf *command)
{
    task->write.command = command;
    task->write.on_done = on_write_done;
    enum err err = node_submit(task->rpc->node, &task->write);
    if (err != ERR_OK) {
        refbuf_unref(command);
        refuse(task, err, &task->write.err);
    }
}

void task__write_message(struct task *task, enum command_type type,
                         struct slice message)
{
    struct command command = {.type = type, .message = message};
    CHECK(task->call != NULL);
    who__sign(task->call, &command);
    task__write(task, command_encode(&command));
}

void task__read(struct task *task)
{
    task->read.on_done = on_read_done;
    enum err err = node_read(task->rpc->node, &task->read);
    if (err != ERR_OK) {
        refuse(task, err, &task->read.err);
    }
}

void task__change(struct task *task)
{
    task->change.on_done = on_change_done;
    enum err err = node_change(task->rpc->node, &task->change);
    if (err != ERR_OK) {
        refuse(task, err, &task->change.err);
    }
}

void rpc_answer(struct rpc *rpc, struct queue_link *answer)
{
    struct task *task = CONTAINER_OF(answer, struct task, link);
    CHECK(task->rpc == rpc && !rpc->reading);
    struct task done = *task;
    give(rpc, task);
    list_init(&done.of_call);
    done.finish(rpc, &done);
}

/* ---- linearizable reads ---------------------------------------------- */

static void finish_read(struct rpc *rpc, struct task *done)
{
    (void)rpc;
    if (done->call == NULL) {
        return;
    }
    if (done->read.err == ERR_OK) {
        done->then(done->call, done->context);
    } else {
        call__fail_err(done->call, done->read.err);
    }
}

void task__when_current(struct call *call, bool serializable, void *context,
                        void (*then)(struct call *call, void *context))
{
    if (serializable || node_reads_are_current(call->rpc->node)) {
        then(call, context);
        return;
    }
    struct task *task = task__new(call->rpc, call, finish_read);
    task->context = context;
    task->then = then;
    task__read(task);
}
