/* The revision of a moment ago: on etched the store says; on etcd it is what
 * this worker saw then, if it was there. */
#include "runner/runner_core.h"

#define SAMPLE_EACH_NS (900 * SECOND_NS)

static void sample(struct runner *runner, struct timer *timer)
{
    struct ages *ages = &runner->ages;
    ages->samples[ages->count++ % AGE_SAMPLES_MAX] = (struct age_sample){
        .mono_ns = runner->now.mono_ns, .revision = runner->revision};
    timer__set(runner, timer, runner->now.mono_ns + SAMPLE_EACH_NS);
}

void ages__start(struct runner *runner)
{
    runner->ages.timer.due = sample;
    if (!runner->config.is_etched)
        timer__set(runner, &runner->ages.timer, runner->now.mono_ns);
}

void ages__stop(struct runner *runner)
{
    timer__stop(runner, &runner->ages.timer);
}

uint64_t age__ask(struct runner *runner, int64_t age_ns, store_done done,
                  void *context)
{
    CHECK(runner->config.is_etched);
    struct buf request = {0};
    pb_put_i64(&request, 1, runner->now.wall_ns - age_ns);
    uint64_t call = store__call(runner, RUNNER_REVISION_AT, buf_slice(&request),
                                done, context);
    buf_deinit(&request);
    return call;
}

int64_t age__answer(const struct store_answer *answer)
{
    struct pb_reader reader;
    struct pb_field field;
    int64_t revision = 0;
    if (answer->code != 0)
        return 0;
    pb_reader_init(&reader, answer->message);
    while (pb_next(&reader, &field))
        if (field.number == 2 && field.type == PB_VARINT)
            revision = (int64_t)field.value;
    return reader.failed ? 0 : revision;
}

int64_t age__seen(const struct runner *runner, int64_t age_ns)
{
    const struct ages *ages = &runner->ages;
    int64_t revision = 0;
    for (size_t i = 0; i < ages->count && i < AGE_SAMPLES_MAX; i++) {
        const struct age_sample *its = &ages->samples[i];
        if (its->mono_ns <= runner->now.mono_ns - age_ns &&
            its->revision > revision)
            revision = its->revision;
    }
    return revision;
}
