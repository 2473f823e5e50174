/* The API server's refusals: a `Status` object, or whatever a proxy in between said instead, turned
 * into an error with a code to branch on and the server's own words. Pure functions; both return
 * -1. */
#pragma once

#include <cjson/cJSON.h>

#include "common/base/error.h"
#include "common/k8s/object.h"
#include "common/k8s/transport.h"

/* An answer that is not 2xx. `gvr` is what was asked for, for messages. */
int status_to_error(const struct gvr *gvr, const struct http_response *response, struct error *err);
/* The same from the Status in an ERROR event of a watch. */
int status_object_to_error(const struct gvr *gvr, const cJSON *status, struct error *err);
