/*
 * Identifiers: form, room, and that none comes twice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"

#define IDS     20000
#define ID_SIZE 32

static void form(void **state)
{
    (void)state;
    char id[ID_SIZE];
    for (int i = 0; i < 1000; i++) {
        id_random(id, sizeof(id), "req_");
        assert_int_equal(strlen(id), 4 + 24);
        assert_memory_equal(id, "req_", 4);
        for (const char *p = id + 4; *p; p++)
            assert_true(isalnum((unsigned char)*p));
    }
    id_random(id, sizeof(id), "");
    assert_int_equal(strlen(id), 24);
}

static void too_little_room_is_kept_to(void **state)
{
    (void)state;
    char id[ID_SIZE];
    memset(id, '!', sizeof(id));
    id_random(id, 8, "req_");
    assert_int_equal(strlen(id), 7);
    assert_int_equal(id[8], '!');
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void none_comes_twice_and_all_digits_come(void **state)
{
    (void)state;
    char(*ids)[ID_SIZE] = calloc(IDS, ID_SIZE);
    size_t seen[256] = {0}, digits = 0;
    assert_non_null(ids);
    for (size_t i = 0; i < IDS; i++) {
        id_random(ids[i], ID_SIZE, "");
        for (const char *p = ids[i]; *p; p++)
            seen[(unsigned char)*p]++;
    }
    qsort(ids, IDS, ID_SIZE, by_text);
    for (size_t i = 1; i < IDS; i++)
        assert_string_not_equal(ids[i - 1], ids[i]);
    const size_t expected = (size_t)IDS * 24 / 62;
    for (size_t c = 0; c < 256; c++)
        if (seen[c]) {
            digits++;
            assert_in_range(seen[c], expected * 9 / 10, expected * 11 / 10);
        }
    assert_int_equal(digits, 62);
    free(ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(form),
        cmocka_unit_test(too_little_room_is_kept_to),
        cmocka_unit_test(none_comes_twice_and_all_digits_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
