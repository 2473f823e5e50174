#include "common/base/buf.h"
#include "common/plan/planner.h"

enum { TEXT_BYTES_MAX = 1024 };

int64_t planner_nodes_max(const struct planner *p)
{
    return p->count > p->settings->nodes_max ? p->count : p->settings->nodes_max;
}

int64_t planner_context_asked(const struct planner *p)
{
    return p->settings->context_length > 0 ? p->settings->context_length : PLAN_CONTEXT_DEFAULT;
}

int64_t planner_nodes_on(const struct planner *p, const struct machine *machine)
{
    const struct model *model = p->out->model;
    bool vllm = p->out->workload == PLAN_INFERENCE_PRESET && p->out->runtime == RUNTIME_VLLM;

    if (!machine_runs_cuda(machine) || (vllm && machine->float16_only.value))
        return 0;
    if (model == NULL)
        return 1;
    if (vllm)
        return estimate_vllm(model, machine, planner_context_asked(p), p->adapters).nodes;
    if (p->out->workload == PLAN_TUNING)
        return estimate_tuning_fits(model, machine) ? 1 : 0;
    return model_files_gib(model) <= machine_memory_gib(machine) ? 1 : 0;
}

static double cost(const struct plan_alternative *one, bool by_price)
{
    return by_price ? one->price_per_hour
                    : machine_memory_gib(one->machine) * (double)one->node_count;
}

/* Keeps the best few in order; among equals the earlier one is better. */
static void keep_best(struct plan *out, struct plan_alternative one)
{
    size_t at = out->alternative_count;
    while (at > 0 && cost(&one, out->by_price) < cost(&out->alternatives[at - 1], out->by_price))
        at--;
    if (at == PLAN_ALTERNATIVES_MAX)
        return;
    if (out->alternative_count < PLAN_ALTERNATIVES_MAX)
        out->alternative_count++;
    for (size_t i = out->alternative_count - 1; i > at; i--)
        out->alternatives[i] = out->alternatives[i - 1];
    out->alternatives[at] = one;
}

/* Those that take from..to nodes. */
static size_t candidates(const struct planner *p, const int64_t *nodes, int64_t from, int64_t to,
                         struct plan_alternative *out)
{
    size_t machine_count, found = 0;
    const struct machine *const *machines =
        catalogue_machines(p->settings->catalogue, p->settings->cloud, &machine_count);
    for (size_t i = 0; i < machine_count; i++) {
        if (nodes[i] < from || nodes[i] > to)
            continue;
        out[found++] = (struct plan_alternative){
            .machine = machines[i],
            .node_count = nodes[i],
            .price_per_hour = machine_price(machines[i]) * (double)nodes[i],
        };
    }
    return found;
}

/* One machine is better than several together, whatever they cost. */
void planner_compare(struct planner *p)
{
    if (p->compared)
        return;
    p->compared = true;
    size_t machine_count;
    const struct machine *const *machines =
        catalogue_machines(p->settings->catalogue, p->settings->cloud, &machine_count);
    int64_t *nodes = arena_array(p->arena, int64_t, machine_count);
    for (size_t i = 0; i < machine_count; i++)
        nodes[i] = planner_nodes_on(p, machines[i]);

    struct plan_alternative *all = arena_array(p->arena, struct plan_alternative, machine_count);
    size_t found = candidates(p, nodes, 1, 1, all);
    if (found == 0)
        found = candidates(p, nodes, 2, planner_nodes_max(p), all);
    p->out->by_price = found > 0;
    for (size_t i = 0; i < found; i++)
        p->out->by_price = p->out->by_price && all[i].price_per_hour > 0;
    for (size_t i = 0; i < found; i++)
        keep_best(p->out, all[i]);
}

const char *planner_machine_fix(struct planner *p, const char *more)
{
    planner_compare(p);
    const struct plan *out = p->out;
    if (out->alternative_count == 0)
        return arena_printf(p->arena, "no machine of %s in the catalogue can run it%s",
                            p->settings->cloud, more);
    AUTO(buf) struct buf text = BUF_INIT(TEXT_BYTES_MAX);
    buf_printf(&text, "the %s that can run it: ", out->by_price ? "cheapest" : "smallest");
    for (size_t i = 0; i < out->alternative_count; i++) {
        buf_puts(&text, i > 0 ? ", " : "");
        if (out->alternatives[i].node_count > 1)
            buf_printf(&text, "%lld x ", (long long)out->alternatives[i].node_count);
        buf_puts(&text, out->alternatives[i].machine->name);
    }
    buf_puts(&text, more);
    return arena_strdup(p->arena, buf_text(&text));
}
