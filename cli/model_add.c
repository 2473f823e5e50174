/* kubectl ckaito model add: makes a model of the hub known. */
#include <string.h>

#include "cli/cli.h"
#include "common/base/file.h"
#include "common/catalogue/model_config.h"

enum { ENTRY_BYTES_MAX = 64 * 1024, FILE_MODE = 0644 };

static int read_config(struct cli *cli, struct buf *out, struct error *err)
{
    const char *path = cli->flags.from;
    if (path == NULL)
        return error_set(err, ERR_INVALID,
                         "--from is missing: download config.json from the model's page on the hub "
                         "and write --from config.json");
    return strcmp(path, "-") == 0 ? cli_read_stream(cli->in, out, err) : file_read(path, out, err);
}

/* What is made must be taken by the services that read it. */
static int check_entry(const struct cli *cli, const char *text, struct error *err)
{
    AUTO(catalogue) const struct catalogue *extended = NULL;
    return catalogue_extend(cli->catalogue, text, &extended, err);
}

static int put(struct cli *cli, const struct model *model, const struct buf *text,
               struct error *err)
{
    const char *directory = cli->flags.catalogue_dir;
    if (directory == NULL) {
        fputs(buf_text(text), cli->out);
        return 0;
    }
    const char *path = arena_printf(cli->arena, "%s/%s.yaml", directory, model->short_name);
    if (file_write(path, FILE_MODE, buf_text(text), text->length, err) < 0)
        return -1;
    fprintf(cli->out, "%s: %s added\n", path, model->name);
    return 0;
}

int command_model_add(struct cli *cli, struct error *err)
{
    AUTO(buf) struct buf config = BUF_INIT(MODEL_CONFIG_BYTES_MAX);
    AUTO(buf) struct buf entry = BUF_INIT(ENTRY_BYTES_MAX);
    struct model model;
    if (read_config(cli, &config, err) < 0)
        return -1;
    int outcome = model_from_config(&(struct model_config){ .name = cli->flags.arguments.items[0],
                                                            .json = buf_text(&config),
                                                            .count = config.length,
                                                            .weights_mib = cli->flags.weights_mib },
                                    cli->arena, &model, err);
    if (outcome < 0)
        return -1;
    model_print(&model, &entry);
    if (check_entry(cli, buf_text(&entry), err) < 0 || put(cli, &model, &entry, err) < 0)
        return -1;
    if (outcome == MODEL_WEIGHTS_WORKED_OUT)
        fprintf(cli->err,
                "note: the weights, %.1f GiB, were counted up from the layers; where the hub lists "
                "another size,\nwrite it with --weights-gib\n",
                (double)model.weights_mib.value / 1024);
    return CLI_OK;
}
