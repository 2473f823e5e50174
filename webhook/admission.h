/* Admission from text to text: one AdmissionReview in, one out. The HTTP server, the command line
 * and the fuzzer call the same. Thread-safe; one arena a request, no locks of its own. */
#pragma once

#include <stddef.h>

#include "common/plan/plan.h"
#include "webhook/admission_review.h"

enum { ADMISSION_BYTES_MAX = 7 * 1024 * 1024 };

struct validation;

/* What admission asks of others and tells them. Both are called on the request's thread. */
struct admission_hooks {
    void *context;
    /* Judges the content of the ConfigMap validation->config and adds to validation's errors and
     * warnings. May block shortly. NULL: contents are not looked at. */
    void (*check_config)(void *context, const struct admission_request *request,
                         struct validation *validation);
    /* A request was refused, and not in a dry run. NULL: nobody cares. */
    void (*refused)(void *context, const struct admission_request *request,
                    const struct field_errors *errors);
};

struct admission {
    struct plan_settings settings;
    struct admission_hooks hooks;
};

/* Both judge the object; mutate answers a sound one with defaults, validate with the plan and
 * warnings. 0 and the answer, which the caller frees; -1 when `body` is no AdmissionReview v1 about
 * a Workspace (INVALID) or too large (TOO_LARGE). */
MUST_CHECK int admission_mutate(const struct admission *admission, const char *body, size_t count,
                                char **answer, struct error *err);
MUST_CHECK int admission_validate(const struct admission *admission, const char *body, size_t count,
                                  char **answer, struct error *err);
