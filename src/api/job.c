/* What is with the node, until its answer comes back.
 *
 *   job__write, _read, _change --> node     writer: on_..._done
 *                                              | host's inbox
 *   job->finish <-- api_answer <---------------'
 */
#include "api/api_int.h"
#include "base/check.h"

static struct job *take(struct api *api)
{
    struct job *job = api->spare;
    if (job == NULL) {
        job = mem_alloc(sizeof(*job));
    } else {
        api->spare = job->next;
        api->spare_count--;
    }
    api->job_count++;
    return job;
}

static void give(struct api *api, struct job *job)
{
    CHECK_LT(0, api->job_count);
    api->job_count--;
    if (api->spare_count == API_SPARE_JOBS_MAX) {
        mem_free(job);
        return;
    }
    job->next = api->spare;
    api->spare = job;
    api->spare_count++;
}

void job__free_spare(struct api *api)
{
    while (api->spare != NULL) {
        struct job *next = api->spare->next;
        mem_free(api->spare);
        api->spare = next;
    }
    api->spare_count = 0;
}

static void on_gone(struct http_exchange *exchange)
{
    struct job *job = exchange->context;
    CHECK(job->exchange == exchange);
    job->exchange = NULL;
}

struct job *job__new(struct api *api, struct http_exchange *exchange,
                     void (*finish)(struct api *api, struct job *done))
{
    struct job *job = take(api);
    *job = (struct job){
        .api = api,
        .exchange = exchange,
        .caller = api->caller,
        .finish = finish,
    };
    exchange->context = job;
    exchange->on_gone = on_gone;
    return job;
}

/* On the writer's thread. */
static void hand_back(struct job *job)
{
    const struct api_config *config = &job->api->config;
    config->on_answer(config->context, &job->link);
}

static void on_write_done(struct node_request *request)
{
    hand_back(CONTAINER_OF(request, struct job, write));
}

static void on_read_done(struct node_read *read)
{
    hand_back(CONTAINER_OF(read, struct job, read));
}

static void on_change_done(struct node_change *change)
{
    hand_back(CONTAINER_OF(change, struct job, change));
}

/* The node didn't take it. */
static void refuse(struct job *job, enum err err)
{
    struct api *api = job->api;
    struct http_exchange *exchange = job->exchange;
    exchange->on_gone = NULL;
    give(api, job);
    api__respond_failure(api, exchange, err);
}

void job__write(struct job *job, struct refbuf *command)
{
    job->write.command = command;
    job->write.on_done = on_write_done;
    enum err err = node_submit(job->api->node, &job->write);
    if (err != ERR_OK) {
        refbuf_unref(command);
        refuse(job, err);
    }
}

void job__read(struct job *job)
{
    job->read.on_done = on_read_done;
    enum err err = node_read(job->api->node, &job->read);
    if (err != ERR_OK) {
        refuse(job, err);
    }
}

void job__change(struct job *job)
{
    job->change.on_done = on_change_done;
    enum err err = node_change(job->api->node, &job->change);
    if (err != ERR_OK) {
        refuse(job, err);
    }
}

void api_answer(struct api *api, struct queue_link *answer)
{
    struct job *job = CONTAINER_OF(answer, struct job, link);
    struct job done = *job;
    CHECK(job->api == api);
    give(api, job);
    if (done.exchange != NULL) {
        done.exchange->on_gone = NULL;
    }
    done.finish(api, &done);
}
