/* kubectl, run for its answers: it has the user's credentials, contexts and plug-ins. */
#pragma once

#include <cjson/cJSON.h>

#include "common/base/buf.h"
#include "common/base/error.h"

/* Runs `kubectl arguments...` (up to NULL) and waits; its standard error goes to ours. What it
 * prints is appended to `out`. UNAVAILABLE when it is not there or does not exit with 0, TOO_LARGE
 * when it prints more than `out` holds. */
MUST_CHECK int kubectl_run(const char *const *arguments, struct buf *out, struct error *err);

/* The same, for a get: appends the objects that it prints as JSON (one, a List or none) to the
 * array `objects`. */
MUST_CHECK int kubectl_get(const char *const *arguments, cJSON *objects, struct error *err);

/* Appends an object, or the items of a List, to the array `objects`. `take` is consumed. */
void objects_append(cJSON *objects, cJSON *take);
