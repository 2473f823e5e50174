/* The admission webhook: HTTPS /mutate and /validate. Stateless; holds no API credentials. */
#pragma once

#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/config.h"
#include "common/base/error.h"
#include "common/base/stop.h"

struct webhook_config {
    const char *listen;
    const char *tls_dir;
    const char *cloud;
    int64_t nodes_max;
    int64_t threads;
    const char *config_check_url; /* "" : config contents are not checked */
    const char *rejection_url;    /* "" : rejections are not reported */
    const char *bus_tls_dir;
    const char *catalogue_dir; /* "" : the compiled-in catalogue alone */
};

extern const struct config_option webhook_options[];
extern const size_t webhook_option_count;

struct webhook;

/* Fails only for what waiting cannot heal (bad flag, busy port). While the certificate is not there
 * yet it listens to nobody and webhook_probe says so. Borrows config and stop. */
MUST_CHECK int webhook_start(const struct webhook_config *config, struct stop *stop,
                             struct webhook **out, struct error *err);
void webhook_probe(struct webhook *webhook, struct buf *reasons);
void webhook_stop(struct webhook *webhook);
