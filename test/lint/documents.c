/* Prints one generated document (docs/causes.md, flags.md, metrics.md or rules.md) from the tables
 * in the code. */
#include "test/lint/documents.h"

#include <stdio.h>
#include <string.h>

#include "common/base/metrics.h"
#include "common/causes/causes.h"
#include "provisioner/provisioner.h"
#include "reconciler/reconciler.h"
#include "webhook/webhook.h"

static void print_flags(struct buf *out)
{
    struct webhook_config webhook;
    struct reconciler_config reconciler;
    struct provisioner_config provisioner;
    const struct config_table tables[] = {
        { .program = "ckaito-webhook",
          .summary = "Admission: defaults and validates Workspaces.",
          .groups = { { webhook_options, webhook_option_count, &webhook } } },
        { .program = "ckaito-reconciler",
          .summary = "Turns Workspaces into node demands, workloads and status.",
          .groups = { { reconciler_options, reconciler_option_count, &reconciler } } },
        { .program = "ckaito-provisioner",
          .summary = "Turns node demands into NodeClaims and nodes.",
          .groups = { { provisioner_options, provisioner_option_count, &provisioner } } },
    };
    for (size_t i = 0; i < ARRAY_LEN(tables); i++)
        config_document(&tables[i], out);
}

int main(int argc, char **argv)
{
    AUTO(buf) struct buf out = BUF_INIT(1024 * 1024);
    if (argc == 2 && strcmp(argv[1], "flags") == 0) {
        print_flags(&out);
    } else if (argc == 2 && strcmp(argv[1], "metrics") == 0) {
        metrics_document(&out);
    } else if (argc == 2 && strcmp(argv[1], "causes") == 0) {
        causes_document(&out);
    } else if (argc == 2 && strcmp(argv[1], "rules") == 0) {
        print_rules_document(&out);
    } else {
        fprintf(stderr, "usage: documents causes|flags|metrics|rules\n");
        return 2;
    }
    fputs(buf_text(&out), stdout);
    return buf_failed(&out) ? 1 : 0;
}
