/* Passwords are looked at on a worker's thread: a bcrypt takes as long as
 * thousands of requests.
 *
 *   I/O thread                  worker                    I/O thread
 *   chore__submit  ------->  run -- config.on_worked --> api_worked: done
 *
 * Where the client goes away meanwhile nobody waits for what comes of it; the
 * chore's memory is its own. How many there are at once in the process is
 * bounded: who comes when all are taken is told to come again.
 */
#include "api/api_int.h"
#include "auth/login.h"
#include "base/check.h"

static void chore_free(struct chore *chore)
{
    auth_wipe_buf(&chore->password);
    auth_wipe_buf(&chore->hash);
    buf_deinit(&chore->user);
    mem_free(chore);
    auth_login_leave();
}

static void on_gone(struct http_exchange *exchange)
{
    struct chore *chore = exchange->context;
    CHECK(chore->exchange == exchange);
    chore->exchange = NULL;
}

static void run(struct work *work)
{
    struct chore *chore = CONTAINER_OF(work, struct chore, work);
    struct api *api = chore->api;
    chore->run(chore, api->shared->crypto);
    if (api->shared->submit_work != NULL) {
        api->config.on_worked(api->config.context, work);
    }
}

static void done(struct work *work)
{
    struct chore *chore = CONTAINER_OF(work, struct chore, work);
    struct http_exchange *exchange = chore->exchange;
    struct api *api = chore->api;
    CHECK_LT(0, api->job_count);
    api->job_count--;
    if (exchange != NULL) {
        exchange->on_gone = NULL;
        if (api->stopping) {
            chore_free(chore);
            api__respond_message(api, exchange, 503,
                                 "etcdserver: server stopped");
            return;
        }
        chore->done(api, chore);
    }
    chore_free(chore);
}

struct chore *chore__new(struct api *api, struct http_exchange *exchange)
{
    const char *why = NULL;
    if (api->shared->crypto == NULL) {
        why = "etcdserver: this server can't check passwords";
    } else if (!auth_login_enter()) {
        why = "etcdserver: too many requests";
    }
    if (why != NULL) {
        api__respond_message(api, exchange, 503, why);
        return NULL;
    }
    struct chore *chore = mem_alloc_zero(sizeof(*chore));
    chore->work = (struct work){.run = run, .done = done};
    chore->api = api;
    chore->exchange = exchange;
    chore->caller = api->caller;
    exchange->context = chore;
    exchange->on_gone = on_gone;
    return chore;
}

void chore__submit(struct chore *chore)
{
    const struct api_shared *shared = chore->api->shared;
    CHECK(chore->run != NULL && chore->done != NULL);
    chore->api->job_count++;
    if (shared->submit_work != NULL) {
        shared->submit_work(shared->work_context, &chore->work);
        return;
    }
    run(&chore->work);
    done(&chore->work);
}

void api_worked(struct api *api, struct work *work)
{
    CHECK(!api->reading);
    CHECK(CONTAINER_OF(work, struct chore, work)->api == api);
    work->done(work);
}
