/*
 * JSON as the rest of the project sees it: yyjson's values, parsed under named limits. The only
 * place that includes yyjson.h; others use its yyjson_* accessors and writers through this header.
 *
 * Numbers are kept as the text they were written in (YYJSON_READ_NUMBER_AS_RAW), so that what is
 * passed on is passed on digit for digit; read one with json_to_int / json_to_double.
 */
#ifndef JSON_JSON_H
#define JSON_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <yyjson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

/* Deeper documents are refused before they are parsed: our own walks recurse. */
#define JSON_DEPTH_MAX 128
/* The parser takes 16 bytes for each: 32 MB of "[0,0,..." would become 256. */
#define JSON_VALUES_MAX 2000000

struct json_error {
    size_t offset;       /* byte at which it was noticed */
    const char *message; /* static text */
    bool is_memory;      /* the document may be fine: there is no memory for it */
};

/*
 * Parses one document (RFC 8259, valid UTF-8 only). The values point into memory of their own;
 * free with yyjson_doc_free. NULL and *err on failure.
 */
yyjson_doc *json_parse(struct str text, struct json_error *err) PX_MUST_CHECK;

/*
 * The same without copies of long strings: those of so many bytes and more (0 = none) that are
 * ASCII without escapes, as base64 is. They are values in `text`, with no NUL behind them, and
 * neither copied nor looked at by the parser. `text` must outlive the document.
 */
yyjson_doc *json_parse_in_place(struct str text, size_t long_bytes_min,
                                struct json_error *err) PX_MUST_CHECK;

/* The text of a string value; {NULL, 0} when it is not a string. Borrows from the document. */
struct str json_str(yyjson_val *v);
/*
 * Member of an object by name; NULL when absent, when `obj` is no object, or when it is null. Of a
 * name given twice the last counts, as in JavaScript.
 */
yyjson_val *json_get_n(yyjson_val *obj, struct str name);
/* Inline, so that the length of a constant is one. */
PX_INLINE yyjson_val *json_get(yyjson_val *obj, const char *name)
{
    return json_get_n(obj, str_of(name));
}
bool json_is_number(yyjson_val *v);
/* The number as it was written; {NULL, 0} when it is none. Borrows from the document. */
struct str json_number_text(yyjson_val *v);
/* The number as an integer; false when it is none, has a fraction ("1.0" has none) or overflows. */
bool json_to_int(yyjson_val *v, int64_t *ret);
bool json_to_double(yyjson_val *v, double *ret);

/* Whether both say the same: members in any order, numbers by their value. */
bool json_is_same(yyjson_val *a, yyjson_val *b);

/* Appends `s` as a quoted JSON string. Invalid UTF-8 becomes U+FFFD, so output is always valid. */
bool json_write_string(struct buf *b, struct str s);
/* The same for what is known to be valid UTF-8, as every string of a parsed document is. */
bool json_write_text(struct buf *b, struct str s);
/* Appends the value as compact JSON, numbers digit for digit, keys in their order. */
bool json_write_value(struct buf *b, yyjson_val *v);

#endif
