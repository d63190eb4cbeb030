/*
 * Heads of answers, chunk framing, and the table of ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "http/h1.h"
#include "server/end.h"
#include "server/response.h"

static void check_head(const struct response_head *h, const char *want)
{
    struct buf b;
    buf_init(&b, 4096);
    response_begin(&b, h, STR("D"));
    response_end(&b);
    buf_append_char(&b, '\0');
    assert_string_equal(b.data, want);
    buf_done(&b);
}

static void test_heads(void **state)
{
    (void)state;
    check_head(&(struct response_head){200, "text/plain", FRAME_SIZED, 12, true, false},
               "HTTP/1.1 200 OK\r\ndate: D\r\ncontent-type: text/plain\r\n"
               "content-length: 12\r\n\r\n");
    check_head(&(struct response_head){400, "text/plain", FRAME_SIZED, 0, false, false},
               "HTTP/1.1 400 Bad Request\r\ndate: D\r\ncontent-type: text/plain\r\n"
               "content-length: 0\r\nconnection: close\r\n\r\n");
    check_head(&(struct response_head){200, "a/b", FRAME_CHUNKED, 0, true, false},
               "HTTP/1.1 200 OK\r\ndate: D\r\ncontent-type: a/b\r\n"
               "transfer-encoding: chunked\r\n\r\n");
    check_head(&(struct response_head){200, "a/b", FRAME_UNTIL_CLOSE, 0, false, true},
               "HTTP/1.1 200 OK\r\ndate: D\r\ncontent-type: a/b\r\nconnection: close\r\n\r\n");
    check_head(&(struct response_head){200, "a/b", FRAME_SIZED, 1, true, true},
               "HTTP/1.1 200 OK\r\ndate: D\r\ncontent-type: a/b\r\ncontent-length: 1\r\n"
               "connection: keep-alive\r\n\r\n");
    check_head(&(struct response_head){204, NULL, FRAME_EMPTY, 0, true, false},
               "HTTP/1.1 204 No Content\r\ndate: D\r\n\r\n");
}

static void test_header_values(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 16384);
    response_header(&b, "x", STR("a\r\nset-cookie: b\t\xc3\xa9\x7f"));
    buf_append_char(&b, '\0');
    assert_string_equal(b.data, "x: a??set-cookie: b????\r\n");
    buf_reset(&b);
    char long_value[10000];
    memset(long_value, 'y', sizeof(long_value));
    response_header(&b, "x", (struct str){long_value, sizeof(long_value)});
    assert_false(b.failed);
    assert_int_equal(b.len, 3 + 4096 + 2);
    buf_done(&b);
}

static void test_date(void **state)
{
    (void)state;
    char date[32];
    response_date(784111777, date, sizeof(date));
    assert_string_equal(date, "Sun, 06 Nov 1994 08:49:37 GMT");
    response_date(0, date, sizeof(date));
    assert_string_equal(date, "Thu, 01 Jan 1970 00:00:00 GMT");
}

static void check_chunk(size_t content, bool is_last, const char *before, const char *behind)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    assert_true(response_reserve_chunk(&b));
    for (size_t i = 0; i < content; i++)
        buf_append_char(&b, 'x');
    assert_int_equal(response_content(&b).n, content);
    struct str s = response_frame_chunk(&b, is_last);
    assert_int_equal(s.n, strlen(before) + content + strlen(behind));
    assert_memory_equal(s.p, before, strlen(before));
    assert_memory_equal(s.p + s.n - strlen(behind), behind, strlen(behind));
    buf_done(&b);
}

static void test_chunks(void **state)
{
    (void)state;
    check_chunk(1, false, "1\r\n", "\r\n");
    check_chunk(26, false, "1a\r\n", "\r\n");
    check_chunk(70000, false, "11170\r\n", "\r\n");
    check_chunk(5, true, "5\r\n", "\r\n0\r\n\r\n");
    check_chunk(0, true, "0\r\n\r\n", "");
    check_chunk(0, false, "", "");
}

static void test_chunk_too_large(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, RESPONSE_CHUNK_ROOM + 4);
    assert_true(response_reserve_chunk(&b));
    assert_true(buf_append(&b, "abcd", 4));
    assert_int_equal(response_frame_chunk(&b, true).n, 0); /* no room for its end */
    buf_done(&b);
}

/* An answer needs a status line, a type and something to say; an error has all three. */
static void test_end_reasons(void **state)
{
    (void)state;
    int n = 0;
#define END(name, status, type, code, word, message) n++;
#include "server/end_reasons.def"
#undef END
    for (int i = 1; i <= n; i++) {
        const struct end_info *info = end_info((enum end_reason)i);
        assert_true(strlen(info->word) > 0);
        assert_null(strpbrk(info->word, " =\"\n"));
        if (info->status == 0)
            continue;
        assert_true(strlen(h1_status_text(info->status)) > 0);
        assert_true(strlen(info->type) > 0);
        assert_true(strlen(info->message) > 0);
    }
    assert_int_equal(end_info(END_NO_KEY)->status, 401);
    assert_string_equal(end_info(END_SHUTDOWN)->word, "shutdown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_header_values),
        cmocka_unit_test(test_date),
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_chunk_too_large),
        cmocka_unit_test(test_end_reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
