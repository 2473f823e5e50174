/* Rules on what an update may not change. They compare with the old object, which pass->old always
 * is. */
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "common/json/json.h"
#include "webhook/rules.h"

enum { SELECTOR_TERMS_COMPARED_MAX = 256 };

static const char *text_or_empty(const char *text)
{
    return text != NULL ? text : "";
}

void rule_inference_presence(struct rule_pass *pass)
{
    if ((pass->ws->inference != NULL) != (pass->old->inference != NULL))
        rule_report(pass, "inference", NULL);
}

void rule_tuning_presence(struct rule_pass *pass)
{
    if ((pass->ws->tuning != NULL) != (pass->old->tuning != NULL))
        rule_report(pass, "tuning", NULL);
}

/* ------------------------------------------------------------------ resource */

/* Both sides of resource, or false when one has none (another rule's business). */
static bool both_resources(const struct rule_pass *pass, const struct workspace_resource **now,
                           const struct workspace_resource **before)
{
    *now = pass->ws->resource;
    *before = pass->old->resource;
    return *now != NULL && *before != NULL;
}

void rule_count_change(struct rule_pass *pass)
{
    const struct workspace_resource *now, *before;
    if (both_resources(pass, &now, &before) && now->count.set && before->count.set &&
        now->count.value != before->count.value)
        rule_report(pass, "resource.count",
                    arena_printf(pass->errors->arena, "%" PRId64, now->count.value));
}

void rule_instance_type_change(struct rule_pass *pass)
{
    const struct workspace_resource *now, *before;
    if (both_resources(pass, &now, &before) && is_given(now->instance_type) &&
        is_given(before->instance_type) && strcmp(now->instance_type, before->instance_type) != 0)
        rule_report(pass, "resource.instanceType", now->instance_type);
}

/* The value that the selector demands for `key`: from matchLabels or an In expression with one
 * value. */
static const char *selector_value(const struct label_selector *selector, const char *key)
{
    const char *value = string_map_get(&selector->match_labels, key);
    for (size_t i = 0; value == NULL && i < selector->match_expressions.count; i++) {
        const struct label_requirement *requirement = &selector->match_expressions.items[i];
        if (requirement->key != NULL && strcmp(requirement->key, key) == 0 &&
            requirement->values.count == 1)
            value = requirement->values.items[0];
    }
    return value;
}

static bool is_map(const struct label_selector *selector)
{
    for (size_t i = 0; i < selector->match_expressions.count; i++) {
        const struct label_requirement *requirement = &selector->match_expressions.items[i];
        if (requirement->key == NULL || strcmp(text_or_empty(requirement->operator), "In") != 0 ||
            requirement->values.count != 1)
            return false;
    }
    return true;
}

static bool demands(const struct label_selector *selector, const char *key, const char *value)
{
    const char *found = selector_value(selector, key);
    return found != NULL && strcmp(found, value) == 0;
}

static bool implies(const struct label_selector *a, const struct label_selector *b)
{
    for (size_t i = 0; i < b->match_labels.count; i++) {
        if (!demands(a, b->match_labels.items[i].key, b->match_labels.items[i].value))
            return false;
    }
    for (size_t i = 0; i < b->match_expressions.count; i++) {
        const struct label_requirement *requirement = &b->match_expressions.items[i];
        if (!demands(a, requirement->key, requirement->values.items[0]))
            return false;
    }
    return true;
}

/* Each term is looked for among all others; a selector that is longer must stay as it is written.
 */
static bool is_comparable(const struct label_selector *selector)
{
    return selector->match_labels.count + selector->match_expressions.count <=
               SELECTOR_TERMS_COMPARED_MAX &&
           is_map(selector);
}

void rule_selector_change(struct rule_pass *pass)
{
    const struct workspace_resource *now, *before;
    if (!both_resources(pass, &now, &before) || now->label_selector == NULL ||
        before->label_selector == NULL)
        return;
    const struct label_selector *a = now->label_selector, *b = before->label_selector;
    bool same = json_equal(a->node, b->node) ||
                (is_comparable(a) && is_comparable(b) && implies(a, b) && implies(b, a));
    if (!same)
        rule_report(pass, "resource.labelSelector", NULL);
}

void rule_partition_change(struct rule_pass *pass)
{
    const struct workspace_resource *now, *before;
    if (both_resources(pass, &now, &before) &&
        !json_equal(json_get(now->node, "partition"), json_get(before->node, "partition")))
        rule_report(pass, "resource.partition", NULL);
}

/* ------------------------------------------------------------------ inference and tuning */

static bool is_empty_object(const cJSON *json)
{
    return json == NULL || json->child == NULL;
}

/* Blames the member that changed. Absent options and empty ones are the same, and so are no access
 * mode and the default. */
static void compare_presets(struct rule_pass *pass, const char *path, const struct preset *now,
                            const struct preset *before)
{
    struct arena *arena = pass->errors->arena;
    if ((now != NULL) != (before != NULL)) {
        rule_report_as(pass, path, NULL, "cannot be added or removed", NULL);
        return;
    }
    if (now == NULL)
        return;
    if (strcmp(text_or_empty(now->name), text_or_empty(before->name)) != 0)
        rule_report(pass, arena_printf(arena, "%s.name", path), now->name);

    const char *mode = is_given(now->access_mode) ? now->access_mode : "public";
    const char *old_mode = is_given(before->access_mode) ? before->access_mode : "public";
    if (strcmp(mode, old_mode) != 0)
        rule_report(pass, arena_printf(arena, "%s.accessMode", path), mode);

    const cJSON *options = json_get(now->node, "presetOptions");
    const cJSON *old_options = json_get(before->node, "presetOptions");
    if (!json_equal(options, old_options) &&
        !(is_empty_object(options) && is_empty_object(old_options)))
        rule_report(pass, arena_printf(arena, "%s.presetOptions", path), NULL);
}

void rule_inference_preset_change(struct rule_pass *pass)
{
    if (pass->ws->inference != NULL && pass->old->inference != NULL)
        compare_presets(pass, "inference.preset", pass->ws->inference->preset,
                        pass->old->inference->preset);
}

void rule_template_presence(struct rule_pass *pass)
{
    const struct workspace_inference *now = pass->ws->inference, *before = pass->old->inference;
    if (now != NULL && before != NULL && (now->template != NULL) != (before->template != NULL))
        rule_report(pass, "inference.template", NULL);
}

void rule_tuning_preset_change(struct rule_pass *pass)
{
    if (pass->ws->tuning != NULL && pass->old->tuning != NULL)
        compare_presets(pass, "tuning.preset", pass->ws->tuning->preset, pass->old->tuning->preset);
}

void rule_tuning_method_change(struct rule_pass *pass)
{
    const struct workspace_tuning *now = pass->ws->tuning, *before = pass->old->tuning;
    if (now != NULL && before != NULL &&
        strcasecmp(text_or_empty(now->method), text_or_empty(before->method)) != 0)
        rule_report(pass, "tuning.method", now->method);
}

void rule_tuning_input_name_change(struct rule_pass *pass)
{
    const struct workspace_tuning *now = pass->ws->tuning, *before = pass->old->tuning;
    if (now != NULL && before != NULL && now->input != NULL && before->input != NULL &&
        strcmp(text_or_empty(now->input->name), text_or_empty(before->input->name)) != 0)
        rule_report(pass, "tuning.input.name", now->input->name);
}
