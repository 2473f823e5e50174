/* The way to the provisioner: one URL, or one for each of its replicas, of which any answers every
 * request. A call goes to the replica that answered last; when that is away or fails to answer, to
 * the next, within the call's one deadline. The first may then have acted already: requests are
 * idempotent, also across replicas. Thread-safe. */
#pragma once

#include "common/base/buf.h"
#include "common/msg/socket.h"

struct provisioner_client;

/* `urls` by ','. */
MUST_CHECK int provisioner_client_open(const char *urls, const char *tls_dir,
                                       struct provisioner_client **out, struct error *err);
/* The call of a struct node_port; `context` is a struct provisioner_client. */
int provisioner_client_call(void *context, const char *type, const cJSON *body, int64_t timeout_ms,
                            struct envelope *answer, struct error *err);
/* For the end: calls end at once, those that run and those to come. NULL is fine for both. */
void provisioner_client_abort(struct provisioner_client *client);
void provisioner_client_close(struct provisioner_client *client); /* no call may be running */
void provisioner_client_probe(struct provisioner_client *client, struct buf *reasons);
