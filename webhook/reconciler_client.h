/* What the webhook asks of the reconciler and tells it, over messages: ConfigCheck and Rejection.
 * The webhook works without: an unanswered question becomes a warning, a lost report is lost.
 * Thread-safe. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "webhook/admission.h"

struct reconciler_client_options {
    const char *config_check_url; /* "": contents are not checked */
    const char *rejection_url;    /* "": rejections are not reported */
    const char *tls_dir;          /* of tls+tcp:// URLs; may be empty */
    const struct clock *clock;
};

struct reconciler_client;

MUST_CHECK int reconciler_client_open(const struct reconciler_client_options *options,
                                      struct reconciler_client **out, struct error *err);
void reconciler_client_close(struct reconciler_client *client); /* NULL is fine */

/* Admission that asks and tells through `client`, which must outlive it. */
struct admission_hooks reconciler_client_hooks(struct reconciler_client *client);
