/* Rules on inference: the model or the template, its configuration and its adapters. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/api/names.h"
#include "common/json/json.h"
#include "webhook/rules.h"

void rule_inference_source_missing(struct rule_pass *pass)
{
    const struct workspace_inference *inference = pass->ws->inference;
    if (inference != NULL && inference->preset == NULL && inference->template == NULL)
        rule_report(pass, "inference.preset", NULL);
}

void rule_inference_source_both(struct rule_pass *pass)
{
    const struct workspace_inference *inference = pass->ws->inference;
    if (inference != NULL && inference->preset != NULL && inference->template != NULL)
        rule_report(pass, "inference.template", NULL);
}

void rule_inference_config(struct rule_pass *pass)
{
    const struct workspace_inference *inference = pass->ws->inference;
    if (inference != NULL && is_given(inference->config) &&
        !name_is_dns1123_subdomain(inference->config))
        rule_report(pass, "inference.config", inference->config);
}

/* ------------------------------------------------------------------ template */

static const cJSON *containers_of(const struct rule_pass *pass)
{
    const struct workspace_inference *inference = pass->ws->inference;
    return inference != NULL ? json_at(inference->template, "spec.containers") : NULL;
}

static const char *container_path(struct rule_pass *pass, size_t index, const char *member)
{
    return arena_printf(pass->errors->arena, "inference.template.spec.containers[%zu].%s", index,
                        member);
}

void rule_template_containers(struct rule_pass *pass)
{
    const struct workspace_inference *inference = pass->ws->inference;
    const cJSON *containers = containers_of(pass);
    if (inference != NULL && inference->template != NULL &&
        (!cJSON_IsArray(containers) || containers->child == NULL))
        rule_report(pass, "inference.template.spec.containers", NULL);
}

void rule_template_container_name(struct rule_pass *pass)
{
    const cJSON *container;
    size_t index = 0;
    cJSON_ArrayForEach(container, containers_of(pass)) {
        const char *name = json_string_at(container, "name");
        if (name == NULL || !name_is_dns1123_label(name))
            rule_report(pass, container_path(pass, index, "name"), name);
        index++;
    }
}

void rule_template_container_image(struct rule_pass *pass)
{
    const cJSON *container;
    size_t index = 0;
    cJSON_ArrayForEach(container, containers_of(pass)) {
        if (!is_given(json_string_at(container, "image")))
            rule_report(pass, container_path(pass, index, "image"), NULL);
        index++;
    }
}

void rule_template_ignores(struct rule_pass *pass)
{
    const struct workspace_inference *inference = pass->ws->inference;
    if (inference == NULL || inference->template == NULL || inference->preset != NULL)
        return;
    if (inference->adapters.count > 0)
        rule_report(pass, "inference.adapters", NULL);
    if (is_given(inference->config))
        rule_report(pass, "inference.config", inference->config);
}

/* ------------------------------------------------------------------ adapters */

static const struct adapter_list *adapters_of(const struct rule_pass *pass)
{
    static const struct adapter_list none = { .count = 0 };
    return pass->ws->inference != NULL ? &pass->ws->inference->adapters : &none;
}

static size_t adapter_count(const struct rule_pass *pass)
{
    return adapters_of(pass)->count;
}

static const char *adapter_path(struct rule_pass *pass, size_t index, const char *member)
{
    return arena_printf(pass->errors->arena, "inference.adapters[%zu].%s", index, member);
}

void rule_adapters_max(struct rule_pass *pass)
{
    size_t count = adapter_count(pass);
    if (count > WORKSPACE_ADAPTERS_MAX)
        rule_report(pass, "inference.adapters",
                    arena_printf(pass->errors->arena, "%zu adapters", count));
}

/* NULL when the adapter has none, which is rule_adapter_source's business. */
static const struct data_source *source_at(const struct rule_pass *pass, size_t index)
{
    return adapters_of(pass)->items[index].source;
}

void rule_adapter_source(struct rule_pass *pass)
{
    for (size_t i = 0; i < adapter_count(pass); i++) {
        if (source_at(pass, i) == NULL)
            rule_report(pass, adapter_path(pass, i, "source"), NULL);
    }
}

void rule_adapter_name_missing(struct rule_pass *pass)
{
    for (size_t i = 0; i < adapter_count(pass); i++) {
        const struct data_source *source = source_at(pass, i);
        if (source != NULL && !is_given(source->name))
            rule_report(pass, adapter_path(pass, i, "source.name"), NULL);
    }
}

void rule_adapter_name(struct rule_pass *pass)
{
    for (size_t i = 0; i < adapter_count(pass); i++) {
        const struct data_source *source = source_at(pass, i);
        if (source != NULL && is_given(source->name) && !name_is_dns1123_subdomain(source->name))
            rule_report(pass, adapter_path(pass, i, "source.name"), source->name);
    }
}

/* Whether an adapter before `index` has its name. */
static bool is_repeated(const struct rule_pass *pass, size_t index)
{
    const struct data_source *source = source_at(pass, index);
    for (size_t i = 0; i < index; i++) {
        const struct data_source *earlier = source_at(pass, i);
        if (earlier != NULL && is_given(earlier->name) && strcmp(earlier->name, source->name) == 0)
            return true;
    }
    return false;
}

void rule_adapter_name_unique(struct rule_pass *pass)
{
    /* A longer list is refused for its length, and comparing all pairs of it is not free. */
    if (adapter_count(pass) > WORKSPACE_ADAPTERS_MAX)
        return;
    for (size_t i = 0; i < adapter_count(pass); i++) {
        const struct data_source *source = source_at(pass, i);
        if (source != NULL && is_given(source->name) && is_repeated(pass, i))
            rule_report(pass, adapter_path(pass, i, "source.name"), source->name);
    }
}

void rule_adapter_source_missing(struct rule_pass *pass)
{
    for (size_t i = 0; i < adapter_count(pass); i++) {
        const struct data_source *source = source_at(pass, i);
        if (source != NULL && !is_given(source->image) && source->volume_source == NULL)
            rule_report(pass, adapter_path(pass, i, "source.image"), NULL);
    }
}

void rule_adapter_source_both(struct rule_pass *pass)
{
    for (size_t i = 0; i < adapter_count(pass); i++) {
        const struct data_source *source = source_at(pass, i);
        if (source != NULL && is_given(source->image) && source->volume_source != NULL)
            rule_report(pass, adapter_path(pass, i, "source.volumeSource"), NULL);
    }
}

void rule_adapter_urls(struct rule_pass *pass)
{
    for (size_t i = 0; i < adapter_count(pass); i++) {
        const struct data_source *source = source_at(pass, i);
        if (source != NULL && source->urls.count > 0)
            rule_report(pass, adapter_path(pass, i, "source.urls"), source->urls.items[0]);
    }
}

void rule_adapter_image(struct rule_pass *pass)
{
    for (size_t i = 0; i < adapter_count(pass); i++) {
        const struct data_source *source = source_at(pass, i);
        if (source != NULL && is_given(source->image) && !name_is_image_reference(source->image))
            rule_report(pass, adapter_path(pass, i, "source.image"), source->image);
    }
}

/* Decimal or hexadecimal as Go and C write floating-point numbers; a hexadecimal one has an
 * exponent. */
static bool is_fraction(const char *text)
{
    size_t length = strlen(text);
    bool hex = strpbrk(text, "xX") != NULL;
    if (length == 0 ||
        strspn(text, hex ? "+-.0123456789abcdefABCDEFxXpP" : "+-.0123456789eE") != length ||
        (hex && strpbrk(text, "pP") == NULL))
        return false;
    char *end;
    double value = strtod(text, &end);
    return *end == '\0' && end != text && value >= 0.0 && value <= 1.0;
}

void rule_adapter_strength(struct rule_pass *pass)
{
    for (size_t i = 0; i < adapter_count(pass); i++) {
        const char *strength = adapters_of(pass)->items[i].strength;
        if (strength != NULL && !is_fraction(strength))
            rule_report(pass, adapter_path(pass, i, "strength"), strength);
    }
}

void rule_adapter_strength_runtime(struct rule_pass *pass)
{
    if (workspace_runtime(pass->ws) != RUNTIME_VLLM)
        return;
    for (size_t i = 0; i < adapter_count(pass); i++) {
        const char *strength = adapters_of(pass)->items[i].strength;
        if (strength != NULL)
            rule_report(pass, adapter_path(pass, i, "strength"), strength);
    }
}
