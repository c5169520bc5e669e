#include "sim/service.h"

#include "base/check.h"
#include "base/mem.h"
#include "proto/message.h"
#include "recipe/keys.h"
#include "recipe/recipe.h"

/* Behind the last that must come: what was thought lost may be done, too. */
#define QUIET_NS (8 * SIM_SECOND)

/* ---- definitions --------------------------------------------------------- */

/* A put of one, where it isn't there. */
static void encode_define(const struct recipe *recipe, struct buf *out)
{
    struct buf key = {0};
    Etcdserverpb__TxnRequest txn;
    Etcdserverpb__Compare compare;
    Etcdserverpb__Compare *compares[] = {&compare};
    Etcdserverpb__PutRequest put;
    Etcdserverpb__RequestOp op;
    Etcdserverpb__RequestOp *ops[] = {&op};
    etcdserverpb__txn_request__init(&txn);
    etcdserverpb__compare__init(&compare);
    etcdserverpb__put_request__init(&put);
    etcdserverpb__request_op__init(&op);
    recipe_key_write(&key, RECIPE_KEY_DEF, recipe->name, NULL);
    compare.result = ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL;
    compare.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION;
    compare.target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION;
    compare.key = put.key = message_data(buf_slice(&key));
    put.value = message_data(recipe->json);
    op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    op.request_put = &put;
    txn.n_compare = txn.n_success = 1;
    txn.compare = compares;
    txn.success = ops;
    message_encode(&txn.base, out);
    buf_deinit(&key);
}

static void on_defined(struct sim_service *service, const struct sim_call *call)
{
    service->defined += call->code == 0;
    sim__at(service->sim, &service->define, service->sim->now_ns + SIM_MS);
}

static void define(struct sim *sim, struct sim_event *event)
{
    struct sim_service *service =
        CONTAINER_OF(event, struct sim_service, define);
    const char *text = firing_recipe(service->defined);
    struct recipe *recipe = NULL;
    struct recipe_fault fault;
    struct buf yaml = {0};
    struct buf request = {0};
    (void)sim;
    if (text == NULL)
        return;
    buf_printf(&yaml, "# YAML\n%s", text);
    enum err err =
        recipe_parse(buf_slice(&yaml), sim__zones(), &recipe, &fault);
    CHECK_EQ(err, ERR_OK);
    encode_define(recipe, &request);
    sim__call(service, NULL, 0, RUNNER_TXN, buf_slice(&request), on_defined);
    recipe_free(recipe);
    buf_deinit(&yaml);
    buf_deinit(&request);
}

/* ---- faults -------------------------------------------------------------- */

static int64_t up_to_ms(struct sim_service *service, int64_t least,
                        int64_t most)
{
    return prng_between(&service->prng, least, most) * SIM_MS;
}

static void kill_one(struct sim_service *service, struct sim_worker *worker)
{
    sim__count(service->sim, SIM_COUNT_WORKERS, worker->runner != NULL);
    sim__worker_kill(worker);
    sim__at_latest(service->sim, &worker->rise,
                   service->sim->now_ns + up_to_ms(service, 5, 4000));
}

/* Longer than its lease, now and then. */
static void pause_one(struct sim_service *service, struct sim_worker *worker)
{
    int64_t most_ms = service->lease_ns / SIM_MS * 2;
    sim__worker_pause(worker, up_to_ms(service, 20, most_ms));
}

static void cut_one(struct sim_service *service, struct sim_worker *worker)
{
    int64_t most_ms = service->lease_ns / SIM_MS * 2;
    worker->cut_until_ns =
        service->sim->now_ns + up_to_ms(service, 20, most_ms);
    sim__stream_break(worker);
}

/* Who has left in order comes again. */
static void raise_all(struct sim_service *service)
{
    for (int i = 0; i < service->worker_count; i++) {
        struct sim_worker *worker = &service->workers[i];
        if (worker->state == SIM_WORKER_DOWN && !sim__is_set(&worker->rise))
            sim__at(service->sim, &worker->rise,
                    service->sim->now_ns + up_to_ms(service, 10, 1000));
    }
}

static void strike(struct sim *sim, struct sim_event *event)
{
    struct sim_service *service =
        CONTAINER_OF(event, struct sim_service, strike);
    struct sim_worker *worker = &service->workers[prng_below(
        &service->prng, (uint64_t)service->worker_count)];
    switch (prng_below(&service->prng, 6)) {
    case 0:
        if (sim->faults & SIM_FAULT_KILL)
            kill_one(service, worker);
        break;
    case 1:
        if (sim->faults & SIM_FAULT_PAUSE)
            pause_one(service, worker);
        break;
    case 2:
        if (sim->faults & SIM_FAULT_CUT)
            cut_one(service, worker);
        break;
    case 3:
        if (sim->faults & SIM_FAULT_RESTART)
            sim__worker_leave(worker);
        break;
    case 4:
        if (sim->faults & SIM_FAULT_CLOCK)
            worker->wall_offset_ns += up_to_ms(service, -3000, 3000);
        break;
    default:
        sim__stream_break(worker);
    }
    raise_all(service);
    sim__at(sim, event, sim->now_ns + up_to_ms(service, 10, 1500));
}

/* ---- life ---------------------------------------------------------------- */

void sim__service_start(struct sim *sim, int workers)
{
    static const int64_t leases_s[] = {2, 2, 3, 10};
    struct sim_service *service = mem_alloc_zero(sizeof *service);
    CHECK(workers > 0 && workers <= SIM_WORKERS_MAX);
    sim->service = service;
    service->sim = service->firings.sim = sim;
    prng_init(&service->prng, sim->options.seed * 11 + 5);
    list_init(&service->calls);
    list_init(&service->errands);
    service->worker_count = workers;
    service->lease_ns = leases_s[prng_below(&service->prng, 4)] * SIM_SECOND;
    service->lazy_ns = prng_between(&service->prng, 1, 20) * SIM_SECOND;
    service->delay_ns = prng_between(&service->prng, 1, 5) * SIM_MS;
    service->lost_ppm =
        sim->faults ? (uint32_t)prng_below(&service->prng, 40000) : 0;
    service->strike.fire = strike;
    service->define.fire = define;
    for (int i = 1; i <= workers; i++) {
        sim__worker_init(service, i);
        sim__at(sim, &service->workers[i - 1].rise,
                sim->now_ns + up_to_ms(service, 0, 2000));
    }
    sim__at(sim, &service->define, sim->now_ns + up_to_ms(service, 0, 1000));
    if (sim->faults)
        sim__at(sim, &service->strike, sim->now_ns + SIM_SECOND);
}

void sim__service_stop(struct sim *sim)
{
    struct sim_service *service = sim->service;
    if (service == NULL)
        return;
    for (int i = 0; i < service->worker_count; i++) {
        sim__worker_kill(&service->workers[i]);
        sim__cancel(sim, &service->workers[i].rise);
    }
    sim__cancel(sim, &service->strike);
    sim__cancel(sim, &service->define);
    sim__errands_free(service);
}

void sim__service_free(struct sim *sim)
{
    if (sim->service == NULL)
        return;
    sim__calls_free(sim->service);
    mem_free(sim->service);
    sim->service = NULL;
}

void sim__service_note(struct sim *sim, const struct mvcc_commit *commit)
{
    if (sim->service)
        firings_note(&sim->service->firings, commit);
}

/* ---- the end ------------------------------------------------------------- */

void sim__service_heal(struct sim *sim)
{
    struct sim_service *service = sim->service;
    if (service == NULL)
        return;
    service->lost_ppm = 0;
    sim__cancel(sim, &service->strike);
    for (int i = 0; i < service->worker_count; i++) {
        struct sim_worker *worker = &service->workers[i];
        worker->cut_until_ns = 0;
        sim__worker_resume(worker);
    }
}

static bool all_left(struct sim_service *service)
{
    bool left = true;
    for (int i = 0; i < service->worker_count; i++) {
        struct sim_worker *worker = &service->workers[i];
        sim__worker_leave(worker);
        sim__cancel(service->sim, &worker->rise);
        left = left && worker->runner == NULL;
    }
    return left;
}

bool sim__service_is_over(struct sim *sim)
{
    struct sim_service *service = sim->service;
    if (service == NULL)
        return true;
    if (firing_recipe(service->defined) ||
        !firings_are_complete(&service->firings, NULL)) {
        service->quiet_ns = 0;
        raise_all(service);
        return false;
    }
    if (service->quiet_ns == 0)
        service->quiet_ns = sim->now_ns + QUIET_NS;
    if (sim->now_ns < service->quiet_ns)
        return false;
    return all_left(service) && !sim__calls_wait(service);
}

void sim__service_say_why(struct sim *sim, struct buf *why)
{
    struct sim_service *service = sim->service;
    if (service == NULL)
        return;
    if (firing_recipe(service->defined))
        buf_printf(why, "only %d recipes could be put", service->defined);
    else if (firings_are_complete(&service->firings, why))
        buf_append_str(why, "the workers don't leave");
}
