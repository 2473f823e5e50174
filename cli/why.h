/* Why a Workspace is not ready, from the objects around it. */
#pragma once

#include <cjson/cJSON.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/arena.h"

/* Prints the most telling cause on the first line, with the object and what to do, then what else
 * there is, and the timeline. `objects` is an array of objects of any kind, the Workspace may be
 * among them; `now_ms` 0: nothing is judged by its age. CLI_OK when the Workspace is ready, else
 * CLI_REFUSED. */
int why_report(const cJSON *workspace, const cJSON *objects, int64_t now_ms, struct arena *arena,
               FILE *out);
