/*
 * "host[:port]" and "[::1]:port", as URLs have it. Pure.
 */
#ifndef NET_AUTHORITY_H
#define NET_AUTHORITY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

#define AUTHORITY_HOST_SIZE 256

struct authority {
    char host[AUTHORITY_HOST_SIZE]; /* a name or an address in lower case, without brackets */
    int port;
    bool is_v6;
};
enum authority_result { AUTHORITY_OK, AUTHORITY_BAD_HOST, AUTHORITY_BAD_PORT };
/* Without a port it is `default_port`. */
enum authority_result authority_parse(struct str text, int default_port, struct authority *ret);

#endif
