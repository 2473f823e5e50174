#include "webhook/admission.h"

#include <string.h>

#include "common/json/build.h"
#include "common/json/json.h"
#include "webhook/workspace_default.h"
#include "webhook/workspace_validate.h"

/* A Workspace with a large pod template and all its history has some thousands of values; the API
 * server stores no object above 1.5 MiB. */
static const struct json_limits review_limits = { .bytes_max = ADMISSION_BYTES_MAX,
                                                  .values_max = 128 * 1024,
                                                  .items_max = 16 * 1024,
                                                  .string_bytes_max = 1024 * 1024 };

static bool is_operation(const struct admission_request *request, const char *operation)
{
    return strcmp(request->operation, operation) == 0;
}

/* Subresources, deletes and connects are none of our business, should somebody configure them. */
static bool is_ours(const struct admission_request *request)
{
    return (request->sub_resource == NULL || *request->sub_resource == '\0') &&
           (is_operation(request, OPERATION_CREATE) || is_operation(request, OPERATION_UPDATE));
}

/* "path: what; what to do", for the terminal. */
static void add_warnings(struct admission_warnings *lines, const struct field_errors *warnings)
{
    for (size_t i = 0; i < warnings->count; i++) {
        const struct field_error *warning = &warnings->items[i];
        admission_warn(lines, arena_printf(lines->arena, "%s: %s%s%s", warning->path,
                                           warning->detail, warning->fix != NULL ? "; " : "",
                                           warning->fix != NULL ? warning->fix : ""));
    }
}

/* The rules and the plan. */
static void judge(const struct admission *admission, const struct admission_request *request,
                  struct arena *arena, struct validation *out)
{
    const cJSON *old = is_operation(request, OPERATION_UPDATE) ? request->old_object : NULL;
    workspace_validate(request->object, old, &admission->settings, arena, out);
}

static bool is_sound(const struct validation *validation)
{
    return validation->errors.count + validation->errors.dropped == 0;
}

static char *refuse(const struct admission *admission, const struct admission_request *request,
                    const struct validation *validation, struct arena *arena)
{
    const struct admission_hooks *hooks = &admission->hooks;
    struct admission_warnings lines = { .arena = arena };
    add_warnings(&lines, &validation->warnings);
    if (hooks->refused != NULL && !(request->dry_run.set && request->dry_run.value))
        hooks->refused(hooks->context, request, &validation->errors);
    return admission_deny(request, &validation->errors, &lines);
}

/* Judges too: the API server asks here first and then checks its schema, and a refusal there would
 * hide what validation has to say. */
static char *answer_mutation(const struct admission *admission,
                             const struct admission_request *request, struct arena *arena)
{
    struct validation validation;
    judge(admission, request, arena, &validation);
    if (!is_sound(&validation))
        return refuse(admission, request, &validation, arena);
    AUTO(json) cJSON *patch = workspace_default(request->object);
    return admission_allow_patched(request, patch);
}

static char *answer_validation(const struct admission *admission,
                               const struct admission_request *request, struct arena *arena)
{
    const struct admission_hooks *hooks = &admission->hooks;
    struct validation validation;
    judge(admission, request, arena, &validation);
    if (!validation.judged)
        return admission_allow(request, NULL);
    if (validation.config != NULL && hooks->check_config != NULL)
        hooks->check_config(hooks->context, request, &validation);
    if (!is_sound(&validation))
        return refuse(admission, request, &validation, arena);

    struct admission_warnings lines = { .arena = arena };
    if (validation.planned && validation.plan.summary != NULL)
        admission_warn(&lines, arena_printf(arena, "plan: %s", validation.plan.summary));
    add_warnings(&lines, &validation.warnings);
    return admission_allow(request, &lines);
}

int admission_mutate(const struct admission *admission, const char *body, size_t count,
                     char **answer, struct error *err)
{
    AUTO(json) cJSON *json = NULL;
    AUTO(arena) struct arena arena = ARENA_INIT;
    struct admission_request request;

    if (json_parse_within(body, count, &review_limits, &json, err) < 0 ||
        admission_review_decode(json, &arena, &request, err) < 0)
        return -1;
    *answer = is_ours(&request) ? answer_mutation(admission, &request, &arena)
                                : admission_allow(&request, NULL);
    return 0;
}

int admission_validate(const struct admission *admission, const char *body, size_t count,
                       char **answer, struct error *err)
{
    AUTO(json) cJSON *json = NULL;
    AUTO(arena) struct arena arena = ARENA_INIT;
    struct admission_request request;

    if (json_parse_within(body, count, &review_limits, &json, err) < 0 ||
        admission_review_decode(json, &arena, &request, err) < 0)
        return -1;
    *answer = is_ours(&request) ? answer_validation(admission, &request, &arena)
                                : admission_allow(&request, NULL);
    return 0;
}
