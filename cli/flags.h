/* The flags of the command line, one table for all commands; each command names those it takes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/json/codec.h"

enum flag_id {
    FLAG_FILENAME = 1 << 0,
    FLAG_RECURSIVE = 1 << 1,
    FLAG_OUTPUT = 1 << 2,
    FLAG_CLOUD = 1 << 3,
    FLAG_MAX_NODES = 1 << 4,
    FLAG_FITS = 1 << 5,
    FLAG_CATALOGUE = 1 << 6,
    FLAG_FROM = 1 << 7,
    FLAG_WEIGHTS = 1 << 8,
    FLAG_NAMESPACE = 1 << 9,
    FLAG_CONTEXT = 1 << 10,
};

struct flags {
    struct string_list filenames; /* as often as given */
    bool recursive;
    const char *output; /* table, json, yaml */
    const char *cloud;  /* azure, aws, arc */
    int64_t max_nodes;
    const char *fits;             /* NULL: not given */
    const char *catalogue_dir;    /* NULL: none */
    const char *from;             /* NULL: not given */
    int64_t weights_mib;          /* 0: not given */
    const char *namespace_;       /* NULL: not given */
    const char *context;          /* NULL: not given */
    struct string_list arguments; /* all that is no flag, in order */
};

enum { FLAGS_RUN = 0, FLAGS_HELP = 1 };

/* Reads argv[1...], as main() is given it; texts are borrowed from it. FLAGS_RUN; FLAGS_HELP when
 * --help was asked for; -1 with *err for a flag that is not in `accepted`, lacks its value or has
 * an illegal one. */
MUST_CHECK int flags_parse(unsigned accepted, int argc, char **argv, struct arena *arena,
                           struct flags *out, struct error *err);
void flags_help(unsigned accepted, FILE *out);
