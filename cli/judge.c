#include "cli/judge.h"

#include <string.h>

#include "common/json/build.h"
#include "common/json/json.h"
#include "common/plan/config_check.h"

#define V1ALPHA1 WORKSPACE_GROUP "/v1alpha1"
/* The default that the CRD gives this version alone. The others change no verdict. */
#define V1ALPHA1_INSTANCE_TYPE "Standard_NC24ads_A100_v4"

static bool has_version(const cJSON *object, const char *version)
{
    return strcmp(json_string_at(object, "apiVersion"), version) == 0;
}

static void default_by_schema(cJSON *object)
{
    cJSON *resource = json_member(object, "resource");
    if (has_version(object, V1ALPHA1) && cJSON_IsObject(resource) &&
        json_get(resource, "instanceType") == NULL)
        json_set(resource, "instanceType", JSTR(V1ALPHA1_INSTANCE_TYPE));
}

static void check_version(struct judgement *out)
{
    if (has_version(out->object, WORKSPACE_API_VERSION) || has_version(out->object, V1ALPHA1))
        return;
    field_errors_add(&out->validation.errors,
                     &(struct field_error){ .path = "apiVersion",
                                            .kind = FIELD_UNSUPPORTED,
                                            .value = json_string_at(out->object, "apiVersion"),
                                            .detail = "there is no such version of Workspace",
                                            .fix = "write " WORKSPACE_API_VERSION,
                                            .rule = "metadata/api-version" });
}

/* ------------------------------------------------------------------ ConfigMaps */

static void config_not_given(struct judgement *out, enum config_use use)
{
    field_errors_add(&out->validation.warnings,
                     &(struct field_error){ .path = config_path(use),
                                            .kind = FIELD_INVALID,
                                            .value = out->validation.config,
                                            .detail = "this ConfigMap is not among the files, so "
                                                      "its content was not looked at",
                                            .fix = "add its file with -f",
                                            .rule = "config/unchecked" });
}

/* Content that asks for a context is planned for again. */
static void check_config(const struct manifests *manifests, const struct plan_settings *settings,
                         struct arena *arena, struct judgement *out)
{
    struct validation *validation = &out->validation;
    if (validation->config == NULL)
        return;
    enum config_use use =
        strcmp(validation->config_kind, "tuning") == 0 ? CONFIG_FOR_TUNING : CONFIG_FOR_INFERENCE;
    const char *namespace_ = manifest_namespace(out->manifest);
    const cJSON *config_map = manifests_config_map(manifests, namespace_, validation->config);
    if (config_map == NULL) {
        config_not_given(out, use);
        return;
    }
    struct config_reading reading;
    config_check(use, json_get(config_map, "data"),
                 arena_printf(arena, "%s/%s", namespace_, validation->config), &validation->ws,
                 validation->plan.model, arena, &reading);
    if (reading.context_length > 0) {
        struct plan_settings again = *settings;
        again.context_length = reading.context_length;
        workspace_validate(out->object, NULL, &again, arena, validation);
    }
    for (size_t i = 0; i < reading.problems.count; i++)
        field_errors_add(&validation->errors, &reading.problems.items[i]);
}

/* ------------------------------------------------------------------ entry */

void judge(const struct manifests *manifests, const struct manifest *manifest,
           const struct plan_settings *settings, struct arena *arena, struct judgement *out)
{
    *out = (struct judgement){ .manifest = manifest, .object = json_copy(manifest->json) };
    default_by_schema(out->object);
    workspace_validate(out->object, NULL, settings, arena, &out->validation);
    check_config(manifests, settings, arena, out);
    check_version(out);
    out->refused = out->validation.errors.count > 0;
}

void judgement_fini(struct judgement *judgement)
{
    json_free(judgement->object);
    judgement->object = NULL;
}
