/*
 * The simulator: Anthropic's Messages API on loopback, answers derived from the prompt, shapes,
 * timing and faults on demand (docs/simulator.md).
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <stddef.h>

struct sim;

struct sim_options {
    const char *host;
    int port;              /* 0 = the kernel picks */
    const char *cert_file; /* both set: TLS, with HTTP/2 by ALPN */
    const char *key_file;
    int workers;            /* threads, at least 1 */
    int max_streams;        /* open at once on an HTTP/2 connection; 0 = as the API, 250 */
    const char *directives; /* for every request of /v1/messages ("gap=20ms"); NULL = none */
};

/* Starts its threads. NULL with one line in `why`. */
struct sim *sim_start(const struct sim_options *o, char *why, size_t why_size);
int sim_port(const struct sim *s);
/* Stops the threads and frees. */
void sim_stop(struct sim *s);

#endif
