/*
 * What the API refuses and takes: one line a case, for versions and classes of models.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "sim/validate.h"

enum version { OLD, NEW }; /* 2023-06-01, 2026-10-21 */

struct result {
    int status; /* 200 = accepted */
    char message[1100];
};

static struct result validate(enum version version, const char *body)
{
    struct result r = {.status = 200};
    struct arena a;
    struct sim_error err;
    struct json_error e;
    arena_init(&a, 1 << 20);
    yyjson_doc *doc = json_parse(str_of(body), &e);
    if (!doc)
        fail_msg("not JSON: %s", body);
    struct check c = {.arena = &a, .err = &err, .is_2026 = version == NEW};
    if (!validate_request(&c, yyjson_doc_get_root(doc))) {
        r.status = err.status;
        snprintf(r.message, sizeof(r.message), "%.*s", STR_ARG(err.message));
    }
    yyjson_doc_free(doc);
    arena_done(&a);
    return r;
}

/* `want` NULL: accepted; else the message begins so. */
static void expect(enum version version, const char *body, const char *want)
{
    struct result r = validate(version, body);
    if (!want && r.status != 200)
        fail_msg("%s\nwas refused: %s", body, r.message);
    if (want && strncmp(r.message, want, strlen(want)) != 0)
        fail_msg("%s\ngave %d '%s'\nnot '%s'", body, r.status, r.message, want);
}

#define USER    "{\"role\":\"user\",\"content\":\"hi\"}"
#define HEAD(m) "{\"model\":\"" m "\",\"max_tokens\":2000,"
#define ONE(m)  HEAD(m) "\"messages\":[" USER "]"

struct expectation {
    enum version version;
    const char *body;
    const char *want;
};

static void run(const struct expectation *cases, size_t n)
{
    for (size_t i = 0; i < n; i++)
        expect(cases[i].version, cases[i].body, cases[i].want);
}

static void checks_fields(void **state)
{
    (void)state;
    static const struct expectation cases[] = {
        {NEW, ONE("claude-opus-5-5") "}", NULL},
        {NEW, "{\"max_tokens\":1,\"messages\":[" USER "]}", "model: Field required"},
        {NEW, "{\"model\":\"claude-opus-5\",\"messages\":[" USER "]}",
         "max_tokens: Field required"},
        {NEW, "{\"model\":\"claude-opus-5\",\"max_tokens\":1}", "messages: Field required"},
        {NEW, HEAD("claude-opus-5") "\"messages\":[]}",
         "messages: at least one message is required"},
        {NEW, ONE("claude-opus-5") ",\"n\":1}", "n: Extra inputs are not permitted"},
        {NEW, ONE("claude-opus-5") ",\"context_management\":{}}",
         "context_management: Extra inputs are not permitted"},
        {NEW, ONE("claude-opus-5") ",\"stream\":\"yes\"}",
         "stream: Input should be a valid boolean"},
        {NEW, ONE("claude-opus-5") ",\"stop_sequences\":[\"END\",\" \\n\"]}",
         "stop_sequences: each stop sequence must contain non-whitespace"},
        {NEW, ONE("claude-opus-5") ",\"metadata\":{\"user_id\":\"a@b.c\"}}",
         "metadata.user_id: user_id appears to contain an email address"},
        {NEW, ONE("claude-opus-5") ",\"service_tier\":\"flex\"}",
         "service_tier: Input should be 'auto' or 'standard_only'"},
        {NEW, ONE("claude-opus-5") ",\"system\":\"\"}", NULL},
        {NEW, ONE("claude-opus-5") ",\"system\":[]}", NULL},
        {NEW, ONE("claude-opus-5") ",\"system\":[{\"type\":\"text\",\"text\":\"\"}]}",
         "system: text content blocks must be non-empty"},
        {NEW, ONE("claude-opus-9") "}", "model: claude-opus-9"},
        {NEW, ONE("claude-3-haiku-20240307") "}", "model: claude-3-haiku-20240307"},
        {NEW, "{\"model\":\"claude-haiku-4-5\",\"max_tokens\":64001,\"messages\":[" USER "]}",
         "max_tokens: 64001 > 64000, which is the maximum allowed number of output tokens for "
         "claude-haiku-4-5-20251001"},
        {NEW, "[]", "Input should be a valid dictionary"},
    };
    run(cases, PX_ARRAY_LEN(cases));
    assert_int_equal(validate(NEW, ONE("claude-opus-9") "}").status, 404);
    assert_int_equal(validate(NEW, ONE("claude-opus-5") ",\"n\":1}").status, 400);
}

static void checks_sampling_by_version_and_class(void **state)
{
    (void)state;
    static const struct expectation cases[] = {
        {OLD, ONE("claude-sonnet-4-6") ",\"temperature\":0.5}", NULL},
        {OLD, ONE("claude-sonnet-4-6") ",\"temperature\":1.5}", "temperature: range: 0..1"},
        {OLD, ONE("claude-sonnet-4-6") ",\"temperature\":0.5,\"top_p\":0.9}",
         "`temperature` and `top_p` cannot both be specified for this model."},
        {OLD, ONE("claude-sonnet-5") ",\"temperature\":0.7}",
         "`temperature` is deprecated for this model."},
        {OLD, ONE("claude-sonnet-5") ",\"temperature\":1}", NULL},
        {OLD, ONE("claude-opus-4-7") ",\"top_k\":5}", "`top_k` is deprecated for this model."},
        {NEW, ONE("claude-sonnet-4-6") ",\"temperature\":1}",
         "temperature: Extra inputs are not permitted"},
        {NEW, ONE("claude-haiku-4-5") ",\"top_p\":0.9}", "top_p: Extra inputs are not permitted"},
    };
    run(cases, PX_ARRAY_LEN(cases));
}

static void checks_thinking_and_effort(void **state)
{
    (void)state;
    static const struct expectation cases[] = {
        {NEW,
         ONE("claude-haiku-4-5") ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}}",
         NULL},
        {NEW,
         ONE("claude-haiku-4-5") ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1000}}",
         "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"},
        {NEW,
         ONE("claude-haiku-4-5") ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2000}}",
         "`max_tokens` must be greater than `thinking.budget_tokens`"},
        {NEW, ONE("claude-haiku-4-5") ",\"thinking\":{\"type\":\"adaptive\"}}",
         "adaptive thinking is not supported on this model"},
        {NEW, ONE("claude-opus-4-7") ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}}",
         "\"thinking.type.enabled\" is not supported for this model."},
        {NEW, ONE("claude-opus-5-5") ",\"thinking\":{\"type\":\"disabled\"}}",
         "\"thinking.type.disabled\" is not supported for this model."},
        {NEW, ONE("claude-sonnet-5-5") ",\"thinking\":{\"type\":\"between_tools\"}}", NULL},
        {NEW,
         ONE("claude-sonnet-5-5") ",\"thinking\":{\"type\":\"between_tools\",\"display\":"
                                  "\"omitted\"}}",
         "thinking.between_tools.display: Extra inputs are not permitted"},
        {NEW,
         ONE("claude-opus-5") ",\"thinking\":{\"type\":\"disabled\"},\"output_config\":{\"effort\":"
                              "\"max\"}}",
         "output_config.effort: effort level 'max' is not supported when thinking is \"disabled\""},
        {NEW, ONE("claude-opus-4-6") ",\"output_config\":{\"effort\":\"xhigh\"}}",
         "This model does not support effort level 'xhigh'. Supported levels: high, low, max, "
         "medium."},
        {NEW, ONE("claude-sonnet-4-5") ",\"output_config\":{\"effort\":\"low\"}}",
         "This model does not support the effort parameter"},
        {NEW, ONE("claude-opus-5") ",\"output_config\":{\"effort\":\"minimal\"}}",
         "output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'"},
        {OLD,
         ONE("claude-opus-4-6") ",\"temperature\":0.5,\"thinking\":{\"type\":\"enabled\",\"budget_"
                                "tokens\":1024}}",
         "`temperature` may only be set to 1 when thinking is enabled."},
    };
    run(cases, PX_ARRAY_LEN(cases));
}

#define TURNS(m, turns) HEAD(m) "\"messages\":[" turns "]}"
#define CALL(id)                                                                                   \
    "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"" id                     \
    "\",\"name\":\"f\",\"input\":{}}]}"
#define RESULT(id) "{\"type\":\"tool_result\",\"tool_use_id\":\"" id "\",\"content\":\"ok\"}"
#define BLOCKS(b)  "{\"role\":\"user\",\"content\":[" b "]}"
#define TEXT(t)    "{\"type\":\"text\",\"text\":\"" t "\"}"

static void checks_turns(void **state)
{
    (void)state;
    static const struct expectation cases[] = {
        {NEW, TURNS("claude-opus-5", USER "," USER), NULL},
        {NEW, TURNS("claude-opus-5", "{\"role\":\"assistant\",\"content\":\"x\"}," USER), NULL},
        {NEW, TURNS("claude-opus-5", USER "," CALL("c1") "," BLOCKS(RESULT("c1"))), NULL},
        {NEW, TURNS("claude-opus-5", USER "," CALL("c1") "," BLOCKS(RESULT("c1") "," TEXT("x"))),
         NULL},
        {NEW,
         TURNS("claude-opus-5", USER
               "," CALL("c1") "," CALL("c2") "," BLOCKS(RESULT("c1")) "," BLOCKS(RESULT("c2"))),
         NULL},
        {NEW, TURNS("claude-opus-5", USER "," CALL("c1") "," USER),
         "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: "
         "c1."},
        {NEW, TURNS("claude-opus-5", USER "," CALL("c1") "," BLOCKS(TEXT("x") "," RESULT("c1"))),
         "messages.1: `tool_use` ids were found"},
        {NEW,
         TURNS("claude-opus-5", USER
               "," CALL("c1") ",{\"role\":\"assistant\",\"content\":\"x\"}," BLOCKS(RESULT("c1"))),
         "messages.2: `tool_use` ids were found"},
        {NEW, TURNS("claude-opus-5", USER "," CALL("c1")), "messages.1: `tool_use` ids were found"},
        {NEW, TURNS("claude-opus-5", BLOCKS(RESULT("T1"))),
         "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: T1."},
        {NEW, TURNS("claude-opus-5", USER "," CALL("c1") "," BLOCKS(RESULT("c1") "," RESULT("c1"))),
         "messages.2.content.1: each tool_use must have a single result."},
        {NEW, TURNS("claude-opus-5", USER "," CALL("a.b") "," BLOCKS(RESULT("a.b"))),
         "messages.1.content.0.tool_use.id: String should match pattern"},
        {NEW,
         TURNS("claude-sonnet-5", USER ",{\"role\":\"assistant\",\"content\":\"The answer is\"}"),
         "This model does not support assistant message prefill."},
        {OLD,
         TURNS("claude-haiku-4-5", USER ",{\"role\":\"assistant\",\"content\":\"The answer is\"}"),
         NULL},
        {OLD,
         TURNS("claude-haiku-4-5", USER ",{\"role\":\"assistant\",\"content\":\"The answer is \"}"),
         "messages: final assistant content cannot end with trailing whitespace"},
        {NEW, TURNS("claude-opus-4-8", USER ",{\"role\":\"system\",\"content\":\"be brief\"}"),
         NULL},
        {NEW, TURNS("claude-sonnet-5", USER ",{\"role\":\"system\",\"content\":\"be brief\"}"),
         "role 'system' is not supported on this model"},
        {NEW, TURNS("claude-opus-5", "{\"role\":\"system\",\"content\":\"be brief\"}," USER),
         "messages.0: role 'system' must immediately follow a user turn"},
        {NEW,
         TURNS("claude-opus-5", USER
               ",{\"role\":\"assistant\",\"content\":[{\"type\":\"server_tool_use\",\"id\":\"s\","
               "\"name\":\"web_search\",\"input\":{}},{\"type\":\"web_search_tool_result\",\"tool_"
               "use_id\":\"s\",\"content\":[]}]},{\"role\":\"system\",\"content\":\"x\"}"),
         NULL},
        {NEW, TURNS("claude-opus-5", "{\"role\":\"tool\",\"content\":\"x\"}"),
         "messages: Unexpected role \"tool\""},
        {NEW, TURNS("claude-opus-5", "{\"role\":\"user\",\"content\":\"\"}"),
         "messages.0: all messages must have non-empty content"},
        {NEW, TURNS("claude-opus-5", BLOCKS(TEXT(""))),
         "messages: text content blocks must be non-empty"},
        {NEW, TURNS("claude-opus-5", BLOCKS(TEXT(" "))),
         "messages: text content blocks must contain non-whitespace text"},
        {NEW, TURNS("claude-opus-5", BLOCKS(TEXT(" ") "," TEXT("x"))), NULL},
        {NEW, TURNS("claude-opus-5", "{\"role\":\"user\",\"content\":\"x\",\"name\":\"bob\"}"),
         "messages.0.name: Extra inputs are not permitted"},
        {NEW, TURNS("claude-opus-5", BLOCKS("{\"type\":\"image_url\"}")),
         "messages.0.content.0: Input tag 'image_url' found using 'type'"},
        {NEW,
         TURNS("claude-opus-5",
               BLOCKS("{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":{}}")),
         "messages.0: `tool_use` blocks can only be in `assistant` messages"},
        {NEW,
         TURNS("claude-opus-5",
               BLOCKS("{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/"
                      "jpeg\",\"data\":\"iVBORw0KGgoAAAA=\"}}")),
         "messages.0.content.0.image.source.base64: The image was specified using the image/jpeg"},
        {NEW,
         TURNS("claude-opus-5",
               USER ",{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":"
                    "\"x\",\"signature\":\"forged\"}," TEXT("y") "]}," USER),
         "messages.1.content.0: Invalid `signature` in `thinking` block"},
        {NEW,
         HEAD("claude-opus-5") "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
                               "\"document\",\"source\":{\"type\":\"base64\",\"media_type\":"
                               "\"image/png\",\"data\":\"AAAA\"}}]}]}",
         "messages.0.content.0.document.source.base64.media_type: Input should be "
         "'application/pdf'"},
    };
    run(cases, PX_ARRAY_LEN(cases));
}

static void checks_what_the_new_version_breaks(void **state)
{
    (void)state;
#define DOCUMENT                                                                                   \
    "{\"role\":\"assistant\",\"content\":[{\"type\":\"document\",\"source\":{\"type\":\"text\","   \
    "\"media_type\":\"text/plain\",\"data\":\"x\"}}]}"
#define CITED                                                                                      \
    BLOCKS("{\"type\":\"text\",\"text\":\"x\",\"citations\":[{\"type\":\"char_location\","         \
           "\"cited_text\":\"x\",\"document_index\":0,\"document_title\":null,"                    \
           "\"start_char_index\":0,\"end_char_index\":1}]}")
    static const struct expectation cases[] = {
        {OLD, TURNS("claude-opus-5", USER "," DOCUMENT "," USER), NULL},
        {NEW, TURNS("claude-opus-5", USER "," DOCUMENT "," USER),
         "messages.1: `document` blocks can only be in `user` messages"},
        {OLD, TURNS("claude-opus-5", CITED), NULL},
        {NEW, TURNS("claude-opus-5", CITED),
         "messages.0.content.0.text.citations: Extra inputs are not permitted"},
    };
    run(cases, PX_ARRAY_LEN(cases));
}

#define TOOL(extra) "{\"name\":\"f\"," extra "}"
#define OBJECT      "\"input_schema\":{\"type\":\"object\"}"

static void checks_tools(void **state)
{
    (void)state;
    static const struct expectation cases[] = {
        {NEW, ONE("claude-opus-5") ",\"tools\":[]}", NULL},
        {NEW, ONE("claude-opus-5") ",\"tools\":[" TOOL(OBJECT) "]}", NULL},
        {NEW,
         ONE("claude-opus-5") ",\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"web_"
                              "search\"}]}",
         NULL},
        {NEW, ONE("claude-opus-5") ",\"tools\":[" TOOL("\"input_schema\":{}") "]}",
         "tools.0.custom.input_schema.type: Field required"},
        {NEW,
         ONE("claude-opus-5") ",\"tools\":[" TOOL("\"input_schema\":{\"type\":\"array\"}") "]}",
         "tools.0.custom.input_schema.type: Input should be 'object'"},
        {NEW, ONE("claude-opus-5") ",\"tools\":[" TOOL("\"parameters\":{}," OBJECT) "]}",
         "tools.0.custom.parameters: Extra inputs are not permitted"},
        {NEW, ONE("claude-opus-5") ",\"tools\":[{\"name\":\"a.b\"," OBJECT "}]}",
         "tools.0.custom.name: String should match pattern"},
        {NEW, ONE("claude-opus-5") ",\"tools\":[" TOOL(OBJECT) "," TOOL(OBJECT) "]}",
         "tools: Tool names must be unique."},
        {NEW, ONE("claude-opus-5") ",\"tools\":[{\"type\":\"function\",\"function\":{}}]}",
         "tools.0: Input tag 'function' found using 'type'"},
        {NEW, ONE("claude-opus-5") ",\"tool_choice\":{\"type\":\"auto\"}}",
         "tool_choice: tool_choice may only be specified while providing tools."},
        {NEW,
         ONE("claude-opus-5") ",\"tools\":[" TOOL(OBJECT) "],\"tool_choice\":{\"type\":\"any\"}}",
         NULL},
        {NEW,
         ONE("claude-opus-5-5") ",\"tools\":[" TOOL(OBJECT) "],\"tool_choice\":{\"type\":\"any\"}}",
         "tool_choice: type \"tool\" and \"any\" are not supported for this model."},
        {NEW,
         ONE("claude-opus-5") ",\"tools\":[" TOOL(
             OBJECT) "],\"tool_choice\":{\"type\":\"tool\",\"name\":\"g\"}}",
         "tool_choice: Tool 'g' not found in provided tools"},
        {NEW,
         ONE("claude-haiku-4-5") ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024},"
                                 "\"tools\":[" TOOL(OBJECT) "],\"tool_choice\":{\"type\":\"any\"}}",
         "Thinking may not be enabled when tool_choice forces tool use."},
        {NEW, ONE("claude-opus-5") ",\"tools\":[" TOOL("\"strict\":true," OBJECT) "]}",
         "tools.0.custom: For 'object' type, 'additionalProperties' must be explicitly set to "
         "false"},
    };
    run(cases, PX_ARRAY_LEN(cases));
}

#define FORMAT(schema)                                                                             \
    ONE("claude-opus-5")                                                                           \
    ",\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":" schema "}}}"
#define CLOSED(properties)                                                                         \
    "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{" properties "}}"

static void checks_schemas(void **state)
{
    (void)state;
    static const struct expectation cases[] = {
        {NEW, FORMAT(CLOSED("\"a\":{\"type\":\"string\",\"format\":\"date\"}")), NULL},
        {NEW, FORMAT(CLOSED("\"a\":{\"$ref\":\"#/$defs/x\"}")),
         "output_config.format.schema: Invalid schema"},
        {NEW, FORMAT("{\"type\":\"object\",\"properties\":{}}"),
         "output_config.format.schema: For 'object' type, 'additionalProperties' must be "
         "explicitly set to false"},
        {NEW, FORMAT(CLOSED("\"a\":{\"type\":\"integer\",\"minimum\":1}")),
         "output_config.format.schema: For 'integer' type, property 'minimum' is not supported"},
        {NEW, FORMAT(CLOSED("\"a\":{\"type\":\"number\",\"minimum\":1,\"maximum\":2}")),
         "output_config.format.schema: For 'number' type, properties maximum, minimum are not "
         "supported"},
        {NEW,
         FORMAT(
             CLOSED("\"a\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"minItems\":2}")),
         "output_config.format.schema: For 'array' type, 'minItems' values other than 0 or 1"},
        {NEW, FORMAT(CLOSED("\"a\":{\"oneOf\":[]}")),
         "output_config.format.schema: Schema type 'oneOf'"},
        {NEW, FORMAT(CLOSED("\"a\":true")), "output_config.format.schema: Invalid schema: boolean"},
        {NEW,
         FORMAT("{\"$ref\":\"#/$defs/N\",\"$defs\":{\"N\":" CLOSED(
             "\"next\":{\"$ref\":\"#/$defs/N\"}") "}}"),
         "output_config.format.schema: Invalid schema: Circular reference detected in schema "
         "definitions: N -> N."},
        {NEW, ONE("claude-opus-5") ",\"output_config\":{\"format\":{\"type\":\"json_schema\"}}}",
         "output_config.format.schema: Field required"},
    };
    run(cases, PX_ARRAY_LEN(cases));
}

/* References that branch: without a limit on the work this would take 2^40 steps. */
static void survives_branching_references(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_append_z(&b,
                 ONE("claude-opus-5") ",\"output_config\":{\"format\":{\"type\":\"json_schema\","
                                      "\"schema\":{\"$ref\":\"#/$defs/d0\",\"$defs\":{");
    for (int i = 0; i < 40; i++)
        buf_printf(&b,
                   "\"d%d\":{\"anyOf\":[{\"$ref\":\"#/$defs/d%d\"},{\"$ref\":\"#/$defs/d%d\"}]},",
                   i, i + 1, i + 1);
    buf_append_z(&b, "\"d40\":{\"type\":\"string\"}}}}}}");
    buf_append_char(&b, '\0');
    struct result r = validate(NEW, b.data);
    assert_int_equal(r.status, 400);
    buf_done(&b);
}

static void counts_cache_marks(void **state)
{
    (void)state;
#define MARKED "{\"type\":\"text\",\"text\":\"x\",\"cache_control\":{\"type\":\"ephemeral\"}}"
    expect(NEW, TURNS("claude-opus-5", BLOCKS(MARKED "," MARKED "," MARKED "," MARKED)), NULL);
    expect(NEW, TURNS("claude-opus-5", BLOCKS(MARKED "," MARKED "," MARKED "," MARKED "," MARKED)),
           "A maximum of 4 blocks with cache_control may be provided. Found 5.");
    expect(NEW,
           TURNS("claude-opus-5", BLOCKS("{\"type\":\"text\",\"text\":\"x\",\"cache_control\":{"
                                         "\"type\":\"ephemeral\",\"ttl\":\"2h\"}}")),
           "messages.0.content.0.text.cache_control.ephemeral.ttl: Input should be '5m' or '1h'");
}

static void wants_longer_lived_marks_first(void **state)
{
    (void)state;
#define MARK(ttl)                                                                                  \
    "{\"type\":\"text\",\"text\":\"x\",\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"" ttl   \
    "\"}}"
    static const struct expectation cases[] = {
        {NEW, TURNS("claude-opus-5", BLOCKS(MARK("1h") "," MARK("5m"))), NULL},
        {NEW, TURNS("claude-opus-5", BLOCKS(MARK("5m") "," MARK("1h"))),
         "messages.0.content.1.cache_control.ttl: a ttl='1h' cache_control block must not come "
         "after"},
        {NEW,
         HEAD("claude-opus-5") "\"messages\":[" BLOCKS(MARK("1h")) "],\"system\":[" MARK("5m") "]}",
         "messages.0.content.0.cache_control.ttl: a ttl='1h' cache_control block must not come "
         "after"},
        {NEW,
         HEAD("claude-opus-5") "\"messages\":[" BLOCKS(MARK("5m")) "],\"system\":[" MARK("1h") "]}",
         NULL},
    };
    run(cases, PX_ARRAY_LEN(cases));
}

static void checks_shapes(void **state)
{
    (void)state;
#define SERVER(result)                                                                             \
    TURNS("claude-opus-5",                                                                         \
          USER ",{\"role\":\"assistant\",\"content\":[{\"type\":\"server_tool_use\",\"id\":\"s\"," \
               "\"name\":\"code_execution\",\"input\":{}}," result "]}," USER)
    static const struct expectation cases[] = {
        {NEW,
         SERVER("{\"type\":\"code_execution_tool_result\",\"tool_use_id\":\"s\",\"content\":{"
                "\"type\":\"code_execution_result\",\"content\":[],\"return_code\":0,\"stderr\":"
                "\"\",\"stdout\":\"\"}}"),
         NULL},
        {NEW,
         SERVER("{\"type\":\"code_execution_tool_result\",\"tool_use_id\":\"s\",\"content\":{"
                "\"type\":\"code_execution_result\",\"content\":[],\"stderr\":\"\",\"stdout\":"
                "\"\"}}"),
         "messages.1.content.1.code_execution_tool_result.content.code_execution_result."
         "return_code: Field required"},
        {NEW,
         SERVER("{\"type\":\"code_execution_tool_result\",\"tool_use_id\":\"s\",\"content\":{"
                "\"type\":\"new_result\"}}"),
         "messages.1.content.1.code_execution_tool_result.content: Input tag 'new_result' found "
         "using 'type' does not match any of the expected tags: "
         "'code_execution_tool_result_error', 'code_execution_result', "
         "'encrypted_code_execution_result'"},
        {NEW,
         ONE("claude-opus-5") ",\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"search\"}]"
                              "}",
         "tools.0.web_search_20250305.name: Input should be 'web_search'"},
        {NEW,
         ONE("claude-opus-5") ",\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"web_"
                              "search\","
                              "\"max_uses\":\"3\"}]}",
         "tools.0.web_search_20250305.max_uses: Input should be a valid integer"},
        {NEW,
         ONE("claude-opus-5") ",\"tools\":[{\"type\":\"web_search_20990101\",\"name\":\"web_"
                              "search\"}]}",
         "tools.0: Input tag 'web_search_20990101' found using 'type'"},
        {NEW,
         TURNS(
             "claude-opus-5", USER
             ",{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"c1\",\"name\":"
             "\"f\",\"input\":{},\"caller\":{\"type\":\"code_execution_20250825\",\"tool_id\":"
             "\"gone\"}}]}," BLOCKS(RESULT("c1"))),
         "messages.1.content.0: `caller.tool_id` does not refer to a `server_tool_use` block"},
        {NEW,
         HEAD("claude-opus-5") "\"messages\":[" BLOCKS(
             "{\"type\":\"document\",\"citations\":{\"enabled\":true},\"source\":{\"type\":"
             "\"text\","
             "\"media_type\":\"text/plain\",\"data\":\"x\"}}") "],\"output_config\":{\"format\":{"
                                                               "\"type\":\"json_schema\","
                                                               "\"schema\":{\"type\":\"string\"}}}"
                                                               "}",
         "messages.0.content.0.citations: citations are not supported with structured outputs"},
        {NEW, ONE("claude-opus-5") ",\"mcp_servers\":[]}",
         "mcp_servers: Extra inputs are not permitted"},
        {NEW, ONE("claude-opus-5") ",\"container\":{\"skills\":[{\"type\":\"custom\"}]}}",
         "container.skills.0.skill_id: Field required"},
        {NEW, ONE("claude-opus-5") ",\"metadata\":null}",
         "metadata: Input should be a valid dictionary or object to extract fields from"},
    };
    run(cases, PX_ARRAY_LEN(cases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks_fields),
        cmocka_unit_test(checks_sampling_by_version_and_class),
        cmocka_unit_test(checks_thinking_and_effort),
        cmocka_unit_test(checks_turns),
        cmocka_unit_test(checks_what_the_new_version_breaks),
        cmocka_unit_test(checks_tools),
        cmocka_unit_test(checks_schemas),
        cmocka_unit_test(survives_branching_references),
        cmocka_unit_test(counts_cache_marks),
        cmocka_unit_test(wants_longer_lived_marks_first),
        cmocka_unit_test(checks_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
