/* How much memory a model takes on a machine, and so how many of them. GiB of one GPU:
 *
 *     memory       0.99 x the catalogue's (79.18 of 80 on the measured H100), and 15/16 of that
 *                  where error correction lives in the memory itself (A10, L4, T4 and the like)
 *     available    memory x utilisation, which the server is given as --gpu-memory-utilization:
 *                  0.84, or 0.82 on an NVIDIA A10; 0.93 where that is too little
 *     weights      the catalogue's x 1.02 (1.06 for mxfp4), or as measured (loadedMiB), shared by
 *                  all GPUs; x 1.05 where layers are dealt out to several nodes, unevenly
 *     activation   dense 5.7, mixture of experts 7.4, multimodal 2.2 where the server works on 8192
 *                  tokens at once (GPUs of 70 GiB and more); a quarter of it where on 2048
 *     CUDA graphs  1.1 for mixture of experts, else 0.2; a quarter of it there too
 *     non-torch    0.14 on one GPU, 0.55 where several talk to each other
 *     adapters     0.02 of the weights each: rank 16 on every layer takes 0.006 of 16-bit weights,
 *                  and weights of 4 bit are a quarter of those
 *     cache        context x bytes per token / GPUs of a node (key-value heads if fewer)
 *
 * The constants are the largest figures measured, rounded up; the measurements are in the unit test
 * of this file. What does not fit one node takes as many as KAITO v0.12 says, and more only where
 * it would not fit those:
 *
 *     room   = (0.84 x catalogue's memory - 2.3 - context x bytes per token / GPUs) / 1.05
 *     GPUs   = floor(weights / room) + 1; nothing fits where there is no room
 *     nodes  = ceil(GPUs / GPUs of a node)
 *
 * At a context of 2048 tokens no model of the catalogue takes more nodes than KAITO says, on any
 * machine. One node with g > 1 GPUs and files x g x 2 < memory of the node is data parallel g where
 * each GPU can hold all of it; else tensor parallel g, and pipeline parallel n on n > 1 nodes.
 *
 * Tuning: files / 4 + 2.3 GiB must fit the GPUs of the node, as for QLoRA, which keeps them in 4
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
    int utilisation_percent;

    /* GiB of each GPU */
    double memory;    /* as the server sees it */
    double available; /* x utilisation */
    double weights, activation, non_torch, graphs, adapters, cache;
    double needed; /* the sum, with the context that was asked for */
};

struct estimate estimate_vllm(const struct model *model, const struct machine *machine,
                              int64_t context_length, int64_t adapters);
bool estimate_tuning_fits(const struct model *model, const struct machine *machine);

double model_weights_gib(const struct model *model); /* as the server holds them */
double model_files_gib(const struct model *model);
double machine_memory_gib(const struct machine *machine);       /* of all GPUs together */
int machine_utilisation_percent(const struct machine *machine); /* where nothing asks for more */
bool estimate_large_batch(
    const struct machine *machine); /* the server works on 8192 tokens at once */
