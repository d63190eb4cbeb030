/*
 * Log lines, as they arrive on standard error: both forms, escapes, levels, long lines.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/scarce.h"

#define LINE_SIZE 16384

/* What standard error gets while `fill` is caught. */
struct catcher {
    int saved, pipe_read;
};

static struct catcher catch_stderr(void)
{
    int ends[2];
    struct catcher c;
    assert_int_equal(pipe(ends), 0);
    c.saved = dup(STDERR_FILENO);
    c.pipe_read = ends[0];
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    return c;
}

static void release_stderr(struct catcher *c, char line[LINE_SIZE])
{
    dup2(c->saved, STDERR_FILENO);
    close(c->saved);
    size_t n = 0;
    for (ssize_t got; n < LINE_SIZE - 1; n += (size_t)got)
        if ((got = read(c->pipe_read, line + n, LINE_SIZE - 1 - n)) <= 0)
            break;
    line[n] = '\0';
    close(c->pipe_read);
}

/* The line without its time, which is checked for its form. */
static const char *behind_time(const char *line, const char *form)
{
    size_t i = 0;
    for (; form[i]; i++) {
        bool is_digit = line[i] >= '0' && line[i] <= '9';
        assert_true(form[i] == '0' ? is_digit : line[i] == form[i]);
    }
    return line + i;
}

#define EXPECT_TEXT(expected, ...)                                                                 \
    do {                                                                                           \
        char line_[LINE_SIZE];                                                                     \
        struct catcher catcher_ = catch_stderr();                                                  \
        log_setup(LOG_INFO, LOG_TEXT);                                                             \
        log_line(__VA_ARGS__);                                                                     \
        release_stderr(&catcher_, line_);                                                          \
        assert_string_equal(behind_time(line_, "0000-00-00T00:00:00.000Z "), expected);            \
    } while (0)

#define EXPECT_JSON(expected, ...)                                                                 \
    do {                                                                                           \
        char line_[LINE_SIZE];                                                                     \
        struct catcher catcher_ = catch_stderr();                                                  \
        log_setup(LOG_INFO, LOG_JSON);                                                             \
        log_line(__VA_ARGS__);                                                                     \
        release_stderr(&catcher_, line_);                                                          \
        assert_string_equal(behind_time(line_, "{\"time\":\"0000-00-00T00:00:00.000Z\""),          \
                            expected);                                                             \
    } while (0)

static void text_lines(void **state)
{
    (void)state;
    EXPECT_TEXT("info    listening host=127.0.0.1 port=8000\n", LOG_INFO, "listening",
                LOG_Z("host", "127.0.0.1"), LOG_I("port", 8000));
    EXPECT_TEXT("error   failed why=\"no such file\" empty=\"\" n=-5\n", LOG_ERROR, "failed",
                LOG_Z("why", "no such file"), LOG_Z("empty", NULL), LOG_I("n", -5));
    EXPECT_TEXT("warning x q=\"a\\\"b\\\\c\" min=-9223372036854775808\n", LOG_WARNING, "x",
                LOG_Z("q", "a\"b\\c"), LOG_I("min", INT64_MIN));
}

static void json_lines(void **state)
{
    (void)state;
    EXPECT_JSON(",\"level\":\"info\",\"message\":\"listening\",\"host\":\"127.0.0.1\","
                "\"port\":8000}\n",
                LOG_INFO, "listening", LOG_Z("host", "127.0.0.1"), LOG_I("port", 8000));
    EXPECT_JSON(",\"level\":\"error\",\"message\":\"a \\\"b\\\"\",\"s\":\"\"}\n", LOG_ERROR,
                "a \"b\"", LOG_Z("s", ""));
}

/* What clients send must not begin a line of its own, nor speak to the terminal. */
static void control_characters(void **state)
{
    (void)state;
    EXPECT_TEXT("info    x s=\"a\\u000ab\\u001b[2J\\u007f\\u0000\"\n", LOG_INFO, "x",
                LOG_S("s", STR("a\nb\x1b[2J\x7f\0")));
    EXPECT_JSON(",\"level\":\"info\",\"message\":\"x\",\"s\":\"a\\u000ab\\u001b[2J\\u007f\"}\n",
                LOG_INFO, "x", LOG_Z("s", "a\nb\x1b[2J\x7f"));
    EXPECT_TEXT("info    x s=\"\\u009b2J\"\n", LOG_INFO, "x",
                LOG_Z("s", "\xc2\x9b"
                           "2J"));
    EXPECT_TEXT("info    x s=gr\xc3\xbc\xc3\x9f\n", LOG_INFO, "x",
                LOG_Z("s", "gr\xc3\xbc\xc3\x9f"));
}

/* A line of JSON is JSON whatever a client sent. */
static void bytes_that_are_no_text(void **state)
{
    (void)state;
    EXPECT_JSON(",\"level\":\"info\",\"message\":\"x\",\"s\":\"a\\ufffd\\ufffd\"}\n", LOG_INFO, "x",
                LOG_Z("s", "a\xff\xc3"));
    EXPECT_TEXT("info    x s=\"\\ufffd\"\n", LOG_INFO, "x", LOG_Z("s", "\x9b"));
}

static void levels(void **state)
{
    (void)state;
    char line[LINE_SIZE];
    log_setup(LOG_WARNING, LOG_TEXT);
    assert_false(log_is_on(LOG_TRACE));
    assert_false(log_is_on(LOG_INFO));
    assert_true(log_is_on(LOG_WARNING));
    assert_true(log_is_on(LOG_ERROR));
    struct catcher c = catch_stderr();
    log_line(LOG_INFO, "quiet", LOG_I("n", 1));
    release_stderr(&c, line);
    assert_string_equal(line, "");
}

/* Standard error is a pipe here: not a terminal. */
static void auto_is_json_off_a_terminal(void **state)
{
    (void)state;
    char line[LINE_SIZE];
    struct catcher c = catch_stderr();
    log_setup(LOG_INFO, LOG_AUTO);
    log_line(LOG_INFO, "x", LOG_I("n", 1));
    release_stderr(&c, line);
    assert_int_equal(line[0], '{');
}

/* A line that is too long is cut, and says so; it does not vanish. */
static void long_lines(void **state)
{
    (void)state;
    static char text[20000], controls[2000];
    char line[LINE_SIZE];
    memset(text, 'x', sizeof(text) - 1);
    memset(controls, 1, sizeof(controls) - 1);
    for (int format = LOG_TEXT; format <= LOG_JSON; format++) {
        struct catcher c = catch_stderr();
        log_setup(LOG_INFO, (enum log_format)format);
        log_line(LOG_INFO, "long", LOG_Z("one", text), LOG_I("two", 2));
        release_stderr(&c, line);
        assert_in_range(strlen(line), 1024, 1200);
        assert_non_null(strstr(line, "two"));

        c = catch_stderr();
        log_line(LOG_INFO, "long", LOG_I("one", 1), LOG_Z("two", controls), LOG_I("three", 3));
        release_stderr(&c, line);
        assert_in_range(strlen(line), 40, 4096);
        assert_non_null(strstr(line, "one"));
        assert_null(strstr(line, "two"));
        assert_non_null(strstr(line, format == LOG_JSON ? ",\"cut\":true}\n" : " cut=true\n"));
    }
    struct log_field many[100];
    for (size_t i = 0; i < 100; i++)
        many[i] = LOG_Z("field", "0123456789012345678901234567890123456789");
    struct catcher c = catch_stderr();
    log_write(LOG_INFO, text, many, 100);
    release_stderr(&c, line);
    assert_in_range(strlen(line), 3900, 4096);
    assert_non_null(strstr(line, ",\"cut\":true}\n"));
}

/* Reads on, behind the text that is there, until `needle` has come. */
static void read_until(const struct catcher *c, char *text, size_t size, const char *needle)
{
    size_t n = strlen(text);
    while (!strstr(text, needle)) {
        const ssize_t got = read(c->pipe_read, text + n, size - 1 - n);
        assert_true(got > 0);
        n += (size_t)got;
        text[n] = '\0';
    }
}

static void fill_stderr(void)
{
    const char filling[4096] = " ";
    const int flags = fcntl(STDERR_FILENO, F_GETFL);
    fcntl(STDERR_FILENO, F_SETFL, flags | O_NONBLOCK);
    while (write(STDERR_FILENO, filling, 1) > 0)
        ;
    fcntl(STDERR_FILENO, F_SETFL, flags);
}

static size_t count(const char *text, const char *needle)
{
    size_t n = 0;
    while ((text = strstr(text, needle)) != NULL) {
        n++;
        text++;
    }
    return n;
}

/* Reads what comes; false once nothing has for a while, and the end of that number not either. */
static bool reads_end(const struct catcher *c, char *text, size_t size, size_t number)
{
    char needle[64];
    snprintf(needle, sizeof(needle), "\"end\",\"n\":%zu}\n", number);
    size_t n = strlen(text);
    struct pollfd p = {.fd = c->pipe_read, .events = POLLIN};
    while (!strstr(text, needle)) {
        if (poll(&p, 1, 100) != 1)
            return false;
        const ssize_t got = read(c->pipe_read, text + n, size - 1 - n);
        assert_true(got > 0);
        n += (size_t)got;
        text[n] = '\0';
    }
    return true;
}

static size_t sum_of_lost(const char *text)
{
    size_t n = 0;
    while ((text = strstr(text, "\"lines\":")) != NULL) {
        text += strlen("\"lines\":");
        n += strtoul(text, NULL, 10);
    }
    return n;
}

/* cell S16: a pipe that nobody reads: nobody waits, what is kept comes later, the rest is counted.
 */
static void test_full_pipe_stops_nobody(void **state)
{
    (void)state;
    static char text[4 << 20] = "";
    enum { LINES = 20000 };
    struct catcher c = catch_stderr();
    log_setup(LOG_INFO, LOG_JSON);
    fill_stderr();
    alarm(60); /* ends the test, where it blocks */
    for (int i = 0; i < 100; i++)
        log_line(LOG_INFO, "unread", LOG_I("i", i));
    read_until(&c, text, sizeof(text), "\"i\":99}\n");
    assert_int_equal(count(text, "\"unread\""), 100);
    text[0] = '\0';
    fill_stderr();
    for (int i = 0; i < LINES; i++)
        log_line(LOG_INFO, "many", LOG_I("i", i));
    log_finish(); /* waits for a moment only */
    size_t n_ends = 0;
    do /* one may be lost too: how much is kept depends on when the thread that writes it ran */
        log_line(LOG_INFO, "end", LOG_I("n", (int64_t)n_ends++));
    while (!reads_end(&c, text, sizeof(text), n_ends - 1));
    alarm(0);
    assert_true(count(text, "\"many\"") > 2000);
    assert_int_equal(count(text, "\"many\"") + count(text, "\"end\"") + sum_of_lost(text),
                     LINES + n_ends);
    assert_true(sum_of_lost(text) > 0);
    release_stderr(&c, text);
}

/* A socket calls itself full early: no reason to lose a line. */
static void a_burst_into_a_socket(void **state)
{
    (void)state;
    static char text[1 << 20] = "";
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    struct catcher c = {dup(STDERR_FILENO), ends[0]};
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    log_setup(LOG_INFO, LOG_JSON);
    alarm(60);
    for (int i = 0; i < 1000; i++)
        log_line(LOG_INFO, "burst", LOG_I("i", i));
    read_until(&c, text, sizeof(text), "\"i\":999}\n");
    alarm(0);
    assert_int_equal(count(text, "\"burst\""), 1000);
    log_finish();
    release_stderr(&c, text);
}

static size_t waiting_bytes(const struct catcher *c)
{
    int n = 0;
    assert_int_equal(ioctl(c->pipe_read, FIONREAD, &n), 0);
    return (size_t)n;
}

/* What is held goes out in order: when it is flushed, is much, or something is wrong. */
static void held_lines(void **state)
{
    (void)state;
    char lines[LINE_SIZE];
    struct catcher c = catch_stderr();
    log_setup(LOG_INFO, LOG_TEXT);
    log_hold();
    log_line(LOG_INFO, "first");
    log_line(LOG_INFO, "second");
    assert_int_equal(waiting_bytes(&c), 0);
    log_flush();
    const size_t two = waiting_bytes(&c);
    assert_int_not_equal(two, 0);
    log_line(LOG_INFO, "third");
    assert_int_equal(waiting_bytes(&c), two);
    log_line(LOG_WARNING, "fourth");
    const size_t four = waiting_bytes(&c);
    assert_true(four > two);
    for (int i = 0; i < 4096 / 20; i++)
        log_line(LOG_INFO, "many");
    assert_true(waiting_bytes(&c) > four);
    log_line(LOG_INFO, "last");
    log_release();
    log_line(LOG_INFO, "behind");
    release_stderr(&c, lines);
    const char *const wanted[] = {"first", "second", "third", "fourth", "many", "last", "behind"};
    const char *at = lines;
    for (size_t i = 0; i < PX_ARRAY_LEN(wanted); i++)
        assert_non_null(at = strstr(at, wanted[i]));
    assert_null(strstr(lines, "missing"));
}

/* What lacks memory is what somebody will want to read. */
static void lines_need_no_memory(void **state)
{
    (void)state;
    char lines[LINE_SIZE], long_text[3 * 1024];
    memset(long_text, 'x', sizeof(long_text));
    const struct str text = {long_text, sizeof(long_text)};
    struct catcher c = catch_stderr();
    log_setup(LOG_INFO, LOG_JSON);
    scarce_begin(0, true);
    log_hold();
    for (int i = 0; i < 3; i++)
        log_line(LOG_INFO, "held", LOG_S("a", text), LOG_S("b", text), LOG_S("c", text),
                 LOG_S("d", text), LOG_I("i", i));
    log_release();
    log_line(LOG_INFO, "\"alone\"", LOG_Z("value", "1\n"));
    assert_false(scarce_end());
    release_stderr(&c, lines);
    size_t n = 0;
    for (const char *at = lines; (at = strstr(at, "\"held\"")); at++)
        n++;
    assert_int_equal(n, 3);
    assert_non_null(strstr(lines, ",\"cut\":true}\n{"));
    assert_non_null(strstr(lines, "\"\\\"alone\\\"\",\"value\":\"1\\u000a\"}\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_lines),
        cmocka_unit_test(json_lines),
        cmocka_unit_test(control_characters),
        cmocka_unit_test(bytes_that_are_no_text),
        cmocka_unit_test(levels),
        cmocka_unit_test(auto_is_json_off_a_terminal),
        cmocka_unit_test(long_lines),
        cmocka_unit_test(test_full_pipe_stops_nobody),
        cmocka_unit_test(a_burst_into_a_socket),
        cmocka_unit_test(held_lines),
        cmocka_unit_test(lines_need_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
