/* kubectl ckaito models: what can be served and tuned. */
#include <string.h>

#include "cli/cli.h"
#include "cli/report.h"
#include "cli/table.h"
#include "common/json/build.h"
#include "common/json/json.h"

static const char *gib(struct arena *arena, int64_t mib)
{
    return arena_printf(arena, "%.1f GiB", (double)mib / 1024);
}

static const char *yes_no(bool yes)
{
    return yes ? "yes" : "-";
}

static const char *joined(struct arena *arena, const struct string_list *list)
{
    const char *text = list->count > 0 ? list->items[0] : "-";
    for (size_t i = 1; i < list->count; i++)
        text = arena_printf(arena, "%s,%s", text, list->items[i]);
    return text;
}

static void print_table(struct cli *cli, const struct model *models, size_t count)
{
    struct arena *arena = cli->arena;
    struct table table = { .arena = arena };
    TABLE_ROW(&table, "NAME", "WEIGHTS", "CONTEXT", "TUNING", "TRANSFORMERS", "ALIASES");
    for (size_t i = 0; i < count; i++) {
        const struct model *model = &models[i];
        TABLE_ROW(&table, model->name, gib(arena, model->weights_mib.value),
                  arena_printf(arena, "%lld", (long long)model->context_max.value),
                  yes_no(model->tuning != NULL), yes_no(model->transformers != NULL),
                  joined(arena, &model->aliases));
    }
    table_print(&table, 0, cli->out);
}

static void print_tree(struct cli *cli, const struct model *models, size_t count)
{
    cJSON *list = json_new_array();
    for (size_t i = 0; i < count; i++)
        json_append(list, codec_encode(model_type(), &models[i]));
    AUTO(json) cJSON *tree = JOBJ(JV("models", list)); /* as in a file of the catalogue */
    report_tree(cli, tree);
}

int command_models(struct cli *cli, struct error *err)
{
    const struct model_list *all = &catalogue_all(cli->catalogue)->models;
    const struct model *models = all->items;
    size_t count = all->count;
    if (cli->flags.arguments.count > 0) {
        models = cli_model(cli, cli->flags.arguments.items[0], err);
        count = 1;
        if (models == NULL)
            return -1;
    }
    if (strcmp(cli->flags.output, "table") == 0)
        print_table(cli, models, count);
    else
        print_tree(cli, models, count);
    return CLI_OK;
}
