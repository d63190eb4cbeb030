/*
 * bench-load: HTTP/1.1 requests, all the same, at a rate or as fast as answers come; every stream
 * is checked whole. One line of JSON says what came back, how late, and at what cost in CPU.
 */
#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "schedule.h"

#define BODY_BYTES_MAX (64u << 20)
#define HEAD_BYTES_MAX 16384

static const char usage[] =
    "usage: bench-load --url URL --body FILE [options]\n"
    "  --url URL         http://ADDRESS:PORT/PATH, or https with --ca\n"
    "  --ca FILE         the certificates to trust\n"
    "  --body FILE       what is posted, as JSON\n"
    "  --header LINE     one more header of the request; again for more\n"
    "  --form NAME       the streams are those of `openai` (default) or `anthropic`\n"
    "  --tokens N        each answer is a stream of N tokens that are stamps; else none is read\n"
    "  --requests N      in all (1)\n"
    "  --connections N   at once (1)\n"
    "  --rate N          requests a second whatever becomes of them; else each waits for an "
    "answer\n"
    "  --hold            say \"open\" when all streams have begun; SIGTERM ends the run\n"
    "  --pid N           a process whose CPU time is taken; again for more\n"
    "  --timeout N       seconds until what is not over counts as lost (60)\n";

struct settings {
    const char *url, *body, *ca;
    const struct stream_form *form;
    struct buf headers;
    int64_t n_tokens;
    struct schedule_options schedule;
};

static void die(const char *what, const char *about)
{
    fprintf(stderr, "bench-load: %s%s%s\n", what, *about ? ": " : "", about);
    exit(2);
}

static int64_t number(const char *text, int64_t max)
{
    uint64_t n;
    if (!str_to_u64(str_of(text), &n) || n > (uint64_t)max)
        die("not a number in range", text);
    return (int64_t)n;
}

static void add_clock(struct schedule_options *o, const char *pid)
{
    if (o->n_clocks == SCHEDULE_PIDS_MAX ||
        clock_getcpuclockid((pid_t)number(pid, INT32_MAX), &o->clocks[o->n_clocks++]) != 0)
        die("no such process", pid);
}

enum { URL = 1, CA, BODY, HEADER, FORM, TOKENS, REQUESTS, CONNECTIONS, RATE, HOLD, PID, TIMEOUT };
static const struct option flags[] = {
    {"url", required_argument, NULL, URL},
    {"ca", required_argument, NULL, CA},
    {"body", required_argument, NULL, BODY},
    {"header", required_argument, NULL, HEADER},
    {"form", required_argument, NULL, FORM},
    {"tokens", required_argument, NULL, TOKENS},
    {"requests", required_argument, NULL, REQUESTS},
    {"connections", required_argument, NULL, CONNECTIONS},
    {"rate", required_argument, NULL, RATE},
    {"hold", no_argument, NULL, HOLD},
    {"pid", required_argument, NULL, PID},
    {"timeout", required_argument, NULL, TIMEOUT},
    {0},
};

static void take_flag(struct settings *s, int flag, const char *value)
{
    struct schedule_options *o = &s->schedule;
    switch (flag) {
    case URL:
        s->url = value;
        return;
    case CA:
        s->ca = value;
        return;
    case BODY:
        s->body = value;
        return;
    case HEADER:
        buf_printf(&s->headers, "%s\r\n", value);
        return;
    case FORM:
        s->form = stream_form_find(value);
        if (!s->form)
            die("no such form", value);
        return;
    case TOKENS:
        s->n_tokens = number(value, 1000000);
        return;
    case REQUESTS:
        o->n_requests = number(value, 1000000000);
        return;
    case CONNECTIONS:
        o->n_clients = number(value, 1000000);
        return;
    case RATE:
        o->rate = (double)number(value, 1000000);
        return;
    case HOLD:
        o->holds = true;
        return;
    case PID:
        add_clock(o, value);
        return;
    case TIMEOUT:
        o->timeout_ms = number(value, 86400) * 1000;
        return;
    default:
        fputs(usage, stderr);
        exit(2);
    }
}

static void take_flags(struct settings *s, int argc, char **argv)
{
    *s = (struct settings){
        .form = stream_form_find("openai"),
        .schedule = {.n_requests = 1, .n_clients = 1, .timeout_ms = 60000},
    };
    buf_init(&s->headers, HEAD_BYTES_MAX);
    for (int flag; (flag = getopt_long(argc, argv, "", flags, NULL)) != -1;)
        take_flag(s, flag, optarg);
    if (!s->url || !s->body || optind < argc || s->schedule.n_clients < 1 ||
        s->schedule.n_requests < 1)
        take_flag(s, 0, NULL);
}

/* --- what is sent, to whom ---------------------------------------------------------------------
 */

static void read_file(const char *path, struct buf *b)
{
    FILE *file = fopen(path, "rb");
    char bytes[65536];
    if (!file)
        die("cannot read", path);
    for (size_t n; (n = fread(bytes, 1, sizeof(bytes), file)) > 0;)
        buf_append(b, bytes, n);
    fclose(file);
}

/* Fills address, host and TLS of the target; returns the path. */
static const char *read_url(const struct settings *s, struct target *t, char *host, size_t size)
{
    int port = 0, path_at = 0;
    bool is_secure = strncmp(s->url, "https://", 8) == 0;
    char why[256], format[48];
    snprintf(format, sizeof(format), "http%s://%%%zu[0-9.]:%%d%%n", is_secure ? "s" : "", size - 1);
    if (sscanf(s->url, format, host, &port, &path_at) != 2 || s->url[path_at] != '/' || port < 1 ||
        port > 65535)
        die("not http://ADDRESS:PORT/PATH", s->url);
    t->host = host;
    t->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, host, &t->address.sin_addr) != 1)
        die("not an address", host);
    if (is_secure && !(t->tls = tls_client_context(s->ca, why, sizeof(why))))
        die(why, "");
    return s->url + path_at;
}

static void build_request(const struct settings *s, const char *host, const char *path,
                          struct buf *request)
{
    struct buf body;
    buf_init(&body, BODY_BYTES_MAX);
    read_file(s->body, &body);
    buf_init(request, BODY_BYTES_MAX + 2 * HEAD_BYTES_MAX);
    buf_printf(request, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n", path,
               host);
    buf_append_str(request, buf_str(&s->headers));
    buf_printf(request, "Content-Length: %zu\r\n\r\n", body.len);
    buf_append_str(request, buf_str(&body));
    if (body.failed || request->failed)
        die("too large", s->body);
    buf_done(&body);
}

/* --- the report --------------------------------------------------------------------------------
 */

static void print_mark(const char *name, const struct schedule *s, const struct mark *m)
{
    if (m->is_set)
        printf(", \"%s\": {\"us\": %lld, \"cpu_us\": %lld, \"tokens\": %lld}", name,
               (long long)(m->at_us - s->start.at_us), (long long)(m->cpu_us - s->start.cpu_us),
               (long long)m->n_tokens);
}

static void print_spread(const char *name, const struct spread *s)
{
    if (s->n > 0)
        printf(", \"%s\": {\"n\": %lld, \"p50\": %lld, \"p99\": %lld, \"p99.9\": %lld, "
               "\"max\": %lld}",
               name, (long long)s->n, (long long)spread_at(s, 0.5), (long long)spread_at(s, 0.99),
               (long long)spread_at(s, 0.999), (long long)s->max_us);
}

static void print_report(const struct schedule *s, const struct tally *t)
{
    printf("{\"begun\": %lld", (long long)s->n_begun);
    for (int f = 0; f < FAULTS; f++)
        printf(", \"%s\": %lld", fault_name((enum fault)f), (long long)t->ended[f]);
    print_mark("end", s, &s->end);
    print_mark("all_begun", s, &s->begun);
    print_mark("first_over", s, &s->ending);
    printf(", \"parts\": [");
    for (size_t i = 0; i < s->n_parts; i++)
        printf("%s{\"cpu_us\": %lld, \"tokens\": %lld}", i ? ", " : "",
               (long long)(s->parts[i].cpu_us - s->start.cpu_us), (long long)s->parts[i].n_tokens);
    printf("]");
    print_spread("answer_us", &t->answer_us);
    print_spread("first_us", &t->first_us);
    print_spread("lag_us", &t->lag_us);
    printf("}\n");
}

int main(int argc, char **argv)
{
    struct settings settings;
    struct tally tally;
    struct buf request;
    char host[64];
    struct rlimit files;
    struct target target = {0};
    struct schedule schedule;
    take_flags(&settings, argc, argv);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    build_request(&settings, host, read_url(&settings, &target, host, sizeof(host)), &request);
    target.loop = loop_create();
    target.request = buf_str(&request);
    target.form = settings.form;
    target.n_tokens = settings.n_tokens;
    target.tally = &tally;
    if (!target.loop || !tally_init(&tally) ||
        !schedule_run(&schedule, &target, &settings.schedule))
        die("out of memory", "");
    print_report(&schedule, &tally);
    loop_destroy(target.loop);
    schedule_done(&schedule);
    tally_done(&tally);
    tls_context_destroy(target.tls);
    buf_done(&request);
    buf_done(&settings.headers);
    return 0;
}
