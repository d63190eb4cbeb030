/*
 * The option table as data, and what its kinds of values are. Private to config/.
 */
#ifndef CONFIG_OPTION_H
#define CONFIG_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "config/config.h"

/* Kind, type of the member, what a value must be (numbers and choices say more). */
#define OPTION_KINDS(X)                                                                            \
    X(SECRET, char *, "at most 8192 visible ASCII characters without blanks")                      \
    X(MODEL, char *, "the id of a model, such as claude-haiku-4-5")                                \
    X(MODELS, char *, "a comma list of models")                                                    \
    X(PAIRS, char *, "a comma list of name=model")                                                 \
    X(HOST, char *, "a host name or an IP address")                                                \
    X(ORIGINS, char *, "*, or a comma list of origins such as https://app.example")                \
    X(URL, char *, "http:// or https://, a host, and if need be :port and a path")                 \
    X(PATH, char *, "the path of a file")                                                          \
    X(PROXY, char *, "the URL of a proxy, such as http://proxy.example:3128")                      \
    X(HOSTS, char *, "*, or a comma list of names, addresses and networks such as 10.0.0.0/8")     \
    X(ADDRESS, char *, "an IPv4 or IPv6 address")                                                  \
    X(LISTEN, char *, "an address and a port, such as 127.0.0.1:9090")                             \
    X(INTEGER, int64_t, "a whole number")                                                          \
    X(SECONDS, int64_t, "a whole number of seconds")                                               \
    X(NUMBER, double, "a number")                                                                  \
    X(BOOLEAN, bool, "on or off")                                                                  \
    X(CHOICE, int64_t, "one of")                                                                   \
    X(CHOICES, int64_t, "a comma list of")

#define X(kind, type, must_be) OPTION_##kind,
enum option_kind { OPTION_KINDS(X) };
#undef X

/* The place of each option in the table. */
#define SECTION(title, introduction)
#define OPTION(kind, when, name, member, def, low, high, choices, summary, details)                \
    OPTION_IS_##name,
enum option_id {
#include "config/options.def"
    OPTIONS
};
#undef SECTION
#undef OPTION

/* Whether SIGHUP is enough for a new value. */
enum option_when { OPTION_AT_START, OPTION_ON_RELOAD };

struct option {
    const char *name;
    enum option_kind kind;
    enum option_when when;
    size_t offset; /* of the member in struct config */
    const char *by_default;
    int64_t low, high;   /* of numbers */
    const char *choices; /* "a|b=alias|c" */
    const char *summary, *details;
};
extern const struct option option_table[OPTIONS];

/* NULL when there is none of that name. */
const struct option *option_find(struct str name);
/* The flag without its dashes: "log-level". `to` must hold the name and the NUL. */
void option_flag(const struct option *o, char *to, size_t size);
#define OPTION_FLAG_SIZE 64

union option_value {
    char *text; /* owned */
    int64_t integer;
    double number;
    bool boolean;
};
enum option_result { OPTION_OK, OPTION_REFUSED, OPTION_NO_MEMORY };
enum option_result option_parse(const struct option *o, struct str text, union option_value *ret);
/* "a whole number from 0 to 65535" */
void option_write_allowed(const struct option *o, struct buf *out);
/* Whether an empty value means something; where it does not, it counts as not set. */
bool option_may_be_empty(const struct option *o);
bool option_is_text(const struct option *o);
/* Whether its value, or a part of it, must never be seen. */
bool option_is_secret(const struct option *o);
/* Whether other programs read it too, under its name in lower case as well: https_proxy. */
bool option_is_shared(const struct option *o);
/* The i-th choice (without its alias); false behind the last. */
bool option_choice(const struct option *o, size_t i, struct str *ret);

#endif
