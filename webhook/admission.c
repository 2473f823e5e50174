#include "webhook/admission.h"

#include <string.h>

#include "common/json/build.h"
#include "common/json/json.h"
#include "webhook/workspace_default.h"
#include "webhook/workspace_validate.h"

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

int admission_mutate(const char *body, size_t count, char **answer, struct error *err)
{
    AUTO(json) cJSON *json = NULL;
    AUTO(arena) struct arena arena = ARENA_INIT;
    struct admission_request request;

    if (json_parse(body, count, ADMISSION_BYTES_MAX, &json, err) < 0 ||
        admission_review_decode(json, &arena, &request, err) < 0)
        return -1;
    AUTO(json)
    cJSON *patch = is_ours(&request) ? workspace_default(request.object) : json_new_array();
    *answer = admission_allow_patched(&request, patch);
    return 0;
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

static char *answer_validation(const struct admission *admission,
                               const struct admission_request *request, struct arena *arena)
{
    const cJSON *old = is_operation(request, OPERATION_UPDATE) ? request->old_object : NULL;
    struct validation validation;
    workspace_validate(request->object, old, &admission->settings, arena, &validation);
    if (!validation.judged)
        return admission_allow(request, NULL);

    const struct admission_hooks *hooks = &admission->hooks;
    if (validation.config != NULL && hooks->check_config != NULL)
        hooks->check_config(hooks->context, request, &validation);

    struct admission_warnings lines = { .arena = arena };
    bool refused = validation.errors.count + validation.errors.dropped > 0;
    if (!refused && validation.planned && validation.plan.summary != NULL)
        admission_warn(&lines, arena_printf(arena, "plan: %s", validation.plan.summary));
    add_warnings(&lines, &validation.warnings);
    if (!refused)
        return admission_allow(request, &lines);
    if (hooks->refused != NULL && !(request->dry_run.set && request->dry_run.value))
        hooks->refused(hooks->context, request, &validation.errors);
    return admission_deny(request, &validation.errors, &lines);
}

int admission_validate(const struct admission *admission, const char *body, size_t count,
                       char **answer, struct error *err)
{
    AUTO(json) cJSON *json = NULL;
    AUTO(arena) struct arena arena = ARENA_INIT;
    struct admission_request request;

    if (json_parse(body, count, ADMISSION_BYTES_MAX, &json, err) < 0 ||
        admission_review_decode(json, &arena, &request, err) < 0)
        return -1;
    *answer = is_ours(&request) ? answer_validation(admission, &request, &arena)
                                : admission_allow(&request, NULL);
    return 0;
}
