#include "cli/flags.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/compiler.h"

enum {
    HELP_COLUMN = 30,
    NODES_MAX_MAX = 1000,
    LETTER_HELP = 'h',
    LONG_BASE = 256,
    WEIGHTS_GIB_MAX = 1024 * 1024
};

static const struct flag {
    enum flag_id id;
    const char *name;
    char letter;             /* 0: only the long form */
    const char *placeholder; /* NULL: a flag without a value */
    const char *help;
} flags[] = {
    { FLAG_FILENAME, "filename", 'f', "FILE",
      "a file, a folder, or - for the standard input; may be given several times" },
    { FLAG_RECURSIVE, "recursive", 'R', NULL, "look into the folders of a folder too" },
    { FLAG_OUTPUT, "output", 'o', "FORMAT", "table, json or yaml (default table)" },
    { FLAG_CLOUD, "cloud", 0, "CLOUD",
      "whose instance types are meant: azure, aws or arc (default azure)" },
    { FLAG_MAX_NODES, "max-nodes", 0, "N",
      "refuse what needs more nodes than this and than its resource.count (default 8)" },
    { FLAG_FITS, "fits", 0, "MODEL", "only machines that can serve this model" },
    { FLAG_CATALOGUE, "catalogue-dir", 0, "DIR",
      "a folder of YAML files that add models and machines, or replace them" },
    { FLAG_FROM, "from", 0, "FILE",
      "the model's config.json (or params.json) from the hub; - for the standard input" },
    { FLAG_WEIGHTS, "weights-gib", 0, "GIB",
      "the size of all its *.safetensors files, where the config does not tell" },
    { FLAG_NAMESPACE, "namespace", 'n', "NAME", "of the Workspace (default: kubectl's)" },
    { FLAG_CONTEXT, "context", 0, "NAME", "of the kubeconfig (default: kubectl's)" },
};

/* ------------------------------------------------------------------ values */

static int set_choice(const char **member, const char *label, const char *value,
                      const char *const *choices, const char *legal, struct error *err)
{
    for (; *choices != NULL; choices++) {
        if (strcmp(*choices, value) == 0) {
            *member = *choices;
            return 0;
        }
    }
    return error_set(err, ERR_INVALID, "%s: \"%.100s\" is not legal; write one of %s", label, value,
                     legal);
}

static int set_nodes(int64_t *member, const char *value, struct error *err)
{
    char *end = NULL;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (errno != 0 || end == value || *end != '\0' || number < 1 || number > NODES_MAX_MAX)
        return error_set(err, ERR_INVALID,
                         "--max-nodes: \"%.100s\" is not legal; write a number from 1 to %d", value,
                         NODES_MAX_MAX);
    *member = number;
    return 0;
}

static int set_weights(int64_t *member, const char *value, struct error *err)
{
    char *end = NULL;
    double gib = strtod(value, &end);
    if (end == value || *end != '\0' || !(gib > 0 && gib <= WEIGHTS_GIB_MAX))
        return error_set(err, ERR_INVALID,
                         "--weights-gib: \"%.100s\" is not legal; write a number of GiB, such as "
                         "14.5",
                         value);
    *member = (int64_t)ceil(gib * 1024);
    return 0;
}

static int set(struct flags *out, enum flag_id id, const char *value, struct error *err)
{
    static const char *const formats[] = { "table", "json", "yaml", NULL };
    static const char *const clouds[] = { "azure", "aws", "arc", NULL };
    switch (id) {
    case FLAG_FILENAME:
        out->filenames.items[out->filenames.count++] = value;
        return 0;
    case FLAG_RECURSIVE:
        out->recursive = true;
        return 0;
    case FLAG_OUTPUT:
        return set_choice(&out->output, "--output", value, formats, "table, json, yaml", err);
    case FLAG_CLOUD:
        return set_choice(&out->cloud, "--cloud", value, clouds, "azure, aws, arc", err);
    case FLAG_MAX_NODES:
        return set_nodes(&out->max_nodes, value, err);
    case FLAG_FITS:
        out->fits = value;
        return 0;
    case FLAG_CATALOGUE:
        out->catalogue_dir = value;
        return 0;
    case FLAG_FROM:
        out->from = value;
        return 0;
    case FLAG_WEIGHTS:
        return set_weights(&out->weights_mib, value, err);
    case FLAG_NAMESPACE:
        out->namespace_ = value;
        return 0;
    case FLAG_CONTEXT:
        out->context = value;
        return 0;
    }
    return -1;
}

/* ------------------------------------------------------------------ getopt */

struct parser {
    char letters[2 * ARRAY_LEN(flags) + 8]; /* getopt's string */
    struct option options[ARRAY_LEN(flags) + 2];
};

static void prepare(struct parser *parser, unsigned accepted)
{
    char *letter = parser->letters;
    struct option *option = parser->options;
    *letter++ = ':'; /* tell a missing value from an unknown flag, and print nothing */
    *letter++ = LETTER_HELP;
    *option++ = (struct option){ .name = "help", .val = LETTER_HELP };
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        const struct flag *flag = &flags[i];
        if ((flag->id & accepted) == 0)
            continue;
        *option++ = (struct option){ .name = flag->name,
                                     .has_arg = flag->placeholder != NULL,
                                     .val = LONG_BASE + (int)i };
        if (flag->letter != 0) {
            *letter++ = flag->letter;
            if (flag->placeholder != NULL)
                *letter++ = ':';
        }
    }
}

static const struct flag *flag_of(int code)
{
    if (code >= LONG_BASE)
        return &flags[code - LONG_BASE];
    size_t i = 0;
    while (flags[i].letter != code)
        i++;
    return &flags[i];
}

static int unknown(char **argv, struct error *err)
{
    if (optopt > 0 && optopt < LONG_BASE)
        return error_set(err, ERR_INVALID, "unknown flag -%c; see --help", optopt);
    return error_set(err, ERR_INVALID, "%.100s: no such flag, or it takes no value; see --help",
                     argv[optind - 1]);
}

static int missing_value(struct error *err)
{
    const struct flag *flag = flag_of(optopt);
    return error_set(err, ERR_INVALID, "--%s needs a value: --%s %s", flag->name, flag->name,
                     flag->placeholder);
}

int flags_parse(unsigned accepted, int argc, char **argv, struct arena *arena, struct flags *out,
                struct error *err)
{
    struct parser parser = { .letters = "" };
    prepare(&parser, accepted);
    *out = (struct flags){ .output = "table", .cloud = "azure", .max_nodes = 8 };
    out->filenames.items = arena_array(arena, const char *, (size_t)argc);
    out->arguments.items = arena_array(arena, const char *, (size_t)argc);

    optind = 0; /* glibc: from the start again */
    for (;;) {
        int code = getopt_long(argc, argv, parser.letters, parser.options, NULL);
        if (code == -1)
            break;
        if (code == LETTER_HELP)
            return FLAGS_HELP;
        if (code == '?')
            return unknown(argv, err);
        if (code == ':')
            return missing_value(err);
        if (set(out, flag_of(code)->id, optarg, err) < 0)
            return -1;
    }
    while (optind < argc)
        out->arguments.items[out->arguments.count++] = argv[optind++];
    return FLAGS_RUN;
}

/* ------------------------------------------------------------------ help */

void flags_help(unsigned accepted, FILE *out)
{
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        const struct flag *flag = &flags[i];
        if ((flag->id & accepted) == 0)
            continue;
        int width = flag->letter != 0 ? fprintf(out, "  -%c, --%s", flag->letter, flag->name)
                                      : fprintf(out, "      --%s", flag->name);
        if (flag->placeholder != NULL)
            width += fprintf(out, " %s", flag->placeholder);
        fprintf(out, "%*s%s\n", width < HELP_COLUMN ? HELP_COLUMN - width : 1, "", flag->help);
    }
    fprintf(out, "  -h, --help%*sprint this and exit\n", HELP_COLUMN - 12, "");
}
