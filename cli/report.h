/* What `validate` and `plan` have in common: reads what the user names, judges each Workspace, and
 * prints in the format asked for. */
#pragma once

#include "cli/cli.h"
#include "cli/judge.h"

/* Prints what a person wants to know of an accepted Workspace, indented by REPORT_INDENT. */
typedef void report_accepted(struct cli *cli, const struct judgement *judgement);

enum { REPORT_INDENT = 2 };

/* The exit status: CLI_FAILED when something could not be read, else CLI_REFUSED when a Workspace
 * was refused. -1 when there is no Workspace at all. */
int report_run(struct cli *cli, report_accepted *accepted, struct error *err);

/* "warning: ..." lines. */
void report_warnings(struct cli *cli, const struct judgement *judgement);
/* A tree as json or yaml, whichever was asked for. */
void report_tree(struct cli *cli, const cJSON *tree);
