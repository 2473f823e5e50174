#include "cli/plan_view.h"

#include "common/json/build.h"

/* ------------------------------------------------------------------ for people */

static void add_machine(struct table *table, const struct plan *plan)
{
    const struct machine *machine = plan->machine;
    if (machine == NULL)
        return;
    TABLE_ROW(table, "machine", machine->name,
              arena_printf(table->arena, "%lld x %s, %.0f GiB together",
                           (long long)machine->gpus.value,
                           machine->gpu_model != NULL ? machine->gpu_model : "GPU",
                           (double)machine->memory_mib.value / 1024));
}

static const char *figure_text(const struct plan_figure *figure, struct arena *arena)
{
    bool whole = figure->value == (double)(int64_t)figure->value;
    return arena_printf(arena, "%.*f%s%s", whole ? 0 : 2, figure->value,
                        *figure->unit != '\0' ? " " : "", figure->unit);
}

void plan_view_table(const struct plan *plan, struct table *table)
{
    if (plan->model != NULL)
        TABLE_ROW(table, "model", plan->model->name);
    add_machine(table, plan);
    for (size_t i = 0; i < plan->figure_count; i++) {
        const struct plan_figure *figure = &plan->figures[i];
        TABLE_ROW(table, figure->name, figure_text(figure, table->arena), figure->rule);
    }
}

const char *plan_view_alternatives(const struct plan *plan, struct arena *arena)
{
    const char *text = NULL;
    for (size_t i = 0; i < plan->alternative_count; i++) {
        const struct plan_alternative *one = &plan->alternatives[i];
        const char *count =
            one->node_count > 1 ? arena_printf(arena, "%lld x ", (long long)one->node_count) : "";
        text = arena_printf(arena, "%s%s%s%s", text != NULL ? text : "", text != NULL ? ", " : "",
                            count, one->machine->name);
    }
    return text;
}

/* ------------------------------------------------------------------ for programs */

static cJSON *known(int64_t value)
{
    return value > 0 ? json_new_integer(value) : NULL;
}

static cJSON *figures_json(const struct plan *plan)
{
    cJSON *list = json_new_array();
    for (size_t i = 0; i < plan->figure_count; i++) {
        const struct plan_figure *figure = &plan->figures[i];
        json_append(list,
                    JOBJ(JS("name", figure->name), JV("value", json_new_number(figure->value)),
                         JS("unit", figure->unit), JS("rule", figure->rule)));
    }
    return list;
}

static cJSON *alternatives_json(const struct plan *plan)
{
    cJSON *list = json_new_array();
    for (size_t i = 0; i < plan->alternative_count; i++) {
        const struct plan_alternative *one = &plan->alternatives[i];
        json_append(
            list, JOBJ(JS("instanceType", one->machine->name), JI("nodeCount", one->node_count),
                       JV("pricePerHour",
                          one->price_per_hour > 0 ? json_new_number(one->price_per_hour) : NULL)));
    }
    return list;
}

cJSON *plan_view_json(const struct plan *plan)
{
    return JOBJ(
        JS("summary", plan->summary), JS("model", plan->model != NULL ? plan->model->name : NULL),
        JS("instanceType", plan->instance_type), JV("nodeCount", known(plan->node_count)),
        JV("gpusPerNode", known(plan->gpus_per_node)),
        JV("tensorParallel", known(plan->tensor_parallel)),
        JV("pipelineParallel", known(plan->pipeline_parallel)),
        JV("dataParallel", known(plan->data_parallel)),
        JV("contextLength", known(plan->context_length)), JV("diskGiB", known(plan->disk_gib)),
        JV("startupBudgetSeconds", known(plan->startup_budget_s)),
        JV("figures", figures_json(plan)), JV("alternatives", alternatives_json(plan)));
}
