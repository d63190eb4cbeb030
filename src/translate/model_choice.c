/*
 * Which model serves this request, and what it can do.
 */
#include "translate/model_list.h"
#include "translate/translation.h"

static bool refuse_model(struct translation *t, struct str asked)
{
    api_error_set(t->err, 404, "invalid_request_error", "model_not_found", "model",
                  "The model '%.*s' does not exist or you do not have access to it.",
                  STR_ARG(asked));
    return false;
}

/* The asked name, copied: it outlives the document. */
static bool read_asked(struct translation *t)
{
    yyjson_val *v = t->field[FIELD_model];
    struct str name = {0};
    if (v && !want_string(t, "model", v, &name))
        return false;
    t->out->asked_model = arena_strdup(t->arena, name);
    return t->out->asked_model.p || refuse_memory(t);
}

bool model_settle(struct translation *t)
{
    const struct tr_policy *p = t->policy;
    if (!read_asked(t))
        return false;
    struct str asked = t->out->asked_model, served;
    bool is_default = asked.n == 0;
    if (is_default)
        asked = p->default_model;
    if (p->fallback_model.n) {
        asked = p->fallback_model;
        is_default = true;
    }
    if (!tr_model_resolve(t->arena, t->models, p, asked, &served, &t->is_succeeded)) {
        if (asked.n == 0 || !is_default)
            return refuse_model(t, asked);
        served = asked; /* retired: the upstream says so itself */
        t->is_succeeded = false;
    }
    t->out->is_succeeded = t->is_succeeded;
    /* The list behind `models` may be replaced while the request is under way. */
    t->out->model = arena_strdup(t->arena, served);
    if (!t->out->model.p)
        return refuse_memory(t);
    tr_model_info(t->models, t->out->model, &t->model);
    tr_amend_model(p->amend, &t->model);
    /* A successor is the operator's choice, so it is said but not refused in strict mode. */
    if (p->fallback_model.n)
        return report_add_own(t->arena, &t->report.modified, STR("model(fallback)")) ||
               refuse_memory(t);
    if (t->is_succeeded && !is_default)
        return report_add(t->arena, &t->report.modified, STR("model")) || refuse_memory(t);
    return true;
}
