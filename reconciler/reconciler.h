/* The reconciler: Workspace -> node demand, workload, status, events; and the keeper of
 * certificates. */
#pragma once

#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/config.h"
#include "common/base/error.h"
#include "common/base/stop.h"

struct reconciler_config {
    const char *kubeconfig;
    const char *namespace_; /* release namespace: Secrets, Leases */
    bool replicas_lease;    /* share the Workspaces with other replicas */
    const char *cloud;
    const char *preset_registry;
    int64_t nodes_max;
    int64_t workers;
    int64_t resync_ms;
    const char *demand_url; /* by ',', as is the next */
    const char *state_url;
    const char *config_check_url;
    const char *rejection_url;
    const char *bus_tls_dir;
    const char *catalogue_dir;   /* "" : the compiled-in catalogue alone */
    const char *certificate_dir; /* also write certificates as files here; "" : Secrets only */
    const char *webhook_configuration; /* whose caBundle to keep; "" : none */
    const char *webhook_service;
    const char *webhook_hosts; /* more names and addresses for the webhook certificate, by ',' */
};

extern const struct config_option reconciler_options[];
extern const size_t reconciler_option_count;

struct reconciler;

/* Fails only for what waiting cannot heal (bad kubeconfig, bad URL). Borrows config and stop. */
MUST_CHECK int reconciler_start(const struct reconciler_config *config, struct stop *stop,
                                struct reconciler **out, struct error *err);
void reconciler_probe(struct reconciler *reconciler, struct buf *reasons);
void reconciler_stop(struct reconciler *reconciler);
