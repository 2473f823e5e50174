/* kubectl ckaito machines: what can be bought, and on what a model runs. */
#include <string.h>

#include "cli/cli.h"
#include "cli/plan_view.h"
#include "cli/report.h"
#include "common/json/build.h"
#include "common/json/json.h"

struct offer {
    const struct machine *machine;
    struct plan plan; /* only with --fits */
};

/* ------------------------------------------------------------------ which */

/* A Workspace that serves the model on one such machine and asks for nothing else. */
static bool fits(const struct cli *cli, const struct model *model, const struct machine *machine,
                 struct plan *out)
{
    struct preset preset = { .name = model->name };
    struct workspace_inference inference = { .preset = &preset };
    struct workspace_resource resource = { .instance_type = machine->name };
    struct object_meta metadata = { .name = "fits" };
    struct workspace ws = { .metadata = &metadata, .resource = &resource, .inference = &inference };
    struct plan_settings settings = cli_settings(cli);
    struct field_errors problems;
    field_errors_init(&problems, cli->arena);
    return plan_make(&ws, &settings, cli->arena, out, &problems) == 0;
}

static struct offer *select_offers(const struct cli *cli, const struct model *model,
                                   size_t *count_out)
{
    size_t count;
    const struct machine *const *machines =
        catalogue_machines(cli->catalogue, cli->flags.cloud, &count);
    struct offer *offers = arena_array(cli->arena, struct offer, count);
    *count_out = 0;
    for (size_t i = 0; i < count; i++) {
        struct offer *offer = &offers[*count_out];
        offer->machine = machines[i];
        if (model == NULL || fits(cli, model, machines[i], &offer->plan))
            ++*count_out;
    }
    return offers;
}

/* ------------------------------------------------------------------ for people */

static const char *note(const struct machine *machine)
{
    if (!machine_runs_cuda(machine))
        return "no CUDA: own pod template only";
    return machine->float16_only.value ? "float16: tuning and transformers only" : "";
}

static const char *number(struct arena *arena, int64_t value)
{
    return arena_printf(arena, "%lld", (long long)value);
}

static const char *memory(struct arena *arena, const struct machine *machine)
{
    return arena_printf(arena, "%.0f GiB", (double)machine->memory_mib.value / 1024);
}

static const char *gpu(const struct machine *machine)
{
    return machine->gpu_model != NULL ? machine->gpu_model : "-";
}

static void print_machines(struct cli *cli, const struct offer *offers, size_t count)
{
    struct table table = { .arena = cli->arena };
    TABLE_ROW(&table, "NAME", "GPUS", "GPU", "MEMORY", "NOTE");
    for (size_t i = 0; i < count; i++) {
        const struct machine *machine = offers[i].machine;
        TABLE_ROW(&table, machine->name, number(cli->arena, machine->gpus.value), gpu(machine),
                  memory(cli->arena, machine), note(machine));
    }
    table_print(&table, 0, cli->out);
}

static void print_fits(struct cli *cli, const struct offer *offers, size_t count)
{
    struct arena *arena = cli->arena;
    struct table table = { .arena = arena };
    TABLE_ROW(&table, "NAME", "NODES", "GPUS", "GPU", "MEMORY", "WEIGHTS", "CONTEXT");
    for (size_t i = 0; i < count; i++) {
        const struct machine *machine = offers[i].machine;
        const struct plan *plan = &offers[i].plan;
        TABLE_ROW(&table, machine->name, number(arena, plan->node_count),
                  number(arena, plan->gpus_per_node), gpu(machine), memory(arena, machine),
                  arena_printf(arena, "%.1f GiB", plan->weights_gib),
                  number(arena, plan->context_length));
    }
    table_print(&table, 0, cli->out);
}

/* ------------------------------------------------------------------ for programs */

static void print_tree(struct cli *cli, const struct offer *offers, size_t count, bool with_plan)
{
    cJSON *list = json_new_array();
    for (size_t i = 0; i < count; i++) {
        cJSON *machine = codec_encode(machine_type(), offers[i].machine);
        if (with_plan)
            json_set(machine, "plan", plan_view_json(&offers[i].plan));
        json_append(list, machine);
    }
    AUTO(json) cJSON *tree = JOBJ(JV("machines", list));
    report_tree(cli, tree);
}

int command_machines(struct cli *cli, struct error *err)
{
    const struct model *model = NULL;
    if (cli->flags.fits != NULL) {
        model = cli_model(cli, cli->flags.fits, err);
        if (model == NULL)
            return -1;
    }
    size_t count;
    const struct offer *offers = select_offers(cli, model, &count);
    if (strcmp(cli->flags.output, "table") != 0)
        print_tree(cli, offers, count, model != NULL);
    else if (model != NULL)
        print_fits(cli, offers, count);
    else
        print_machines(cli, offers, count);
    return CLI_OK;
}
