#include "common/plan/estimate.h"

#include <math.h>
#include <string.h>

#include "common/catalogue/architecture.h"

static const double MIB_OF_GIB = 1024;
static const double GIB = 1024.0 * 1024 * 1024;

static const double KAITO_OVERHEAD = 2.3;
static const double KAITO_OVERHEAD_FACTOR = 1.05;
static const double KAITO_UTILISATION = 0.84;

static const double VISIBLE = 0.9897;
static const double VISIBLE_WITH_ECC = 0.9897 * 15 / 16;
static const double EXPANSION = 1.02;
static const double EXPANSION_MXFP4 = 1.06;
static const double UNEVEN_STAGES = 1.05;
static const double ADAPTER_SHARE = 0.02;
static const double NON_TORCH = 0.14;
static const double NON_TORCH_SEVERAL = 0.55;
static const double LARGE_GPU = 70;
static const double SMALL_BATCH = 0.25; /* 2048 of 8192 tokens */

enum { UTILISATION = 84, UTILISATION_A10 = 82, UTILISATION_MAX = 93 };

static const struct {
    double activation, graphs;
} classes[] = {
    [MEMORY_DENSE] = { 5.7, 0.2 },
    [MEMORY_MOE] = { 7.4, 1.1 },
    [MEMORY_MULTIMODAL] = { 2.2, 0.2 },
};

/* ------------------------------------------------------------------ machine and model */

static bool gpu_is(const struct machine *machine, const char *name)
{
    return machine->gpu_model != NULL && strcmp(machine->gpu_model, name) == 0;
}

/* GDDR memory. A machine that does not say what it has is given the less. */
static bool has_inband_ecc(const struct machine *machine)
{
    static const char *const models[] = {
        "NVIDIA A10", "NVIDIA A10G", "NVIDIA A16",  "NVIDIA A2", "NVIDIA A40",
        "NVIDIA L4",  "NVIDIA L40",  "NVIDIA L40S", "NVIDIA T4",
    };
    if (machine->gpu_model == NULL)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(models); i++) {
        if (gpu_is(machine, models[i]))
            return true;
    }
    return false;
}

int machine_utilisation_percent(const struct machine *machine)
{
    return gpu_is(machine, "NVIDIA A10") ? UTILISATION_A10 : UTILISATION;
}

double machine_memory_gib(const struct machine *machine)
{
    return (double)machine->memory_mib.value / MIB_OF_GIB;
}

bool estimate_large_batch(const struct machine *machine)
{
    return machine_memory_gib(machine) / (double)machine->gpus.value >= LARGE_GPU;
}

double model_files_gib(const struct model *model)
{
    return (double)model->weights_mib.value / MIB_OF_GIB;
}

double model_weights_gib(const struct model *model)
{
    return model->loaded_mib.set ? (double)model->loaded_mib.value / MIB_OF_GIB
                                 : model_files_gib(model);
}

static double expansion(const struct model *model)
{
    if (model->loaded_mib.set)
        return 1;
    bool mxfp4 = model->quantization != NULL && strcmp(model->quantization, "mxfp4") == 0;
    return mxfp4 ? EXPANSION_MXFP4 : EXPANSION;
}

static enum memory_class class_of(const struct model *model)
{
    enum memory_class class = MEMORY_DENSE;
    if (model->memory_class != NULL)
        (void)memory_class_parse(model->memory_class, &class);
    return class;
}

/* ------------------------------------------------------------------ one way to share it out */

/* GiB of cache that a token takes of one GPU, `gpus` of which work on the same layers. */
static double cache_of_token(const struct model *model, double gpus)
{
    double heads = model->kv_heads.set ? (double)model->kv_heads.value : gpus;
    return (double)model->bytes_per_token.value / fmin(gpus, heads) / GIB;
}

/* All but the weights. */
static double fixed(const struct estimate *estimate)
{
    return estimate->activation + estimate->non_torch + estimate->graphs + estimate->cache;
}

/* What goes where when so many GPUs share one node's layers. */
static struct estimate begin(const struct model *model, const struct machine *machine,
                             int64_t sharing, int64_t context_length, int64_t adapters)
{
    double gpus = (double)sharing;
    enum memory_class class = class_of(model);
    double nominal = machine_memory_gib(machine) / (double)machine->gpus.value;
    double batch = estimate_large_batch(machine) ? 1 : SMALL_BATCH;
    double weights = model_weights_gib(model) * expansion(model) / gpus;
    return (struct estimate){
        .memory = nominal * (has_inband_ecc(machine) ? VISIBLE_WITH_ECC : VISIBLE),
        .weights = weights,
        .adapters = (double)adapters * ADAPTER_SHARE * weights,
        .activation = classes[class].activation * batch,
        .graphs = classes[class].graphs * batch,
        .non_torch = gpus > 1 ? NON_TORCH_SEVERAL : NON_TORCH,
        .cache = (double)context_length * cache_of_token(model, gpus),
    };
}

static bool fits(struct estimate *estimate, int percent)
{
    estimate->utilisation_percent = percent;
    estimate->available = estimate->memory * percent / 100;
    return estimate->needed <= estimate->available;
}

/* With the usual utilisation where that is enough, else with all that there is. */
static bool fits_somehow(struct estimate *estimate, const struct machine *machine)
{
    estimate->needed = fixed(estimate) + estimate->weights + estimate->adapters;
    return fits(estimate, machine_utilisation_percent(machine)) || fits(estimate, UTILISATION_MAX);
}

/* KAITO's count; 0: on no number of nodes. */
static int64_t nodes_of_kaito(const struct model *model, const struct machine *machine,
                              int64_t context_length)
{
    double gpus = (double)machine->gpus.value;
    double available = KAITO_UTILISATION * machine_memory_gib(machine) / gpus;
    double overhead =
        KAITO_OVERHEAD + (double)context_length * (double)model->bytes_per_token.value / GIB / gpus;
    if (available <= overhead)
        return 0;
    double room = (available - overhead) / KAITO_OVERHEAD_FACTOR;
    double nodes = ceil((floor(model_weights_gib(model) * expansion(model) / room) + 1) / gpus);
    return nodes < ESTIMATE_NODES_MAX ? (int64_t)nodes : ESTIMATE_NODES_MAX;
}

/* What one node cannot hold is dealt out by layers, of which some nodes get more than others. As
 * many as KAITO says, and more only where those cannot hold it. */
static void spread(struct estimate *estimate, const struct machine *machine, int64_t nodes_of_kaito)
{
    estimate->non_torch = NON_TORCH_SEVERAL;
    double weights = UNEVEN_STAGES * (estimate->weights + estimate->adapters);
    double room = estimate->memory * UTILISATION_MAX / 100 - fixed(estimate);
    if (nodes_of_kaito == 0 || room <= 0)
        return;
    double nodes = fmax(fmax(2, (double)nodes_of_kaito), ceil(weights / room));
    estimate->nodes = nodes < ESTIMATE_NODES_MAX ? (int64_t)nodes : ESTIMATE_NODES_MAX;
    estimate->weights *= UNEVEN_STAGES / (double)estimate->nodes;
    estimate->adapters *= UNEVEN_STAGES / (double)estimate->nodes;
    (void)fits_somehow(estimate, machine);
}

/* ------------------------------------------------------------------ vLLM */

/* The largest context that the room left over holds. */
static int64_t context_room(const struct model *model, const struct estimate *estimate)
{
    double room = estimate->available - estimate->needed + estimate->cache;
    double tokens = room / cache_of_token(model, (double)estimate->tensor_parallel);
    if (!(tokens < (double)model->context_max.value))
        return model->context_max.value;
    return tokens > 0 ? (int64_t)tokens : 0;
}

static bool is_data_parallel(const struct model *model, const struct machine *machine)
{
    int64_t gpus = machine->gpus.value;
    return gpus > 1 && model->weights_mib.value * gpus * 2 < machine->memory_mib.value;
}

static struct estimate distribute(const struct model *model, const struct machine *machine,
                                  int64_t context_length, int64_t adapters)
{
    int64_t gpus = machine->gpus.value;
    struct estimate out = begin(model, machine, 1, context_length, adapters);
    if (is_data_parallel(model, machine) && fits_somehow(&out, machine)) {
        out.nodes = out.tensor_parallel = 1;
        out.data_parallel = gpus;
        return out;
    }
    out = begin(model, machine, gpus, context_length, adapters);
    out.tensor_parallel = gpus;
    out.data_parallel = 1;
    if (fits_somehow(&out, machine)) {
        out.nodes = 1;
        return out;
    }
    spread(&out, machine, nodes_of_kaito(model, machine, context_length));
    return out;
}

struct estimate estimate_vllm(const struct model *model, const struct machine *machine,
                              int64_t context_length, int64_t adapters)
{
    struct estimate out = distribute(model, machine, context_length, adapters);
    out.pipeline_parallel = out.nodes > 1 ? out.nodes : 1;
    if (out.nodes == 0)
        return out;
    out.context_max = context_room(model, &out);
    if (out.context_max < context_length)
        out.context_max = context_length;
    return out;
}

/* ------------------------------------------------------------------ tuning */

bool estimate_tuning_fits(const struct model *model, const struct machine *machine)
{
    return model_files_gib(model) / 4 + KAITO_OVERHEAD <= machine_memory_gib(machine);
}
