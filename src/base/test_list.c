/*
 * The embedded list: order, removal while walking.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include <cmocka.h>

struct item {
    int number;
    struct list node;
};

static int sum_in_order(struct list *head)
{
    int digits = 0;
    LIST_EACH(head, it, next)
    digits = digits * 10 + LIST_OF(it, struct item, node)->number;
    return digits;
}

static void appending_and_removing(void **state)
{
    (void)state;
    struct list head;
    struct item items[4] = {{.number = 1}, {.number = 2}, {.number = 3}, {.number = 4}};
    list_init(&head);
    assert_true(list_is_empty(&head));
    assert_int_equal(sum_in_order(&head), 0);
    for (int i = 0; i < 4; i++)
        list_append(&head, &items[i].node);
    assert_false(list_is_empty(&head));
    assert_int_equal(sum_in_order(&head), 1234);
    list_remove(&items[1].node);
    list_remove(&items[1].node); /* harmless */
    assert_int_equal(sum_in_order(&head), 134);
    list_append(&head, &items[1].node);
    assert_int_equal(sum_in_order(&head), 1342);
    list_remove(&items[0].node);
    list_remove(&items[1].node);
    assert_int_equal(sum_in_order(&head), 34);
}

static void removing_while_walking(void **state)
{
    (void)state;
    struct list head;
    struct item items[3] = {{.number = 1}, {.number = 2}, {.number = 3}};
    list_init(&head);
    for (int i = 0; i < 3; i++)
        list_append(&head, &items[i].node);
    LIST_EACH(&head, it, next)
    list_remove(it);
    assert_true(list_is_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appending_and_removing),
        cmocka_unit_test(removing_while_walking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
