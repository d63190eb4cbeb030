/*
 * libFuzzer: a JSON Schema on the first line, a value behind it; the first line alone is a regular
 * expression, too. Verdicts are the same twice, a fault is text that a header may hold, work ends.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "json/conform.h"
#include "json/regex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void must_be_printable(const char *text, size_t max)
{
    size_t n = 0;
    must(text[0] != '\0');
    for (; n < max && text[n]; n++)
        must(text[n] >= ' ' && text[n] <= '~');
    must(n < max);
}

static void check(yyjson_val *schema, yyjson_val *value)
{
    struct conform_fault fault = {{0}, {0}};
    const enum conformance before = conform_check(schema, value, &fault);
    must(before == conform_check(schema, value, NULL));
    if (before == CONFORM_NO) {
        must_be_printable(fault.path, sizeof(fault.path));
        must_be_printable(fault.why, sizeof(fault.why));
        conform_mend_case(schema, value);
        conform_check(schema, value, NULL);
    }
}

static void match(struct str pattern, struct str text)
{
    static struct regex re;
    size_t steps = 100000, again = steps;
    if (!regex_compile(&re, pattern))
        return;
    must(regex_matches(&re, text, &steps) == regex_matches(&re, text, &again));
    must(steps == again && steps <= 100000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_error err;
    struct str rest = {(const char *)data, size}, line;
    if (!str_split(&rest, '\n', &line))
        return 0;
    match(line, rest);
    yyjson_doc *schema = json_parse(line, &err), *value = json_parse(rest, &err);
    if (schema && value)
        check(yyjson_doc_get_root(schema), yyjson_doc_get_root(value));
    yyjson_doc_free(schema);
    yyjson_doc_free(value);
    return 0;
}
