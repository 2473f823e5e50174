/* Keeps the certificates of the installation: in the Secret ckaito-certificates (the truth that
 * replicas share), in the Secrets ckaito-webhook-tls and ckaito-bus-tls that Pods mount, as files
 * where a folder is given, and as the caBundle of the webhook configurations. Looks once a minute
 * and writes only what differs. One thread. */
#pragma once

#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/stop.h"
#include "common/k8s/client.h"

enum { CERTIFICATE_CHECK_MS = 60 * 1000, CERTIFICATE_RETRY_MS = 2 * 1000 };

struct certificate_keeper_options {
    const char *namespace_;
    const char *webhook_configuration; /* "" : none */
    const char *webhook_service;
    const char *webhook_hosts; /* by ',' */
    const char *directory;     /* "" : no files */
};

struct certificate_keeper;

/* Borrows everything. The first pass begins at once. */
struct certificate_keeper *certificate_keeper_start(
    const struct certificate_keeper_options *options, struct k8s_client *client, struct stop *stop,
    const struct clock *clock);
/* Appends one line while the certificates are not in place. */
void certificate_keeper_probe(struct certificate_keeper *keeper, struct buf *reasons);
/* After stop_raise. NULL is fine. */
void certificate_keeper_free(struct certificate_keeper *keeper);

enum { CERTIFICATE_PASS_PARTIAL = 1 }; /* the webhook configurations are not there yet */

/* One pass on this thread. For tests, and what the thread does. */
MUST_CHECK int certificate_pass(const struct certificate_keeper_options *options,
                                struct k8s_client *client, int64_t now_ms, struct error *err);
