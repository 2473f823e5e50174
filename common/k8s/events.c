#include "common/k8s/events.h"

#include <assert.h>
#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/digest.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/metrics.h"
#include "common/base/mutex.h"
#include "common/json/build.h"
#include "common/json/json.h"

enum {
    EVENT_MESSAGE_BYTES_MAX = 1024,
    EVENT_REASON_BYTES_MAX = 128,
    EVENT_NAME_BYTES_MAX = 253,
    EVENT_ID_DIGITS = 16,
    SUPPRESS_MS = 60 * 1000,
    RECENT_SLOTS = 1024,
    DRAIN_MS = 2000,
    RETRY_FIRST_MS = 200,
    RETRY_MAX_MS = 30 * 1000,
};

/* One event to be written; all texts are its own. */
struct pending {
    char *api_version, *kind, *namespace_, *name, *uid;
    const char *type;
    char *reason, *message;
    char id[EVENT_ID_DIGITS + 1]; /* of what makes it the same event: uid, type, reason, message */
    int64_t realtime_ms;
    int64_t count; /* occurrences since it was written last */
};

/* What was recorded lately: one slot for each remainder of the id. Two events that share a slot
 * push each other out; they are then written more often and their counts are a little low. */
struct recent {
    char id[EVENT_ID_DIGITS + 1];
    int64_t since_ms;
    int64_t unwritten; /* occurrences that were only counted */
};

struct event_recorder {
    struct k8s_client client; /* with a stop of its own, so that the last words are still said */
    struct stop stop;
    char *component;
    char instance[256];
    const struct clock *clock; /* borrowed */
    pthread_t thread;
    struct mutex lock;
    struct cond changed;
    struct pending *queue[EVENT_QUEUE_MAX]; /* a ring; guarded by lock, as are all that follow */
    size_t head, count;
    struct recent recent[RECENT_SLOTS];
    bool closing;
    bool finished; /* the thread has nothing more to do */
};

/* ------------------------------------------------------------------ what an event is */

static void pending_free(struct pending *p)
{
    if (p == NULL)
        return;
    free(p->api_version);
    free(p->kind);
    free(p->namespace_);
    free(p->name);
    free(p->uid);
    free(p->reason);
    free(p->message);
    free(p);
}

/* At most `bytes`, not in the middle of a UTF-8 sequence. */
static char *dup_cut(const char *text, size_t bytes)
{
    size_t length = strlen(text);
    if (length > bytes) {
        length = bytes;
        while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
            length--;
    }
    return mem_strndup(text, length);
}

/* What does not exist has no UID: its namespace and name tell it from others. */
static void make_id(struct pending *p)
{
    char hex[SHA256_HEX_BYTES];
    AUTO_FREE char *who =
        p->uid[0] != '\0' ? mem_strdup(p->uid) : mem_printf("%s/%s", p->namespace_, p->name);
    AUTO_FREE char *whole = mem_printf("%s|%s|%s|%s", who, p->type, p->reason, p->message);
    sha256_hex(whole, strlen(whole), hex);
    memcpy(p->id, hex, EVENT_ID_DIGITS);
}

static struct pending *pending_new(const struct event_target *target, const char *type,
                                   const char *reason, const char *message, int64_t realtime_ms)
{
    struct pending *p = mem_new(struct pending);
    p->api_version = mem_strdup(target->api_version);
    p->kind = mem_strdup(target->kind);
    p->namespace_ = mem_strdup(target->namespace_ != NULL ? target->namespace_ : "");
    p->name = mem_strdup(target->name);
    p->uid = mem_strdup(target->uid != NULL ? target->uid : "");
    p->type = strcmp(type, EVENT_WARNING) == 0 ? EVENT_WARNING : EVENT_NORMAL;
    p->reason = dup_cut(reason, EVENT_REASON_BYTES_MAX);
    p->message = dup_cut(message, EVENT_MESSAGE_BYTES_MAX);
    p->realtime_ms = realtime_ms;
    p->count = 1;
    make_id(p);
    return p;
}

/* "<target name>.<id>", where the target's name is cut so that the whole stays a DNS subdomain. */
static char *event_name(const struct pending *p)
{
    size_t length = strlen(p->name);
    if (length > EVENT_NAME_BYTES_MAX - EVENT_ID_DIGITS - 1)
        length = EVENT_NAME_BYTES_MAX - EVENT_ID_DIGITS - 1;
    while (length > 0 && !isalnum((unsigned char)p->name[length - 1]))
        length--;
    return mem_printf("%.*s.%s", (int)length, p->name, p->id);
}

static const char *event_namespace(const struct pending *p)
{
    return p->namespace_[0] != '\0' ? p->namespace_ : "default";
}

static cJSON *event_json(const struct event_recorder *r, const struct pending *p, const char *name)
{
    char now[RFC3339_BYTES];
    rfc3339_format(p->realtime_ms, now);
    cJSON *involved = JOBJ(JS("apiVersion", p->api_version), JS("kind", p->kind),
                           JS("namespace", p->namespace_[0] != '\0' ? p->namespace_ : NULL),
                           JS("name", p->name), JS("uid", p->uid[0] != '\0' ? p->uid : NULL));
    return JOBJ(JS("apiVersion", "v1"), JS("kind", "Event"),
                JV("metadata", JOBJ(JS("name", name), JS("namespace", event_namespace(p)))),
                JV("involvedObject", involved), JS("type", p->type), JS("reason", p->reason),
                JS("message", p->message), JI("count", p->count), JS("firstTimestamp", now),
                JS("lastTimestamp", now), JV("source", JOBJ(JS("component", r->component))),
                JS("reportingComponent", r->component), JS("reportingInstance", r->instance));
}

/* ------------------------------------------------------------------ writing */

static int raise_count(struct event_recorder *r, const struct pending *p, struct object_key key,
                       struct error *err)
{
    AUTO(object) const struct object *written = NULL;
    if (k8s_get(&r->client, &GVR_EVENT, key, &written, err) < 0)
        return -1;
    char now[RFC3339_BYTES];
    rfc3339_format(p->realtime_ms, now);
    AUTO(json)
    cJSON *patch = JOBJ(JI("count", json_integer_at(written->json, "count", 0) + p->count),
                        JS("lastTimestamp", now));
    return k8s_merge_patch(&r->client, &GVR_EVENT, key, NULL, patch, NULL, err);
}

static int write_event(struct event_recorder *r, const struct pending *p, struct error *err)
{
    AUTO_FREE char *name = event_name(p);
    AUTO(json) cJSON *json = event_json(r, p, name);
    struct object_key key = { .namespace_ = event_namespace(p), .name = name };

    if (k8s_create(&r->client, &GVR_EVENT, json, NULL, err) == 0)
        return 0;
    return err->code == ERR_ALREADY_EXISTS ? raise_count(r, p, key, err) : -1;
}

static bool is_worth_retrying(enum error_code code)
{
    return code == ERR_UNAVAILABLE || code == ERR_TIMEOUT || code == ERR_THROTTLED ||
           code == ERR_NOT_FOUND /* it expired between create and get */;
}

/* With the lock held. True when closing. */
static bool wait_closing(struct event_recorder *r, int64_t ms)
{
    int64_t deadline_ms = clock_monotonic(clock_system()) + ms;
    for (;;) {
        int64_t left_ms = deadline_ms - clock_monotonic(clock_system());
        if (r->closing || left_ms <= 0)
            return r->closing;
        cond_wait_for(&r->changed, &r->lock, left_ms); /* also woken by each new event */
    }
}

/* Writes one event for as long as the server cannot be reached, unless we are closing. */
static void deliver(struct event_recorder *r, const struct pending *p)
{
    int64_t wait_ms = RETRY_FIRST_MS;
    for (unsigned missing = 0;;) {
        struct error err = ERROR_INIT;
        if (write_event(r, p, &err) == 0)
            return;
        missing += err.code == ERR_NOT_FOUND;
        mutex_lock(&r->lock);
        bool again = missing < 2 && is_worth_retrying(err.code) &&
                     !wait_closing(r, err.retry_after_ms > wait_ms ? err.retry_after_ms : wait_ms);
        mutex_unlock(&r->lock);
        if (!again) {
            METRIC_INC(METRIC_EVENTS_DROPPED_TOTAL);
            log_debug("events", "event not written", KV("object", p->name), KV("reason", p->reason),
                      KVERR(&err));
            return;
        }
        wait_ms = wait_ms * 2 < RETRY_MAX_MS ? wait_ms * 2 : RETRY_MAX_MS;
    }
}

/* NULL when closing and nothing is left. */
static struct pending *take(struct event_recorder *r)
{
    struct pending *p = NULL;
    mutex_lock(&r->lock);
    while (r->count == 0 && !r->closing)
        cond_wait(&r->changed, &r->lock);
    if (r->count > 0) {
        p = r->queue[r->head];
        r->head = (r->head + 1) % EVENT_QUEUE_MAX;
        r->count--;
    }
    mutex_unlock(&r->lock);
    return p;
}

static void *event_thread(void *context)
{
    struct event_recorder *r = context;
    for (;;) {
        struct pending *p = take(r);
        if (p == NULL)
            break;
        deliver(r, p);
        pending_free(p);
    }
    mutex_lock(&r->lock);
    r->finished = true;
    cond_broadcast(&r->changed);
    mutex_unlock(&r->lock);
    return NULL;
}

/* ------------------------------------------------------------------ recording */

enum admit { ADMIT_QUEUED, ADMIT_COUNTED, ADMIT_FULL };

/* With the lock held. */
static enum admit admit(struct event_recorder *r, struct pending *p, int64_t now_ms)
{
    struct recent *recent = &r->recent[strtoull(p->id, NULL, 16) % RECENT_SLOTS];
    bool same = strcmp(recent->id, p->id) == 0;

    if (same && now_ms - recent->since_ms < SUPPRESS_MS) {
        recent->unwritten++;
        return ADMIT_COUNTED;
    }
    if (r->count == EVENT_QUEUE_MAX || r->closing)
        return ADMIT_FULL;
    if (same)
        p->count += recent->unwritten;
    *recent = (struct recent){ .since_ms = now_ms };
    memcpy(recent->id, p->id, sizeof(recent->id));
    r->queue[(r->head + r->count++) % EVENT_QUEUE_MAX] = p;
    cond_broadcast(&r->changed);
    return ADMIT_QUEUED;
}

void event_record(struct event_recorder *recorder, const struct event_target *target,
                  const char *type, const char *reason, const char *message)
{
    struct pending *p = pending_new(target, type, reason, message, clock_realtime(recorder->clock));
    int64_t now_ms = clock_monotonic(recorder->clock);

    mutex_lock(&recorder->lock);
    enum admit outcome = admit(recorder, p, now_ms);
    mutex_unlock(&recorder->lock);
    if (outcome != ADMIT_QUEUED)
        pending_free(p);
    if (outcome == ADMIT_FULL)
        METRIC_INC(METRIC_EVENTS_DROPPED_TOTAL);
}

/* ------------------------------------------------------------------ life cycle */

struct event_recorder *event_recorder_new(struct k8s_client *client, const char *component,
                                          const struct clock *clock)
{
    struct event_recorder *r = mem_new(struct event_recorder);
    stop_init(&r->stop);
    r->client = (struct k8s_client){ .transport = client->transport, .stop = &r->stop };
    r->component = mem_strdup(component);
    if (gethostname(r->instance, sizeof(r->instance) - 1) < 0 || r->instance[0] == '\0')
        snprintf(r->instance, sizeof(r->instance), "%.*s", (int)sizeof(r->instance) - 1, component);
    r->clock = clock;
    mutex_init(&r->lock);
    cond_init(&r->changed);
    int result = pthread_create(&r->thread, NULL, event_thread, r);
    assert(result == 0);
    (void)result;
    pthread_setname_np(r->thread, "events");
    return r;
}

void event_recorder_free(struct event_recorder *recorder)
{
    if (recorder == NULL)
        return;
    int64_t deadline_ms = clock_monotonic(clock_system()) + DRAIN_MS;

    mutex_lock(&recorder->lock);
    recorder->closing = true;
    cond_broadcast(&recorder->changed);
    while (!recorder->finished) {
        int64_t left_ms = deadline_ms - clock_monotonic(clock_system());
        if (left_ms <= 0)
            break;
        cond_wait_for(&recorder->changed, &recorder->lock, left_ms);
    }
    mutex_unlock(&recorder->lock);

    stop_raise(&recorder->stop); /* from here on each write ends at once */
    pthread_join(recorder->thread, NULL);
    mutex_fini(&recorder->lock);
    cond_fini(&recorder->changed);
    stop_fini(&recorder->stop);
    free(recorder->component);
    free(recorder);
}
