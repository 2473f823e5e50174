#include "common/k8s/workqueue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "common/base/compiler.h"
#include "common/base/memory.h"
#include "common/base/metrics.h"
#include "common/base/mutex.h"

enum { NOT_DELAYED = -1 };

/* All that is known of one key. It exists while any of it says something. As in client-go: `dirty`
 * is "needs a look", `processing` is "a worker has it"; the key is in `ready` when it is dirty and
 * not processing. */
struct item {
    UT_hash_handle hh;
    struct item *prev, *next; /* in ready */
    bool dirty, processing;
    unsigned failures;
    int64_t due_ms; /* monotonic */
    uint64_t turn;  /* first come, first served among equal due_ms */
    ssize_t slot;   /* in delayed, or NOT_DELAYED */
    char key[];
};

struct workqueue {
    const char *name;
    const struct clock *clock;
    struct mutex lock; /* guards all that follows */
    struct cond changed;
    bool shut_down;
    struct item *items;    /* by key */
    struct item *ready;    /* first in, first out */
    struct item **delayed; /* a heap: the earliest is first */
    size_t ready_count, delayed_count, delayed_capacity;
    uint64_t turns;
};

struct workqueue *workqueue_new(const char *name, const struct clock *clock)
{
    struct workqueue *queue = mem_new(struct workqueue);
    queue->name = name;
    queue->clock = clock;
    mutex_init(&queue->lock);
    cond_init(&queue->changed);
    return queue;
}

void workqueue_free(struct workqueue *queue)
{
    if (queue == NULL)
        return;
    struct item *item, *next;
    HASH_ITER(hh, queue->items, item, next) {
        HASH_DEL(queue->items, item);
        free(item);
    }
    free(queue->delayed);
    cond_fini(&queue->changed);
    mutex_fini(&queue->lock);
    free(queue);
}

static struct item *item_find(struct workqueue *queue, const char *key)
{
    struct item *item;
    HASH_FIND_STR(queue->items, key, item);
    return item;
}

static struct item *item_get(struct workqueue *queue, const char *key)
{
    struct item *item = item_find(queue, key);
    if (item != NULL)
        return item;
    size_t length = strlen(key);
    item = mem_calloc(1, sizeof(*item) + length + 1);
    memcpy(item->key, key, length);
    item->slot = NOT_DELAYED;
    HASH_ADD_STR(queue->items, key, item);
    return item;
}

static void item_release(struct workqueue *queue, struct item *item)
{
    if (item->dirty || item->processing || item->failures != 0 || item->slot != NOT_DELAYED)
        return;
    HASH_DEL(queue->items, item);
    free(item);
}

/* ------------------------------------------------------------------ delayed: a binary heap */

static bool earlier(const struct item *a, const struct item *b)
{
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->turn < b->turn;
}

static void heap_place(struct workqueue *queue, size_t slot, struct item *item)
{
    queue->delayed[slot] = item;
    item->slot = (ssize_t)slot;
}

static void heap_up(struct workqueue *queue, size_t slot, struct item *item)
{
    while (slot > 0 && earlier(item, queue->delayed[(slot - 1) / 2])) {
        heap_place(queue, slot, queue->delayed[(slot - 1) / 2]);
        slot = (slot - 1) / 2;
    }
    heap_place(queue, slot, item);
}

static void heap_add(struct workqueue *queue, struct item *item)
{
    if (queue->delayed_count == queue->delayed_capacity) {
        queue->delayed_capacity = queue->delayed_capacity != 0 ? 2 * queue->delayed_capacity : 16;
        queue->delayed =
            mem_realloc(queue->delayed, queue->delayed_capacity * sizeof(*queue->delayed));
    }
    heap_up(queue, queue->delayed_count++, item);
}

static struct item *heap_take_first(struct workqueue *queue)
{
    struct item *first = queue->delayed[0];
    struct item *last = queue->delayed[--queue->delayed_count];
    size_t slot = 0;

    first->slot = NOT_DELAYED;
    if (first == last)
        return first;
    for (;;) {
        size_t child = 2 * slot + 1;
        if (child + 1 < queue->delayed_count &&
            earlier(queue->delayed[child + 1], queue->delayed[child]))
            child++;
        if (child >= queue->delayed_count || !earlier(queue->delayed[child], last))
            break;
        heap_place(queue, slot, queue->delayed[child]);
        slot = child;
    }
    heap_place(queue, slot, last);
    return first;
}

/* ------------------------------------------------------------------ adding; the lock is held */

static void ready_push(struct workqueue *queue, struct item *item)
{
    DL_APPEND(queue->ready, item);
    queue->ready_count++;
    METRIC_SET(METRIC_WORKQUEUE_DEPTH, (double)queue->ready_count, queue->name);
    cond_signal(&queue->changed);
}

static void add_locked(struct workqueue *queue, struct item *item)
{
    if (item->dirty)
        return;
    item->dirty = true;
    METRIC_INC(METRIC_WORKQUEUE_ADDS_TOTAL, queue->name);
    if (!item->processing)
        ready_push(queue, item);
}

static void add_after_locked(struct workqueue *queue, struct item *item, int64_t delay_ms)
{
    if (delay_ms <= 0) {
        add_locked(queue, item);
        return;
    }
    int64_t due_ms = clock_monotonic(queue->clock) + delay_ms;
    if (item->slot != NOT_DELAYED && item->due_ms <= due_ms)
        return;
    item->due_ms = due_ms;
    item->turn = queue->turns++;
    if (item->slot == NOT_DELAYED)
        heap_add(queue, item);
    else
        heap_up(queue, (size_t)item->slot, item);
    if (queue->delayed[0] == item)
        cond_broadcast(&queue->changed); /* no waiter may sleep past the earliest */
}

void workqueue_add(struct workqueue *queue, const char *key)
{
    workqueue_add_after(queue, key, 0);
}

void workqueue_add_after(struct workqueue *queue, const char *key, int64_t delay_ms)
{
    mutex_lock(&queue->lock);
    if (!queue->shut_down)
        add_after_locked(queue, item_get(queue, key), delay_ms);
    mutex_unlock(&queue->lock);
}

void workqueue_add_rate_limited(struct workqueue *queue, const char *key)
{
    mutex_lock(&queue->lock);
    if (!queue->shut_down) {
        struct item *item = item_get(queue, key);
        int64_t delay_ms = WORKQUEUE_BACKOFF_BASE_MS;
        for (unsigned i = 0; i < item->failures && delay_ms < WORKQUEUE_BACKOFF_MAX_MS; i++)
            delay_ms *= 2;
        item->failures++;
        METRIC_INC(METRIC_WORKQUEUE_RETRIES_TOTAL, queue->name);
        add_after_locked(queue, item,
                         delay_ms < WORKQUEUE_BACKOFF_MAX_MS ? delay_ms : WORKQUEUE_BACKOFF_MAX_MS);
    }
    mutex_unlock(&queue->lock);
}

void workqueue_forget(struct workqueue *queue, const char *key)
{
    mutex_lock(&queue->lock);
    struct item *item = item_find(queue, key);
    if (item != NULL) {
        item->failures = 0;
        item_release(queue, item);
    }
    mutex_unlock(&queue->lock);
}

unsigned workqueue_failures(struct workqueue *queue, const char *key)
{
    mutex_lock(&queue->lock);
    const struct item *item = item_find(queue, key);
    unsigned failures = item != NULL ? item->failures : 0;
    mutex_unlock(&queue->lock);
    return failures;
}

/* ------------------------------------------------------------------ taking */

/* Moves what is due from delayed to ready; returns how long until the next is due, -1 for never. */
static int64_t promote(struct workqueue *queue)
{
    if (queue->delayed_count == 0)
        return -1;
    int64_t now_ms = clock_monotonic(queue->clock);
    while (queue->delayed_count > 0) {
        if (queue->delayed[0]->due_ms > now_ms)
            return queue->delayed[0]->due_ms - now_ms;
        add_locked(queue, heap_take_first(queue));
    }
    return -1;
}

static char *take(struct workqueue *queue)
{
    struct item *item = queue->ready;
    DL_DELETE(queue->ready, item);
    queue->ready_count--;
    METRIC_SET(METRIC_WORKQUEUE_DEPTH, (double)queue->ready_count, queue->name);
    item->dirty = false;
    item->processing = true;
    return mem_strdup(item->key);
}

char *workqueue_get(struct workqueue *queue)
{
    char *key = NULL;

    mutex_lock(&queue->lock);
    while (!queue->shut_down) {
        int64_t wait_ms = promote(queue);
        if (queue->ready != NULL) {
            key = take(queue);
            break;
        }
        cond_wait_for(&queue->changed, &queue->lock, wait_ms);
    }
    mutex_unlock(&queue->lock);
    return key;
}

char *workqueue_try_get(struct workqueue *queue)
{
    mutex_lock(&queue->lock);
    (void)promote(queue); /* nobody waits here */
    char *key = !queue->shut_down && queue->ready != NULL ? take(queue) : NULL;
    mutex_unlock(&queue->lock);
    return key;
}

void workqueue_done(struct workqueue *queue, char *key)
{
    mutex_lock(&queue->lock);
    struct item *item = item_find(queue, key);
    assert(item != NULL && item->processing);
    item->processing = false;
    if (item->dirty)
        ready_push(queue, item);
    else
        item_release(queue, item);
    mutex_unlock(&queue->lock);
    free(key);
}

void workqueue_shutdown(struct workqueue *queue)
{
    mutex_lock(&queue->lock);
    queue->shut_down = true;
    cond_broadcast(&queue->changed);
    mutex_unlock(&queue->lock);
}

size_t workqueue_depth(struct workqueue *queue)
{
    mutex_lock(&queue->lock);
    size_t depth = queue->ready_count;
    mutex_unlock(&queue->lock);
    return depth;
}
