#include "common/plan/plan.h"

#include <string.h>
#include <strings.h>

#include "common/base/buf.h"
#include "common/plan/planner.h"

enum { TEXT_BYTES_MAX = 1024 };

static void problem(struct planner *p, const char *rule, const char *path, const char *value,
                    const char *detail, const char *fix)
{
    const struct field_error error = { .path = path,
                                       .kind = FIELD_INVALID,
                                       .value = value,
                                       .detail = detail,
                                       .fix = fix,
                                       .rule = rule };
    field_errors_add(p->problems, &error);
}

/* ------------------------------------------------------------------ machine */

static bool is_template_machine(const struct planner *p, const char *name)
{
    return p->out->workload == PLAN_INFERENCE_TEMPLATE &&
           strcmp(p->settings->cloud, "azure") == 0 &&
           (strncasecmp(name, "Standard_N", 10) == 0 || strncasecmp(name, "Standard_D", 10) == 0);
}

static void machine_unknown(struct planner *p, const char *name)
{
    const char *near = catalogue_nearest_machine(p->settings->catalogue, p->settings->cloud, name);
    const char *fix = planner_machine_fix(p, "");
    if (near != NULL && planner_nodes_on(p, catalogue_machine(p->settings->catalogue,
                                                              p->settings->cloud, near)) > 0)
        fix = arena_printf(p->arena, "did you mean %s? %s", near, fix);
    problem(p, "plan/machine-unknown", "resource.instanceType", name,
            arena_printf(p->arena, "not a known GPU machine of %s", p->settings->cloud), fix);
}

static void check_machine(struct planner *p, const struct machine *machine)
{
    const struct plan *out = p->out;
    if (!machine_runs_cuda(machine)) {
        problem(p, "plan/machine-no-cuda", "resource.instanceType", machine->name,
                arena_printf(p->arena, "the images need CUDA, which its %s does not run",
                             machine->gpu_model != NULL ? machine->gpu_model : "accelerator"),
                planner_machine_fix(p, ""));
    } else if (machine->float16_only.value && out->workload == PLAN_INFERENCE_PRESET &&
               out->runtime == RUNTIME_VLLM) {
        problem(p, "plan/machine-float16", "resource.instanceType", machine->name,
                arena_printf(p->arena,
                             "vLLM runs in bfloat16, which its %s does not have: it can tune, "
                             "or serve with the transformers runtime",
                             machine->gpu_model != NULL ? machine->gpu_model : "GPU"),
                planner_machine_fix(p, ""));
    } else {
        p->usable = true;
    }
}

static const char *utilisation_text(const struct planner *p, int percent)
{
    return arena_printf(p->arena, "0.%02d", percent);
}

/* Takes the machine into the plan. The model comes first: what would do instead depends on it. */
static void plan_machine(struct planner *p)
{
    const struct workspace_resource *resource = p->ws->resource;
    struct plan *out = p->out;
    if (resource == NULL || resource->instance_type == NULL || *resource->instance_type == '\0')
        return;
    const char *name = resource->instance_type;
    const struct machine *machine =
        catalogue_machine(p->settings->catalogue, p->settings->cloud, name);
    out->instance_type = machine != NULL ? machine->name : name;
    if (machine == NULL) {
        if (!is_template_machine(p, name))
            machine_unknown(p, name);
        return;
    }
    out->machine = machine;
    out->gpus_per_node = machine->gpus.value;
    out->utilisation = utilisation_text(p, machine_utilisation_percent(machine));
    if (out->workload != PLAN_INFERENCE_TEMPLATE)
        check_machine(p, machine);
}

/* ------------------------------------------------------------------ model */

static void model_unknown(struct planner *p)
{
    const char *name = p->preset_name;
    const char *near = catalogue_nearest_model(p->settings->catalogue, name);
    const char *detail = strchr(name, '/') != NULL
                             ? "not in the catalogue, so what it needs is unknown"
                             : "no model or alias of this name is in the catalogue";
    const char *fix = "write one of the catalogue, such as phi-4-mini-instruct, or "
                      "organisation/model";
    if (near != NULL)
        fix = arena_printf(p->arena, "did you mean %s?", near);
    if (strchr(name, '/') != NULL)
        fix = arena_printf(p->arena,
                           "%s%sto make it known, put into the catalogue's folder what "
                           "`kubectl ckaito model add %s --from config.json` writes",
                           near != NULL ? fix : "", near != NULL ? " " : "", name);
    problem(p, "plan/model-unknown", p->preset_path, name, detail, fix);
}

static const char *usual_name(const struct model *model)
{
    return model->aliases.count > 0 ? model->aliases.items[0] : model->name;
}

static const char *tunable_models(struct planner *p)
{
    const struct model_list *models = &catalogue_all(p->settings->catalogue)->models;
    AUTO(buf) struct buf text = BUF_INIT(TEXT_BYTES_MAX);
    for (size_t i = 0; i < models->count; i++) {
        if (models->items[i].tuning != NULL)
            buf_printf(&text, "%s%s", text.length > 0 ? ", " : "", usual_name(&models->items[i]));
    }
    return arena_strdup(p->arena, buf_text(&text));
}

static void check_model(struct planner *p, const struct model *model)
{
    const struct plan *out = p->out;
    if (out->workload == PLAN_TUNING) {
        if (model->tuning == NULL)
            problem(p, "plan/model-untunable", p->preset_path, p->preset_name,
                    "there is no tuning recipe for it",
                    arena_printf(p->arena, "these can be tuned: %s", tunable_models(p)));
        return;
    }
    if (out->runtime == RUNTIME_TRANSFORMERS && model->transformers == NULL)
        problem(p, "plan/runtime-unsupported", "metadata.annotations[" ANNOTATION_RUNTIME "]",
                "transformers", arena_printf(p->arena, "%s does not run with it", p->preset_name),
                "leave the annotation out to run it with vLLM");
    if (out->runtime == RUNTIME_VLLM && p->settings->context_length > model->context_max.value)
        problem(p, "plan/context-too-long", "inference.config", NULL,
                arena_printf(p->arena, "max-model-len %lld is more than the %lld tokens of %s",
                             (long long)p->settings->context_length,
                             (long long)model->context_max.value, model->name),
                arena_printf(p->arena, "write max-model-len: %lld or less",
                             (long long)model->context_max.value));
}

static void plan_model(struct planner *p)
{
    if (p->preset_name == NULL || *p->preset_name == '\0')
        return;
    p->out->model = catalogue_model(p->settings->catalogue, p->preset_name);
    if (p->out->model == NULL)
        model_unknown(p);
    else
        check_model(p, p->out->model);
}

/* ------------------------------------------------------------------ size */

static void does_not_fit(struct planner *p, const char *detail, const char *more)
{
    if (!p->bypass)
        problem(p, "plan/does-not-fit", "resource.instanceType", p->out->instance_type, detail,
                planner_machine_fix(p, more));
}

static void size_vllm(struct planner *p)
{
    struct plan *out = p->out;
    struct estimate estimate =
        estimate_vllm(out->model, out->machine, planner_context_asked(p), p->adapters);
    bool fits = estimate.nodes > 0;

    p->estimate = estimate;
    out->tensor_parallel = estimate.tensor_parallel;
    out->data_parallel = estimate.data_parallel;
    out->node_count = fits ? estimate.nodes : p->count;
    out->pipeline_parallel = fits ? estimate.pipeline_parallel : p->count;
    out->context_length =
        p->settings->context_length > 0 ? p->settings->context_length : estimate.context_max;
    out->weights_gib =
        model_weights_gib(out->model) * (double)out->data_parallel / (double)out->node_count;
    out->available_gib = estimate.available * (double)out->gpus_per_node;
    out->utilisation = utilisation_text(p, estimate.utilisation_percent);
    if (!fits) {
        bool set = p->settings->context_length > 0;
        does_not_fit(p,
                     arena_printf(p->arena,
                                  "%s with a context of %lld tokens does not fit a GPU "
                                  "of %.0f GiB, however many there are",
                                  out->model->name, (long long)planner_context_asked(p),
                                  machine_memory_gib(out->machine) / (double)out->gpus_per_node),
                     set ? "; or lower max-model-len" : "");
    } else if (out->node_count > planner_nodes_max(p) && !p->bypass) {
        const char *more = arena_printf(p->arena, "; or set resource.count: %lld to have them",
                                        (long long)out->node_count);
        problem(p, "plan/too-many-nodes", "resource.instanceType", out->instance_type,
                arena_printf(p->arena, "%s needs %lld of them, more than %lld", out->model->name,
                             (long long)out->node_count, (long long)planner_nodes_max(p)),
                planner_machine_fix(p, more));
    }
}

/* Every node has all of the model. */
static void size_transformers(struct planner *p)
{
    struct plan *out = p->out;
    double memory = machine_memory_gib(out->machine);
    out->weights_gib = model_files_gib(out->model);
    out->available_gib = memory;
    if (out->weights_gib <= memory)
        return;
    if (out->weights_gib > memory * (double)p->count && !p->bypass)
        does_not_fit(p,
                     arena_printf(p->arena, "the weights of %s take %.1f GiB, its GPUs have %.0f",
                                  out->model->name, out->weights_gib, memory),
                     "");
    else
        problem(p, "plan/runtime-one-node", "metadata.annotations[" ANNOTATION_RUNTIME "]",
                "transformers",
                arena_printf(p->arena,
                             "the weights of %s take %.1f GiB, one node has %.0f, and this "
                             "runtime cannot spread a model over nodes",
                             out->model->name, out->weights_gib, memory),
                "leave the annotation out to run it with vLLM");
}

static bool is_qlora(const struct planner *p)
{
    return p->ws->tuning->method != NULL && strcasecmp(p->ws->tuning->method, "qlora") == 0;
}

static void size_tuning(struct planner *p)
{
    struct plan *out = p->out;
    out->weights_gib = model_files_gib(out->model) / (is_qlora(p) ? 4 : 1);
    out->available_gib = machine_memory_gib(out->machine);
    if (!estimate_tuning_fits(out->model, out->machine))
        does_not_fit(
            p,
            arena_printf(p->arena, "%s takes %.1f GiB even in 4 bit, too much for GPUs of %.0f GiB",
                         out->model->name, model_files_gib(out->model) / 4, out->available_gib),
            "");
}

static void plan_size(struct planner *p)
{
    struct plan *out = p->out;
    out->node_count = out->workload == PLAN_TUNING ? 1 : p->count;
    out->tensor_parallel = out->pipeline_parallel = out->data_parallel = 1;
    out->disk_gib = PLAN_DISK_DEFAULT_GIB;
    if (out->model == NULL)
        return;
    out->startup_budget_s = out->model->startup_budget_s.value;
    if (out->workload == PLAN_INFERENCE_PRESET)
        out->disk_gib = out->model->disk_gib.value;
    if (!p->usable)
        return;
    if (out->workload == PLAN_TUNING)
        size_tuning(p);
    else if (out->runtime == RUNTIME_VLLM)
        size_vllm(p);
    else
        size_transformers(p);
}

/* ------------------------------------------------------------------ summary */

static void summarise_memory(const struct plan *out, struct buf *text)
{
    if (out->weights_gib <= 0)
        return;
    buf_printf(text, ", %.1f of %.0f GiB weights%s", out->weights_gib, out->available_gib,
               out->node_count > 1 ? " each" : "");
    if (out->weights_gib > out->available_gib)
        buf_puts(text, " (may run out of GPU memory)");
}

static void summarise_vllm(const struct plan *out, struct buf *text)
{
    if (out->context_length > 0)
        buf_printf(text, ", context %lld", (long long)out->context_length);
    if (out->tensor_parallel > 1)
        buf_printf(text, ", tensor parallel %lld", (long long)out->tensor_parallel);
    if (out->pipeline_parallel > 1)
        buf_printf(text, ", pipeline parallel %lld", (long long)out->pipeline_parallel);
    if (out->data_parallel > 1)
        buf_printf(text, ", data parallel %lld", (long long)out->data_parallel);
}

static const char *summarise(struct planner *p)
{
    const struct plan *out = p->out;
    bool float16 = p->usable && out->machine->float16_only.value;
    AUTO(buf) struct buf text = BUF_INIT(TEXT_BYTES_MAX);

    buf_printf(&text, "%lld x %s", (long long)out->node_count,
               out->instance_type != NULL ? out->instance_type : "existing node");
    if (out->workload == PLAN_INFERENCE_TEMPLATE)
        buf_puts(&text, ", own pod template");
    if (out->workload == PLAN_TUNING)
        buf_puts(&text, is_qlora(p) ? ", qlora" : ", lora");
    summarise_memory(out, &text);
    if (out->workload == PLAN_INFERENCE_PRESET && out->runtime == RUNTIME_VLLM)
        summarise_vllm(out, &text);
    else if (out->workload == PLAN_INFERENCE_PRESET)
        buf_puts(&text, ", transformers");
    if (float16)
        buf_printf(&text, ", float16 because its %s has no bfloat16",
                   out->machine->gpu_model != NULL ? out->machine->gpu_model : "GPU");
    if (out->startup_budget_s > 0)
        buf_printf(&text, ", up to %lld min to %s", (long long)(out->startup_budget_s + 59) / 60,
                   out->workload == PLAN_TUNING ? "start" : "ready");
    return arena_strdup(p->arena, buf_text(&text));
}

/* ------------------------------------------------------------------ entry */

static enum plan_workload workload_of(const struct workspace *ws)
{
    if (ws->inference == NULL)
        return PLAN_TUNING;
    return ws->inference->preset == NULL && ws->inference->template != NULL
               ? PLAN_INFERENCE_TEMPLATE
               : PLAN_INFERENCE_PRESET;
}

int plan_make(const struct workspace *ws, const struct plan_settings *settings, struct arena *arena,
              struct plan *out, struct field_errors *problems)
{
    *out = (struct plan){ .utilisation = "0.84", .summary = "" };
    if (ws->inference == NULL && ws->tuning == NULL)
        return 0;
    size_t before = problems->count + problems->dropped;
    const struct preset *preset =
        ws->inference != NULL ? ws->inference->preset : ws->tuning->preset;
    const char *bypass = workspace_annotation(ws, ANNOTATION_BYPASS);
    bool counted = ws->resource != NULL && ws->resource->count.set && ws->resource->count.value > 0;
    struct planner planner = {
        .ws = ws,
        .settings = settings,
        .arena = arena,
        .out = out,
        .problems = problems,
        .preset_path = ws->inference != NULL ? "inference.preset.name" : "tuning.preset.name",
        .preset_name = preset != NULL ? preset->name : NULL,
        .count = counted ? ws->resource->count.value : 1,
        .adapters = ws->inference != NULL ? (int64_t)ws->inference->adapters.count : 0,
        .bypass = bypass != NULL && strcmp(bypass, "false") != 0,
    };
    out->workload = workload_of(ws);
    out->runtime = workspace_runtime(ws);
    plan_model(&planner);
    plan_machine(&planner);
    plan_size(&planner);
    planner_figures(&planner);
    if (out->model != NULL)
        planner_compare(&planner);
    out->summary = summarise(&planner);
    return problems->count + problems->dropped == before ? 0 : -1;
}
