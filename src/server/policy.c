/*
 * Settings -> translation policy, for the server and for `claude-proxy translate` alike.
 */
#include "server/policy.h"

struct tr_policy policy_of_config(const struct config *c)
{
    return (struct tr_policy){
        .default_model = str_of(c->anthropic_model),
        .model_aliases = str_of(c->model_aliases),
        .model_succession = c->model_succession,
        .max_tokens = c->max_tokens,
        .max_tokens_is_set = c->has_max_tokens,
        .thinking_reserve = c->thinking_reserve,
        .thinking_min_tokens = c->thinking_min_tokens,
        .reasoning_forms = (unsigned)c->reasoning_formats,
        .anthropic_usage = c->anthropic_usage,
        .temperature = c->model_temperature,
        .version = (enum tr_version)c->anthropic_version,
        .cache = (enum tr_cache)c->prompt_cache,
        .eager_tool_input = c->eager_tool_input,
        .verbosity_instruction = c->verbosity_instruction,
        .strict = c->strict,
    };
}
