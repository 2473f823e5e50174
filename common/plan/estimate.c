#include "common/plan/estimate.h"

#include <math.h>
#include <string.h>

static const double MIB = 1024.0 * 1024;
static const double GIB = 1024.0 * 1024 * 1024;
static const double WEIGHT_EXPANSION = 1.02;
static const double OVERHEAD_GIB = 2.3;
static const double OVERHEAD_FACTOR = 1.05;
static const double UTILISATION = 0.84;
static const double UTILISATION_A10 = 0.82;

static bool is_a10(const struct machine *machine)
{
    return machine->gpu_model != NULL && strcmp(machine->gpu_model, "NVIDIA A10") == 0;
}

double machine_utilisation(const struct machine *machine)
{
    return is_a10(machine) ? UTILISATION_A10 : UTILISATION;
}

const char *machine_utilisation_text(const struct machine *machine)
{
    return is_a10(machine) ? "0.82" : "0.84";
}

double machine_memory_gib(const struct machine *machine)
{
    return (double)machine->memory_mib.value / 1024;
}

double model_weights_gib(const struct model *model)
{
    return (double)model->weights_mib.value / 1024;
}

static double gpu_bytes(const struct machine *machine)
{
    return floor((double)machine->memory_mib.value * MIB / (double)machine->gpus.value);
}

static double weight_bytes(const struct model *model)
{
    return (double)model->weights_mib.value * MIB * WEIGHT_EXPANSION;
}

static int64_t nodes_needed(const struct model *model, const struct machine *machine,
                            int64_t context_length)
{
    double gpus = (double)machine->gpus.value;
    double available = UTILISATION * gpu_bytes(machine);
    double fixed =
        OVERHEAD_GIB * GIB + (double)context_length * (double)model->bytes_per_token.value / gpus;
    if (available <= fixed)
        return 0;
    double room = (available - fixed) / OVERHEAD_FACTOR;
    double nodes = ceil((floor(weight_bytes(model) / room) + 1) / gpus);
    return nodes < ESTIMATE_NODES_MAX ? (int64_t)nodes : ESTIMATE_NODES_MAX;
}

/* The same equations solved for the context. A data-parallel replica has one GPU to itself. */
static int64_t context_room(const struct model *model, const struct machine *machine,
                            const struct estimate *estimate)
{
    double gpus = (double)estimate->tensor_parallel;
    double share = weight_bytes(model) / (gpus * (double)estimate->nodes);
    double room = machine_utilisation(machine) * gpu_bytes(machine) - OVERHEAD_GIB * GIB -
                  OVERHEAD_FACTOR * share;
    double tokens = room * gpus / (double)model->bytes_per_token.value;
    if (!(tokens < (double)model->context_max.value))
        return model->context_max.value;
    return tokens > 0 ? (int64_t)tokens : 0;
}

struct estimate estimate_vllm(const struct model *model, const struct machine *machine,
                              int64_t context_length)
{
    int64_t gpus = machine->gpus.value;
    struct estimate out = {
        .nodes = nodes_needed(model, machine, context_length),
        .tensor_parallel = gpus,
        .pipeline_parallel = 1,
        .data_parallel = 1,
    };
    if (out.nodes == 0)
        return out;
    if (out.nodes > 1) {
        out.pipeline_parallel = out.nodes;
    } else if (gpus > 1 && model->weights_mib.value * gpus * 2 < machine->memory_mib.value) {
        out.data_parallel = gpus;
        out.tensor_parallel = 1;
    }
    out.context_max = context_room(model, machine, &out);
    if (out.context_max < context_length)
        out.context_max = context_length;
    return out;
}

bool estimate_tuning_fits(const struct model *model, const struct machine *machine)
{
    return model_weights_gib(model) / 4 + OVERHEAD_GIB <= machine_memory_gib(machine);
}
