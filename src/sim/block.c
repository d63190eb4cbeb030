/*
 * The table of block kinds; results are shaped as the types of Anthropic's SDK have them.
 */
#include "sim/block.h"

#define DIRECT ",\"caller\":{\"type\":\"direct\"}"

static const struct block_form forms[BLOCK_KINDS] = {
    [BLOCK_TEXT] = {.name = "text", .shape = BLOCK_IS_TEXT, .type = "text"},
    [BLOCK_EMPTY] = {.name = "empty", .shape = BLOCK_IS_TEXT, .type = "text"},
    [BLOCK_CITED] = {.name = "cited", .shape = BLOCK_IS_TEXT, .type = "text"},
    [BLOCK_THINK] = {.name = "think", .shape = BLOCK_IS_THINKING, .type = "thinking"},
    [BLOCK_REDACTED] = {.name = "redacted",
                        .shape = BLOCK_IS_WHOLE,
                        .type = "redacted_thinking",
                        .body = "\"data\":\"EmwKAhgBEgy3va3pzix/"
                                "LafPsn4aDFIT2Xlxh0L5L8rLVyIwxtE3rAFBa8cr3qpP\""},
    [BLOCK_TOOL] = {.name = "tool", .shape = BLOCK_IS_CALL, .type = "tool_use"},
    [BLOCK_UNKNOWN] = {.name = "unknown",
                       .shape = BLOCK_IS_WHOLE,
                       .type = "future_block",
                       .body = "\"text\":\"not an answer\""},
    [BLOCK_SEARCH] = {.name = "search",
                      .shape = BLOCK_IS_CALL,
                      .type = "server_tool_use",
                      .tool = "web_search",
                      .more = DIRECT},
    [BLOCK_RESULT] = {.name = "result",
                      .shape = BLOCK_IS_RESULT,
                      .type = "web_search_tool_result",
                      .tool = "web_search",
                      .body = "[{\"type\":\"web_search_result\",\"title\":\"An example\",\"url\":"
                              "\"https://example.com/\",\"encrypted_content\":"
                              "\"EqgfCioIARgBIiQ3YTAwMjY1Mi1mZjM5LTQ1NGUtODgxNC1kNjNjNTk1ZWI3Y\","
                              "\"page_age\":null}]",
                      .more = DIRECT},
    [BLOCK_FETCH] = {.name = "fetch",
                     .shape = BLOCK_IS_CALL,
                     .type = "server_tool_use",
                     .tool = "web_fetch",
                     .input = "{\"url\": \"https://example.com/\"}",
                     .more = DIRECT},
    [BLOCK_FETCHED] = {.name = "fetched",
                       .shape = BLOCK_IS_RESULT,
                       .type = "web_fetch_tool_result",
                       .tool = "web_fetch",
                       .body = "{\"type\":\"web_fetch_result\",\"url\":\"https://example.com/\","
                               "\"retrieved_at\":\"2026-11-01T00:00:00Z\",\"content\":{\"type\":"
                               "\"document\",\"source\":{\"type\":\"text\",\"media_type\":"
                               "\"text/plain\",\"data\":\"An example.\"},\"title\":\"An "
                               "example\",\"citations\":null}}",
                       .more = DIRECT},
    [BLOCK_CODE] = {.name = "code",
                    .shape = BLOCK_IS_CALL,
                    .type = "server_tool_use",
                    .tool = "code_execution",
                    .input = "{\"code\": \"print(6 * 7)\"}",
                    .more = DIRECT},
    [BLOCK_OUTPUT] = {.name = "output",
                      .shape = BLOCK_IS_RESULT,
                      .type = "code_execution_tool_result",
                      .tool = "code_execution",
                      .body = "{\"type\":\"code_execution_result\",\"stdout\":\"42\\n\",\"stderr\":"
                              "\"\",\"return_code\":0,\"content\":[{\"type\":"
                              "\"code_execution_output\",\"file_id\":\"file_011\"}]}"},
    [BLOCK_BASH] = {.name = "bash",
                    .shape = BLOCK_IS_CALL,
                    .type = "server_tool_use",
                    .tool = "bash_code_execution",
                    .input = "{\"command\": \"ls\"}",
                    .more = DIRECT},
    [BLOCK_SHELL] = {.name = "shell",
                     .shape = BLOCK_IS_RESULT,
                     .type = "bash_code_execution_tool_result",
                     .tool = "bash_code_execution",
                     .body = "{\"type\":\"bash_code_execution_result\",\"stdout\":\"a.txt\\n\","
                             "\"stderr\":\"\",\"return_code\":0,\"content\":[]}"},
    [BLOCK_EDIT] = {.name = "edit",
                    .shape = BLOCK_IS_CALL,
                    .type = "server_tool_use",
                    .tool = "text_editor_code_execution",
                    .input = "{\"command\": \"view\", \"path\": \"a.txt\"}",
                    .more = DIRECT},
    [BLOCK_EDITED] = {.name = "edited",
                      .shape = BLOCK_IS_RESULT,
                      .type = "text_editor_code_execution_tool_result",
                      .tool = "text_editor_code_execution",
                      .body = "{\"type\":\"text_editor_code_execution_view_result\",\"file_type\":"
                              "\"text\",\"content\":\"one\",\"num_lines\":1,\"start_line\":1,"
                              "\"total_lines\":1}"},
    [BLOCK_LOOKUP] = {.name = "lookup",
                      .shape = BLOCK_IS_CALL,
                      .type = "server_tool_use",
                      .tool = "tool_search_tool_bm25",
                      .more = DIRECT},
    [BLOCK_FOUND] = {.name = "found",
                     .shape = BLOCK_IS_RESULT,
                     .type = "tool_search_tool_result",
                     .tool = "tool_search_tool_bm25",
                     .body = "{\"type\":\"tool_search_tool_search_result\",\"tool_references\":["
                             "{\"type\":\"tool_reference\",\"tool_name\":\"get_weather\"}]}"},
    [BLOCK_MCP] = {.name = "mcp",
                   .shape = BLOCK_IS_CALL,
                   .type = "mcp_tool_use",
                   .tool = "echo",
                   .more = ",\"server_name\":\"example\""},
    [BLOCK_ANSWERED] = {.name = "answered",
                        .shape = BLOCK_IS_RESULT,
                        .type = "mcp_tool_result",
                        .tool = "echo",
                        .body = "[{\"type\":\"text\",\"text\":\"echo\",\"citations\":null}]",
                        .more = ",\"is_error\":false"},
    [BLOCK_UPLOAD] = {.name = "upload",
                      .shape = BLOCK_IS_WHOLE,
                      .type = "container_upload",
                      .body = "\"file_id\":\"file_011\""},
    [BLOCK_COMPACTION] = {.name = "compaction",
                          .shape = BLOCK_IS_WHOLE,
                          .type = "compaction",
                          .body = "\"content\":\"They greeted each other.\",\"encrypted_content\":"
                                  "\"EpYBCkYIBhgCKkDy\""},
    [BLOCK_FALLBACK] = {.name = "fallback",
                        .shape = BLOCK_IS_WHOLE,
                        .type = "fallback",
                        .body = "\"from\":{\"model\":\"claude-opus-5-5\"},\"to\":{\"model\":"
                                "\"claude-opus-5\"},\"trigger\":{\"type\":\"refusal\",\"category\":"
                                "\"cyber\"}"},
};

const struct block_form *block_form(enum block_kind kind)
{
    return &forms[kind];
}

static enum block_kind find_tool(struct str tool, enum block_shape shape)
{
    size_t i = 0;
    while (i < BLOCK_KINDS &&
           (forms[i].shape != shape || !forms[i].tool || !str_eq(tool, str_of(forms[i].tool))))
        i++;
    return (enum block_kind)i;
}

enum block_kind block_find(struct str name)
{
    size_t i = 0;
    while (i < BLOCK_KINDS && !str_eq(name, str_of(forms[i].name)))
        i++;
    return (enum block_kind)i;
}

enum block_kind block_call_of(struct str tool)
{
    return find_tool(tool, BLOCK_IS_CALL);
}

enum block_kind block_result_of(struct str tool)
{
    return find_tool(tool, BLOCK_IS_RESULT);
}
