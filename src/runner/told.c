/* What runs tell: counters, and the text that Prometheus reads. */
#include "runner/runner_core.h"

enum { LABELLED_MAX = 1000 };

void told__histogram(struct told_histogram *histogram, int64_t took_ns)
{
    if (took_ns < 0)
        took_ns = 0;
    int64_t most_ns = MILLI_NS / 2;
    size_t bucket = 0;
    while (bucket < TOLD_BUCKETS && took_ns > most_ns) {
        most_ns *= 2;
        bucket++;
    }
    if (bucket < TOLD_BUCKETS) /* else only +Inf has it */
        histogram->buckets[bucket]++;
    histogram->count++;
    histogram->sum_s += (double)took_ns / 1e9;
}

void told__action(struct runner *runner, int64_t took_ns)
{
    told__histogram(&runner->told.actions, took_ns);
}

static bool is_dead_letter(const struct turn_operation *operation)
{
    return operation->kind == TURN_PUT && !operation->is_effect &&
           slice_has_prefix(operation->key, SLICE(RECIPES_PREFIX "dead/"));
}

void told__committed(struct runner *runner, struct work *work,
                     const struct turn *turn)
{
    struct told *told = &runner->told;
    told->turns++;
    told->fired += turn->fired;
    told->skipped += turn->skipped;
    told->failed += turn->failed;
    told->trips += turn->tripped;
    work->turns++;
    work->fired += turn->fired;
    work->skipped += turn->skipped;
    work->failed += turn->failed;
    for (size_t i = 0; i < turn->count; i++) {
        bool is_dead = is_dead_letter(&turn->operations[i]);
        told->dead += is_dead;
        work->given_up += is_dead;
    }
}

/* ---- metrics ------------------------------------------------------------ */

static void head(struct buf *out, const char *name, const char *type,
                 const char *help)
{
    buf_printf(out,
               "# HELP etched_recipes_%s %s\n# TYPE etched_recipes_%s %s\n",
               name, help, name, type);
}

static void counter(struct buf *out, const char *name, const char *help,
                    uint64_t value)
{
    head(out, name, "counter", help);
    buf_printf(out, "etched_recipes_%s %llu\n", name,
               (unsigned long long)value);
}

static void gauge(struct buf *out, const char *name, const char *help,
                  uint64_t value)
{
    head(out, name, "gauge", help);
    buf_printf(out, "etched_recipes_%s %llu\n", name,
               (unsigned long long)value);
}

static void histogram(struct buf *out, const char *name, const char *help,
                      const struct told_histogram *histogram)
{
    uint64_t sum = 0;
    double most_s = 0.0005;
    head(out, name, "histogram", help);
    for (size_t i = 0; i < TOLD_BUCKETS; i++) {
        sum += histogram->buckets[i];
        buf_printf(out, "etched_recipes_%s_bucket{le=\"%g\"} %llu\n", name,
                   most_s, (unsigned long long)sum);
        most_s *= 2;
    }
    buf_printf(out, "etched_recipes_%s_bucket{le=\"+Inf\"} %llu\n", name,
               (unsigned long long)histogram->count);
    buf_printf(out, "etched_recipes_%s_sum %g\n", name, histogram->sum_s);
    buf_printf(out, "etched_recipes_%s_count %llu\n", name,
               (unsigned long long)histogram->count);
}

static void write_states(const struct runner *runner, struct buf *out)
{
    uint64_t counts[DEF_BROKEN + 1] = {0};
    for (size_t i = 0; i < runner->defs.count; i++)
        counts[runner->defs.sorted[i]->state]++;
    head(out, "defs", "gauge", "Recipes by state.");
    for (int i = 0; i <= DEF_BROKEN; i++)
        buf_printf(out, "etched_recipes_defs{state=\"%s\"} %llu\n",
                   def_state_text((enum def_state)i),
                   (unsigned long long)counts[i]);
}

static uint64_t count_owned(const struct runner *runner, uint64_t *outbox)
{
    uint64_t count = 0;
    *outbox = 0;
    for (size_t i = 0; i < runner->defs.count; i++) {
        const struct work *work = runner->defs.sorted[i]->work;
        count += work != NULL;
        if (work && work->machine)
            *outbox += machine_outside_count(work->machine);
    }
    return count;
}

struct each {
    const char *name;
    const char *type;
    const char *help;
};

static double value_of(const struct runner *runner, const struct def *def,
                       int which)
{
    int64_t revisions;
    double seconds;
    const struct work *work = def->work;
    work__lag(runner, def, &revisions, &seconds);
    switch (which) {
    case 0:
        return (double)revisions;
    case 1:
        return seconds;
    case 2:
        return (double)work->fired;
    case 3:
        return (double)work->skipped;
    case 4:
        return (double)work->failed;
    case 5:
        return (double)work->retried;
    case 6:
        return (double)work->given_up;
    default:
        return work->machine ? (double)machine_outside_count(work->machine) : 0;
    }
}

static void write_each(const struct runner *runner, struct buf *out)
{
    static const struct each all[] = {
        {"lag_revisions", "gauge", "Revisions that a recipe is behind."},
        {"lag_seconds", "gauge", "Seconds that a recipe is behind."},
        {"recipe_fired_total", "counter", "Runs begun, by recipe."},
        {"recipe_skipped_total", "counter",
         "Events left out by a condition, by recipe."},
        {"recipe_failed_total", "counter", "Runs that failed, by recipe."},
        {"recipe_retried_total", "counter",
         "Actions outside tried again, by recipe."},
        {"recipe_dead_total", "counter",
         "Actions outside given up, by recipe."},
        {"recipe_outbox", "gauge", "Actions outside not done yet, by recipe."},
    };
    for (int which = 0; which < (int)(sizeof all / sizeof all[0]); which++) {
        size_t count = 0;
        head(out, all[which].name, all[which].type, all[which].help);
        for (size_t i = 0; i < runner->defs.count; i++) {
            const struct def *def = runner->defs.sorted[i];
            if (!def->work)
                continue;
            if (count++ == LABELLED_MAX)
                break;
            /* A name has no character that would have to be escaped. */
            buf_printf(out, "etched_recipes_%s{recipe=\"%.*s\"} %.15g\n",
                       all[which].name, (int)def->name.size, def->name.at,
                       value_of(runner, def, which));
        }
    }
}

void runner_metrics(const struct runner *runner, struct buf *out)
{
    const struct told *told = &runner->told;
    uint64_t outbox;
    uint64_t owned = count_owned(runner, &outbox);
    gauge(out, "workers", "Workers that live.", runner->workers.by_id.count);
    gauge(out, "owned", "Recipes that are this worker's.", owned);
    write_states(runner, out);
    gauge(out, "outbox", "Actions outside that aren't done yet.", outbox);
    gauge(out, "outside", "Actions outside under way.", runner->outside);
    counter(out, "events_total", "Events taken.", told->events);
    counter(out, "turns_total", "Transactions committed.", told->turns);
    counter(out, "conflicts_total", "Transactions that came too late.",
            told->conflicts);
    counter(out, "fired_total", "Runs begun.", told->fired);
    counter(out, "skipped_total", "Events left out by a condition.",
            told->skipped);
    counter(out, "failed_total", "Runs that failed.", told->failed);
    counter(out, "retried_total", "Actions outside tried again.",
            told->retried);
    counter(out, "dead_total", "Actions outside given up.", told->dead);
    counter(out, "trips_total", "Recipes stopped by their breaker.",
            told->trips);
    counter(out, "gaps_total", "Gaps by compaction.", told->gaps);
    histogram(out, "action_seconds", "Time that an action outside took.",
              &told->actions);
    histogram(out, "commit_seconds", "Time that a transaction took.",
              &told->commits);
    write_each(runner, out);
}
