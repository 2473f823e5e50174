/* kubectl-ckaito: what admission would say and what would be bought, without a cluster. The
 * commands share one struct cli; each has a file of its own and a row in the table of cli.c. */
#pragma once

#include <stdio.h>

#include "cli/flags.h"
#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/catalogue/catalogue.h"
#include "common/plan/plan.h"

enum cli_status {
    CLI_OK = 0,
    CLI_REFUSED = 1, /* a Workspace would not be admitted */
    CLI_FAILED = 2,  /* wrong flags, unreadable or unwritable files */
};

struct cli {
    FILE *in, *out, *err;
    struct arena *arena; /* lives as long as the command */
    struct flags flags;
    const struct catalogue *catalogue;
};

/* What `kubectl ckaito` does; the exit status. Reorders argv. Not thread-safe (getopt). */
int cli_main(int argc, char **argv, FILE *in, FILE *out, FILE *err);

/* What admission is told by the flags. */
struct plan_settings cli_settings(const struct cli *cli);
/* A model by name or alias; NULL with *err, which names the nearest. */
const struct model *cli_model(const struct cli *cli, const char *name, struct error *err);

/* All of a stream; TOO_LARGE beyond what `out` holds. */
MUST_CHECK int cli_read_stream(FILE *in, struct buf *out, struct error *err);

/* Each returns the exit status, or -1 with *err, which is then printed and exits 2. */
int command_validate(struct cli *cli, struct error *err);
int command_plan(struct cli *cli, struct error *err);
int command_models(struct cli *cli, struct error *err);
int command_machines(struct cli *cli, struct error *err);
int command_model_add(struct cli *cli, struct error *err);
int command_review(struct cli *cli, struct error *err);
int command_why(struct cli *cli, struct error *err);
