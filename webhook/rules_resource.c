/* Rules on resource: which machines, how many, with which labels. */
#include <inttypes.h>
#include <string.h>

#include "common/api/names.h"
#include "webhook/rules.h"

static const struct label_selector *selector_of(const struct rule_pass *pass)
{
    const struct workspace_resource *resource = pass->ws->resource;
    return resource != NULL ? resource->label_selector : NULL;
}

static const char *integer_text(struct rule_pass *pass, int64_t value)
{
    return arena_printf(pass->errors->arena, "%" PRId64, value);
}

static const char *label_path(struct rule_pass *pass, const char *key)
{
    return arena_printf(pass->errors->arena, "resource.labelSelector.matchLabels[%s]", key);
}

static const char *expression_path(struct rule_pass *pass, size_t index, const char *member)
{
    return arena_printf(pass->errors->arena, "resource.labelSelector.matchExpressions[%zu]%s",
                        index, member);
}

void rule_resource_missing(struct rule_pass *pass)
{
    if (pass->ws->resource == NULL)
        rule_report(pass, "resource", NULL);
}

void rule_instance_type_missing(struct rule_pass *pass)
{
    const struct workspace_resource *resource = pass->ws->resource;
    if (resource != NULL && !is_given(resource->instance_type))
        rule_report(pass, "resource.instanceType", NULL);
}

void rule_count_positive(struct rule_pass *pass)
{
    const struct workspace_resource *resource = pass->ws->resource;
    if (resource != NULL && resource->count.set && resource->count.value < 1)
        rule_report(pass, "resource.count", integer_text(pass, resource->count.value));
}

void rule_count_tuning(struct rule_pass *pass)
{
    const struct workspace_resource *resource = pass->ws->resource;
    if (pass->ws->tuning != NULL && resource != NULL && resource->count.set &&
        resource->count.value > 1)
        rule_report(pass, "resource.count", integer_text(pass, resource->count.value));
}

void rule_partition(struct rule_pass *pass)
{
    if (pass->ws->resource != NULL && pass->ws->resource->partition != NULL)
        rule_report(pass, "resource.partition", NULL);
}

/* ------------------------------------------------------------------ labelSelector */

void rule_selector_expression(struct rule_pass *pass)
{
    const struct label_selector *selector = selector_of(pass);
    if (selector == NULL)
        return;
    for (size_t i = 0; i < selector->match_expressions.count; i++) {
        const struct label_requirement *requirement = &selector->match_expressions.items[i];
        if (requirement->operator== NULL)
            continue;
        if (strcmp(requirement->operator, "In") != 0)
            rule_report(pass, expression_path(pass, i, ".operator"), requirement->operator);
        else if (requirement->values.count != 1)
            rule_report(pass, expression_path(pass, i, ".values"),
                        integer_text(pass, (int64_t)requirement->values.count));
    }
}

void rule_selector_key(struct rule_pass *pass)
{
    const struct label_selector *selector = selector_of(pass);
    if (selector == NULL)
        return;
    for (size_t i = 0; i < selector->match_labels.count; i++) {
        const char *key = selector->match_labels.items[i].key;
        if (!name_is_label_key(key))
            rule_report(pass, label_path(pass, key), key);
    }
    for (size_t i = 0; i < selector->match_expressions.count; i++) {
        const char *key = selector->match_expressions.items[i].key;
        if (key != NULL && !name_is_label_key(key))
            rule_report(pass, expression_path(pass, i, ".key"), key);
    }
}

void rule_selector_value(struct rule_pass *pass)
{
    const struct label_selector *selector = selector_of(pass);
    if (selector == NULL)
        return;
    for (size_t i = 0; i < selector->match_labels.count; i++) {
        const struct string_pair *label = &selector->match_labels.items[i];
        if (!name_is_label_value(label->value))
            rule_report(pass, label_path(pass, label->key), label->value);
    }
    for (size_t i = 0; i < selector->match_expressions.count; i++) {
        const struct string_list *values = &selector->match_expressions.items[i].values;
        for (size_t j = 0; j < values->count; j++) {
            if (!name_is_label_value(values->items[j]))
                rule_report(
                    pass,
                    expression_path(pass, i, arena_printf(pass->errors->arena, ".values[%zu]", j)),
                    values->items[j]);
        }
    }
}

void rule_selector_reserved(struct rule_pass *pass)
{
    const struct label_selector *selector = selector_of(pass);
    if (selector == NULL || selector->match_labels.count == 0)
        return;
    for (size_t i = 0; i < selector->match_labels.count; i++) {
        if (!label_is_reserved(selector->match_labels.items[i].key))
            return;
    }
    rule_report(pass, "resource.labelSelector.matchLabels", selector->match_labels.items[0].key);
}

void rule_selector_reserved_ignored(struct rule_pass *pass)
{
    const struct label_selector *selector = selector_of(pass);
    if (selector == NULL)
        return;
    for (size_t i = 0; i < selector->match_labels.count; i++) {
        const struct string_pair *label = &selector->match_labels.items[i];
        if (label_is_reserved(label->key))
            rule_report(pass, label_path(pass, label->key), label->value);
    }
}

void rule_selector_expressions_ignored(struct rule_pass *pass)
{
    const struct label_selector *selector = selector_of(pass);
    if (selector != NULL && selector->match_expressions.count > 0)
        rule_report(pass, "resource.labelSelector.matchExpressions", NULL);
}

void rule_selector_empty(struct rule_pass *pass)
{
    const struct label_selector *selector = selector_of(pass);
    if (selector != NULL && selector->match_labels.count == 0 &&
        selector->match_expressions.count == 0)
        rule_report(pass, "resource.labelSelector", NULL);
}
