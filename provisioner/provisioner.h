/* The provisioner: node demands -> NodeClaims -> nodes. */
#pragma once

#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/config.h"
#include "common/base/error.h"
#include "common/base/stop.h"
#include "provisioner/drivers/aks.h"

struct provisioner_config {
    const char *kubeconfig;
    const char *namespace_; /* of the Leases */
    bool replicas_lease;    /* share the work with other replicas */
    const char *cloud;
    const char *catalogue_dir; /* "" : the compiled-in catalogue alone */
    const char *driver;        /* aks, rehearsal, none */
    int64_t rehearsal_delay_ms;
    int64_t workers;
    const char *demand_url;
    const char *state_url;
    const char *bus_tls_dir;
    struct aks_config aks;
};

extern const struct config_option provisioner_options[];
extern const size_t provisioner_option_count;

struct provisioner;

/* Fails only for what waiting cannot heal (bad kubeconfig, bad URL). Borrows config and stop. */
MUST_CHECK int provisioner_start(const struct provisioner_config *config, struct stop *stop,
                                 struct provisioner **out, struct error *err);
void provisioner_probe(struct provisioner *provisioner, struct buf *reasons);
void provisioner_stop(struct provisioner *provisioner);
