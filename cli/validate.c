/* kubectl ckaito validate: would these be admitted? */
#include "cli/report.h"

static void print_accepted(struct cli *cli, const struct judgement *judgement)
{
    const struct validation *validation = &judgement->validation;
    if (validation->planned)
        fprintf(cli->out, "%*splan: %s\n", REPORT_INDENT, "", validation->plan.summary);
    report_warnings(cli, judgement);
}

int command_validate(struct cli *cli, struct error *err)
{
    return report_run(cli, print_accepted, err);
}
