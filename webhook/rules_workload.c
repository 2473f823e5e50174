/* Rules that inference and tuning share: presets, data sources, volumes and the Secrets they name.
 */
#include <string.h>

#include "common/api/names.h"
#include "webhook/rules.h"

void rule_workload_missing(struct rule_pass *pass)
{
    if (pass->ws->inference == NULL && pass->ws->tuning == NULL)
        rule_report(pass, "inference", NULL);
}

void rule_workload_both(struct rule_pass *pass)
{
    if (pass->ws->inference != NULL && pass->ws->tuning != NULL)
        rule_report(pass, "tuning", NULL);
}

/* ------------------------------------------------------------------ presets */

typedef void preset_visitor(struct rule_pass *pass, const char *path, const struct preset *preset);

static void each_preset(struct rule_pass *pass, preset_visitor *visit)
{
    const struct workspace *ws = pass->ws;
    if (ws->inference != NULL && ws->inference->preset != NULL)
        visit(pass, "inference.preset", ws->inference->preset);
    if (ws->tuning != NULL && ws->tuning->preset != NULL)
        visit(pass, "tuning.preset", ws->tuning->preset);
}

static void visit_access_mode(struct rule_pass *pass, const char *path, const struct preset *preset)
{
    const char *mode = preset->access_mode;
    if (mode != NULL && strcmp(mode, "public") != 0 && strcmp(mode, "private") != 0)
        rule_report(pass, arena_printf(pass->errors->arena, "%s.accessMode", path), mode);
}

void rule_access_mode(struct rule_pass *pass)
{
    each_preset(pass, visit_access_mode);
}

static void visit_access_secret(struct rule_pass *pass, const char *path,
                                const struct preset *preset)
{
    const struct preset_options *options = preset->options;
    if (options != NULL && is_given(options->model_access_secret) &&
        !name_is_dns1123_subdomain(options->model_access_secret))
        rule_report(pass,
                    arena_printf(pass->errors->arena, "%s.presetOptions.modelAccessSecret", path),
                    options->model_access_secret);
}

void rule_access_secret(struct rule_pass *pass)
{
    each_preset(pass, visit_access_secret);
}

static void visit_private(struct rule_pass *pass, const char *path, const struct preset *preset)
{
    struct arena *arena = pass->errors->arena;
    if (preset->access_mode != NULL && strcmp(preset->access_mode, "private") == 0)
        rule_report(pass, arena_printf(arena, "%s.accessMode", path), preset->access_mode);
    if (preset->options != NULL && is_given(preset->options->image))
        rule_report(pass, arena_printf(arena, "%s.presetOptions.image", path),
                    preset->options->image);
}

void rule_private_preset_ignored(struct rule_pass *pass)
{
    each_preset(pass, visit_private);
}

/* ------------------------------------------------------------------ Secrets and volumes */

static void check_pull_secrets(struct rule_pass *pass, const char *path,
                               const struct string_list *secrets)
{
    for (size_t i = 0; i < secrets->count; i++) {
        if (!name_is_dns1123_subdomain(secrets->items[i]))
            rule_report(pass,
                        arena_printf(pass->errors->arena, "%s.imagePullSecrets[%zu]", path, i),
                        secrets->items[i]);
    }
}

static const char *adapter_source_path(struct rule_pass *pass, size_t index)
{
    return arena_printf(pass->errors->arena, "inference.adapters[%zu].source", index);
}

void rule_pull_secret(struct rule_pass *pass)
{
    const struct workspace *ws = pass->ws;
    if (ws->inference != NULL) {
        const struct adapter_list *adapters = &ws->inference->adapters;
        for (size_t i = 0; i < adapters->count; i++) {
            const struct data_source *source = adapters->items[i].source;
            if (source != NULL && source->image_pull_secrets.count > 0)
                check_pull_secrets(pass, adapter_source_path(pass, i), &source->image_pull_secrets);
        }
    }
    if (ws->tuning != NULL && ws->tuning->input != NULL)
        check_pull_secrets(pass, "tuning.input", &ws->tuning->input->image_pull_secrets);
}

static void check_volume(struct rule_pass *pass, const char *path, const cJSON *volume)
{
    if (volume != NULL &&
        (!cJSON_IsObject(volume) || volume->child == NULL || volume->child->next != NULL))
        rule_report_as(pass, arena_printf(pass->errors->arena, "%s.volumeSource", path),
                       !cJSON_IsObject(volume) ? "not an object"
                                               : arena_printf(pass->errors->arena, "%d members",
                                                              cJSON_GetArraySize(volume)),
                       NULL, NULL);
}

void rule_volume_source(struct rule_pass *pass)
{
    const struct workspace *ws = pass->ws;
    if (ws->inference != NULL) {
        const struct adapter_list *adapters = &ws->inference->adapters;
        for (size_t i = 0; i < adapters->count; i++) {
            const struct data_source *source = adapters->items[i].source;
            if (source != NULL && source->volume_source != NULL)
                check_volume(pass, adapter_source_path(pass, i), source->volume_source);
        }
    }
    if (ws->tuning != NULL && ws->tuning->input != NULL)
        check_volume(pass, "tuning.input", ws->tuning->input->volume_source);
    if (ws->tuning != NULL && ws->tuning->output != NULL)
        check_volume(pass, "tuning.output", ws->tuning->output->volume_source);
}
