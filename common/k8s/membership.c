#include "common/k8s/membership.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/digest.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/mutex.h"
#include "common/base/rng.h"
#include "common/json/build.h"
#include "common/json/json.h"

#define LABEL_GROUP "ckaito.sh/group"

enum {
    LEASE_MS = 3 * 1000,
    RENEW_MS = 750,             /* four attempts a Lease; also how late a departure is seen */
    FORGET_MS = 10 * 60 * 1000, /* the Lease of one dead for so long is deleted */
    LEAVE_MS = 500,             /* for deleting our own at the end */
    MEMBERS_MAX = 1000,
    HOST_BYTES_MAX = 63,
};

/* One Lease of the group as we have seen it. */
struct member {
    char *name;       /* of the Lease */
    char *renew_time; /* as written; only compared with itself */
    char *version;
    int64_t changed_ms; /* when we last saw it change, by our clock */
    bool seen;          /* in the round under way */
};

struct membership {
    struct k8s_client *client; /* borrowed, as is all up to context */
    struct stop *stop;
    const struct clock *clock;
    membership_changed *changed;
    void *context;
    char *namespace_, *group, *identity;
    char *name; /* of our Lease */
    pthread_t thread;
    bool started;
    struct stop left; /* ends the last request */

    /* The thread's own. */
    struct member *members;
    size_t member_count;
    int64_t acquired_ms; /* real time */
    bool regained;       /* this round renewed a Lease that had lapsed, or took it first */

    struct mutex lock;
    char **live; /* sorted copies of names; guarded by lock, as are all that follow */
    size_t live_count;
    int64_t renewed_ms; /* our clock before the last successful renewal; INT64_MIN: never */
    struct cond finished_changed;
    bool finished;
};

/* ------------------------------------------------------------------ rendezvous hash */

/* FNV-1a alone differs in the low bits only for similar names; this spreads it (splitmix64's
 * finish). */
static uint64_t score(const char *member, const char *key)
{
    uint64_t z = fnv1a64(member, strlen(member) + 1) ^ (fnv1a64(key, strlen(key)) << 1);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

int rendezvous_winner(const char *const *members, size_t count, const char *key)
{
    int winner = -1;
    uint64_t best = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t mine = score(members[i], key);
        /* Equal scores go to the smaller name, so that the order of members never matters. */
        if (winner < 0 || mine > best ||
            (mine == best && strcmp(members[i], members[winner]) < 0)) {
            winner = (int)i;
            best = mine;
        }
    }
    return winner;
}

/* ------------------------------------------------------------------ who is alive */

static void member_fini(struct member *member)
{
    free(member->name);
    free(member->renew_time);
    free(member->version);
}

static struct member *find_or_add(struct membership *m, const char *name, int64_t now_ms)
{
    for (size_t i = 0; i < m->member_count; i++) {
        if (strcmp(m->members[i].name, name) == 0)
            return &m->members[i];
    }
    if (m->member_count == MEMBERS_MAX)
        return NULL;
    m->members = mem_realloc(m->members, (m->member_count + 1) * sizeof(*m->members));
    struct member *fresh = &m->members[m->member_count++];
    *fresh = (struct member){ .name = mem_strdup(name),
                              .renew_time = mem_strdup(""),
                              .version = mem_strdup(""),
                              .changed_ms = now_ms };
    return fresh;
}

static void set_text(char **text, const char *value)
{
    free(*text);
    *text = mem_strdup(value);
}

static void see_lease(void *context, const struct object *lease)
{
    struct membership *m = context;
    int64_t now_ms = clock_monotonic(m->clock);
    const char *renew_time = json_string_at(lease->json, "spec.renewTime");
    struct member *member = find_or_add(m, lease->key.name, now_ms);

    if (member == NULL)
        return;
    member->seen = true;
    set_text(&member->version, lease->resource_version);
    if (renew_time == NULL || strcmp(member->renew_time, renew_time) == 0)
        return;
    set_text(&member->renew_time, renew_time);
    member->changed_ms = now_ms;
}

/* Forgets those whose Lease is gone. */
static void drop_unseen(struct membership *m)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->member_count; i++) {
        if (m->members[i].seen)
            m->members[kept++] = m->members[i];
        else
            member_fini(&m->members[i]);
    }
    m->member_count = kept;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void free_names(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

/* Puts the set of live members in force; true when it differs from the one before. */
static bool publish(struct membership *m)
{
    int64_t now_ms = clock_monotonic(m->clock);
    char **live = mem_calloc(m->member_count, sizeof(*live));
    size_t count = 0;
    for (size_t i = 0; i < m->member_count; i++) {
        if (now_ms - m->members[i].changed_ms < LEASE_MS)
            live[count++] = mem_strdup(m->members[i].name);
    }
    qsort(live, count, sizeof(*live), by_text);

    mutex_lock(&m->lock);
    bool differs = count != m->live_count;
    for (size_t i = 0; !differs && i < count; i++)
        differs = strcmp(live[i], m->live[i]) != 0;
    char **old = m->live;
    size_t old_count = m->live_count;
    m->live = live;
    m->live_count = count;
    mutex_unlock(&m->lock);
    free_names(old, old_count);
    return differs;
}

bool membership_owns(struct membership *membership, const char *key)
{
    if (membership == NULL)
        return true;
    int64_t now_ms = clock_monotonic(membership->clock);

    mutex_lock(&membership->lock);
    bool held = membership->renewed_ms != INT64_MIN && now_ms - membership->renewed_ms < LEASE_MS;
    int winner =
        held ? rendezvous_winner((const char *const *)membership->live, membership->live_count, key)
             : -1;
    bool owns = winner >= 0 && strcmp(membership->live[winner], membership->name) == 0;
    mutex_unlock(&membership->lock);
    return owns;
}

/* ------------------------------------------------------------------ one round */

static int renew(struct membership *m, struct error *err)
{
    char acquired[RFC3339_BYTES], renewed[RFC3339_BYTES];
    int64_t before_ms = clock_monotonic(m->clock), real_ms = clock_realtime(m->clock);

    if (m->acquired_ms == 0)
        m->acquired_ms = real_ms;
    rfc3339_format_micros(m->acquired_ms, acquired);
    rfc3339_format_micros(real_ms, renewed);
    AUTO(json)
    cJSON *lease = JOBJ(JS("apiVersion", "coordination.k8s.io/v1"), JS("kind", "Lease"),
                        JV("metadata", JOBJ(JS("name", m->name), JS("namespace", m->namespace_),
                                            JV("labels", JOBJ(JS(LABEL_GROUP, m->group))))),
                        JV("spec", JOBJ(JS("holderIdentity", m->identity),
                                        JI("leaseDurationSeconds", LEASE_MS / 1000),
                                        JS("acquireTime", acquired), JS("renewTime", renewed))));
    if (k8s_apply(m->client, &GVR_LEASE, lease, NULL, err) < 0)
        return -1;
    int64_t now_ms = clock_monotonic(m->clock);
    mutex_lock(&m->lock);
    m->regained = m->renewed_ms == INT64_MIN || now_ms - m->renewed_ms >= LEASE_MS;
    m->renewed_ms = before_ms;
    mutex_unlock(&m->lock);
    return 0;
}

static int look(struct membership *m, struct error *err)
{
    AUTO_FREE char *selector = mem_printf(LABEL_GROUP "=%s", m->group);
    AUTO_FREE char *version = NULL;
    struct list_options options = { .namespace_ = m->namespace_, .label_selector = selector };

    for (size_t i = 0; i < m->member_count; i++)
        m->members[i].seen = false;
    if (k8s_list(m->client, &GVR_LEASE, &options, see_lease, m, &version, err) < 0)
        return -1;
    drop_unseen(m);
    return 0;
}

/* Replicas that die without a word leave their Lease behind. */
static void forget_dead(struct membership *m)
{
    int64_t now_ms = clock_monotonic(m->clock);
    for (size_t i = 0; i < m->member_count; i++) {
        const struct member *member = &m->members[i];
        if (now_ms - member->changed_ms < FORGET_MS)
            continue;
        struct object_key key = { .namespace_ = m->namespace_, .name = member->name };
        struct delete_options options = { .resource_version = member->version };
        struct error err;
        if (k8s_delete(m->client, &GVR_LEASE, key, &options, &err) < 0)
            log_debug("membership", "cannot delete a dead lease", KVERR(&err));
    }
}

int membership_round(struct membership *membership, struct error *err)
{
    membership->regained = false;
    int result = renew(membership, err);
    if (result == 0)
        result = look(membership, err);
    /* After a failure too: others may have died by our clock. Who held nothing for a while has
     * turned keys away, so it looks at all of them again. */
    bool differs = publish(membership);
    if (differs || membership->regained)
        membership->changed(membership->context);
    if (result == 0)
        forget_dead(membership);
    return result;
}

/* ------------------------------------------------------------------ life cycle */

static void leave(struct membership *m)
{
    struct k8s_client client = { .transport = m->client->transport, .stop = &m->left };
    struct object_key key = { .namespace_ = m->namespace_, .name = m->name };
    struct delete_options options = { 0 };
    struct error err;
    if (k8s_delete(&client, &GVR_LEASE, key, &options, &err) < 0)
        log_debug("membership", "cannot delete our lease", KVERR(&err));
}

/* Until the next round: not longer than until somebody's Lease ends if it does not change. */
static int64_t pause_ms(const struct membership *m)
{
    int64_t now_ms = clock_monotonic(m->clock), pause = RENEW_MS;
    for (size_t i = 0; i < m->member_count; i++) {
        int64_t left_ms = m->members[i].changed_ms + LEASE_MS - now_ms;
        if (left_ms > 0 && left_ms < pause)
            pause = left_ms;
    }
    return pause;
}

static void *membership_thread(void *context)
{
    struct membership *m = context;
    bool failing = false;

    while (!stop_raised(m->stop)) {
        struct error err = ERROR_INIT;
        bool failed = membership_round(m, &err) < 0;
        if (failed && !failing && err.code != ERR_CANCELLED)
            log_warn("membership", "cannot renew our lease", KV("lease", m->name), KVERR(&err));
        if (!failed && failing)
            log_info("membership", "renewed our lease again", KV("lease", m->name));
        failing = failed;
        stop_wait(m->stop, pause_ms(m));
    }
    leave(m);
    mutex_lock(&m->lock);
    m->finished = true;
    cond_broadcast(&m->finished_changed);
    mutex_unlock(&m->lock);
    return NULL;
}

char *membership_identity(void)
{
    char host[HOST_BYTES_MAX + 1] = "";
    struct rng rng;
    rng_seed_kernel(&rng);
    /* A host's name that was cut is still a name. */
    if (gethostname(host, sizeof(host) - 1) < 0 || !isalnum((unsigned char)host[0]))
        snprintf(host, sizeof(host), "host");
    for (char *p = host; *p != '\0'; p++)
        *p = isalnum((unsigned char)*p) ? (char)tolower((unsigned char)*p) : '-';
    return mem_printf("%s-%08" PRIx32, host, (uint32_t)rng_next(&rng));
}

struct membership *membership_new(struct k8s_client *client, const char *namespace_,
                                  const char *group, const char *identity, struct stop *stop,
                                  const struct clock *clock, membership_changed *changed,
                                  void *context)
{
    struct membership *m = mem_new(struct membership);
    m->client = client;
    m->stop = stop;
    m->clock = clock;
    m->changed = changed;
    m->context = context;
    m->namespace_ = mem_strdup(namespace_);
    m->group = mem_strdup(group);
    m->identity = mem_strdup(identity);
    m->name = mem_printf("%s-%s", group, identity);
    m->renewed_ms = INT64_MIN;
    stop_init(&m->left);
    mutex_init(&m->lock);
    cond_init(&m->finished_changed);
    return m;
}

void membership_start(struct membership *membership)
{
    int result = pthread_create(&membership->thread, NULL, membership_thread, membership);
    assert(result == 0);
    (void)result;
    pthread_setname_np(membership->thread, "membership");
    membership->started = true;
}

static void finish(struct membership *m)
{
    int64_t deadline_ms = clock_monotonic(clock_system()) + LEAVE_MS;

    assert(stop_raised(m->stop));
    mutex_lock(&m->lock);
    while (!m->finished) {
        int64_t left_ms = deadline_ms - clock_monotonic(clock_system());
        if (left_ms <= 0)
            break;
        cond_wait_for(&m->finished_changed, &m->lock, left_ms);
    }
    mutex_unlock(&m->lock);
    stop_raise(&m->left);
    pthread_join(m->thread, NULL);
}

void membership_stop(struct membership *membership)
{
    if (membership == NULL || !membership->started)
        return;
    finish(membership);
    membership->started = false;
}

void membership_free(struct membership *membership)
{
    if (membership == NULL)
        return;
    membership_stop(membership);
    for (size_t i = 0; i < membership->member_count; i++)
        member_fini(&membership->members[i]);
    free(membership->members);
    free_names(membership->live, membership->live_count);
    mutex_fini(&membership->lock);
    cond_fini(&membership->finished_changed);
    stop_fini(&membership->left);
    free(membership->namespace_);
    free(membership->group);
    free(membership->identity);
    free(membership->name);
    free(membership);
}
