#include "sim/trace.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"

static const struct {
    const char *text;
    const char *names[3];
} whats[] = {
#define X(name, text, a, b, c) {text, {a, b, c}},
    SIM_TRACE_TABLE(X)
#undef X
};

static uint64_t mix(uint64_t digest, uint64_t number)
{
    digest = (digest ^ number) * UINT64_C(0xff51afd7ed558ccd);
    return digest ^ (digest >> 29);
}

size_t sim__trace_text(const struct sim_trace_event *event,
                       char out[SIM_TRACE_LINE_BYTES_MAX])
{
    CHECK_LT(event->what, SIM_TRACE_COUNT);
    char place[8] = "-";
    if (event->place > SIM_TRACE_WORKERS)
        snprintf(place, sizeof place, "w%u", event->place - SIM_TRACE_WORKERS);
    else if (event->place)
        snprintf(place, sizeof place, "m%u", event->place);
    size_t size = (size_t)snprintf(
        out, SIM_TRACE_LINE_BYTES_MAX, "%6" PRId64 ".%06" PRId64 " %-4s %-18s",
        event->at_ns / 1000000000, event->at_ns / 1000 % 1000000, place,
        whats[event->what].text);
    for (int i = 0; i < 3; i++) {
        const char *name = whats[event->what].names[i];
        /* What may be negative is small; no number is near 2^63. */
        if (name && strcmp(name, "error") == 0 && event->numbers[i] < ERR_COUNT)
            size += (size_t)snprintf(
                out + size, SIM_TRACE_LINE_BYTES_MAX - size, " error=%s",
                err_name((enum err)event->numbers[i]));
        else if (name)
            size += (size_t)snprintf(
                out + size, SIM_TRACE_LINE_BYTES_MAX - size, " %s=%" PRId64,
                name, (int64_t)event->numbers[i]);
    }
    CHECK_LT(size, SIM_TRACE_LINE_BYTES_MAX);
    return size;
}

void sim__trace_add(struct sim_trace *trace,
                    const struct sim_trace_event *event)
{
    uint64_t digest = mix(trace->digest, (uint64_t)event->at_ns);
    digest = mix(digest, ((uint64_t)event->what << 16) | event->place);
    for (int i = 0; i < 3; i++)
        digest = mix(digest, event->numbers[i]);
    trace->digest = digest;
    trace->events[trace->count++ % SIM_TRACE_EVENTS_MAX] = *event;
    if (trace->on_line) {
        char line[SIM_TRACE_LINE_BYTES_MAX];
        size_t size = sim__trace_text(event, line);
        trace->on_line(trace->context, slice_of(line, size));
    }
}

void sim__trace_each(const struct sim_trace *trace, size_t count,
                     void (*each)(void *context, struct slice line),
                     void *context)
{
    uint64_t have = trace->count < SIM_TRACE_EVENTS_MAX ? trace->count
                                                        : SIM_TRACE_EVENTS_MAX;
    uint64_t from = trace->count - (count < have ? count : have);
    for (uint64_t i = from; i < trace->count; i++) {
        char line[SIM_TRACE_LINE_BYTES_MAX];
        size_t size =
            sim__trace_text(&trace->events[i % SIM_TRACE_EVENTS_MAX], line);
        each(context, slice_of(line, size));
    }
}
