/* Many descriptors behind one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/mem.h"
#include "host/poller.h"

static struct poller poller;

struct pipe_entry {
    struct poller_entry entry;
    int write_fd;
    int calls;
    struct poller_entry *removes; /* when it is ready */
};

static void on_ready(struct poller_entry *entry, uint32_t events)
{
    struct pipe_entry *own = (struct pipe_entry *)entry;
    char c;
    (void)events;
    own->calls++;
    assert_int_equal(read(entry->fd, &c, 1), 1);
    if (own->removes != NULL) {
        poller_set(&poller, own->removes, 0);
    }
}

static void open_entry(struct pipe_entry *own)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    *own = (struct pipe_entry){.entry = {.fd = ends[0], .on_ready = on_ready},
                               .write_fd = ends[1]};
    poller_set(&poller, &own->entry, EPOLLIN);
}

static void close_entry(struct pipe_entry *own)
{
    poller_set(&poller, &own->entry, 0);
    close(own->entry.fd);
    close(own->write_fd);
}

static bool is_readable(void)
{
    struct pollfd poll_fd = {.fd = poller.fd, .events = POLLIN};
    return poll(&poll_fd, 1, 0) == 1;
}

static void one_descriptor_tells_of_many(void **state)
{
    (void)state;
    struct pipe_entry entries[3];
    poller_init(&poller);
    for (int i = 0; i < 3; i++) {
        open_entry(&entries[i]);
    }
    assert_false(is_readable());
    assert_int_equal(write(entries[1].write_fd, "x", 1), 1);
    assert_int_equal(write(entries[2].write_fd, "xy", 2), 2);
    assert_true(is_readable());
    poller_run(&poller);
    assert_false(is_readable());
    assert_int_equal(entries[0].calls, 0);
    assert_int_equal(entries[1].calls, 1);
    assert_int_equal(entries[2].calls, 2); /* level-triggered */
    for (int i = 0; i < 3; i++) {
        close_entry(&entries[i]);
    }
    poller_deinit(&poller);
}

/* Whoever is ready first removes the other, which must not be called. */
static void who_was_removed_is_not_called(void **state)
{
    (void)state;
    struct pipe_entry entries[2];
    poller_init(&poller);
    open_entry(&entries[0]);
    open_entry(&entries[1]);
    entries[0].removes = &entries[1].entry;
    entries[1].removes = &entries[0].entry;
    assert_int_equal(write(entries[0].write_fd, "x", 1), 1);
    assert_int_equal(write(entries[1].write_fd, "x", 1), 1);
    poller_run(&poller);
    assert_int_equal(entries[0].calls + entries[1].calls, 1);
    close_entry(&entries[0]);
    close_entry(&entries[1]);
    poller_deinit(&poller);
}

static void one_that_never_ends_leaves_room(void **state)
{
    (void)state;
    struct pipe_entry busy;
    char many[512] = {0};
    poller_init(&poller);
    open_entry(&busy);
    assert_int_equal(write(busy.write_fd, many, sizeof(many)), sizeof(many));
    poller_run(&poller);
    assert_true(busy.calls > 0 && busy.calls < (int)sizeof(many));
    assert_true(is_readable()); /* and goes on with the next */
    close_entry(&busy);
    poller_deinit(&poller);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_descriptor_tells_of_many),
        cmocka_unit_test(who_was_removed_is_not_called),
        cmocka_unit_test(one_that_never_ends_leaves_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
