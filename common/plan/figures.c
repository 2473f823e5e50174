#include <math.h>
#include <string.h>

#include "common/plan/planner.h"

/* Rounded to what the figures are good for, so that they print short. */
static void add(struct planner *p, const char *name, double value, const char *unit,
                const char *rule)
{
    struct plan *out = p->out;
    if (out->figure_count == PLAN_FIGURES_MAX)
        return;
    if (out->figures == NULL)
        out->figures = arena_array(p->arena, struct plan_figure, PLAN_FIGURES_MAX);
    out->figures[out->figure_count++] = (struct plan_figure){
        .name = name, .value = round(value * 100) / 100, .unit = unit, .rule = rule
    };
}

static const char *weights_rule(const struct plan *out)
{
    const struct model *model = out->model;
    bool several = out->node_count > 1;
    if (model->loaded_mib.set)
        return several ? "as measured / GPUs x 1.05 / nodes, which get uneven shares"
                       : "as measured / GPUs that share them";
    bool mxfp4 = model->quantization != NULL && strcmp(model->quantization, "mxfp4") == 0;
    if (mxfp4)
        return several ? "files x 1.06 / GPUs x 1.05 / nodes, which get uneven shares"
                       : "files x 1.06 / GPUs that share them";
    return several ? "files x 1.02 / GPUs x 1.05 / nodes, which get uneven shares"
                   : "files x 1.02 / GPUs that share them";
}

static const char *parallel_rule(const struct plan *out)
{
    if (out->data_parallel > 1)
        return "each GPU serves a whole model: files x GPUs x 2 < memory of the node";
    return "the GPUs of a node share each layer";
}

static void parallelism(struct planner *p)
{
    const struct plan *out = p->out;
    add(p, "nodes", (double)out->node_count, "",
        out->node_count > 1
            ? "ceil((floor(weights / room) + 1) / GPUs of a node), room = (0.84 x GPU - 2.3 - "
              "cache) / 1.05"
            : "what is needed fits one");
    add(p, "tensor parallel", (double)out->tensor_parallel, "", parallel_rule(out));
    if (out->pipeline_parallel > 1)
        add(p, "pipeline parallel", (double)out->pipeline_parallel, "",
            "the nodes share the layers");
    if (out->data_parallel > 1)
        add(p, "data parallel", (double)out->data_parallel, "", parallel_rule(out));
}

static void memory_of_gpu(struct planner *p)
{
    const struct estimate *e = &p->estimate;
    double nominal = machine_memory_gib(p->out->machine) / (double)p->out->gpus_per_node;
    bool ecc = e->memory < nominal * 15 / 16;
    bool usual = e->utilisation_percent == machine_utilisation_percent(p->out->machine);
    add(p, "memory of a GPU", e->memory, "GiB",
        ecc ? "the machine's x 15/16 for error correction x 0.99 that the server sees"
            : "the machine's x 0.99 that the server sees");
    add(p, "utilisation", (double)e->utilisation_percent / 100, "",
        usual ? "usual" : "the usual is too little; this is the most");
    add(p, "available", e->available, "GiB", "memory x utilisation");
}

static void need_of_gpu(struct planner *p)
{
    const struct estimate *e = &p->estimate;
    const struct plan *out = p->out;
    bool explicit = p->settings->context_length > 0;
    add(p, "weights", e->weights, "GiB", weights_rule(out));
    add(p, "activation", e->activation, "GiB",
        arena_printf(p->arena, "measured: %s, %s tokens at once", out->model->memory_class,
                     estimate_large_batch(out->machine) ? "8192" : "2048"));
    add(p, "CUDA graphs", e->graphs, "GiB", "measured");
    add(p, "non-torch", e->non_torch, "GiB",
        out->tensor_parallel * out->node_count > 1 ? "measured: several GPUs"
                                                   : "measured: one GPU");
    if (p->adapters > 0)
        add(p, "adapters", e->adapters, "GiB", "0.02 x weights for each");
    add(p, "cache", e->cache, "GiB",
        explicit ? "max-model-len x bytes per token / GPUs that share it"
                 : "2048 tokens at least x bytes per token / GPUs that share it");
    add(p, "needed", e->needed, "GiB", "sum of these");
}

static void of_vllm(struct planner *p)
{
    const struct plan *out = p->out;
    parallelism(p);
    memory_of_gpu(p);
    need_of_gpu(p);
    add(p, "context", (double)out->context_length, "tokens",
        p->settings->context_length > 0 ? "max-model-len of the config"
        : out->context_length == out->model->context_max.value
            ? "all that the model has"
            : "the largest that what is left over holds");
}

static void of_tuning(struct planner *p)
{
    const struct plan *out = p->out;
    bool quarter = out->weights_gib < model_files_gib(out->model);
    add(p, "nodes", 1, "", "tuning runs on one");
    add(p, "weights", out->weights_gib, "GiB", quarter ? "files / 4: in 4 bit" : "files");
    add(p, "available", out->available_gib, "GiB", "memory of the machine's GPUs");
    add(p, "needed", model_files_gib(out->model) / 4 + 2.3, "GiB",
        "files / 4 + 2.3 at the very least");
}

static void of_transformers(struct planner *p)
{
    const struct plan *out = p->out;
    add(p, "nodes", (double)out->node_count, "", "resource.count: each serves a whole model");
    add(p, "weights", out->weights_gib, "GiB", "files");
    add(p, "available", out->available_gib, "GiB", "memory of the machine's GPUs");
}

void planner_figures(struct planner *p)
{
    const struct plan *out = p->out;
    if (out->model == NULL || !p->usable)
        return;
    bool inference = out->workload == PLAN_INFERENCE_PRESET;
    if (inference && out->runtime == RUNTIME_VLLM)
        of_vllm(p);
    else if (inference)
        of_transformers(p);
    else
        of_tuning(p);
    add(p, "disk", (double)out->disk_gib, "GiB", inference ? "files + 80" : "for tuning always");
    add(p, "time to start", (double)out->startup_budget_s, "s",
        "900 + 18 for each GiB of files, from 1800 to 10800");
}
