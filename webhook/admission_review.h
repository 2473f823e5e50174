/* The envelope of admission: AdmissionReview v1 in and out. Knows nothing of what a Workspace may
 * be. */
#pragma once

#include "common/json/codec.h"
#include "common/json/field_errors.h"

#define CODEC_DECLARE
#include "common/json/codec_begin.h"
#include "webhook/admission_review.def"
#include "common/json/codec_end.h"

#define ADMISSION_API_VERSION "admission.k8s.io/v1"
#define ADMISSION_KIND        "AdmissionReview"

#define OPERATION_CREATE "CREATE"
#define OPERATION_UPDATE "UPDATE"

/* Reads the request of one review, which borrows from `json`. INVALID, in words for who configured
 * the webhook, when it is no AdmissionReview v1 about a Workspace of a version we know, or lacks
 * what its operation needs. */
MUST_CHECK int admission_review_decode(const cJSON *json, struct arena *arena,
                                       struct admission_request *out, struct error *err);

/* Lines for the user's terminal beside the answer. Texts in the arena; what is too much is dropped.
 */
enum { ADMISSION_WARNINGS_MAX = 16, ADMISSION_WARNING_BYTES_MAX = 1024 };

struct admission_warnings {
    struct arena *arena;
    const char *lines[ADMISSION_WARNINGS_MAX];
    size_t count;
};

/* The text is copied; bytes that a Warning header cannot carry become spaces. */
void admission_warn(struct admission_warnings *warnings, const char *text);

/* ------------------------------------------------------------------ answers
 * Text of one AdmissionReview with a response; the caller frees it. `warnings` may be NULL. */

char *admission_allow(const struct admission_request *request,
                      const struct admission_warnings *warnings);
/* `patch`: a JSON Patch; an empty one is left out. */
char *admission_allow_patched(const struct admission_request *request, const cJSON *patch);
/* 422 Invalid: every problem as a line of the message and, for programs, as a cause. */
char *admission_deny(const struct admission_request *request, const struct field_errors *errors,
                     const struct admission_warnings *warnings);
