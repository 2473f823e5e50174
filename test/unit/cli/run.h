/* Runs the command line as a user does, in this process, and keeps what it says. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "common/base/memory.h"

struct outcome {
    int status;
    char *out, *err;
};

static inline void outcome_fini(struct outcome *outcome)
{
    free(outcome->out);
    free(outcome->err);
}

DEFINE_CLEANUP(outcome, struct outcome, outcome_fini)

/* `words` are what follows the program's name, up to NULL; `input` may be empty. */
static inline struct outcome run_bytes(const char *input, size_t count, const char *const *words)
{
    char *argv[32] = { mem_strdup("kubectl-ckaito") };
    int argc = 1;
    for (; words[argc - 1] != NULL; argc++)
        argv[argc] = mem_strdup(words[argc - 1]);
    char *owned[32];
    memcpy(owned, argv, sizeof(owned)); /* getopt reorders */

    struct outcome outcome = { 0 };
    size_t out_bytes, err_bytes;
    FILE *in = tmpfile();
    FILE *out = open_memstream(&outcome.out, &out_bytes);
    FILE *err = open_memstream(&outcome.err, &err_bytes);
    fwrite(input, 1, count, in);
    rewind(in);
    outcome.status = cli_main(argc, argv, in, out, err);
    fclose(in);
    fclose(out);
    fclose(err);
    for (int i = 0; i < argc; i++)
        free(owned[i]);
    return outcome;
}

#define RUN(input, ...) \
    run_bytes((input), strlen(input), (const char *const[]){ __VA_ARGS__, NULL })

#define assert_says(text, part)                           \
    do {                                                  \
        if (strstr((text), (part)) == NULL)               \
            fail_msg("no \"%s\" in: %s", (part), (text)); \
    } while (0)
