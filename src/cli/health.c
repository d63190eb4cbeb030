/*
 * `claude-proxy health`: asks the server that runs on this machine, as a container's health check
 * does. A blocking socket of its own: it must not need what it checks.
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/setup.h"
#include "net/tls.h"

#define TIMEOUT_S    5
#define ANSWER_BYTES 8192

/* Where a server that listens on every address is reached from the same machine. */
static const char *reachable(const char *host)
{
    if (strcmp(host, "0.0.0.0") == 0)
        return "127.0.0.1";
    return strcmp(host, "::") == 0 ? "::1" : host;
}

static int try_address(const struct addrinfo *a)
{
    const struct timeval timeout = {.tv_sec = TIMEOUT_S};
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)); /* bounds connect too */
    if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static int dial(const char *host, int64_t port)
{
    char service[8];
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list;
    snprintf(service, sizeof(service), "%d", (int)port);
    int error = getaddrinfo(host, service, &hints, &list);
    if (error) {
        setup_complain("%s: %s", host, gai_strerror(error));
        return -1;
    }
    int fd = -1;
    for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next)
        fd = try_address(a);
    if (fd < 0)
        setup_complain("nothing answers on %s port %d: %s", host, (int)port,
                       errno == EINPROGRESS ? "timed out" : strerror(errno));
    freeaddrinfo(list);
    return fd;
}

/* The connection, with or without TLS. */
struct line {
    int fd;
    struct tls_context *context; /* NULL = plain */
    struct tls *tls;
};

/*
 * Who answers is not verified: nothing is told to it, and the certificate is seldom one for a
 * loopback address.
 */
static bool secure(struct line *l, char *why, size_t why_size)
{
    l->context = tls_probe_context(why, why_size);
    l->tls = l->context ? tls_probe(l->context) : NULL;
    if (!l->tls || !tls_attach(l->tls, l->fd))
        return false;
    const enum tls_result result = tls_handshake(l->tls);
    if (result != TLS_OK)
        snprintf(why, why_size, "no TLS on that port: %s",
                 result == TLS_WANT_READ ? "timed out" : tls_reason(l->tls));
    return result == TLS_OK;
}

static void hang_up(struct line *l)
{
    tls_destroy(l->tls);
    tls_context_destroy(l->context);
    if (l->fd >= 0)
        close(l->fd);
}

static bool say(struct line *l, const char *p, size_t n)
{
    size_t sent = 0;
    if (l->tls)
        return tls_write(l->tls, p, n, &sent) == TLS_OK && sent == n;
    return send(l->fd, p, n, MSG_NOSIGNAL) == (ssize_t)n;
}

/* Like recv(2). */
static ssize_t hear(struct line *l, char *p, size_t size)
{
    if (!l->tls)
        return recv(l->fd, p, size, 0);
    size_t n = 0;
    const enum tls_result result = tls_read(l->tls, p, size, &n);
    return result == TLS_OK ? (ssize_t)n : result == TLS_EOF ? 0 : -1;
}

/* Sends the question, reads until the server closes. False on any trouble. */
static bool ask(struct line *l, struct buf *answer)
{
    static const char question[] = "GET /health HTTP/1.1\r\nHost: localhost\r\n"
                                   "User-Agent: claude-proxy-health\r\nConnection: close\r\n\r\n";
    if (!say(l, question, sizeof(question) - 1))
        return false;
    int64_t deadline_us = clock_mono_us() + (int64_t)TIMEOUT_S * 1000000;
    while (answer->len < ANSWER_BYTES && clock_mono_us() < deadline_us) {
        char *to = buf_reserve(answer, ANSWER_BYTES - answer->len);
        ssize_t n = to ? hear(l, to, ANSWER_BYTES - answer->len) : -1;
        if (n <= 0)
            return n == 0 && answer->len > 0;
        answer->len += (size_t)n;
    }
    return false;
}

static int judge(struct str answer)
{
    ptrdiff_t end = str_find(answer, STR("\r\n\r\n"));
    if (end < 0 || !str_starts(answer, STR("HTTP/1.1 "))) {
        setup_complain("what listens there is not claude-proxy");
        return CLI_FAILED;
    }
    struct str body = {answer.p + end + 4, answer.n - (size_t)end - 4};
    printf("%.*s\n", STR_ARG(str_trim(body)));
    return str_starts(answer, STR("HTTP/1.1 200 ")) ? CLI_OK : CLI_FAILED;
}

/* The exit code. */
static int examine(struct line *l, const struct config *config, struct buf *answer)
{
    char why[256] = "";
    if (config->tls_cert[0] && !secure(l, why, sizeof(why))) {
        setup_complain("%s", why);
        return CLI_FAILED;
    }
    if (ask(l, answer))
        return judge(buf_str(answer));
    if (l->tls && tls_wants_certificate(l->tls)) {
        puts("it answers, and wants a certificate of its clients"); /* which this has not */
        return CLI_OK;
    }
    setup_complain("no whole answer within %d seconds", TIMEOUT_S);
    return CLI_FAILED;
}

int cli_health(int argc, char **argv)
{
    struct config config;
    if (!setup_config(&config, argc, argv, NULL, 0)) {
        config_done(&config);
        return CLI_USAGE;
    }
    setup_process();
    int exit_code = CLI_FAILED;
    struct buf answer;
    buf_init(&answer, ANSWER_BYTES);
    struct line line = {.fd = dial(reachable(config.host), config.port)};
    if (line.fd >= 0)
        exit_code = examine(&line, &config, &answer);
    hang_up(&line);
    buf_done(&answer);
    config_done(&config);
    return exit_code;
}
