/* What can be run and on what: models and machines, from YAML data compiled in. Immutable once
 * built, shared by all threads. Names match without regard to case. */
#pragma once

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/json/codec.h"

#define CODEC_DECLARE
#include "common/json/codec_begin.h"
#include "common/catalogue/catalogue.def"
#include "common/json/codec_end.h"

struct catalogue;

/* The compiled-in data; built on first call, lives as long as the process. Thread-safe. */
const struct catalogue *catalogue_builtin(void);

/* From YAML texts of the shape above, taken together; the caller frees it. Errors name the entry
 * and the member. */
MUST_CHECK int catalogue_parse(const char *const *yaml_texts, size_t count, struct catalogue **out,
                               struct error *err);
void catalogue_free(struct catalogue *catalogue);

/* By full name or alias; NULL when unknown. A short name counts only where it is an alias, as in
 * KAITO. */
const struct model *catalogue_model(const struct catalogue *catalogue, const char *name);
/* NULL when the cloud has no such machine in the catalogue. */
const struct machine *catalogue_machine(const struct catalogue *catalogue, const char *cloud,
                                        const char *name);
bool catalogue_knows_cloud(const char *cloud);

/* Machines of a cloud, smallest GPU memory first; *count_out of them, borrowed. */
const struct machine *const *catalogue_machines(const struct catalogue *catalogue,
                                                const char *cloud, size_t *count_out);
const struct catalogue_data *catalogue_all(const struct catalogue *catalogue);

/* The known name that was probably meant by `name` (case ignored): a few edits away, or beginning
 * with it, or its beginning; NULL when there is none. It is one that catalogue_model or
 * catalogue_machine finds. */
const char *catalogue_nearest_model(const struct catalogue *catalogue, const char *name);
const char *catalogue_nearest_machine(const struct catalogue *catalogue, const char *cloud,
                                      const char *name);

bool machine_runs_cuda(const struct machine *machine); /* has GPUs and they are CUDA's */
