/* The slab: small things, used again. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/prng.h"
#include "mvcc/slab.h"

static struct slab slab;

static int setup(void **state)
{
    (void)state;
    slab_init(&slab);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    slab_deinit(&slab);
    return 0;
}

/* Under a sanitizer each thing is an allocation of its own. */
static bool is_chunked(void)
{
    uint64_t before = slab.bytes;
    void *memory = slab_alloc(&slab, 16);
    bool chunked = slab.chunks != NULL && slab.bytes > before + 64;
    slab_free(&slab, memory, 16);
    return chunked;
}

static void test_nothing_costs_nothing(void **state)
{
    (void)state;
    assert_int_equal(slab.bytes, 0);
}

static void test_things_do_not_overlap(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    unsigned char *things[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        size_t size = 1 + i * 7 % 1500;
        things[i] = slab_alloc(&slab, size);
        assert_int_equal((uintptr_t)things[i] % 8, 0);
        memset(things[i], (int)(i % 251), size);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        size_t size = 1 + i * 7 % 1500;
        for (size_t at = 0; at < size; at++)
            assert_int_equal(things[i][at], i % 251);
        slab_free(&slab, things[i], size);
    }
}

static void test_what_is_freed_is_used_again(void **state)
{
    (void)state;
    if (!is_chunked())
        return;
    void *a = slab_alloc(&slab, 40);
    void *b = slab_alloc(&slab, 40);
    slab_free(&slab, a, 40);
    slab_free(&slab, b, 40);
    assert_ptr_equal(slab_alloc(&slab, 33), b); /* the same when rounded up */
    assert_ptr_equal(slab_alloc(&slab, 40), a);
    void *c = slab_alloc(&slab, 40);
    assert_true(c != a && c != b);
    assert_true(slab_alloc(&slab, 48) != b);
}

static void test_a_thing_costs_its_size(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    if (!is_chunked())
        return;
    for (unsigned i = 0; i < COUNT; i++)
        slab_alloc(&slab, 44);
    assert_true(slab.bytes >= COUNT * 48);
    assert_true(slab.bytes < COUNT * 48 + 2 * 1024 * 1024);
}

static void test_large_things_go_back_at_once(void **state)
{
    (void)state;
    uint64_t before = slab.bytes;
    void *a = slab_alloc(&slab, 100000);
    void *b = slab_alloc(&slab, SLAB_BYTES_MAX + 1);
    memset(a, 1, 100000);
    memset(b, 2, SLAB_BYTES_MAX + 1);
    assert_true(slab.bytes >= before + 100000 + SLAB_BYTES_MAX);
    slab_free(&slab, a, 100000);
    assert_true(slab.bytes < before + 100000);
    slab_free(&slab, b, SLAB_BYTES_MAX + 1);
    assert_int_equal(slab.bytes, before);
}

static void test_large_things_go_with_the_slab(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++)
        memset(slab_alloc(&slab, 5000), i, 5000);
    slab_alloc(&slab, 24);
    slab_deinit(&slab); /* a sanitizer sees what is left behind */
    assert_int_equal(slab.bytes, 0);
    slab_alloc(&slab, 24); /* it may be used on */
}

static void check_bytes(const unsigned char *memory, size_t size)
{
    for (size_t i = 0; i < size; i++)
        assert_int_equal(memory[i], (unsigned char)(i * 13));
}

static void test_another_size(void **state)
{
    (void)state;
    size_t size = 10;
    unsigned char *memory = slab_alloc(&slab, size);
    for (size_t i = 0; i < size; i++)
        memory[i] = (unsigned char)(i * 13);
    for (int round = 0; round < 40; round++) {
        size_t larger = size + size / 2 + 1;
        memory = slab_realloc(&slab, memory, size, larger);
        check_bytes(memory, size);
        for (size_t i = size; i < larger; i++)
            memory[i] = (unsigned char)(i * 13);
        size = larger;
        if (size > 100000) {
            memory = slab_realloc(&slab, memory, size, 50);
            size = 50;
            check_bytes(memory, size);
        }
    }
    slab_free(&slab, memory, size);
}

static void test_the_same_size_rounded_up_stays(void **state)
{
    (void)state;
    void *memory = slab_alloc(&slab, 17);
    assert_ptr_equal(slab_realloc(&slab, memory, 17, 24), memory);
    assert_ptr_equal(slab_realloc(&slab, memory, 24, 18), memory);
    slab_free(&slab, memory, 20);
}

static void test_random_lives(void **state)
{
    (void)state;
    enum { COUNT = 500, STEPS = 100000 };
    static struct {
        unsigned char *at;
        size_t size;
        unsigned char fill;
    } things[COUNT];
    struct prng prng;
    prng_init(&prng, 17);
    for (int step = 0; step < STEPS; step++) {
        size_t i = prng_below(&prng, COUNT);
        if (things[i].at == NULL) {
            things[i].size = 1 + prng_below(&prng, 200);
            if (prng_below(&prng, 50) == 0)
                things[i].size *= 20;
            things[i].at = slab_alloc(&slab, things[i].size);
            things[i].fill = (unsigned char)prng_next(&prng);
            memset(things[i].at, things[i].fill, things[i].size);
            continue;
        }
        assert_int_equal(things[i].at[0], things[i].fill);
        assert_int_equal(things[i].at[things[i].size - 1], things[i].fill);
        slab_free(&slab, things[i].at, things[i].size);
        things[i].at = NULL;
    }
    if (slab.chunks)
        assert_true(slab.bytes < 1024 * 1024);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_nothing_costs_nothing),
        STORY(test_things_do_not_overlap),
        STORY(test_what_is_freed_is_used_again),
        STORY(test_a_thing_costs_its_size),
        STORY(test_large_things_go_back_at_once),
        STORY(test_large_things_go_with_the_slab),
        STORY(test_another_size),
        STORY(test_the_same_size_rounded_up_stays),
        STORY(test_random_lives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
