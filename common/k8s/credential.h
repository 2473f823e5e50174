/* A bearer token and where the next one comes from: fixed, a file that is rotated under us, or an
 * exec plug-in. Thread-safe; while one thread obtains a new token, the others wait for it. */
#pragma once

#include <stdbool.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/k8s/exec_plugin.h"

enum {
    TOKEN_BYTES_MAX = 256 * 1024,
    TOKEN_FILE_PERIOD_MS = 60 * 1000, /* a token file is read again after so long */
};

struct credential;

/* These fail only for a token that could not be sent in a header, or a file that cannot be read. */
MUST_CHECK int credential_new_token(const char *token, struct credential **out, struct error *err);
MUST_CHECK int credential_new_file(const char *path, const struct clock *clock,
                                   struct credential **out, struct error *err);
/* Takes the plug-in. It first runs when a token is wanted. */
struct credential *credential_new_exec(struct exec_plugin *plugin, const struct clock *clock);
void credential_free(struct credential *credential);

/* The token to send now; the caller frees it. `force` after a 401: the one we hold is no good. May
 * read a file or run the plug-in (up to EXEC_PLUGIN_TIMEOUT_MS). */
MUST_CHECK int credential_token(struct credential *credential, bool force, char **out,
                                struct error *err);
