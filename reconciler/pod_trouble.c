#include "reconciler/pod_trouble.h"

#include <string.h>

#include "common/json/json.h"

static bool is_of_job(const struct object *pod)
{
    const char *kind = json_string_at(object_controller(pod), "kind");
    return kind != NULL && strcmp(kind, "Job") == 0;
}

static bool has_failed(const struct object *pod)
{
    const char *phase = json_string_at(pod->json, "status.phase");
    return phase != NULL && strcmp(phase, "Failed") == 0;
}

/* Another attempt of the Job is at work. */
static bool is_superseded(const struct object *pod, const struct object_list *pods)
{
    if (!is_of_job(pod) || !has_failed(pod))
        return false;
    for (size_t i = 0; i < pods->count; i++) {
        if (is_of_job(pods->items[i]) && !has_failed(pods->items[i]))
            return true;
    }
    return false;
}

bool pod_trouble_find(const struct object_list *pods, const struct cause_context *ctx,
                      struct arena *arena, struct cause_hit *out)
{
    struct cause_hit best = { .cause = NULL }, hit;
    for (size_t i = 0; i < pods->count; i++) {
        if (!is_superseded(pods->items[i], pods) &&
            causes_in("Pod", pods->items[i]->json, ctx, arena, &hit) &&
            (best.cause == NULL || cause_hit_outranks(&hit, &best)))
            best = hit;
    }
    if (best.cause == NULL)
        return false;
    *out = best;
    return true;
}

const char *pod_trouble_reason(const struct cause *cause)
{
    static const char *const reasons[CAUSE_COUNT] = {
        [CAUSE_IMAGE_DENIED] = "ImagePullError",
        [CAUSE_IMAGE_NOT_FOUND] = "ImagePullError",
        [CAUSE_SECRET_MISSING] = "ContainerStartError",
        [CAUSE_CONFIG_MAP_MISSING] = "ContainerStartError",
        [CAUSE_GPU_OOM] = "ContainerCrashLoopBackOff",
        [CAUSE_CONTEXT_TOO_LONG] = "ContainerCrashLoopBackOff",
        [CAUSE_GPU_UNUSABLE] = "ContainerCrashLoopBackOff",
        [CAUSE_MODEL_GATED] = "ContainerCrashLoopBackOff",
        [CAUSE_MODEL_NOT_FOUND] = "ContainerCrashLoopBackOff",
        [CAUSE_HUB_UNREACHABLE] = "ContainerCrashLoopBackOff",
        [CAUSE_DISK_FULL] = "ContainerCrashLoopBackOff",
        [CAUSE_PROBE_TIMEOUT] = "ContainerCrashLoopBackOff",
        [CAUSE_STORAGE_CLASS] = "Unschedulable",
        [CAUSE_INSUFFICIENT_GPU] = "Unschedulable",
        [CAUSE_VOLUME_PENDING] = "Unschedulable",
        [CAUSE_UNTOLERATED_TAINT] = "Unschedulable",
        [CAUSE_DOWNLOAD_SLOW] = "WorkspaceInferenceStatusPending",
    };
    return reasons[cause->id] != NULL ? reasons[cause->id] : cause->code;
}
