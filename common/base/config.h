/* Flags and environment from one table of rows, which also makes --help and docs/flags.md:
 *
 *     static const struct config_option options[] = {
 *         CONFIG_TEXT(struct webhook_config, listen, "listen", "0.0.0.0:9443", "ADDRESS", "help"),
 *         ...
 *     };
 *
 * Precedence: flag, then environment (CKAITO_ and the name in upper case, '-' as '_'), then
 * default. An unknown flag, a missing value or a value out of range is one clear line naming the
 * flag, what was given and what is legal. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/buf.h"
#include "common/base/error.h"

enum config_kind {
    CONFIG_KIND_TEXT,     /* const char *; borrowed from argv, environment or the table */
    CONFIG_KIND_INTEGER,  /* int64_t within [min, max] */
    CONFIG_KIND_DURATION, /* int64_t ms: 250ms, 3s, 5m, 1h; a bare number is refused */
    CONFIG_KIND_BOOL,     /* bool; --flag, --flag=true|false */
    CONFIG_KIND_CHOICE,   /* const char *, one of the words in `choices` ("azure|aws|arc") */
};

struct config_option {
    const char *name;
    enum config_kind kind;
    size_t offset;
    const char *fallback;
    const char *placeholder;
    const char *help;
    const char *choices;
    int64_t min, max;
};

#define CONFIG_TEXT(T, member, name_, fallback_, placeholder_, help_)             \
    {                                                                             \
        .name = (name_), .kind = CONFIG_KIND_TEXT, .offset = offsetof(T, member), \
        .fallback = (fallback_), .placeholder = (placeholder_), .help = (help_)   \
    }
#define CONFIG_INTEGER(T, member, name_, fallback_, min_, max_, help_)                             \
    {                                                                                              \
        .name = (name_), .kind = CONFIG_KIND_INTEGER, .offset = offsetof(T, member),               \
        .fallback = (fallback_), .placeholder = "N", .help = (help_), .min = (min_), .max = (max_) \
    }
#define CONFIG_DURATION(T, member, name_, fallback_, min_, max_, help_)                     \
    {                                                                                       \
        .name = (name_), .kind = CONFIG_KIND_DURATION, .offset = offsetof(T, member),       \
        .fallback = (fallback_), .placeholder = "DURATION", .help = (help_), .min = (min_), \
        .max = (max_)                                                                       \
    }
#define CONFIG_BOOL(T, member, name_, fallback_, help_)                           \
    {                                                                             \
        .name = (name_), .kind = CONFIG_KIND_BOOL, .offset = offsetof(T, member), \
        .fallback = (fallback_), .help = (help_)                                  \
    }
#define CONFIG_CHOICE(T, member, name_, fallback_, choices_, help_)                 \
    {                                                                               \
        .name = (name_), .kind = CONFIG_KIND_CHOICE, .offset = offsetof(T, member), \
        .fallback = (fallback_), .help = (help_), .choices = (choices_)             \
    }

struct config_table {
    const char *program;
    const char *summary; /* one sentence for --help */
    /* Groups of rows, each for one struct; ends with options == NULL. A name may occur in several
     * groups (the all-in-one binary): it then sets each. */
    struct config_group {
        const struct config_option *options;
        size_t count;
        void *target;
    } groups[8];
};

enum config_outcome { CONFIG_RUN = 0, CONFIG_EXIT = 1 };

/* CONFIG_RUN; CONFIG_EXIT after --help or --version was printed to `out`; -1 with *err. */
MUST_CHECK int config_parse(const struct config_table *table, int argc, char **argv, FILE *out,
                            struct error *err);
void config_help(const struct config_table *table, FILE *out);
void config_document(const struct config_table *table, struct buf *out); /* docs/flags.md section */
