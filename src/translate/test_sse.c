/*
 * The event-stream parser where golden cases do not reach: fields, limits, memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "translate/sse.h"

static void expect_event(struct sse *p, struct str *in, const char *name, const char *data)
{
    struct sse_event event;
    assert_int_equal(sse_next(p, in, &event), SSE_EVENT);
    assert_int_equal(event.name.n, strlen(name));
    assert_int_equal(event.data.n, strlen(data));
    assert_memory_equal(event.name.n ? event.name.p : "", name, event.name.n);
    assert_memory_equal(event.data.n ? event.data.p : "", data, event.data.n);
}

static void expect_more(struct sse *p, struct str *in)
{
    struct sse_event event;
    assert_int_equal(sse_next(p, in, &event), SSE_MORE);
    assert_int_equal(in->n, 0);
}

static void test_fields(void **state)
{
    (void)state;
    struct sse p;
    struct str in = STR("event: a\ndata: 1\nid: 7\nretry: 5\n\n"
                        "event:b\ndata:2\n\n"
                        "data:  two blanks\n\n"
                        "event: first\nevent: last\ndata: 3\n\n"
                        "eventual: x\ndatax: y\nData: z\n\n"
                        ": comment\ndata: 4\n: comment\n\n"
                        "event: no data\n\n"
                        "data: no name\n\n"
                        "data\n\n"
                        "data:\n\n");
    sse_init(&p);
    expect_event(&p, &in, "a", "1");
    expect_event(&p, &in, "b", "2");
    expect_event(&p, &in, "", " two blanks");
    expect_event(&p, &in, "last", "3");
    expect_event(&p, &in, "", "4");
    expect_event(&p, &in, "", "no name");
    expect_event(&p, &in, "", "");
    expect_event(&p, &in, "", "");
    expect_more(&p, &in);
    sse_done(&p);
}

static void test_lines_are_joined(void **state)
{
    (void)state;
    struct sse p;
    struct str in = STR("data: a\nevent: n\ndata: b\n\ndata:\ndata: x\r\ndata:\r\r");
    sse_init(&p);
    expect_event(&p, &in, "n", "a\nb");
    expect_event(&p, &in, "", "\nx\n");
    expect_more(&p, &in);
    sse_done(&p);
}

static void test_byte_order_mark_only_at_the_start(void **state)
{
    (void)state;
    struct sse p;
    struct str in = STR("\xef\xbb\xbf"
                        "data: a\ndata: b\n\n"
                        "\xef\xbb\xbf"
                        "data: c\n\n"
                        "data: d\n\n");
    sse_init(&p);
    expect_event(&p, &in, "", "a\nb");
    expect_event(&p, &in, "", "d");
    sse_done(&p);
}

static void test_an_event_ends_at_its_carriage_return(void **state)
{
    (void)state;
    struct sse p;
    struct str in = STR("data: a\r\n\r"), rest = STR("\ndata: b\r\n\r\n");
    sse_init(&p);
    expect_event(&p, &in, "", "a");
    expect_more(&p, &in);
    expect_event(&p, &rest, "", "b");
    expect_more(&p, &rest);
    assert_null(p.held.data); /* not even for the '\n' that was left */
    sse_done(&p);
}

static void test_whole_events_are_not_copied(void **state)
{
    (void)state;
    struct sse p;
    struct str all = STR("event: a\ndata: 1\n\ndata: 2\n\n"), in = all;
    struct sse_event event;
    sse_init(&p);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sse_next(&p, &in, &event), SSE_EVENT);
        assert_true(event.data.p > all.p && event.data.p < all.p + all.n);
    }
    expect_more(&p, &in);
    assert_null(p.held.data);
    sse_done(&p);
}

/* "data: " and `n` letters, in pieces of `piece` bytes. */
static enum sse_result feed_event(size_t n, size_t piece)
{
    struct sse p;
    struct sse_event event;
    size_t size = n + 8;
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, 'x', size);
    memcpy(text, "data: ", 6);
    memcpy(text + size - 2, "\n\n", 2);
    enum sse_result result = SSE_MORE;
    sse_init(&p);
    for (size_t i = 0; i < size && result == SSE_MORE; i += piece) {
        struct str in = {text + i, piece < size - i ? piece : size - i};
        result = sse_next(&p, &in, &event);
        assert_true(p.held.len <= SSE_EVENT_BYTES_MAX);
    }
    if (result == SSE_EVENT) {
        struct str none = {text, 0};
        assert_int_equal(event.data.n, n);
        expect_more(&p, &none);
        assert_true(p.held.cap <= 1024); /* large memory is given back */
    }
    sse_done(&p);
    free(text);
    return result;
}

static void test_the_limit_is_the_same_however_it_comes(void **state)
{
    (void)state;
    size_t fits = SSE_EVENT_BYTES_MAX - 8;
    assert_int_equal(feed_event(fits, SIZE_MAX / 2), SSE_EVENT);
    assert_int_equal(feed_event(fits, 65536), SSE_EVENT);
    assert_int_equal(feed_event(fits + 1, SIZE_MAX / 2), SSE_FAILED);
    assert_int_equal(feed_event(fits + 1, 65536), SSE_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_lines_are_joined),
        cmocka_unit_test(test_byte_order_mark_only_at_the_start),
        cmocka_unit_test(test_an_event_ends_at_its_carriage_return),
        cmocka_unit_test(test_whole_events_are_not_copied),
        cmocka_unit_test(test_the_limit_is_the_same_however_it_comes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
