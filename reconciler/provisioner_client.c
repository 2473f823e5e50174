#include "reconciler/provisioner_client.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/memory.h"
#include "common/msg/url_list.h"

/* So long is waited for a replica that is not connected: it dials again within a second. */
enum { AWAY_MS = 2000 };

struct provisioner_client {
    struct msg_client *replicas[URL_LIST_MAX];
    size_t count;
    atomic_size_t preferred; /* who answered last */
};

int provisioner_client_open(const char *urls, const char *tls_dir, struct provisioner_client **out,
                            struct error *err)
{
    AUTO(url_list) struct url_list list = { .count = 0 };
    if (url_list_parse(urls, &list, err) < 0)
        return -1;
    if (list.count == 0)
        return error_set(err, ERR_INVALID, "no URL of a provisioner");
    struct provisioner_client *client = mem_new(struct provisioner_client);
    for (; client->count < list.count; client->count++) {
        const struct socket_options options = { .url = list.items[client->count],
                                                .tls_dir = tls_dir };
        if (msg_client_open(&options, &client->replicas[client->count], err) < 0) {
            provisioner_client_close(client);
            return -1;
        }
    }
    *out = client;
    return 0;
}

/* Indices in the order in which to try: from the preferred one on, those that are there before
 * those that are away. Returns how many are there. */
static size_t candidates(struct provisioner_client *client, size_t order[URL_LIST_MAX])
{
    size_t first = atomic_load(&client->preferred), present = 0, away = 0;
    size_t absent[URL_LIST_MAX];
    for (size_t i = 0; i < client->count; i++) {
        size_t replica = (first + i) % client->count;
        if (msg_client_connected(client->replicas[replica]))
            order[present++] = replica;
        else
            absent[away++] = replica;
    }
    for (size_t i = 0; i < away; i++)
        order[present + i] = absent[i];
    return present;
}

int provisioner_client_call(void *context, const char *type, const cJSON *body, int64_t timeout_ms,
                            struct envelope *answer, struct error *err)
{
    struct provisioner_client *client = context;
    int64_t deadline_ms = clock_monotonic(clock_system()) + timeout_ms;
    size_t order[URL_LIST_MAX];
    size_t present = candidates(client, order);

    for (size_t i = 0; i < client->count; i++) {
        /* Time is not kept back for those that are away. */
        size_t sharers = (i < present ? present : client->count) - i;
        int64_t left_ms = deadline_ms - clock_monotonic(clock_system());
        int64_t share_ms = left_ms > 0 ? left_ms / (int64_t)sharers : 0;
        if (i >= present && share_ms > AWAY_MS)
            share_ms = AWAY_MS;
        if (msg_client_call(client->replicas[order[i]], type, body, NULL, share_ms, answer, err) ==
            0) {
            atomic_store(&client->preferred, order[i]);
            return 0;
        }
        if (err->code != ERR_UNAVAILABLE && err->code != ERR_TIMEOUT)
            return -1;
    }
    return -1;
}

void provisioner_client_abort(struct provisioner_client *client)
{
    for (size_t i = 0; client != NULL && i < client->count; i++)
        msg_client_abort(client->replicas[i]);
}

void provisioner_client_close(struct provisioner_client *client)
{
    if (client == NULL)
        return;
    for (size_t i = 0; i < client->count; i++)
        msg_client_close(client->replicas[i]);
    free(client);
}

void provisioner_client_probe(struct provisioner_client *client, struct buf *reasons)
{
    for (size_t i = 0; i < client->count; i++)
        msg_client_probe(client->replicas[i], reasons);
}
