/* A catalogue entry for a model that is not in the catalogue, from the config.json (or Mistral's
 * params.json) that its page on the hub has: the rules of KAITO v0.12. Pure. */
#pragma once

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/catalogue/catalogue.h"

enum { MODEL_CONFIG_BYTES_MAX = 1024 * 1024 };

struct model_config {
    const char *name;    /* organisation/model as the hub spells it */
    const char *json;    /* NaN and Infinity are understood, as Python writes them */
    size_t count;        /* bytes of `json` */
    int64_t weights_mib; /* size of the *.safetensors files; 0: to be worked out */
};

enum { MODEL_WEIGHTS_WORKED_OUT = 1 };

/* Fills `out` (texts in the arena). 0; MODEL_WEIGHTS_WORKED_OUT when weightsMiB was counted up from
 * the layers, which is possible for plain decoders in 16 bit; -1 (INVALID) when the server cannot
 * load the architecture, or a figure is neither there nor follows: the message says what to write.
 */
MUST_CHECK int model_from_config(const struct model_config *config, struct arena *arena,
                                 struct model *out, struct error *err);

/* The model as a catalogue file of one entry, which catalogue_extend() reads back. */
void model_print(const struct model *model, struct buf *out);
