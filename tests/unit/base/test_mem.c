#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "base/prng.h"

/* ---- allocation --------------------------------------------------------- */

static void zero_bytes_are_an_allocation_too(void **state)
{
    (void)state;
    void *memory[] = {mem_alloc(0), mem_alloc_zero(0), mem_try_alloc(0),
                      mem_realloc(NULL, 0), mem_dup(NULL, 0)};
    for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++) {
        assert_non_null(memory[i]);
        mem_free(memory[i]);
    }
    mem_free(NULL);
}

static void memory_is_zero_where_promised(void **state)
{
    (void)state;
    char *dirty = mem_alloc(500);
    memset(dirty, 'x', 500);
    mem_free(dirty);
    char *clean = mem_alloc_zero(500);
    for (int i = 0; i < 500; i++)
        assert_int_equal(clean[i], 0);
    mem_free(clean);
}

static void realloc_keeps_what_was_there(void **state)
{
    (void)state;
    char *text = mem_strdup("kept");
    text = mem_realloc(text, 10000);
    assert_string_equal(text, "kept");
    char *more = mem_try_realloc(text, 100000);
    assert_non_null(more);
    assert_string_equal(more, "kept");
    mem_free(more);
    mem_trim();
}

static void copies_are_copies(void **state)
{
    (void)state;
    char text[] = "abc";
    char *dup = mem_dup(text, 2), *str = mem_strdup(text);
    text[0] = 'x';
    assert_memory_equal(dup, "ab", 2);
    assert_string_equal(str, "abc");
    mem_free(dup);
    mem_free(str);
}

/* ---- failing on purpose ------------------------------------------------- */

static bool try_works(void)
{
    void *memory = mem_try_alloc(8);
    bool works = memory != NULL;
    mem_free(memory);
    return works;
}

static void the_chosen_try_fails_once(void **state)
{
    (void)state;
    mem_fail_after(3);
    assert_true(try_works());
    assert_true(try_works());
    assert_false(try_works());
    assert_true(try_works());
    assert_int_equal(mem_fail_after(0), 4);
    assert_true(try_works());
    assert_int_equal(mem_fail_after(0), 1);
}

static void every_kind_of_try_counts_and_can_fail(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    char *text = mem_strdup("here");

    mem_fail_after(1);
    assert_null(mem_try_realloc(text, 100));
    assert_string_equal(text, "here"); /* the old one is still ours */

    mem_fail_after(2);
    assert_non_null(arena_try_alloc(&arena, 8));
    assert_null(arena_try_alloc(&arena, 8));
    assert_non_null(arena_try_alloc(&arena, 8));
    assert_int_equal(mem_fail_after(0), 3);

    /* What aborts isn't counted: it never fails. */
    mem_fail_after(1);
    mem_free(mem_alloc(8));
    arena_alloc(&arena, 100000);
    assert_int_equal(mem_fail_after(0), 0);
    arena_deinit(&arena);
    mem_free(text);
}

static void *tries_of_another_thread(void *context)
{
    bool *all_work = context;
    for (int i = 0; i < 10; i++)
        *all_work = try_works() && *all_work;
    return NULL;
}

static void other_threads_do_not_fail_nor_count(void **state)
{
    (void)state;
    bool all_work = true;
    pthread_t thread;
    mem_fail_after(1);
    assert_int_equal(
        pthread_create(&thread, NULL, tries_of_another_thread, &all_work), 0);
    pthread_join(thread, NULL);
    assert_true(all_work);
    assert_false(try_works());
    assert_int_equal(mem_fail_after(0), 1);
}

/* ---- arena -------------------------------------------------------------- */

static void an_arena_hands_out_aligned_memory_of_its_own(void **state)
{
    (void)state;
    enum { PIECES = 3000 };
    static char *pieces[PIECES];
    static size_t sizes[PIECES];
    struct prng prng;
    prng_init(&prng, 5);
    struct arena arena;
    arena_init(&arena, 0);
    size_t least = 0;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < PIECES; i++) {
            sizes[i] = prng_below(&prng, i % 500 == 0 ? 200000 : 300);
            pieces[i] = arena_alloc(&arena, sizes[i]);
            assert_int_equal((uintptr_t)pieces[i] % 16, 0);
            memset(pieces[i], i, sizes[i]);
            least += sizes[i];
        }
        for (int i = 0; i < PIECES; i++) {
            for (size_t at = 0; at < sizes[i]; at++)
                assert_int_equal(pieces[i][at], (char)i);
        }
        assert_true(arena.used_bytes >= least);
        arena_reset(&arena);
        assert_int_equal(arena.used_bytes, 0);
        least = 0;
    }
    arena_deinit(&arena);
}

static void reset_keeps_the_first_block(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    char *first = arena_alloc(&arena, 10);
    for (int i = 0; i < 100; i++)
        arena_alloc(&arena, 1000);
    arena_reset(&arena);
    assert_ptr_equal(arena_alloc(&arena, 10), first);
    arena_reset(&arena);
    arena_reset(&arena);
    assert_ptr_equal(arena_alloc(&arena, 10), first);
    arena_deinit(&arena);
    assert_null(arena.block);
}

/* One large request doesn't make its connection large for ever. */
static void reset_lets_a_large_first_block_go(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    memset(arena_alloc(&arena, 1 << 20), 'x', 1 << 20);
    memset(arena_alloc(&arena, 10), 'y', 10);
    arena_reset(&arena);
    assert_null(arena.block);
    memset(arena_alloc(&arena, 10), 'y', 10);
    arena_deinit(&arena);
}

static void a_large_piece_leaves_the_open_block_open(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    char *before = arena_alloc(&arena, 16);
    arena_alloc(&arena, 1 << 20);
    assert_ptr_equal(arena_alloc(&arena, 16), before + 16);
    arena_deinit(&arena);
}

static void tries_stop_at_the_bound(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1000);
    assert_null(arena_try_alloc(&arena, 1001));
    assert_null(arena_try_alloc(&arena, SIZE_MAX));
    assert_non_null(arena_try_alloc(&arena, 600));
    assert_null(arena_try_alloc(&arena, 600));
    assert_non_null(arena_try_alloc(&arena, 300));
    /* Our own sizes pass, and count. */
    assert_non_null(arena_alloc(&arena, 2000));
    assert_null(arena_try_alloc(&arena, 1));
    arena_reset(&arena);
    assert_non_null(arena_try_alloc(&arena, 1000));
    assert_int_equal(arena.bytes_max, 1000);
    arena_deinit(&arena);
    assert_int_equal(arena.bytes_max, 1000);
}

static void an_arena_without_bound_refuses_the_impossible(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    assert_null(arena_try_alloc(&arena, SIZE_MAX));
    assert_null(arena_try_alloc(&arena, SIZE_MAX - 100));
    assert_null(arena_try_alloc(&arena, SIZE_MAX / 2 + 1));
    assert_null(arena.block);
    arena_deinit(&arena);
}

static void texts_and_copies_live_in_the_arena(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    char *text = arena_printf(&arena, "%s-%d", "segment", 3);
    char *copy = arena_dup(&arena, "bytes", 6);
    assert_non_null(arena_dup(&arena, NULL, 0));
    char *wide = arena_printf(&arena, "%9000d", 1);
    assert_string_equal(text, "segment-3");
    assert_string_equal(copy, "bytes");
    assert_int_equal(strlen(wide), 9000);
    arena_deinit(&arena);
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#endif

#ifdef SANITIZED
#include <sanitizer/asan_interface.h>

/* The address sanitizer guards an arena's pieces as it does malloc's. */
static void what_is_not_handed_out_is_guarded(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    char *piece = arena_alloc(&arena, 10);
    char *next = arena_alloc(&arena, 10);
    assert_false(__asan_address_is_poisoned(piece + 9));
    assert_true(__asan_address_is_poisoned(piece + 10));
    assert_false(__asan_address_is_poisoned(next));
    arena_reset(&arena);
    assert_true(__asan_address_is_poisoned(piece));
    assert_true(__asan_address_is_poisoned(next));
    assert_ptr_equal(arena_alloc(&arena, 5), piece);
    assert_false(__asan_address_is_poisoned(piece + 4));
    assert_true(__asan_address_is_poisoned(piece + 5));
    arena_deinit(&arena);
}
#endif

/* ---- shared bytes ------------------------------------------------------- */

static void the_last_reference_frees(void **state)
{
    (void)state;
    struct refbuf *buf = refbuf_dup("shared", 6);
    assert_int_equal(buf->size, 6);
    struct refbuf *again = refbuf_ref(buf);
    assert_ptr_equal(again, buf);
    refbuf_unref(buf);
    assert_memory_equal(again->bytes, "shared", 6);
    assert_int_equal(atomic_load(&again->refs), 1);
    refbuf_unref(again);
    refbuf_unref(NULL);
    refbuf_unref(refbuf_new(0));
    refbuf_unref(refbuf_dup(NULL, 0));
}

static void a_buffer_becomes_shared_where_it_is(void **state)
{
    (void)state;
    char *memory = mem_alloc(REFBUF_HEAD_BYTES + 100);
    memcpy(memory + REFBUF_HEAD_BYTES, "made in place", 13);
    struct refbuf *buf = refbuf_from(memory, REFBUF_HEAD_BYTES + 13);
    assert_ptr_equal(buf->bytes, memory + REFBUF_HEAD_BYTES);
    assert_int_equal(buf->size, 13);
    assert_memory_equal(buf->bytes, "made in place", 13);
    assert_int_equal(atomic_load(&buf->refs), 1);
    refbuf_unref(buf);
}

enum { THREADS = 4, ROUNDS = 20000 };

/* Every thread holds a reference, takes and gives back more of them, and lets
 * its own go while others still read. The address sanitizer sees a free that
 * comes too early, the leak check one that doesn't come, the thread sanitizer
 * one that isn't ordered after the reads. */
static void *share(void *context)
{
    struct refbuf *buf = context;
    uintptr_t sum = 0;
    for (int i = 0; i < ROUNDS; i++) {
        struct refbuf *mine = refbuf_ref(buf);
        sum += (unsigned char)mine->bytes[i % 64];
        refbuf_unref(mine);
    }
    refbuf_unref(buf);
    return (void *)sum;
}

static void references_are_counted_across_threads(void **state)
{
    (void)state;
    struct refbuf *buf = refbuf_new(64);
    memset(buf->bytes, 1, 64);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, share, refbuf_ref(buf)), 0);
    refbuf_unref(buf);
    for (int i = 0; i < THREADS; i++) {
        void *sum;
        pthread_join(threads[i], &sum);
        assert_int_equal((uintptr_t)sum, ROUNDS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_bytes_are_an_allocation_too),
        cmocka_unit_test(memory_is_zero_where_promised),
        cmocka_unit_test(realloc_keeps_what_was_there),
        cmocka_unit_test(copies_are_copies),
        cmocka_unit_test(the_chosen_try_fails_once),
        cmocka_unit_test(every_kind_of_try_counts_and_can_fail),
        cmocka_unit_test(other_threads_do_not_fail_nor_count),
        cmocka_unit_test(an_arena_hands_out_aligned_memory_of_its_own),
        cmocka_unit_test(reset_keeps_the_first_block),
        cmocka_unit_test(reset_lets_a_large_first_block_go),
        cmocka_unit_test(a_large_piece_leaves_the_open_block_open),
        cmocka_unit_test(tries_stop_at_the_bound),
        cmocka_unit_test(an_arena_without_bound_refuses_the_impossible),
        cmocka_unit_test(texts_and_copies_live_in_the_arena),
#ifdef SANITIZED
        cmocka_unit_test(what_is_not_handed_out_is_guarded),
#endif
        cmocka_unit_test(the_last_reference_frees),
        cmocka_unit_test(a_buffer_becomes_shared_where_it_is),
        cmocka_unit_test(references_are_counted_across_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
