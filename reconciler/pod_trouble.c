#include "reconciler/pod_trouble.h"

#include <string.h>

#include "common/json/json.h"

enum { MESSAGE_BYTES_MAX = 256 };

/* Waiting reasons of the kubelet, grouped by what the user has to do. */
static const struct waiting {
    const char *reason;
    const char *kubelet[8];
    const char *next_step;
} waiting_rows[] = {
    { "ImagePullError",
      { "ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull",
        "ImageInspectError", "RegistryUnavailable" },
      "check that the image exists and that the pull secret may read it" },
    { "ContainerStartError",
      { "CreateContainerConfigError", "PreCreateHookError", "CreateContainerError",
        "PreStartHookError", "RunContainerError", "PostStartHookError" },
      "check that the Secrets, ConfigMaps and volumes the pod names exist" },
    { "ContainerCrashLoopBackOff",
      { "CrashLoopBackOff" },
      "read the log of the container: kubectl logs --previous" },
};

static void found(struct pod_trouble *out, struct arena *arena, const struct object *pod,
                  const char *reason, const char *what, const char *message, const char *next_step)
{
    const char *text = message != NULL && message[0] != '\0' ? message : what;
    *out = (struct pod_trouble){
        .reason = reason,
        .message = arena_printf(arena, "Pod %s: %s", pod->key.name,
                                arena_strndup(arena, text, MESSAGE_BYTES_MAX)),
        .pod = arena_strdup(arena, pod->key.name),
        .next_step = next_step,
    };
}

/* Calls `look` for each container of the pod until it answers true. */
typedef bool container_look(const cJSON *status, const void *wanted, const char **message_out);

static bool any_container(const struct object *pod, container_look *look, const void *wanted,
                          const char **container_out, const char **message_out)
{
    static const char *const lists[] = { "status.initContainerStatuses",
                                         "status.containerStatuses" };
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        const cJSON *status;
        cJSON_ArrayForEach(status, json_at(pod->json, lists[i])) {
            if (look(status, wanted, message_out)) {
                *container_out = json_string_at(status, "name");
                return true;
            }
        }
    }
    return false;
}

static bool is(const char *text, const char *wanted)
{
    return text != NULL && strcmp(text, wanted) == 0;
}

static bool was_out_of_memory(const cJSON *status, const void *wanted, const char **message_out)
{
    (void)wanted;
    *message_out = NULL;
    return is(json_string_at(status, "state.terminated.reason"), "OOMKilled") ||
           is(json_string_at(status, "lastState.terminated.reason"), "OOMKilled");
}

static bool waits_for(const cJSON *status, const void *wanted, const char **message_out)
{
    const struct waiting *row = wanted;
    const char *reason = json_string_at(status, "state.waiting.reason");
    for (size_t i = 0; reason != NULL && i < ARRAY_LEN(row->kubelet) && row->kubelet[i] != NULL;
         i++) {
        if (strcmp(reason, row->kubelet[i]) == 0) {
            *message_out = json_string_at(status, "state.waiting.message");
            if (*message_out == NULL)
                *message_out = reason;
            return true;
        }
    }
    return false;
}

static bool find_container_trouble(const struct object_list *pods, struct arena *arena,
                                   const char *reason, container_look *look, const void *wanted,
                                   const char *next_step, struct pod_trouble *out)
{
    for (size_t i = 0; i < pods->count; i++) {
        const char *container = NULL, *message = NULL;
        if (!any_container(pods->items[i], look, wanted, &container, &message))
            continue;
        const char *what = arena_printf(arena, "container %s ran out of memory",
                                        container != NULL ? container : "?");
        found(out, arena, pods->items[i], reason, what, message, next_step);
        return true;
    }
    return false;
}

static bool find_eviction(const struct object_list *pods, struct arena *arena,
                          struct pod_trouble *out)
{
    for (size_t i = 0; i < pods->count; i++) {
        const cJSON *json = pods->items[i]->json;
        if (!is(json_string_at(json, "status.phase"), "Failed") ||
            !is(json_string_at(json, "status.reason"), "Evicted"))
            continue;
        const char *message = json_string_at(json, "status.message");
        const char *text = message != NULL ? message : "";
        const char *reason = "PodEvicted";
        if (strstr(text, "ephemeral-storage") != NULL || strstr(text, "disk") != NULL)
            reason = "NodeDiskPressure";
        else if (strstr(text, "memory") != NULL)
            reason = "NodeMemoryPressure";
        found(out, arena, pods->items[i], reason, "evicted", message,
              "use a machine with more of what ran out");
        return true;
    }
    return false;
}

static bool find_unschedulable(const struct object_list *pods, struct arena *arena,
                               struct pod_trouble *out)
{
    for (size_t i = 0; i < pods->count; i++) {
        const cJSON *json = pods->items[i]->json;
        const cJSON *scheduled = json_at(json, "status.conditions[type=PodScheduled]");
        if (is(json_string_at(json, "status.phase"), "Pending") &&
            is(json_string_at(scheduled, "status"), "False") &&
            is(json_string_at(scheduled, "reason"), "Unschedulable")) {
            found(out, arena, pods->items[i], "Unschedulable", "no node takes it",
                  json_string_at(scheduled, "message"),
                  "compare the pod's node affinity and tolerations with the nodes");
            return true;
        }
    }
    return false;
}

bool pod_trouble_find(const struct object_list *pods, struct arena *arena, struct pod_trouble *out)
{
    if (find_container_trouble(pods, arena, "ContainerOOMKilled", was_out_of_memory, NULL,
                               "use a machine with more memory, or a smaller model or context",
                               out))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(waiting_rows); i++) {
        if (find_container_trouble(pods, arena, waiting_rows[i].reason, waits_for, &waiting_rows[i],
                                   waiting_rows[i].next_step, out))
            return true;
    }
    return find_eviction(pods, arena, out) || find_unschedulable(pods, arena, out);
}
