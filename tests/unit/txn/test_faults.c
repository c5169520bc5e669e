/* A store that can't be read: the error comes back, and nothing that was
 * begun is left open. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/txn/stories.h"

static void put_and_flush(void)
{
    ask("put a 1");
    ask("put b 2");
    ask("put c 3");
    ask("put c 4");
    flush();
}

enum what { READ, SCAN, MEASURE, WRITE, HASH };

struct request {
    enum what what;
    const char *text;
};

static const struct request requests[] = {
    {READ, "get a"},
    {READ, "get a.."},
    {READ, "get a.. desc"},
    {READ, "get a.. by=value"},
    {READ, "txn if value a = 1 then get a.."},
    {READ, "txn if value a.. > 0 then get b"},
    {SCAN, "get a.."},
    {SCAN, "get a.. by=create desc limit=1"},
    {MEASURE, "get a.. desc"},
    {MEASURE, "get a.. by=value asc limit=2"},
    {HASH, ""},
    {WRITE, "put a 2 prev"},
    {WRITE, "put a - keep-value"},
    {WRITE, "del a prev"},
    {WRITE, "del a..c prev"},
    {WRITE, "txn then put x 1 , put b 5 prev"},
    {WRITE, "txn then put x 1 , del a.. prev"},
    {WRITE, "txn then put x 1 , ( then get a.. )"},
};

static enum err write_it(const char *text, struct txn_answer *answer,
                         struct mvcc_commit **commit)
{
    struct txn txn = {.mvcc = store, .reader = reader, .leases = leases};
    if (text[0] == 'p')
        return txn_put(&txn, put_of(text), clock_ns, true, answer, commit);
    if (text[0] == 'd')
        return txn_delete_range(&txn, delete_of(text), clock_ns, true, answer,
                                commit);
    return txn_run(&txn, txn_of(text), clock_ns, true, answer, commit);
}

static enum err read_it(const char *text, struct txn_answer *answer)
{
    if (text[0] == 't')
        return txn_read(reader, txn_of(text), answer);
    return txn_range(reader, range_of(text), 5, 1 << 20, answer);
}

static enum err scan_it(const char *text, bool measured,
                        struct txn_answer *answer)
{
    struct txn_scan *of;
    bool done = false;
    uint64_t bytes;
    enum err err = txn_scan_new(reader, range_of(text), 5, answer, &of);
    while (measured && err == ERR_OK && !done)
        err = txn_scan_measure(of, reader, 1, &done, &bytes);
    for (done = false; err == ERR_OK && !done;)
        err = txn_scan_next(of, reader, 1, &answer->body, &done);
    txn_scan_free(of);
    return err;
}

static enum err hash_it(void)
{
    struct txn_hash hash;
    enum v3_error error;
    enum err err = txn_hash_begin(reader, 0, 5, &hash, &error);
    while (err == ERR_OK && !hash.done)
        err = txn_hash_slice(&hash, reader, 1);
    return err;
}

static enum err do_it(const struct request *request)
{
    struct txn_answer answer = {0};
    struct mvcc_commit *commit = NULL;
    enum err err;
    mvcc_read_begin(reader);
    if (request->what == READ)
        err = read_it(request->text, &answer);
    else if (request->what == WRITE)
        err = write_it(request->text, &answer, &commit);
    else if (request->what == HASH)
        err = hash_it();
    else
        err = scan_it(request->text, request->what == MEASURE, &answer);
    mvcc_read_end(reader);
    txn_answer_deinit(&answer);
    assert_true(err == ERR_OK || commit == NULL);
    if (commit != NULL)
        mvcc_commit_unref(commit);
    return err;
}

static void every_read_that_fails_is_told(void **state)
{
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        uint64_t nth = 0;
        enum err err;
        do {
            put_and_flush();
            kv_memory_fail_after(kv, ++nth, ERR_IO);
            err = do_it(&requests[i]);
            kv_memory_fail_after(kv, 0, ERR_OK);
            assert_true(err == ERR_OK || err == ERR_IO);
            story_end(state); /* closes a store with nothing open */
            story_begin(state);
        } while (err != ERR_OK);
        assert_true(nth > 1); /* it did fail */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(every_read_that_fails_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
