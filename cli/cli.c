#include "cli/cli.h"

#include <errno.h>
#include <string.h>

#include "cli/catalogue_folder.h"
#include "common/base/compiler.h"
#include "common/catalogue/nearest.h"

#define PLANNING_FLAGS (FLAG_CLOUD | FLAG_MAX_NODES | FLAG_CATALOGUE)
#define JUDGING_FLAGS  (FLAG_FILENAME | FLAG_RECURSIVE | FLAG_OUTPUT | PLANNING_FLAGS)

static const struct command {
    const char *name; /* one word or two */
    const char *arguments;
    size_t arguments_min, arguments_max; /* of those that are no flags */
    unsigned flags;
    const char *summary;
    const char *details;
    int (*run)(struct cli *cli, struct error *err);
} commands[] = {
    { .name = "validate",
      .arguments = "-f FILE|FOLDER|-",
      .flags = JUDGING_FLAGS,
      .summary = "Say whether Workspaces would be admitted, and all that is wrong with them.",
      .details = "ConfigMaps in the same files are looked at for the Workspaces that name them; "
                 "other kinds are skipped.\n"
                 "Exits 1 when a Workspace is refused, 2 when a file cannot be read.",
      .run = command_validate },
    { .name = "plan",
      .arguments = "-f FILE|FOLDER|-",
      .flags = JUDGING_FLAGS,
      .summary = "Show what would be bought for Workspaces, and where the figures come from.",
      .details = "Exits 1 when a Workspace is refused, 2 when a file cannot be read.",
      .run = command_plan },
    { .name = "models",
      .arguments = "[NAME]",
      .arguments_max = 1,
      .flags = FLAG_OUTPUT | FLAG_CATALOGUE,
      .summary = "List the models of the catalogue, or show one.",
      .details = "The yaml is what a file in the catalogue's folder looks like.",
      .run = command_models },
    { .name = "model add",
      .arguments = "ORG/NAME --from FILE",
      .arguments_min = 1,
      .arguments_max = 1,
      .flags = FLAG_FROM | FLAG_WEIGHTS | FLAG_CATALOGUE,
      .summary = "Make a catalogue file for a model of the hub, from its config.json.",
      .details = "Without --catalogue-dir the file is printed; with it, DIR/NAME.yaml is written, "
                 "where the other\ncommands find it when they are given the same flag.",
      .run = command_model_add },
    { .name = "machines",
      .arguments = "[--fits MODEL]",
      .flags = FLAG_FITS | FLAG_OUTPUT | PLANNING_FLAGS,
      .summary = "List the machines of a cloud, least GPU memory first.",
      .details = "With --fits: those that serve the model with vLLM, and how many it takes.",
      .run = command_machines },
    { .name = "review",
      .arguments = "",
      .flags = PLANNING_FLAGS,
      .summary = "Answer AdmissionReviews, one line of JSON each, from the standard input.",
      .details = "Each answer is one line, written at once. A line that is no AdmissionReview is "
                 "answered with\nallowed: false and code 400; the next is read all the same.",
      .run = command_review },
    { .name = "why",
      .arguments = "NAME",
      .arguments_min = 1,
      .arguments_max = 1,
      .flags = FLAG_NAMESPACE | FLAG_CONTEXT | FLAG_FILENAME,
      .summary = "Say why a Workspace of the cluster is not ready, and what to do.",
      .details =
          "Reads with kubectl the Workspace, its workload, NodeClaims, nodes, events and the "
          "last words of its\ncontainers. The first line is the cause; docs/causes.md lists "
          "them all. With -f, what kubectl get -o json\nhas saved is read instead.\n"
          "Exits 0 when the Workspace is ready, 1 when it is not, 2 when it cannot be read.",
      .run = command_why },
};

/* ------------------------------------------------------------------ help */

static void print_usage(FILE *out)
{
    fputs("Validates and plans Workspaces without a cluster, with the code of the admission "
          "webhook;\nsays why one of a cluster is not ready.\n\nusage: kubectl ckaito COMMAND "
          "[flags]\n\n",
          out);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        fprintf(out, "  %-12s%s\n", commands[i].name, commands[i].summary);
    fputs("\nkubectl ckaito COMMAND --help says more; kubectl ckaito --version is the version.\n",
          out);
}

static void print_command_help(const struct command *command, FILE *out)
{
    fprintf(out, "%s\n\nusage: kubectl ckaito %s%s%s [flags]\n\n%s\n\n", command->summary,
            command->name, *command->arguments != '\0' ? " " : "", command->arguments,
            command->details);
    flags_help(command->flags, out);
}

/* ------------------------------------------------------------------ which */

/* How many words of argv[1...] are the command's name; 0: it is another. */
static int words_of(const struct command *command, int argc, char **argv)
{
    const char *space = strchr(command->name, ' ');
    if (space == NULL)
        return strcmp(argv[1], command->name) == 0 ? 1 : 0;
    size_t length = (size_t)(space - command->name);
    return argc > 2 && strlen(argv[1]) == length && memcmp(argv[1], command->name, length) == 0 &&
                   strcmp(argv[2], space + 1) == 0
               ? 2
               : 0;
}

static const struct command *find_command(int argc, char **argv, int *words, struct error *err)
{
    struct nearest nearest = NEAREST_INIT(argv[1]);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        *words = words_of(&commands[i], argc, argv);
        if (*words > 0)
            return &commands[i];
        nearest_consider(&nearest, commands[i].name, commands[i].name);
    }
    if (nearest.best != NULL)
        error_set(err, ERR_INVALID, "unknown command \"%.100s\"; did you mean %s? see --help",
                  argv[1], nearest.best);
    else
        error_set(err, ERR_INVALID, "unknown command \"%.100s\"; see --help", argv[1]);
    return NULL;
}

static int check_arguments(const struct command *command, const struct string_list *arguments,
                           struct error *err)
{
    if (arguments->count < command->arguments_min)
        return error_set(err, ERR_INVALID, "%s is missing; see --help", command->arguments);
    if (arguments->count > command->arguments_max)
        return error_set(err, ERR_INVALID, "unexpected argument \"%.100s\"; see --help",
                         arguments->items[command->arguments_max]);
    return 0;
}

/* ------------------------------------------------------------------ what commands share */

struct plan_settings cli_settings(const struct cli *cli)
{
    return (struct plan_settings){ .catalogue = cli->catalogue,
                                   .cloud = cli->flags.cloud,
                                   .nodes_max = cli->flags.max_nodes };
}

const struct model *cli_model(const struct cli *cli, const char *name, struct error *err)
{
    const struct model *model = catalogue_model(cli->catalogue, name);
    if (model != NULL)
        return model;
    const char *near = catalogue_nearest_model(cli->catalogue, name);
    if (near != NULL)
        error_set(err, ERR_NOT_FOUND, "no model \"%.100s\" in the catalogue; did you mean %s?",
                  name, near);
    else
        error_set(err, ERR_NOT_FOUND,
                  "no model \"%.100s\" in the catalogue; kubectl ckaito models lists it", name);
    return NULL;
}

int cli_read_stream(FILE *in, struct buf *out, struct error *err)
{
    char chunk[4096];
    size_t count = 0;
    do {
        count = fread(chunk, 1, sizeof(chunk), in);
    } while (count > 0 && buf_append(out, chunk, count) == 0);
    if (ferror(in))
        return error_set(err, ERR_UNAVAILABLE, "cannot read: %s", strerror(errno));
    if (buf_failed(out))
        return error_set(err, ERR_TOO_LARGE, "more than %zu bytes", out->bytes_max);
    return 0;
}

/* ------------------------------------------------------------------ main */

/* argv[0] stands before the first word that is not the command's name. */
static int run(const struct command *command, int argc, char **argv, struct cli *cli,
               struct error *err)
{
    int outcome = flags_parse(command->flags, argc, argv, cli->arena, &cli->flags, err);
    if (outcome == FLAGS_HELP) {
        print_command_help(command, cli->out);
        return CLI_OK;
    }
    if (outcome < 0 || check_arguments(command, &cli->flags.arguments, err) < 0)
        return -1;
    AUTO(catalogue) const struct catalogue *catalogue = NULL;
    if (catalogue_folder_read(cli->flags.catalogue_dir, &catalogue, err) < 0)
        return -1;
    cli->catalogue = catalogue;
    return command->run(cli, err);
}

static int dispatch(int argc, char **argv, struct cli *cli, struct error *err)
{
    if (argc < 2) {
        print_usage(cli->err);
        return CLI_FAILED;
    }
    const char *first = argv[1];
    if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0 || strcmp(first, "help") == 0) {
        print_usage(cli->out);
        return CLI_OK;
    }
    if (strcmp(first, "--version") == 0 || strcmp(first, "version") == 0) {
        fprintf(cli->out, "kubectl-ckaito %s\n", CKAITO_VERSION);
        return CLI_OK;
    }
    int words;
    const struct command *command = find_command(argc, argv, &words, err);
    return command != NULL ? run(command, argc - words, argv + words, cli, err) : -1;
}

int cli_main(int argc, char **argv, FILE *in, FILE *out, FILE *err)
{
    AUTO(arena) struct arena arena = ARENA_INIT;
    struct cli cli = { .in = in, .out = out, .err = err, .arena = &arena };
    struct error error = ERROR_INIT;
    int status = dispatch(argc, argv, &cli, &error);
    if (status >= 0 && (fflush(out) != 0 || ferror(out)))
        status = error_set(&error, ERR_UNAVAILABLE, "cannot write: %s", strerror(errno));
    if (status < 0)
        fprintf(err, "error: %s\n", error.message);
    return status < 0 ? CLI_FAILED : status;
}
