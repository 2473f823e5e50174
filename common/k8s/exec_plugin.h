/* A credential plug-in (client.authentication.k8s.io/v1 and v1beta1): a program that prints an
 * ExecCredential with a token. It runs without a shell and without a terminal, for a bounded time,
 * and its output is bounded. Client certificates from a plug-in are refused. */
#pragma once

#include <cjson/cJSON.h>
#include <stdint.h>

#include "common/base/error.h"

enum {
    EXEC_PLUGIN_TIMEOUT_MS = 30 * 1000,
    EXEC_PLUGIN_OUTPUT_BYTES_MAX = 1024 * 1024,
};

struct exec_plugin;

/* `exec` is the member of that name of a kubeconfig user; a relative command is taken from
 * `directory` when it holds a '/', else from PATH. `cluster` (spec.cluster of the ExecCredential)
 * is shown to the plug-in if it asks for it. Nothing is kept of the arguments. */
MUST_CHECK int exec_plugin_new(const cJSON *exec, const char *directory, const cJSON *cluster,
                               struct exec_plugin **out, struct error *err);
void exec_plugin_free(struct exec_plugin *plugin);

/* Runs it. The caller frees *token_out; *expires_ms_out is real time, INT64_MAX when it does not
 * say. Error: FORBIDDEN with the plug-in's own words, TIMEOUT, TOO_LARGE. Thread-safe. */
MUST_CHECK int exec_plugin_run(const struct exec_plugin *plugin, int64_t timeout_ms,
                               char **token_out, int64_t *expires_ms_out, struct error *err);
