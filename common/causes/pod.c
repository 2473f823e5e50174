#include <string.h>

#include "common/causes/signals.h"
#include "common/json/json.h"

enum { EXIT_KILLED = 137, EXIT_TERMINATED = 143, LINE_BYTES_MAX = 512 };

static bool is(const char *text, const char *wanted)
{
    return text != NULL && strcmp(text, wanted) == 0;
}

/* ------------------------------------------------------------------ last words */

/* The line that ends before `end`; *begin_out is where it begins. */
static const char *line_before(const char *text, const char *end, struct arena *arena,
                               const char **begin_out)
{
    const char *begin = end;
    while (begin > text && begin[-1] != '\n')
        begin--;
    *begin_out = begin;
    size_t length = (size_t)(end - begin);
    return arena_strndup(arena, begin, length < LINE_BYTES_MAX ? length : LINE_BYTES_MAX);
}

enum cause_id causes_in_log(const char *text, struct arena *arena, const char **line_out)
{
    const char *end = text + strlen(text), *begin = end;
    *line_out = "";
    for (; end >= text; end = begin - 1) {
        const char *line = line_before(text, end, arena, &begin);
        enum cause_id found = signal_match(PLACE_TERMINATED, NULL, line);
        if (found != CAUSE_COUNT) {
            *line_out = line;
            return found;
        }
        if (**line_out == '\0')
            *line_out = line;
        if (begin == text)
            break;
    }
    return CAUSE_COUNT;
}

/* ------------------------------------------------------------------ one container */

struct look {
    const cJSON *pod;
    const struct cause_context *ctx;
    struct arena *arena;
    struct cause_place place;
};

static struct cause_hit container_hit(const struct look *look, enum cause_id id, const char *detail)
{
    const char *container = look->place.container;
    const char *text = detail != NULL && *detail != '\0'
                           ? arena_printf(look->arena, "container %s: %s", container, detail)
                           : arena_printf(look->arena, "container %s", container);
    return cause_hit_make(id, &look->place, text, look->arena);
}

/* What a container of ours does, where its failure alone says what is wrong. */
static enum cause_id by_role(const char *container)
{
    if (strcmp(container, "data-downloader") == 0 || strncmp(container, "puller", 6) == 0)
        return CAUSE_DATA_DOWNLOAD;
    return strcmp(container, "pusher") == 0 ? CAUSE_PUSH_FAILED : CAUSE_COUNT;
}

/* The kubelet ended it when the time for starting was over. */
static bool was_too_slow(const struct look *look, const cJSON *terminated)
{
    int64_t code = json_integer_at(terminated, "exitCode", 0);
    int64_t start_ms = cause_time_at(terminated, "startedAt");
    int64_t end_ms = cause_time_at(terminated, "finishedAt");
    int64_t budget_s = look->ctx->startup_budget_s;
    return (code == EXIT_KILLED || code == EXIT_TERMINATED) && start_ms >= 0 && budget_s > 0 &&
           end_ms - start_ms >= budget_s * 1000;
}

static bool in_termination(const struct look *look, const cJSON *terminated, bool again,
                           struct cause_hit *out)
{
    const char *line = NULL, *text = json_string_at(terminated, "message");
    enum cause_id id = signal_match(PLACE_TERMINATED, json_string_at(terminated, "reason"), "");
    if (id == CAUSE_COUNT)
        id = causes_in_log(text != NULL ? text : "", look->arena, &line);
    if (id == CAUSE_COUNT)
        id = by_role(look->place.container);
    if (id == CAUSE_COUNT && was_too_slow(look, terminated))
        id = CAUSE_PROBE_TIMEOUT;
    if (id == CAUSE_COUNT && again)
        id = CAUSE_CRASH_LOOP;
    if (id == CAUSE_COUNT)
        return false;
    if (line == NULL || *line == '\0')
        line = arena_printf(look->arena, "exit code %lld",
                            (long long)json_integer_at(terminated, "exitCode", 0));
    *out = container_hit(look, id, line);
    return true;
}

static bool is_slow(const struct look *look, const cJSON *status)
{
    int64_t start_ms = cause_time_at(status, "state.running.startedAt");
    return start_ms >= 0 && !json_bool_at(status, "started", false) && look->ctx->now_ms > 0 &&
           look->ctx->startup_budget_s > 0 &&
           look->ctx->now_ms - start_ms > look->ctx->startup_budget_s * 1000 / 2;
}

static bool in_container(const struct look *look, const cJSON *status, struct cause_hit *out)
{
    const cJSON *waiting = json_at(status, "state.waiting");
    const char *reason = json_string_at(waiting, "reason");
    const char *message = json_string_at(waiting, "message");
    if (json_bool_at(status, "ready", false))
        return false;
    enum cause_id id = waiting != NULL ? signal_match(PLACE_WAITING, reason, message) : CAUSE_COUNT;
    if (id != CAUSE_COUNT) {
        *out = container_hit(look, id, message != NULL && *message != '\0' ? message : reason);
        return true;
    }
    const cJSON *terminated = json_at(status, "state.terminated");
    bool again = is(reason, "CrashLoopBackOff") || terminated != NULL;
    if (terminated == NULL)
        terminated = json_at(status, "lastState.terminated");
    bool failed = json_integer_at(terminated, "exitCode", 0) != 0 ||
                  is(json_string_at(terminated, "reason"), "OOMKilled");
    if (failed && in_termination(look, terminated, again, out))
        return true;
    if (is(reason, "CrashLoopBackOff")) {
        *out = container_hit(look, CAUSE_CRASH_LOOP, message);
        return true;
    }
    if (!is_slow(look, status))
        return false;
    *out = container_hit(look, CAUSE_DOWNLOAD_SLOW, "");
    return true;
}

/* ------------------------------------------------------------------ the pod */

static bool in_containers(struct look *look, struct cause_hit *out)
{
    static const char *const lists[] = { "status.initContainerStatuses",
                                         "status.containerStatuses" };
    struct cause_hit best = { .cause = NULL }, hit;
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        const cJSON *status;
        cJSON_ArrayForEach(status, json_at(look->pod, lists[i])) {
            const char *name = json_string_at(status, "name");
            look->place.container = name != NULL ? name : "?";
            if (in_container(look, status, &hit) &&
                (best.cause == NULL || cause_hit_outranks(&hit, &best)))
                best = hit;
        }
    }
    look->place.container = NULL;
    if (best.cause == NULL)
        return false;
    *out = best;
    return true;
}

bool causes_in_pod(const cJSON *pod, const struct cause_context *ctx, struct arena *arena,
                   struct cause_hit *out)
{
    struct look look = { .pod = pod,
                         .ctx = ctx,
                         .arena = arena,
                         .place = { .kind = "Pod",
                                    .namespace_ = json_string_at(pod, "metadata.namespace"),
                                    .name = json_string_at(pod, "metadata.name") } };
    const char *phase = json_string_at(pod, "status.phase");
    if (look.place.name == NULL || json_at(pod, "metadata.deletionTimestamp") != NULL)
        return false;

    const char *reason = json_string_at(pod, "status.reason");
    const char *message = json_string_at(pod, "status.message");
    enum cause_id id = is(phase, "Failed") ? signal_match(PLACE_POD, reason, message) : CAUSE_COUNT;
    if (id == CAUSE_COUNT && in_containers(&look, out))
        return true;
    const cJSON *scheduled = json_at(pod, "status.conditions[type=PodScheduled]");
    if (id == CAUSE_COUNT && is(phase, "Pending") &&
        is(json_string_at(scheduled, "status"), "False") &&
        is(json_string_at(scheduled, "reason"), "Unschedulable")) {
        message = json_string_at(scheduled, "message");
        id = signal_match(PLACE_SCHEDULING, NULL, message);
    }
    if (id == CAUSE_COUNT)
        return false;
    *out = cause_hit_make(id, &look.place, message != NULL ? message : reason, arena);
    return true;
}
