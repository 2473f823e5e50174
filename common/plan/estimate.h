/* How much memory a model takes on a machine, and so how many of them: the arithmetic of KAITO
 * v0.12, in bytes:
 *
 *     weights   = catalogue weights x 1.02
 *     available = 0.84 x memory of one GPU
 *     fixed     = 2.3 GiB + context x bytes per token / GPUs of a node
 *     room      = (available - fixed) / 1.05              available <= fixed: does not fit at all
 *     GPUs      = floor(weights / room) + 1,  nodes = ceil(GPUs / GPUs of a node)
 *     parallel  : one node with g > 1 GPUs and catalogue weights x g x 2 < memory of the node: data
 *                 parallel g; else tensor parallel g, and pipeline parallel n on n > 1 nodes
 *
 * The server is given less on an NVIDIA A10 (0.82); the largest context is worked out with that.
 *
 * Tuning: weights / 4 + 2.3 GiB must fit the GPUs of the node, as for QLoRA, which keeps them in 4
 * bit. LoRA takes more, but KAITO admits it on GPUs smaller than its 16-bit weights: only what
 * cannot be held at all is refused. Pure functions. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/catalogue/catalogue.h"

/* Counts above this mean that it is out of the question. */
enum { ESTIMATE_NODES_MAX = 1000 * 1000 };

struct estimate {
    int64_t nodes; /* 0: does not fit on any number of them */
    int64_t tensor_parallel, pipeline_parallel, data_parallel;
    int64_t
        context_max; /* the largest on so many nodes, up to the model's, at least what was asked */
};

struct estimate estimate_vllm(const struct model *model, const struct machine *machine,
                              int64_t context_length);
bool estimate_tuning_fits(const struct model *model, const struct machine *machine);

double model_weights_gib(const struct model *model);
double machine_memory_gib(const struct machine *machine); /* of all GPUs together */
double machine_utilisation(const struct machine *machine);
const char *machine_utilisation_text(const struct machine *machine);
