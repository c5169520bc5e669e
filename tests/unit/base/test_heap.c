#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>

#include "base/heap.h"
#include "base/prng.h"

enum { NODES = 200 };

static void an_empty_heap_has_no_top(void **state)
{
    (void)state;
    struct heap heap;
    heap_init(&heap);
    assert_null(heap_top(&heap));
    struct heap_node alone = {0};
    heap_remove(&heap, &alone); /* in none: harmless */
    assert_null(heap_top(&heap));
    heap_deinit(&heap);
}

static void the_smallest_key_is_on_top(void **state)
{
    (void)state;
    struct heap heap;
    heap_init(&heap);
    struct heap_node later = {0}, soon = {0}, past = {0};
    heap_push(&heap, &later, 2000);
    assert_ptr_equal(heap_top(&heap), &later);
    heap_push(&heap, &soon, 1000);
    assert_ptr_equal(heap_top(&heap), &soon);
    heap_push(&heap, &past, -5);
    assert_ptr_equal(heap_top(&heap), &past);

    heap_set(&heap, &past, 5000); /* moved down */
    assert_ptr_equal(heap_top(&heap), &soon);
    heap_set(&heap, &later, 1); /* moved up */
    assert_ptr_equal(heap_top(&heap), &later);

    heap_remove(&heap, &later);
    assert_int_equal(later.place, 0);
    assert_ptr_equal(heap_top(&heap), &soon);
    heap_set(&heap, &later, 0); /* not in: pushed */
    assert_ptr_equal(heap_top(&heap), &later);
    assert_int_equal(heap.count, 3);
    heap_deinit(&heap);
}

static void keys_may_be_any_number_and_equal(void **state)
{
    (void)state;
    struct heap heap;
    heap_init(&heap);
    struct heap_node nodes[4] = {0};
    heap_push(&heap, &nodes[0], INT64_MAX);
    heap_push(&heap, &nodes[1], INT64_MIN);
    heap_push(&heap, &nodes[2], INT64_MIN);
    heap_push(&heap, &nodes[3], INT64_MAX);
    assert_int_equal(heap_top(&heap)->key, INT64_MIN);
    heap_remove(&heap, heap_top(&heap));
    assert_int_equal(heap_top(&heap)->key, INT64_MIN);
    heap_remove(&heap, heap_top(&heap));
    assert_int_equal(heap_top(&heap)->key, INT64_MAX);
    heap_deinit(&heap);
}

static void assert_sound(const struct heap *heap)
{
    for (size_t i = 0; i < heap->count; i++) {
        assert_int_equal(heap->nodes[i]->place, i + 1);
        if (i > 0)
            assert_true(heap->nodes[(i - 1) / 2]->key <= heap->nodes[i]->key);
    }
}

static void random_step(struct prng *prng, struct heap *heap,
                        struct heap_node *node, int64_t *key_in_twin,
                        bool *in_twin)
{
    int64_t key = prng_between(prng, -50, 50);
    switch (prng_below(prng, 3)) {
    case 0:
        heap_remove(heap, node);
        *in_twin = false;
        return;
    case 1:
        if (*in_twin)
            heap_remove(heap, node);
        heap_push(heap, node, key);
        break;
    default:
        heap_set(heap, node, key);
    }
    *in_twin = true;
    *key_in_twin = key;
}

static void random_operations_do_as_an_array(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 6);
    struct heap heap;
    heap_init(&heap);
    static struct heap_node nodes[NODES];
    static int64_t keys[NODES];
    static bool in[NODES];
    for (int step = 0; step < 20000; step++) {
        size_t i = prng_below(&prng, NODES);
        random_step(&prng, &heap, &nodes[i], &keys[i], &in[i]);

        size_t count = 0;
        int64_t least = INT64_MAX;
        for (size_t j = 0; j < NODES; j++) {
            assert_int_equal(nodes[j].place != 0, in[j]);
            count += in[j];
            least = in[j] && keys[j] < least ? keys[j] : least;
        }
        assert_int_equal(heap.count, count);
        if (count)
            assert_int_equal(heap_top(&heap)->key, least);
        assert_sound(&heap);
    }
    heap_deinit(&heap);
}

static void taking_the_top_again_and_again_sorts(void **state)
{
    (void)state;
    enum { MANY = 5000 };
    struct prng prng;
    prng_init(&prng, 7);
    struct heap heap;
    heap_init(&heap);
    static struct heap_node nodes[MANY];
    for (int i = 0; i < MANY; i++)
        heap_push(&heap, &nodes[i], (int64_t)prng_next(&prng));
    int64_t last = INT64_MIN;
    for (int i = 0; i < MANY; i++) {
        struct heap_node *top = heap_top(&heap);
        assert_true(top->key >= last);
        last = top->key;
        heap_remove(&heap, top);
    }
    assert_null(heap_top(&heap));
    heap_deinit(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_heap_has_no_top),
        cmocka_unit_test(the_smallest_key_is_on_top),
        cmocka_unit_test(keys_may_be_any_number_and_equal),
        cmocka_unit_test(random_operations_do_as_an_array),
        cmocka_unit_test(taking_the_top_again_and_again_sorts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
