/* A bearer token for Azure's APIs, and the next one in time: in exchange for the token of the Pod's
 * service account (workload identity: the file that its webhook mounts), or without such a file
 * from the machine's metadata service (managed identity). Thread-safe; while one thread obtains a
 * token, the others wait for it. */
#pragma once

#include <stdbool.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/stop.h"
#include "common/http/client.h"

/* All borrowed. */
struct azure_token_options {
    struct http_client *http;
    const struct clock *clock;
    const char *resource;          /* whose API the token is for: https://management.azure.com */
    const char *authority;         /* https://login.microsoftonline.com */
    const char *tenant_id;         /* workload identity only */
    const char *client_id;         /* managed identity: "" for the machine's only one */
    const char *federated_file;    /* "": managed identity */
    const char *metadata_endpoint; /* http://169.254.169.254 */
};

struct azure_token;

struct azure_token *azure_token_new(const struct azure_token_options *options);
void azure_token_free(struct azure_token *token); /* NULL is fine */

/* The token to send now; the caller frees it. `refused` is one that was answered with 401, or NULL.
 * FORBIDDEN when Azure does not accept the identity. */
MUST_CHECK int azure_token_get(struct azure_token *token, const char *refused, struct stop *stop,
                               char **out, struct error *err);
