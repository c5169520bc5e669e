/* For tests of what recipes do outside: a poller that is run until an answer
 * has come, and the answer, copied. */
#ifndef ETCHED_TESTS_RECIPES_CASE_H
#define ETCHED_TESTS_RECIPES_CASE_H

#include <poll.h>
#include <time.h>

#include "host/poller.h"
#include "runner/runner.h"

enum { ANSWERS_MAX = 128, CASE_MS = 20 * 1000 };

struct told_answer {
    uint64_t id;
    bool was_sent, is_refused;
    int status;
    int64_t retry_after_ns;
    char error[512];
    char headers[2048];
    struct buf body;
};

struct recipes_case {
    struct poller poller;
    struct told_answer answers[ANSWERS_MAX];
    size_t count;
    int64_t (*run)(void *outside, int64_t now_ms);
    void *outside;
};

static int64_t case_now_ms(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void copy_text(char *out, size_t size, struct slice text)
{
    assert_true(text.size < size);
    if (text.size > 0) {
        memcpy(out, text.at, text.size);
    }
    out[text.size] = '\0';
}

static void case_on_acted(void *context, uint64_t id,
                          const struct act_answer *answer)
{
    struct recipes_case *own = context;
    assert_true(own->count < ANSWERS_MAX);
    struct told_answer *told = &own->answers[own->count++];
    *told = (struct told_answer){
        .id = id,
        .was_sent = answer->was_sent,
        .is_refused = answer->is_refused,
        .status = answer->status,
        .retry_after_ns = answer->retry_after_ns,
    };
    copy_text(told->error, sizeof(told->error), answer->error);
    copy_text(told->headers, sizeof(told->headers), answer->headers);
    buf_append_slice(&told->body, answer->body);
    buf_append_char(&told->body, '\0');
}

/* Until so many answers have come in all. */
static void case_run_until(struct recipes_case *own, size_t count)
{
    int64_t end_ms = case_now_ms() + CASE_MS;
    while (own->count < count) {
        int64_t now_ms = case_now_ms();
        assert_true(now_ms < end_ms);
        int64_t next_ms = own->run(own->outside, now_ms);
        if (own->count >= count) {
            return;
        }
        next_ms = next_ms < end_ms ? next_ms : end_ms;
        struct pollfd poll_fd = {.fd = own->poller.fd, .events = POLLIN};
        (void)poll(&poll_fd, 1, next_ms > now_ms ? (int)(next_ms - now_ms) : 0);
        poller_run(&own->poller);
    }
}

static struct told_answer *case_last(struct recipes_case *own)
{
    assert_true(own->count > 0);
    return &own->answers[own->count - 1];
}

static void case_deinit(struct recipes_case *own)
{
    for (size_t i = 0; i < own->count; i++) {
        buf_deinit(&own->answers[i].body);
    }
    poller_deinit(&own->poller);
}

#endif
