/*
 * For tests: a server on loopback that gives canned answers, one connection after the other, and
 * what a subcommand prints to standard output while it talks to it.
 */
#ifndef CLI_TEST_CANNED_SERVER_H
#define CLI_TEST_CANNED_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CANNED_TEXT_SIZE 16384

struct canned_server {
    int listener, port;
    pthread_t thread;
    const char *const *answers;   /* whole HTTP messages, NULL-terminated; "" = silence */
    char asked[CANNED_TEXT_SIZE]; /* the heads that came, one behind the other */
};

/* Reads up to the end of a request's head. False when the client is gone. */
static inline bool canned_read_head(struct canned_server *s, int fd)
{
    size_t from = strlen(s->asked), n = from;
    while (n + 1 < sizeof(s->asked)) {
        ssize_t got = recv(fd, s->asked + n, sizeof(s->asked) - 1 - n, 0);
        if (got <= 0)
            return false;
        n += (size_t)got;
        s->asked[n] = '\0';
        if (strstr(s->asked + from, "\r\n\r\n"))
            return true;
    }
    return false;
}

static inline void *canned_run(void *arg)
{
    struct canned_server *s = arg;
    int fd = -1;
    for (size_t i = 0; s->answers[i];) {
        if (fd < 0)
            fd = accept(s->listener, NULL, NULL);
        if (fd < 0)
            break;
        bool has_asked = canned_read_head(s, fd);
        if (has_asked) {
            const char *answer = s->answers[i++];
            send(fd, answer, strlen(answer), MSG_NOSIGNAL);
        }
        if (!has_asked || strstr(s->asked, "Connection: close")) {
            close(fd);
            fd = -1;
        }
    }
    if (fd >= 0) /* the client goes first, so that it has read everything */
        poll(&(struct pollfd){.fd = fd, .events = POLLRDHUP}, 1, 10000);
    close(fd);
    return NULL;
}

static inline void canned_start(struct canned_server *s, const char *const *answers)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);
    memset(s, 0, sizeof(*s));
    s->answers = answers;
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(s->listener, 8), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&sa, &len), 0);
    s->port = ntohs(sa.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, canned_run, s), 0);
}

static inline void canned_stop(struct canned_server *s)
{
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->listener);
}

/* Runs a subcommand with these flags; what it prints to standard output goes to `text`. */
static inline int catch_command(int (*run)(int argc, char **argv), const char *const *flags,
                                char text[CANNED_TEXT_SIZE])
{
    char *argv[16] = {NULL};
    int argc = 0;
    for (; flags[argc]; argc++)
        argv[argc] = strdup(flags[argc]);
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    dup2(fileno(file), STDOUT_FILENO);
    int exit_code = run(argc, argv);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    rewind(file);
    text[fread(text, 1, CANNED_TEXT_SIZE - 1, file)] = '\0';
    fclose(file);
    for (int i = 0; i < argc; i++)
        free(argv[i]);
    return exit_code;
}

#endif
