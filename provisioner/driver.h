/* How NodeClaims become machines: one vtable a cloud. Every operation is idempotent and keyed by
 * the claim's name, because any process may die after it acted and before it wrote that down.
 * Operations may block on I/O; they are called by several threads, never for one claim twice at a
 * time. */
#pragma once

#include <stdint.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/catalogue/catalogue.h"
#include "common/k8s/client.h"

enum { PROVIDER_ID_BYTES = 256 };

struct driver_options {
    struct k8s_client *client;
    const struct catalogue *catalogue;
    const char *cloud;
    const struct clock *clock;
    int64_t delay_ms; /* rehearsal: from launch to the node's appearance */
};

struct driver {
    const char *name;
    /* Asks the cloud for the machine of `claim`; writes its provider ID. Asking again is harmless.
     */
    int (*launch)(struct driver *driver, const struct object *claim,
                  char provider_id[PROVIDER_ID_BYTES], struct error *err);
    /* The machine launched at `launched_ms` (real time): 0 when its node has joined or is about to,
     * 1 when it is still coming: look again after *wait_ms. */
    int (*advance)(struct driver *driver, const struct object *claim, int64_t launched_ms,
                   int64_t *wait_ms, struct error *err);
    /* Gives the machine back: 0 when it is gone, 1 when it is going: look again after *wait_ms. */
    int (*terminate)(struct driver *driver, const struct object *claim, int64_t *wait_ms,
                     struct error *err);
    void (*destroy)(struct driver *driver);
};

/* Borrows the options' members. */
struct driver *driver_rehearsal_new(const struct driver_options *options);
