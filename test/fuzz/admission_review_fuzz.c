/* AdmissionReviews, and Workspaces put into one: both endpoints agree on what a review is, answers
 * are AdmissionReviews that repeat the uid, a refusal names a field in every cause, a verdict does
 * not depend on when it is asked, and no object can freeze: an update to itself always passes. */
#include <stdbool.h>

#include "common/json/build.h"
#include "test/fuzz/fuzz.h"
#include "webhook/admission.h"

static const struct admission *admission(void)
{
    static struct admission made;
    made.settings = (struct plan_settings){ .catalogue = catalogue_builtin(),
                                            .cloud = "azure",
                                            .nodes_max = 8 };
    return &made;
}

static cJSON *review_of(const char *operation, const cJSON *object)
{
    return JOBJ(
        JS("apiVersion", "admission.k8s.io/v1"), JS("kind", "AdmissionReview"),
        JV("request", JOBJ(JS("uid", "u"),
                           JV("kind", JOBJ(JS("group", "kaito.sh"), JS("version", "v1beta1"),
                                           JS("kind", "Workspace"))),
                           JS("operation", operation), JV("object", json_copy(object)),
                           JV("oldObject", json_copy(object)))));
}

static void check_answer(const char *text, const char *uid)
{
    AUTO(json) cJSON *answer = fuzz_reparse(text);
    const char *answered = json_string_at(answer, "response.uid");
    HOLDS(answered != NULL);
    HOLDS(uid == NULL || strcmp(answered, uid) == 0);
    if (json_bool_at(answer, "response.allowed", false))
        return;
    const char *message = json_string_at(answer, "response.status.message");
    HOLDS(message != NULL && *message != '\0');
    HOLDS(json_at(answer, "response.status.details.causes[0]") != NULL);
    const cJSON *cause;
    cJSON_ArrayForEach(cause, json_at(answer, "response.status.details.causes")) {
        /* Only "the object itself is malformed" has the empty path. */
        HOLDS(json_string_at(cause, "field") != NULL);
        HOLDS(json_string_at(cause, "message") != NULL);
    }
}

static void try_review(const char *body, size_t count, const char *uid)
{
    struct error err = ERROR_INIT;
    AUTO_FREE char *first = NULL;
    AUTO_FREE char *second = NULL;
    AUTO_FREE char *patched = NULL;
    int validated = admission_validate(admission(), body, count, &first, &err);
    int mutated = admission_mutate(admission(), body, count, &patched, &err);
    HOLDS(validated == mutated);
    if (validated < 0) {
        HOLDS(err.message[0] != '\0');
        return;
    }
    HOLDS(admission_validate(admission(), body, count, &second, &err) == 0);
    HOLDS(strcmp(first, second) == 0);
    check_answer(first, uid);
    check_answer(patched, uid);
}

static void try_workspace(const cJSON *object)
{
    AUTO(json) cJSON *create = review_of("CREATE", object);
    AUTO_FREE char *create_text = json_print(create);
    try_review(create_text, strlen(create_text), "u");

    AUTO(json) cJSON *update = review_of("UPDATE", object);
    AUTO_FREE char *update_text = json_print(update);
    AUTO_FREE char *answer = NULL;
    struct error err = ERROR_INIT;
    HOLDS(admission_validate(admission(), update_text, strlen(update_text), &answer, &err) == 0);
    AUTO(json) cJSON *json = fuzz_reparse(answer);
    HOLDS(json_bool_at(json, "response.allowed", false));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = ERROR_INIT;
    AUTO(json) cJSON *json = NULL;

    try_review((const char *)data, size, NULL);
    if (json_parse((const char *)data, size, ADMISSION_BYTES_MAX, &json, &err) == 0 &&
        cJSON_IsObject(json) && json_get(json, "request") == NULL)
        try_workspace(json);
    return 0;
}
