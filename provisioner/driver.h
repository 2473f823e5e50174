/* How NodeClaims become machines: one vtable a cloud. Every operation is idempotent and keyed by
 * the claim's name, because any process may die after it acted and before it wrote that down.
 * Operations may block on I/O; they are called by several threads, never for one claim twice at a
 * time. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/catalogue/source.h"
#include "common/k8s/client.h"
#include "common/k8s/store.h"

enum { PROVIDER_ID_BYTES = 320, DRIVER_MESSAGE_BYTES = 480 };

struct driver_options {
    struct k8s_client *client;
    struct catalogue_source *catalogue; /* NULL: the compiled-in one */
    const char *cloud;
    const struct clock *clock;
    int64_t delay_ms; /* rehearsal: from launch to the node's appearance */
};

/* Why a machine is not there yet, for the claim's condition Launched. */
struct driver_pending {
    int64_t wait_ms;    /* look again after */
    const char *reason; /* static; NULL: the condition stays as it is */
    bool final;         /* nobody expects waiting to heal it: Launched is False */
    char message[DRIVER_MESSAGE_BYTES];
};

struct driver {
    const char *name;
    /* Asks the cloud for the machine of `claim`. 0 when it is there: its provider ID is written. 1
     * when it is not there yet, as `pending` says. Asking again is harmless. */
    int (*launch)(struct driver *driver, const struct object *claim,
                  char provider_id[PROVIDER_ID_BYTES], struct driver_pending *pending,
                  struct error *err);
    /* The machine launched at `launched_ms` (real time): 0 when its node has joined or is about to,
     * 1 when it is still coming: look again after *wait_ms. */
    int (*advance)(struct driver *driver, const struct object *claim, int64_t launched_ms,
                   int64_t *wait_ms, struct error *err);
    /* Gives the machine back: 0 when it is gone, 1 when it is going: look again after *wait_ms. */
    int (*terminate)(struct driver *driver, const struct object *claim, int64_t *wait_ms,
                     struct error *err);
    /* Now and then: gives back machines of ours whose claim is gone, and deletes claims whose
     * machine is. `claims`: what is known of them. 1 when something is still going: soon again.
     * NULL: the driver has nothing that could be lost.
     */
    int (*sweep)(struct driver *driver, struct store *claims, struct error *err);
    void (*destroy)(struct driver *driver);
};

/* Borrows the options' members. */
struct driver *driver_rehearsal_new(const struct driver_options *options);
