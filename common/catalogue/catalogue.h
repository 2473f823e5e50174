/* What can be run and on what: models and machines, from YAML data compiled in and from files that
 * extend it (source.h). Immutable once built, shared by all threads, reference-counted: what is
 * looked up is borrowed for as long as the reference is held. Names ignore case. */
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

/* From YAML texts of the shape above, taken together. The error (INVALID) names the entry and the
 * member. */
MUST_CHECK int catalogue_parse(const char *const *yaml_texts, size_t count,
                               const struct catalogue **out, struct error *err);

/* `base` and the entries of one more text, which replace those of the same name (machines: of the
 * same cloud too). An alias may not belong to two models. Holds a reference on `base`. */
MUST_CHECK int catalogue_extend(const struct catalogue *base, const char *yaml_text,
                                const struct catalogue **out, struct error *err);

const struct catalogue *catalogue_ref(const struct catalogue *catalogue);
void catalogue_unref(const struct catalogue *catalogue); /* NULL is fine */

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

double machine_price(const struct machine *machine);   /* an hour; 0: none was given */
bool machine_runs_cuda(const struct machine *machine); /* has GPUs and they are CUDA's */

DEFINE_CLEANUP_P(catalogue, const struct catalogue, catalogue_unref)
