/* Actions outside: what a machine wants done, to the door and back.
 *
 *   machine_next_outside -> secrets are read -> doors.act -> runner_acted
 *     -> machine_answer -> a turn -> committed: done
 *
 * An act that is under way outlives its machine: when the recipe is loaded
 * again and wants the same attempt, it is given the answer of the one that is
 * out already. That is a kindness, not a promise: outside it is at least once.
 *
 * At most OUTSIDE_OF_RECIPE_MAX of a recipe and OUTSIDE_MAX of all are under
 * way; the others wait, in order of their recipes. */
#include "runner/runner_core.h"

enum act_state { ACT_WANTED, ACT_OUT, ACT_ANSWERED, ACT_TAKEN };

struct outside_act {
    struct acting acting;
    struct list node;
    struct work *work; /* NULL: it is over, only its end is awaited */
    enum act_state state;
    bool is_claimed; /* by the machine that is */
    struct run_id run;
    struct buf step;
    unsigned attempt;
    enum action_kind kind;
    int64_t timeout_ns;
    int64_t sent_ns;
    struct arena arena;
    struct buf request;
    struct buf idempotency_key;
    struct value parts;
    struct secrets secrets;
    struct outside_answer answer;
};

/* ---- the door ------------------------------------------------------------ */

void acting__send(struct runner *runner, struct acting *acting,
                  const struct act *act)
{
    acting->id = ++runner->next_act;
    map_u64_put(&runner->acts, acting->id, acting);
    runner->config.doors.act(runner->config.doors.context, acting->id, act);
}

void acting__forget(struct runner *runner, struct acting *acting)
{
    if (acting->id)
        map_u64_remove(&runner->acts, acting->id);
    acting->id = 0;
}

void runner_acted(struct runner *runner, uint64_t id,
                  const struct act_answer *answer)
{
    struct acting *acting = map_u64_remove(&runner->acts, id);
    if (!acting)
        return;
    acting->id = 0;
    acting->done(runner, acting, answer);
}

/* ---- one ----------------------------------------------------------------- */

static void free_act(struct runner *runner, struct outside_act *act)
{
    acting__forget(runner, &act->acting);
    secrets__forget(runner, &act->secrets);
    list_remove(&act->node);
    buf_deinit(&act->step);
    buf_deinit(&act->request);
    buf_deinit(&act->idempotency_key);
    arena_deinit(&act->arena);
    mem_free(act);
}

static void end_out(struct runner *runner, struct outside_act *act)
{
    CHECK_LT(0, runner->outside);
    runner->outside--;
    if (act->work) {
        CHECK_LT(0, act->work->outside);
        act->work->outside--;
    }
    struct list *first = list_first(&runner->outside_waits);
    if (first) {
        struct work *work = CONTAINER_OF(first, struct work, outside_waits);
        list_remove(first);
        work__ready(runner, work);
    }
}

static struct slice keep(struct outside_act *act, struct slice bytes)
{
    if (bytes.size == 0)
        return SLICE("");
    return slice_of(arena_dup(&act->arena, bytes.at, bytes.size), bytes.size);
}

static void answered(struct runner *runner, struct outside_act *act)
{
    act->state = ACT_ANSWERED;
    act->answer.time_ns = runner->now.wall_ns;
    if (!act->work) {
        end_out(runner, act);
        free_act(runner, act);
        return;
    }
    end_out(runner, act);
    work__ready(runner, act->work);
}

static void fail(struct runner *runner, struct outside_act *act, bool is_final,
                 struct slice error)
{
    act->answer = (struct outside_answer){.is_final = is_final,
                                          .error = keep(act, error),
                                          .headers = SLICE(""),
                                          .body = SLICE("")};
    answered(runner, act);
}

/* 4xx but those that say: later. A redirect that wasn't followed is final. */
static bool is_final_status(enum action_kind kind, int status)
{
    if (kind == ACTION_EMAIL)
        return status >= 500 && status < 600;
    if (kind != ACTION_HTTP)
        return false;
    return (status >= 300 && status < 500 && status != 408 && status != 425 &&
            status != 429);
}

static bool is_ok(enum action_kind kind, const struct act_answer *answer)
{
    if (!answer->was_sent || answer->is_refused || answer->error.size)
        return false;
    if (kind == ACTION_EXEC)
        return answer->status == 0;
    return answer->status >= 200 && answer->status < 300;
}

static void acted(struct runner *runner, struct acting *acting,
                  const struct act_answer *answer)
{
    struct outside_act *act = CONTAINER_OF(acting, struct outside_act, acting);
    told__action(runner, runner->now.mono_ns - act->sent_ns);
    act->answer = (struct outside_answer){
        .is_ok = is_ok(act->kind, answer),
        .is_final =
            answer->is_refused || is_final_status(act->kind, answer->status),
        .status = answer->status,
        .error = keep(act, answer->error),
        .retry_after_ns = answer->retry_after_ns,
        .headers = keep(act, answer->headers),
        .body = keep(act, answer->body),
    };
    answered(runner, act);
}

static void secrets_read(struct runner *runner, void *context)
{
    struct outside_act *act = context;
    if (act->secrets.fault.size) {
        fail(runner, act, act->secrets.is_final,
             buf_slice(&act->secrets.fault));
        secrets__forget(runner, &act->secrets);
        return;
    }
    struct act made;
    struct act_maker maker = {.kind = act->kind,
                              .parts = &act->parts,
                              .secrets = &act->secrets,
                              .idempotency_key =
                                  buf_slice(&act->idempotency_key),
                              .timeout_ns = act->timeout_ns,
                              .wall_ns = runner->now.wall_ns};
    const char *why = act__make(&maker, &made);
    act->sent_ns = runner->now.mono_ns;
    if (why) {
        fail(runner, act, true, slice_str(why));
    } else {
        act->state = ACT_OUT;
        acting__send(runner, &act->acting, &made);
    }
    act__unmake(&maker);
    secrets__forget(runner, &act->secrets);
}

static void begin(struct runner *runner, struct work *work,
                  const struct outside *outside)
{
    CHECK_LT(runner->outside, OUTSIDE_MAX);
    CHECK_LT(work->outside, OUTSIDE_OF_RECIPE_MAX);
    struct outside_act *act = mem_alloc_zero(sizeof *act);
    act->acting.done = acted;
    act->work = work;
    act->is_claimed = true;
    act->run = outside->run;
    act->attempt = outside->attempt;
    act->kind = outside->kind;
    act->timeout_ns = outside->timeout_ns;
    act->sent_ns = runner->now.mono_ns;
    arena_init(&act->arena, 0);
    buf_append_slice(&act->step, outside->step);
    buf_append_slice(&act->request, outside->request);
    buf_append_slice(&act->idempotency_key, outside->idempotency_key);
    act->parts = value_from_text(&act->arena, buf_slice(&act->request));
    list_push_back(&work->acts, &act->node);
    work->outside++;
    runner->outside++;
    secrets__read(runner, &act->secrets, work__owner(work), &act->parts,
                  secrets_read, act);
}

/* One that an earlier machine of this recipe has sent. */
static bool adopt(struct runner *runner, struct work *work,
                  const struct outside *outside)
{
    LIST_EACH (node, &work->acts) {
        struct outside_act *act = CONTAINER_OF(node, struct outside_act, node);
        if (act->is_claimed || act->attempt != outside->attempt ||
            run_id_compare(&act->run, &outside->run) != 0 ||
            !slice_eq(buf_slice(&act->step), outside->step))
            continue;
        act->is_claimed = true;
        if (act->state == ACT_ANSWERED)
            work__ready(runner, work);
        return true;
    }
    return false;
}

void outside__pump(struct runner *runner, struct work *work)
{
    CHECK(work->machine != NULL);
    const struct outside *outside;
    while (work->outside < OUTSIDE_OF_RECIPE_MAX) {
        if (runner->outside >= OUTSIDE_MAX) {
            list_remove(&work->outside_waits);
            list_push_back(&runner->outside_waits, &work->outside_waits);
            return;
        }
        if (!machine_next_outside(work->machine, runner->now.wall_ns, &outside))
            return;
        if (outside->attempt > 0) {
            work->retried++;
            runner->told.retried++;
        }
        if (!adopt(runner, work, outside))
            begin(runner, work, outside);
    }
}

/* ---- answers into turns -------------------------------------------------- */

enum turn_end outside__take(struct runner *runner, struct work *work)
{
    (void)runner;
    struct lookups lookups = lookup__of(work);
    LIST_EACH (node, &work->acts) {
        struct outside_act *act = CONTAINER_OF(node, struct outside_act, node);
        if (act->state != ACT_ANSWERED || !act->is_claimed)
            continue;
        enum turn_end end =
            machine_answer(work->machine, &act->run, buf_slice(&act->step),
                           &act->answer, &lookups, work__turn(work));
        if (end != TURN_TAKEN)
            return end;
        act->state = ACT_TAKEN;
    }
    return TURN_TAKEN;
}

void outside__committed(struct runner *runner, struct work *work)
{
    LIST_EACH (node, &work->acts) {
        struct outside_act *act = CONTAINER_OF(node, struct outside_act, node);
        if (act->state == ACT_TAKEN)
            free_act(runner, act);
    }
}

void outside__drop(struct runner *runner, struct work *work)
{
    (void)runner;
    LIST_EACH (node, &work->acts) {
        struct outside_act *act = CONTAINER_OF(node, struct outside_act, node);
        act->is_claimed = false;
        if (act->state == ACT_TAKEN)
            act->state = ACT_ANSWERED;
    }
    list_remove(&work->outside_waits);
}

void outside__stop(struct runner *runner, struct work *work)
{
    LIST_EACH (node, &work->acts) {
        struct outside_act *act = CONTAINER_OF(node, struct outside_act, node);
        if (act->state == ACT_OUT) {
            /* It goes on without us, and keeps its place until it ends. */
            work->outside--;
            act->work = NULL;
            list_remove(&act->node);
        } else {
            if (act->state == ACT_WANTED)
                end_out(runner, act);
            free_act(runner, act);
        }
    }
    CHECK_EQ(work->outside, 0);
}

void outside__deinit(struct runner *runner)
{
    for (;;) {
        size_t position = 0;
        uint64_t id;
        struct acting *acting = map_u64_next(&runner->acts, &position, &id);
        if (!acting)
            return;
        CHECK(acting->done == acted); /* fetches went with their works */
        free_act(runner, CONTAINER_OF(acting, struct outside_act, acting));
    }
}
