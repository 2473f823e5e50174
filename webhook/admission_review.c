#include "webhook/admission_review.h"

#include <stdlib.h>
#include <string.h>

#include "common/api/workspace.h"
#include "common/base/digest.h"
#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"

#define CODEC_DEFINE
#include "common/json/codec_begin.h"
#include "webhook/admission_review.def"
#include "common/json/codec_end.h"

enum { HTTP_UNPROCESSABLE = 422 };

static bool is_workspace(const struct admission_kind *kind)
{
    return kind->group != NULL && strcmp(kind->group, WORKSPACE_GROUP) == 0 &&
           strcmp(kind->kind, WORKSPACE_KIND) == 0 &&
           (strcmp(kind->version, "v1beta1") == 0 || strcmp(kind->version, "v1alpha1") == 0);
}

static int require_objects(const struct admission_request *request, struct error *err)
{
    bool update = strcmp(request->operation, OPERATION_UPDATE) == 0;
    if (!update && strcmp(request->operation, OPERATION_CREATE) != 0)
        return 0;
    if (!cJSON_IsObject(request->object))
        return error_set(err, ERR_INVALID, "request.object: an object is required on %s",
                         request->operation);
    if (update && !cJSON_IsObject(request->old_object))
        return error_set(err, ERR_INVALID, "request.oldObject: an object is required on %s",
                         request->operation);
    return 0;
}

int admission_review_decode(const cJSON *json, struct arena *arena, struct admission_request *out,
                            struct error *err)
{
    const char *version = json_string_at(json, "apiVersion");
    const char *kind = json_string_at(json, "kind");
    if (version == NULL || kind == NULL || strcmp(version, ADMISSION_API_VERSION) != 0 ||
        strcmp(kind, ADMISSION_KIND) != 0)
        return error_set(err, ERR_INVALID,
                         "expected an AdmissionReview of " ADMISSION_API_VERSION
                         ", not %.60s of %.60s",
                         kind != NULL ? kind : "a document without kind",
                         version != NULL ? version : "no apiVersion");

    struct admission_review review;
    if (codec_decode_strict(admission_review_type(), json, arena, &review, err) < 0)
        return -1;
    const struct admission_request *request = review.request;
    if (!is_workspace(request->kind))
        return error_set(err, ERR_INVALID,
                         "request.kind: expected Workspace of " WORKSPACE_GROUP
                         "/v1beta1 or v1alpha1, not %.60s of %.60s/%.60s",
                         request->kind->kind,
                         request->kind->group != NULL ? request->kind->group : "",
                         request->kind->version);
    if (require_objects(request, err) < 0)
        return -1;
    *out = *request;
    return 0;
}

void admission_warn(struct admission_warnings *warnings, const char *text)
{
    if (warnings->count == ADMISSION_WARNINGS_MAX)
        return;
    char *line = arena_strndup(warnings->arena, text, ADMISSION_WARNING_BYTES_MAX);
    for (char *p = line; *p != '\0'; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = ' ';
    }
    warnings->lines[warnings->count++] = line;
}

/* ------------------------------------------------------------------ answers */

static cJSON *warning_list(const struct admission_warnings *warnings)
{
    if (warnings == NULL || warnings->count == 0)
        return NULL;
    cJSON *list = json_new_array();
    for (size_t i = 0; i < warnings->count; i++)
        json_append(list, JSTR(warnings->lines[i]));
    return list;
}

static char *print_response(cJSON *response)
{
    AUTO(json)
    cJSON *review = JOBJ(JS("apiVersion", ADMISSION_API_VERSION), JS("kind", ADMISSION_KIND),
                         JV("response", response));
    return json_print(review);
}

char *admission_allow(const struct admission_request *request,
                      const struct admission_warnings *warnings)
{
    return print_response(
        JOBJ(JS("uid", request->uid), JB("allowed", true), JV("warnings", warning_list(warnings))));
}

char *admission_allow_patched(const struct admission_request *request, const cJSON *patch)
{
    if (patch == NULL || patch->child == NULL)
        return admission_allow(request, NULL);
    AUTO_FREE char *text = json_print(patch);
    AUTO_FREE char *encoded = base64_encode(text, strlen(text));
    return print_response(JOBJ(JS("uid", request->uid), JB("allowed", true),
                               JS("patchType", "JSONPatch"), JS("patch", encoded)));
}

/* kubectl prints the causes of an Invalid answer as "field: message", so the path is not repeated.
 */
static cJSON *cause(const struct field_error *error, struct arena *arena)
{
    static const char *const reasons[] = {
        [FIELD_REQUIRED] = "FieldValueRequired",
        [FIELD_INVALID] = "FieldValueInvalid",
        [FIELD_FORBIDDEN] = "FieldValueForbidden",
        [FIELD_UNSUPPORTED] = "FieldValueNotSupported",
    };
    const char *message = field_error_text(error, arena) + strlen(error->path) + strlen(": ");
    return JOBJ(JS("reason", reasons[error->kind]), JS("message", message),
                JS("field", error->path));
}

char *admission_deny(const struct admission_request *request, const struct field_errors *errors,
                     const struct admission_warnings *warnings)
{
    cJSON *causes = json_new_array();
    for (size_t i = 0; i < errors->count; i++)
        json_append(causes, cause(&errors->items[i], errors->arena));

    const char *name =
        request->name != NULL ? request->name : json_string_at(request->object, "metadata.name");
    cJSON *status =
        JOBJ(JS("status", "Failure"), JS("message", field_errors_text(errors)),
             JS("reason", "Invalid"), JI("code", HTTP_UNPROCESSABLE),
             JV("details", JOBJ(JS("name", name), JS("group", request->kind->group),
                                JS("kind", request->kind->kind), JV("causes", causes))));
    return print_response(JOBJ(JS("uid", request->uid), JB("allowed", false), JV("status", status),
                               JV("warnings", warning_list(warnings))));
}
