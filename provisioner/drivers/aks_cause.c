#include "provisioner/drivers/aks_cause.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/base/compiler.h"
#include "common/json/json.h"

enum { DETAILS_DEPTH_MAX = 5 };

static const struct {
    const char *reason;
    int64_t retry_s;
    bool final;
    const char *advice;
} causes[AKS_CAUSE_COUNT] = {
#define CAUSE(id, reason, retry_s, final, advice) [AKS_##id] = { reason, retry_s, final, advice },
#include "provisioner/drivers/aks_cause.def"
#undef CAUSE
};

const char *aks_cause_reason(enum aks_cause cause)
{
    return causes[cause].reason;
}

enum aks_cause aks_cause_find(const char *text)
{
    for (size_t i = 0; i < AKS_CAUSE_COUNT; i++) {
        size_t length = strlen(causes[i].reason);
        if (strncmp(text, causes[i].reason, length) == 0 && text[length] == ':')
            return (enum aks_cause)i;
    }
    return AKS_OTHER;
}

const char *aks_cause_advice(enum aks_cause cause)
{
    return causes[cause].advice;
}

bool aks_cause_is_final(enum aks_cause cause)
{
    return causes[cause].final;
}

int64_t aks_cause_retry_ms(enum aks_cause cause)
{
    return causes[cause].retry_s * 1000;
}

/* ------------------------------------------------------------------ reading */

/* Codes that only say that something inside failed. */
static bool is_wrapper(const char *code)
{
    static const char *const wrappers[] = { "BadRequest",
                                            "DeploymentFailed",
                                            "InvalidTemplateDeployment",
                                            "PreconditionFailed",
                                            "ReconcileVMSSAgentPoolFailed",
                                            "CreateVMSSAgentPoolFailed",
                                            "VMExtensionProvisioningError" };
    for (size_t i = 0; i < ARRAY_LEN(wrappers); i++) {
        if (strcasecmp(code, wrappers[i]) == 0)
            return true;
    }
    return code[0] == '\0';
}

struct azure_error azure_error_read(const cJSON *body)
{
    struct azure_error said = { .code = "" };
    const cJSON *error = json_get(body, "error") != NULL ? json_get(body, "error") : body;

    for (int depth = 0; error != NULL && depth < DETAILS_DEPTH_MAX; depth++) {
        const char *code = json_string_at(error, "code");
        const char *message = json_string_at(error, "message");
        if (code != NULL)
            snprintf(said.code, sizeof(said.code), "%s", code);
        if (message != NULL)
            snprintf(said.message, sizeof(said.message), "%s", message);
        const cJSON *inner = json_at(error, "details[0]");
        if (!is_wrapper(said.code) || json_string_at(inner, "code") == NULL)
            break;
        error = inner;
    }
    return said;
}

/* ------------------------------------------------------------------ judging */

/* First what the code says, then what the words say where the code is one of the vague ones; the
 * order of the rows decides. Part of a code or of a message, in any case. */
static const struct {
    const char *code, *words; /* NULL: any */
    enum aks_cause cause;
} rules[] = {
    { "InsufficientVCPUQuota", NULL, AKS_QUOTA },
    { "QuotaExceeded", NULL, AKS_QUOTA },
    { NULL, "cores quota", AKS_QUOTA },
    { NULL, "quota increase", AKS_QUOTA },
    { NULL, "vcpu quota", AKS_QUOTA },
    { NULL, "LowPriorityCores", AKS_QUOTA },
    { "AllocationFailed", NULL, AKS_CAPACITY }, /* ZonalAllocationFailed too */
    { "OverconstrainedAllocationRequest", NULL, AKS_CAPACITY },
    { "OverconstrainedZonalAllocationRequest", NULL, AKS_CAPACITY },
    { NULL, "AllocationFailed", AKS_CAPACITY },
    { NULL, "OverconstrainedAllocationRequest", AKS_CAPACITY },
    { "SkuNotAvailable", "capacity", AKS_CAPACITY },
    { "SkuNotAvailable", NULL, AKS_SIZE },
    { "VMSizeNotSupported", NULL, AKS_SIZE },
    { "InvalidVMSize", NULL, AKS_SIZE },
    { NULL, "SkuNotAvailable", AKS_SIZE },
    { NULL, "is not allowed in your subscription", AKS_SIZE },
    { NULL, "VM size is not supported", AKS_SIZE },
    { "RequestDisallowedByPolicy", NULL, AKS_POLICY },
    { "RequestDisallowedByAzure", NULL, AKS_POLICY },
    { "ScopeLocked", NULL, AKS_POLICY },
    { "ReadOnlyDisabledSubscription", NULL, AKS_POLICY },
    { NULL, "RequestDisallowedByPolicy", AKS_POLICY },
    { "TooManyRequests", NULL, AKS_THROTTLED },
    { "Throttl", NULL, AKS_THROTTLED },
    { "AuthorizationFailed", NULL, AKS_FORBIDDEN },
    { "AuthenticationFailed", NULL, AKS_FORBIDDEN },
    { "OperationNotAllowed", "in progress", AKS_CONFLICT },
    { "OperationNotAllowed", "in-progress", AKS_CONFLICT },
    { "EtagMismatch", NULL, AKS_CONFLICT },
    { "AnotherOperationInProgress", NULL, AKS_CONFLICT },
    { "ResourceGroupNotFound", NULL, AKS_NO_CLUSTER },
    { "SubscriptionNotFound", NULL, AKS_NO_CLUSTER },
    { "ParentResourceNotFound", NULL, AKS_NO_CLUSTER },
};

static bool holds(const char *text, const char *part)
{
    return part == NULL || strcasestr(text, part) != NULL;
}

static enum aks_cause cause_of_status(int status)
{
    switch (status) {
    case 0:
        return AKS_OTHER;
    case 401:
    case 403:
        return AKS_FORBIDDEN;
    case 404:
        return AKS_NO_CLUSTER;
    case 408:
        return AKS_UNAVAILABLE;
    case 409:
        return AKS_CONFLICT;
    case 429:
        return AKS_THROTTLED;
    default:
        return status >= 500 ? AKS_UNAVAILABLE : AKS_INVALID;
    }
}

enum aks_cause aks_cause_of(int status, const struct azure_error *said)
{
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        if (holds(said->code, rules[i].code) && holds(said->message, rules[i].words))
            return rules[i].cause;
    }
    return cause_of_status(status);
}
