/*
 * Topics in a table, tried in order; each knows its plain and its JSON form.
 */
#include "sim/answer.h"

#include <string.h>

#include "base/utf8.h"
#include "sim/schema_instance.h"

#define ECHO_BYTES_MAX 2000
#define JSON_BYTES_MAX (1024 * 1024)

struct place {
    const char *country, *capital, *population;
};
static const struct place places[] = {
    {"France", "Paris", "about 2.1 million"},
    {"Germany", "Berlin", "about 3.8 million"},
    {"Italy", "Rome", "about 2.8 million"},
    {"Spain", "Madrid", "about 3.3 million"},
    {"Portugal", "Lisbon", "about 550,000"},
    {"Austria", "Vienna", "about 2.0 million"},
    {"Japan", "Tokyo", "about 14 million"},
    {"Canada", "Ottawa", "about 1.0 million"},
    {"Australia", "Canberra", "about 470,000"},
    {"Brazil", "Brasília", "about 2.8 million"},
    {"Egypt", "Cairo", "about 10 million"},
    {"India", "New Delhi", "about 250,000"},
    {"Norway", "Oslo", "about 720,000"},
    {"Poland", "Warsaw", "about 1.9 million"},
    {"the United Kingdom", "London", "about 9 million"},
};

static const struct {
    const char *word, *answer;
} associations[] = {
    {"sun", "Warm"},   {"beach", "Sand"},     {"castle", "Knight"}, {"moon", "Night"},
    {"tree", "Leaf"},  {"ocean", "Wave"},     {"snow", "Winter"},   {"king", "Crown"},
    {"book", "Story"}, {"coffee", "Morning"}, {"rain", "Umbrella"}, {"fire", "Smoke"},
};

static const char seasons_plain[] =
    "Spring wakes the meadow, green and bright,\nand stretches out the morning light.\n\n"
    "Summer hums in golden heat,\nwith dusty roads and bare, warm feet.\n\n"
    "Autumn paints the maple red,\nand lays the leaves in gardens' bed.\n\n"
    "Winter comes on silver wing;\nit sleeps, and dreams again of spring.";
static const char seasons_json[] =
    "{\"poem\":{\"spring\":\"Spring wakes the meadow, green and bright, and stretches out the "
    "morning "
    "light.\",\"summer\":\"Summer hums in golden heat, with dusty roads and bare, warm feet.\","
    "\"autumn\":\"Autumn paints the maple red, and lays the leaves in gardens' bed.\","
    "\"winter\":\"Winter comes on silver wing; it sleeps, and dreams again of spring.\"}}";
static const char books_plain[] =
    "Here are three books:\n\n1. Middlemarch by George Eliot (1871)\n2. The Master and Margarita "
    "by "
    "Mikhail Bulgakov (1967)\n3. Invisible Cities by Italo Calvino (1972)";
static const char books_json[] =
    "{\"books\":[{\"title\":\"Middlemarch\",\"author\":\"George Eliot\",\"publication_year\":1871},"
    "{\"title\":\"The Master and Margarita\",\"author\":\"Mikhail "
    "Bulgakov\",\"publication_year\":1967},"
    "{\"title\":\"Invisible Cities\",\"author\":\"Italo Calvino\",\"publication_year\":1972}]}";

static bool contains(struct str s, const char *needle)
{
    struct str n = str_of(needle);
    for (size_t i = 0; i + n.n <= s.n; i++)
        if (str_eq_nocase((struct str){s.p + i, n.n}, n))
            return true;
    return false;
}

bool answer_wants_json(const struct prompt *p)
{
    return contains(p->system, "json") &&
           (contains(p->system, "only") || contains(p->system, "nothing else") ||
            contains(p->system, "valid json") || contains(p->system, "respond with json"));
}

/* --- topics: each appends its text and returns true, or leaves the buffer alone -------------- */

static bool topic_capital(const struct prompt *p, bool is_json, struct buf *b)
{
    if (!contains(p->user, "capital"))
        return false;
    for (size_t i = 0; i < PX_ARRAY_LEN(places); i++) {
        if (!contains(p->user, places[i].country))
            continue;
        if (is_json)
            buf_printf(b, "{\"country\":\"%s\",\"capital\":\"%s\"}", places[i].country,
                       places[i].capital);
        else
            buf_printf(b, "The capital of %s is %s.", places[i].country, places[i].capital);
        return true;
    }
    return false;
}

static bool topic_population(const struct prompt *p, bool is_json, struct buf *b)
{
    if (!contains(p->user, "population"))
        return false;
    for (size_t i = 0; i < PX_ARRAY_LEN(places); i++) {
        if (!contains(p->user, places[i].capital))
            continue;
        if (is_json)
            buf_printf(b, "{\"city\":\"%s\",\"population\":\"%s\"}", places[i].capital,
                       places[i].population);
        else
            buf_printf(b, "The population of %s is %s people within the city limits.",
                       places[i].capital, places[i].population);
        return true;
    }
    return false;
}

static bool topic_seasons(const struct prompt *p, bool is_json, struct buf *b)
{
    return contains(p->user, "seasons") && buf_append_z(b, is_json ? seasons_json : seasons_plain);
}

static bool topic_books(const struct prompt *p, bool is_json, struct buf *b)
{
    return contains(p->user, "books") && buf_append_z(b, is_json ? books_json : books_plain);
}

static bool topic_association(const struct prompt *p, bool is_json, struct buf *b)
{
    if (!contains(p->first_user, "word association"))
        return false;
    const char *answer = "Echo";
    struct str last = p->user; /* "Let's play. I'll start: Sun" -> "Sun" */
    for (ptrdiff_t at; (at = str_find(last, STR(": "))) >= 0;)
        last = (struct str){last.p + at + 2, last.n - (size_t)at - 2};
    for (size_t i = 0; i < PX_ARRAY_LEN(associations); i++)
        if (contains(last, associations[i].word))
            answer = associations[i].answer;
    return buf_printf(b, is_json ? "{\"word\":\"%s\"}" : "%s", answer);
}

static bool topic_tool_result(const struct prompt *p, bool is_json, struct buf *b)
{
    if (!p->tool_result.p)
        return false;
    struct str result = utf8_cut(p->tool_result, ECHO_BYTES_MAX);
    if (!is_json)
        return buf_printf(b, "The tool answered: %.*s", STR_ARG(result));
    buf_append_z(b, "{\"tool_answer\":");
    json_write_string(b, result);
    return buf_append_char(b, '}');
}

static bool topic_media(const struct prompt *p, bool is_json, struct buf *b)
{
    if (!p->media_type.p)
        return false;
    struct str type = utf8_cut(p->media_type, 64);
    if (!is_json)
        return buf_printf(b, "I see the attached file (%.*s).", STR_ARG(type));
    buf_append_z(b, "{\"attached\":");
    json_write_string(b, type);
    return buf_append_char(b, '}');
}

static bool topic_greeting(const struct prompt *p, bool is_json, struct buf *b)
{
    static const char *const words[] = {"hi",     "hello",       "hey",     "hi!",
                                        "hello!", "hello there", "hi there"};
    for (size_t i = 0; i < PX_ARRAY_LEN(words); i++)
        if (str_eq_nocase(p->user, str_of(words[i])))
            return buf_append_z(b, is_json ? "{\"greeting\":\"Hello!\"}"
                                           : "Hello! How can I help you today?");
    return false;
}

/* "Say this is a test" -> "This is a test". */
static bool topic_say(const struct prompt *p, bool is_json, struct buf *b)
{
    struct str s = p->user;
    if (is_json || s.n < 5 || s.n > ECHO_BYTES_MAX ||
        !str_eq_nocase((struct str){s.p, 4}, STR("say ")))
        return false;
    s = str_trim((struct str){s.p + 4, s.n - 4});
    if (s.n > 2 && (s.p[0] == '"' || s.p[0] == '\'') && s.p[s.n - 1] == s.p[0])
        s = (struct str){s.p + 1, s.n - 2};
    if (s.n && s.p[0] >= 'a' && s.p[0] <= 'z') {
        buf_append_char(b, (char)(s.p[0] - 'a' + 'A'));
        s = (struct str){s.p + 1, s.n - 1};
    }
    return buf_append_str(b, s);
}

static bool topic_echo(const struct prompt *p, bool is_json, struct buf *b)
{
    struct str said = utf8_cut(p->user, ECHO_BYTES_MAX);
    if (is_json) {
        buf_append_z(b, "{\"you_said\":");
        json_write_string(b, said);
        return buf_append_char(b, '}');
    }
    buf_append_z(b, said.n ? "You said: " : "You said nothing.");
    return buf_append_str(b, said);
}

static bool (*const topics[])(const struct prompt *, bool, struct buf *) = {
    topic_tool_result, topic_media, topic_capital,  topic_population, topic_association,
    topic_seasons,     topic_books, topic_greeting, topic_say,        topic_echo,
};

/* A prefilled "{" is not said again. */
static void drop_prefill(const struct prompt *p, struct buf *b)
{
    struct str prefill = p->prefill.p ? str_trim(p->prefill) : STR("");
    if (prefill.n && prefill.n <= b->len && memcmp(b->data, prefill.p, prefill.n) == 0)
        buf_consume(b, prefill.n);
}

static void write_answer(const struct prompt *p, const struct directives *d, yyjson_val *schema,
                         struct buf *b)
{
    bool is_asked = contains(p->user, "json object");
    bool is_json = schema || d->json || is_asked || answer_wants_json(p) ||
                   (p->prefill.p && str_starts(str_trim(p->prefill), STR("{")));
    /* Without an instruction that forbids it, Claude likes to put JSON into a fence. */
    bool is_fenced =
        !schema && (d->fence || (is_asked && !d->json && !p->prefill.p && !answer_wants_json(p)));
    if (is_fenced)
        buf_append_z(b, "```json\n");
    if (schema) {
        struct buf text;
        buf_init(&text, JSON_BYTES_MAX);
        for (size_t i = 0; i < PX_ARRAY_LEN(topics) && !topics[i](p, false, &text); i++) {
        }
        schema_instance(b, schema, buf_str(&text));
        buf_done(&text);
    } else {
        for (size_t i = 0; i < PX_ARRAY_LEN(topics) && !topics[i](p, is_json || d->fence, b); i++) {
        }
    }
    if (is_fenced)
        buf_append_z(b, "\n```");
    if (p->prefill.p)
        drop_prefill(p, b);
}

struct str answer_text(const struct prompt *p, const struct directives *d, yyjson_val *schema,
                       struct arena *a)
{
    if (d->has_text && !d->fence)
        return d->text;
    if (d->has_text)
        return arena_printf(a, "```json\n%.*s\n```", STR_ARG(d->text));
    if (d->words >= 0 || d->tokens >= 0)
        return answer_words(d->words >= 0 ? d->words : d->tokens, a);
    struct buf b;
    buf_init(&b, JSON_BYTES_MAX);
    write_answer(p, d, schema, &b);
    struct str s = arena_strdup(a, buf_str(&b));
    buf_done(&b);
    return s;
}

struct str answer_words(int64_t n, struct arena *a)
{
    /* Each at most eight letters, so that a word is a token. */
    static const char *const words[] = {
        "the",   "river",   "runs",  "down",    "to",   "a",     "quiet", "harbour",
        "where", "boats",   "wait",  "for",     "the",  "wind",  "and",   "people",
        "talk",  "about",   "the",   "weather", "all",  "day",   "long",  "while",
        "birds", "circle",  "above", "an",      "old",  "tower", "that",  "nobody",
        "has",   "climbed", "since", "last",    "year",
    };
    struct buf b;
    buf_init(&b, DIRECTIVE_WORDS_MAX * 10);
    for (int64_t i = 0; i < n; i++) {
        if (i > 0)
            buf_append_char(&b, ' ');
        buf_append_z(&b, words[(size_t)i % PX_ARRAY_LEN(words)]);
    }
    struct str s = arena_strdup(a, buf_str(&b));
    buf_done(&b);
    return s;
}
