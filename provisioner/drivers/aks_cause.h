/* Why Azure refused: its status, error code and words turned into a cause that says what to tell
 * the user and when to try again. Pure. */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

enum aks_cause {
#define CAUSE(id, reason, retry_s, final, advice) AKS_##id,
#include "provisioner/drivers/aks_cause.def"
#undef CAUSE
    AKS_CAUSE_COUNT
};

enum { AZURE_CODE_BYTES = 96, AZURE_MESSAGE_BYTES = 320 };

/* What Azure said: {code, message}, in `error` or without it, the innermost of `details` when the
 * outer code only wraps it. Empty strings when it said nothing. */
struct azure_error {
    char code[AZURE_CODE_BYTES];
    char message[AZURE_MESSAGE_BYTES];
};
struct azure_error azure_error_read(const cJSON *body); /* NULL is fine */

/* `status` is 0 for an operation that was accepted and failed later. */
enum aks_cause aks_cause_of(int status, const struct azure_error *said);

const char *aks_cause_reason(enum aks_cause cause);
/* The cause whose reason begins `text`; AKS_OTHER where none does. */
enum aks_cause aks_cause_find(const char *text);
const char *aks_cause_advice(enum aks_cause cause); /* "" where there is none */
bool aks_cause_is_final(enum aks_cause cause);
int64_t aks_cause_retry_ms(enum aks_cause cause);
