/* kubectl ckaito plan: what would be bought for these, and why so much? */
#include "cli/plan_view.h"
#include "cli/report.h"

static void print_accepted(struct cli *cli, const struct judgement *judgement)
{
    const struct validation *validation = &judgement->validation;
    if (validation->planned) {
        const struct plan *plan = &validation->plan;
        struct arena *arena = validation->errors.arena;
        struct table table = { .arena = arena };
        const char *alternatives = plan_view_alternatives(plan, arena);
        plan_view_table(plan, &table);
        fprintf(cli->out, "%*splan: %s\n", REPORT_INDENT, "", plan->summary);
        table_print(&table, 2 * REPORT_INDENT, cli->out);
        if (alternatives != NULL)
            fprintf(cli->out, "%*s%s that can run it: %s\n", REPORT_INDENT, "",
                    plan->by_price ? "cheapest" : "smallest", alternatives);
    }
    report_warnings(cli, judgement);
}

int command_plan(struct cli *cli, struct error *err)
{
    return report_run(cli, print_accepted, err);
}
