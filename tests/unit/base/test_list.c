#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/list.h"

struct item {
    char letter;
    struct list node;
};

static void assert_reads(struct list *head, const char *letters)
{
    LIST_EACH (node, head) {
        assert_int_equal(CONTAINER_OF(node, struct item, node)->letter,
                         *letters++);
        assert_ptr_equal(node->next->prev, node);
        assert_ptr_equal(node->prev->next, node);
    }
    assert_int_equal(*letters, '\0');
}

static void nodes_stand_in_the_order_of_their_pushes(void **state)
{
    (void)state;
    struct list head;
    struct item a = {'a', {0}}, b = {'b', {0}}, c = {'c', {0}};
    list_init(&head);
    assert_true(list_is_empty(&head));
    assert_null(list_first(&head));
    list_push_back(&head, &b.node);
    list_push_back(&head, &c.node);
    list_push_front(&head, &a.node);
    assert_reads(&head, "abc");
    assert_ptr_equal(list_first(&head), &a.node);
    assert_false(list_is_empty(&head));
}

static void a_node_may_be_removed_twice(void **state)
{
    (void)state;
    struct list head;
    struct item a = {'a', {0}}, b = {'b', {0}};
    list_init(&head);
    list_push_back(&head, &a.node);
    list_push_back(&head, &b.node);
    list_remove(&a.node);
    list_remove(&a.node);
    assert_reads(&head, "b");
    list_push_back(&head, &a.node);
    assert_reads(&head, "ba");
}

static void the_walk_goes_on_when_its_node_is_removed(void **state)
{
    (void)state;
    struct list head;
    struct item items[6];
    list_init(&head);
    for (int i = 0; i < 6; i++) {
        items[i].letter = (char)('a' + i);
        list_push_back(&head, &items[i].node);
    }
    LIST_EACH (node, &head) {
        if (CONTAINER_OF(node, struct item, node)->letter % 2)
            list_remove(node);
    }
    assert_reads(&head, "bdf");
    LIST_EACH (node, &head) {
        list_remove(node);
    }
    assert_true(list_is_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_stand_in_the_order_of_their_pushes),
        cmocka_unit_test(a_node_may_be_removed_twice),
        cmocka_unit_test(the_walk_goes_on_when_its_node_is_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
