/* Defaulting: what a Workspace leaves out and everybody would write. Pure. */
#pragma once

#include <cjson/cJSON.h>

/* The JSON Patch (additions only, maybe none) that fills in the defaults of a Workspace of either
 * version; the caller frees it. Never changes what the user wrote. Applying it and asking again
 * gives an empty one. */
cJSON *workspace_default(const cJSON *object);
