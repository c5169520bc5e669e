/* Readers under the shared lock, the writer under the exclusive one: what is
 * asked is answered by the state before a change, or behind it. Built with
 * ThreadSanitizer, this shows that a reader writes nothing. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "tests/unit/auth/auth_world.h"

enum { READERS = 3, CHANGES = 400, LOOKS = 20 };

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static atomic_bool done;

struct seen {
    uint64_t asked;
    uint64_t wrong;
};

/* The writer always changes both keys, in one command. */
static void look(struct seen *seen)
{
    struct slice ann = SLICE("ann");
    uint64_t before = auth_revision(auth);
    bool a = auth_may(auth, ann, AUTH_READ, SLICE("a"), SLICE("")) == V3_OK;
    bool b = auth_may(auth, ann, AUTH_READ, SLICE("b"), SLICE("c")) == V3_OK;
    bool path = auth_may_path(auth, ann, AUTH_READ, SLICE("/d"), true) == V3_OK;
    struct auth_user user;
    bool there = auth_user(auth, ann, &user) && user.role_count == 1;
    seen->asked++;
    seen->wrong += a != b || a != path || !there;
    seen->wrong += before != auth_revision(auth);
}

static void *read_on(void *context)
{
    struct seen *seen = context;
    do {
        (void)auth_is_on(auth); /* these two without a lock */
        (void)auth_revision(auth);
        (void)pthread_rwlock_rdlock(&lock);
        for (int i = 0; i < LOOKS; i++)
            look(seen);
        (void)pthread_rwlock_unlock(&lock);
        (void)sched_yield();
    } while (!atomic_load(&done));
    return NULL;
}

static void test_readers_and_the_writer(void **state)
{
    (void)state;
    pthread_t threads[READERS];
    struct seen seen[READERS] = {{0}};
    IS(tell("user add root; user grant root root; user add ann; role add x;"
            "user grant ann x; on"),
       "");
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &seen[i]),
                         0);
    for (int i = 0; i < CHANGES; i++) {
        (void)pthread_rwlock_wrlock(&lock);
        IS(tell(i % 2 ? "role revoke x a; role revoke x b c; role delete x;"
                        "role add x; user grant ann x"
                      : "role grant x r a; role grant x r b c;"
                        "role grant x r /d /e; user password ann ##"),
           "");
        (void)pthread_rwlock_unlock(&lock);
        (void)sched_yield();
    }
    atomic_store(&done, true);
    uint64_t asked = 0;
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(seen[i].wrong, 0);
        asked += seen[i].asked;
    }
    assert_true(asked > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(test_readers_and_the_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
