/*
 * Writes heads of answers and frames chunks.
 */
#include "server/response.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "http/h1.h"

#define VALUE_BYTES_MAX 4096

void response_begin(struct buf *b, const struct response_head *h, struct str date)
{
    buf_append_z(b, "HTTP/1.1 ");
    buf_append_i64(b, h->status);
    buf_append_char(b, ' ');
    buf_append_z(b, h1_status_text(h->status));
    buf_append_z(b, "\r\n");
    response_header(b, "date", date);
    if (h->content_type)
        response_header(b, "content-type", str_of(h->content_type));
    switch (h->framing) {
    case FRAME_SIZED:
        buf_append_z(b, "content-length: ");
        buf_append_u64(b, h->content_length);
        buf_append_z(b, "\r\n");
        break;
    case FRAME_CHUNKED:
        buf_append_z(b, "transfer-encoding: chunked\r\n");
        break;
    case FRAME_UNTIL_CLOSE:
    case FRAME_EMPTY:
        break;
    }
    if (!h->keeps_alive)
        buf_append_z(b, "connection: close\r\n");
    else if (h->is_http_1_0)
        buf_append_z(b, "connection: keep-alive\r\n");
}

void response_header(struct buf *b, const char *name, struct str value)
{
    if (value.n > VALUE_BYTES_MAX)
        value.n = VALUE_BYTES_MAX;
    buf_append_z(b, name);
    buf_append(b, ": ", 2);
    if (str_is_printable(value)) {
        buf_append_str(b, value);
    } else {
        for (size_t i = 0; i < value.n; i++) {
            unsigned char c = (unsigned char)value.p[i];
            buf_append_char(b, c < 0x20 || c >= 0x7f ? '?' : (char)c);
        }
    }
    buf_append(b, "\r\n", 2);
}

void response_end(struct buf *b)
{
    buf_append_z(b, "\r\n");
}

void response_date(int64_t unix_s, char *to, size_t size)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t t = (time_t)unix_s;
    struct tm tm;
    gmtime_r(&t, &tm);
    snprintf(to, size, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + 3 * (tm.tm_wday % 7),
             tm.tm_mday % 100, months + 3 * (tm.tm_mon % 12), (tm.tm_year + 1900) % 10000,
             tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100);
}

bool response_reserve_chunk(struct buf *b)
{
    buf_reset(b);
    if (!buf_reserve(b, RESPONSE_CHUNK_ROOM))
        return false;
    b->len = RESPONSE_CHUNK_ROOM;
    return true;
}

struct str response_frame_chunk(struct buf *b, bool is_last)
{
    if (b->failed || b->len < RESPONSE_CHUNK_ROOM)
        return (struct str){"", 0};
    size_t content = b->len - RESPONSE_CHUNK_ROOM, start = RESPONSE_CHUNK_ROOM;
    if (content > 0) {
        b->data[--start] = '\n';
        b->data[--start] = '\r';
        do
            b->data[--start] = "0123456789abcdef"[content % 16];
        while (content /= 16);
        buf_append_z(b, "\r\n");
    }
    if (is_last)
        buf_append_z(b, "0\r\n\r\n");
    return b->failed ? (struct str){"", 0} : (struct str){b->data + start, b->len - start};
}

struct str response_content(const struct buf *b)
{
    if (b->failed || b->len < RESPONSE_CHUNK_ROOM)
        return (struct str){"", 0};
    return (struct str){b->data + RESPONSE_CHUNK_ROOM, b->len - RESPONSE_CHUNK_ROOM};
}
