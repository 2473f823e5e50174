/* Where the API server is and who we are there: a kubeconfig file (clusters, users, contexts; CA
 * and client certificate as data or file; token, token file, exec plug-in
 * client.authentication.k8s.io/v1, insecure-skip-tls-verify, tls-server-name, plain http) or the
 * in-cluster service account, whose token file is rotated under us. Errors name the file, the
 * context and the missing or unreadable thing. */
#pragma once

#include <stdbool.h>

#include "common/base/clock.h"
#include "common/base/error.h"

enum { KUBECONFIG_BYTES_MAX = 1024 * 1024 };

struct kubeconfig {
    char *server;          /* https://host:port without a trailing slash */
    char *tls_server_name; /* NULL: the host of `server` */
    bool insecure_skip_verify;
    char *ca_pem; /* PEM text; NULL: the system's store */
    char *client_cert_pem;
    char *client_key_pem;
    char *namespace_;              /* of the context or the service account; "default" otherwise */
    struct credential *credential; /* token sources, opaque */
};

/* Resolution order: `path` when not NULL or empty; $KUBECONFIG (first existing entry); the
 * in-cluster service account when KUBERNETES_SERVICE_HOST is set; ~/.kube/config. */
MUST_CHECK int kubeconfig_load(const char *path, const struct clock *clock, struct kubeconfig **out,
                               struct error *err);
void kubeconfig_free(struct kubeconfig *config);

/* The service account mounted at `directory` (token, ca.crt, namespace), for kubeconfig_load. */
MUST_CHECK int kubeconfig_load_service_account(const char *directory, const char *host,
                                               const char *port, const struct clock *clock,
                                               struct kubeconfig **out, struct error *err);

/* The bearer token to send now, or NULL in *out when none is used; the caller frees it. Re-reads a
 * token file at most once a minute, runs an exec plug-in when its credential expires; `force` after
 * a 401. Thread-safe. May block on the plug-in (EXEC_PLUGIN_TIMEOUT_MS). */
MUST_CHECK int kubeconfig_token(struct kubeconfig *config, bool force, char **out,
                                struct error *err);

DEFINE_CLEANUP_P(kubeconfig, struct kubeconfig, kubeconfig_free)
