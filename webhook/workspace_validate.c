#include "webhook/workspace_validate.h"

#include <string.h>

#include "common/api/names.h"
#include "common/json/json.h"
#include "webhook/rules.h"

static bool same_at(const cJSON *a, const cJSON *b, const char *path)
{
    return json_equal(json_at(a, path), json_at(b, path));
}

/* Everything a rule or the plan looks at is as it was. */
static bool is_unchanged(const cJSON *object, const cJSON *old)
{
    return same_at(object, old, "resource") && same_at(object, old, "inference") &&
           same_at(object, old, "tuning") && same_at(object, old, "metadata.annotations") &&
           same_at(object, old, "metadata.labels[\"" LABEL_INFERENCE_ROLE "\"]");
}

static bool same_annotation(const struct workspace *a, const struct workspace *b, const char *key)
{
    const char *x = workspace_annotation(a, key), *y = workspace_annotation(b, key);
    return x == y || (x != NULL && y != NULL && strcmp(x, y) == 0);
}

/* The plan depends on these alone. */
static bool plan_is_due(const struct workspace *ws, const struct workspace *old)
{
    return old == NULL || !same_at(ws->node, old->node, "resource") ||
           !same_at(ws->node, old->node, "inference.preset") ||
           !same_at(ws->node, old->node, "tuning.preset") ||
           !same_annotation(ws, old, ANNOTATION_RUNTIME) ||
           !same_annotation(ws, old, ANNOTATION_BYPASS);
}

/* ------------------------------------------------------------------ problems */

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool has_problem(const struct field_errors *errors, const struct field_error *problem)
{
    for (size_t i = 0; i < errors->count; i++) {
        const struct field_error *error = &errors->items[i];
        if (same_text(error->path, problem->path) && same_text(error->rule, problem->rule) &&
            same_text(error->value, problem->value))
            return true;
    }
    return false;
}

static void drop_problems(struct field_errors *errors, const struct field_errors *known)
{
    size_t kept = 0;
    for (size_t i = 0; i < errors->count; i++) {
        if (!has_problem(known, &errors->items[i]))
            errors->items[kept++] = errors->items[i];
    }
    errors->count = kept;
    errors->dropped -= errors->dropped < known->dropped ? errors->dropped : known->dropped;
}

static bool blames(const struct field_error *errors, size_t count, const char *path)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(errors[i].path, path) == 0)
            return true;
    }
    return false;
}

/* Adds the plan's reasons where the rules have not blamed the same field already. */
static bool make_plan(const struct workspace *ws, const struct plan_settings *settings,
                      struct plan *plan, struct field_errors *errors)
{
    struct field_errors reasons;
    field_errors_init(&reasons, errors->arena);
    bool feasible = plan_make(ws, settings, errors->arena, plan, &reasons) == 0;
    size_t ruled = errors->count;
    for (size_t i = 0; i < reasons.count; i++) {
        if (!blames(errors->items, ruled, reasons.items[i].path))
            field_errors_add(errors, &reasons.items[i]);
    }
    return feasible;
}

/* Takes away what the old object would be told as well. */
static void forgive_old(const struct workspace *old, const struct plan_settings *settings,
                        bool with_plan, struct field_errors *old_errors, struct validation *out)
{
    struct field_errors old_warnings;
    field_errors_init(&old_warnings, old_errors->arena);
    rules_run(&(struct rule_pass){ .ws = old,
                                   .catalogue = settings->catalogue,
                                   .errors = old_errors,
                                   .warnings = &old_warnings });
    if (with_plan) {
        struct plan plan;
        (void)make_plan(old, settings, &plan, old_errors); /* its reasons are what counts */
    }
    drop_problems(&out->errors, old_errors);
    drop_problems(&out->warnings, &old_warnings);
}

/* ------------------------------------------------------------------ ConfigMaps */

static const char *config_of(const struct workspace *ws, const char **kind_out)
{
    if (ws->inference != NULL && ws->inference->preset != NULL &&
        workspace_runtime(ws) == RUNTIME_VLLM) {
        *kind_out = "inference";
        return ws->inference->config;
    }
    *kind_out = "tuning";
    return ws->tuning != NULL ? ws->tuning->config : NULL;
}

/* Content is judged for the request that first names it; later changes of it are the reconciler's.
 */
static void find_config(const struct workspace *old, struct validation *out)
{
    const char *kind, *old_kind;
    const char *config = config_of(&out->ws, &kind);
    if (config == NULL || !name_is_dns1123_subdomain(config))
        return;
    if (old != NULL && same_text(config, config_of(old, &old_kind)) && strcmp(kind, old_kind) == 0)
        return;
    out->config = config;
    out->config_kind = kind;
}

void workspace_validate(const cJSON *object, const cJSON *old, const struct plan_settings *settings,
                        struct arena *arena, struct validation *out)
{
    *out = (struct validation){ .judged = false };
    field_errors_init(&out->errors, arena);
    field_errors_init(&out->warnings, arena);
    if (old != NULL &&
        (json_string_at(object, "metadata.deletionTimestamp") != NULL || is_unchanged(object, old)))
        return;
    out->judged = true;

    struct workspace old_ws;
    struct field_errors old_errors;
    field_errors_init(&old_errors, arena);
    (void)workspace_decode(object, arena, &out->ws, &out->errors); /* collected, not fatal */
    if (old != NULL)
        (void)workspace_decode(old, arena, &old_ws, &old_errors);
    const struct workspace *before = old != NULL ? &old_ws : NULL;

    rules_run(&(struct rule_pass){ .ws = &out->ws,
                                   .old = before,
                                   .catalogue = settings->catalogue,
                                   .errors = &out->errors,
                                   .warnings = &out->warnings });
    bool with_plan = plan_is_due(&out->ws, before);
    if (with_plan)
        out->planned = make_plan(&out->ws, settings, &out->plan, &out->errors);
    if (before != NULL && out->errors.count + out->warnings.count > 0)
        forgive_old(before, settings, with_plan, &old_errors, out);
    find_config(before, out);
}
