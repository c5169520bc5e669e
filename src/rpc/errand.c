#include "rpc/errand.h"

#include "base/check.h"

static void run(struct work *work)
{
    struct errand *errand = CONTAINER_OF(work, struct errand, work);
    const struct rpc_config *config = &errand->rpc->config;
    errand->run(errand);
    config->on_worked(config->context, work);
}

static void done(struct work *work)
{
    struct errand *errand = CONTAINER_OF(work, struct errand, work);
    CHECK(errand->away);
    CHECK_LT(0, errand->rpc->task_count);
    errand->rpc->task_count--;
    errand->away = false;
    errand->done(errand);
}

void errand__init(struct errand *errand, struct call *call)
{
    *errand = (struct errand){
        .work = {.run = run, .done = done},
        .rpc = call->rpc,
        .call = call,
    };
}

void errand__submit(struct errand *errand, void (*work)(struct errand *errand),
                    void (*after)(struct errand *errand))
{
    const struct rpc_shared *shared = errand->rpc->shared;
    CHECK(!errand->away);
    errand->run = work;
    errand->done = after;
    errand->away = true;
    errand->rpc->task_count++;
    shared->submit_work(shared->context, &errand->work);
}

void errand__give_up(struct errand *errand)
{
    errand->call = NULL;
    atomic_store_explicit(&errand->is_unasked, true, memory_order_relaxed);
}

bool errand__is_unasked(const struct errand *errand)
{
    return atomic_load_explicit(&errand->is_unasked, memory_order_relaxed);
}
