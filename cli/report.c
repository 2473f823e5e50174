#include "cli/report.h"

#include <string.h>

#include "cli/plan_view.h"
#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "common/json/yaml_print.h"

enum { TREE_BYTES_MAX = 512 * 1024 * 1024 };

struct report {
    struct cli *cli;
    struct manifests manifests;
    report_accepted *accepted; /* table only */
    cJSON *results;            /* json and yaml only */
    size_t accepted_count, refused_count, skipped_count;
};

void report_tree(struct cli *cli, const cJSON *tree)
{
    if (strcmp(cli->flags.output, "yaml") == 0) {
        AUTO(buf) struct buf text = BUF_INIT(TREE_BYTES_MAX);
        yaml_print(tree, &text);
        fputs(buf_text(&text), cli->out);
        return;
    }
    AUTO_FREE char *text = json_print(tree);
    fprintf(cli->out, "%s\n", text);
}

/* ------------------------------------------------------------------ for people */

static const char *verdict_of(const struct judgement *judgement)
{
    return judgement->refused ? "refused" : "accepted";
}

static void print_head(struct cli *cli, const struct manifest *manifest, const char *verdict)
{
    fprintf(cli->out, "%s: %s %s/%s: %s\n", manifest_place(manifest, cli->arena), manifest->kind,
            manifest_namespace(manifest), manifest_name(manifest), verdict);
}

void report_warnings(struct cli *cli, const struct judgement *judgement)
{
    const struct field_errors *warnings = &judgement->validation.warnings;
    for (size_t i = 0; i < warnings->count; i++) {
        const struct field_error *warning = &warnings->items[i];
        fprintf(cli->out, "%*swarning: %s: %s%s%s\n", REPORT_INDENT, "", warning->path,
                warning->detail, warning->fix != NULL ? "; " : "",
                warning->fix != NULL ? warning->fix : "");
    }
}

static void print_problems(struct cli *cli, const struct field_errors *errors)
{
    for (size_t i = 0; i < errors->count; i++)
        fprintf(cli->out, "%*s%s\n", REPORT_INDENT, "",
                field_error_text(&errors->items[i], errors->arena));
    if (errors->dropped > 0)
        fprintf(cli->out, "%*sand %zu more\n", REPORT_INDENT, "", errors->dropped);
}

static void print_judgement(struct report *report, const struct judgement *judgement)
{
    print_head(report->cli, judgement->manifest, verdict_of(judgement));
    if (!judgement->refused) {
        report->accepted(report->cli, judgement);
        return;
    }
    print_problems(report->cli, &judgement->validation.errors);
    report_warnings(report->cli, judgement);
}

/* ------------------------------------------------------------------ for programs */

static cJSON *problem_json(const struct field_error *problem, struct arena *arena)
{
    return JOBJ(JS("path", problem->path), JS("value", problem->value),
                JS("detail", problem->detail), JS("fix", problem->fix), JS("rule", problem->rule),
                JS("message", field_error_text(problem, arena)));
}

static cJSON *problems_json(const struct field_errors *problems)
{
    cJSON *list = json_new_array();
    for (size_t i = 0; i < problems->count; i++)
        json_append(list, problem_json(&problems->items[i], problems->arena));
    return list;
}

static cJSON *result_json(const struct manifest *manifest, const char *verdict)
{
    return JOBJ(JS("file", manifest->file), JI("document", (int64_t)manifest->document),
                JS("kind", manifest->kind), JS("namespace", manifest_namespace(manifest)),
                JS("name", manifest_name(manifest)), JS("verdict", verdict));
}

static void append_judgement(struct report *report, const struct judgement *judgement)
{
    const struct validation *validation = &judgement->validation;
    cJSON *result = result_json(judgement->manifest, verdict_of(judgement));
    json_set(result, "problems", problems_json(&validation->errors));
    json_set(result, "warnings", problems_json(&validation->warnings));
    if (validation->planned && !judgement->refused)
        json_set(result, "plan", plan_view_json(&validation->plan));
    json_append(report->results, result);
}

static void print_results(struct report *report)
{
    AUTO(json)
    cJSON *tree =
        JOBJ(JI("accepted", (int64_t)report->accepted_count),
             JI("refused", (int64_t)report->refused_count),
             JI("skipped", (int64_t)report->skipped_count), JV("results", STEAL(report->results)));
    report_tree(report->cli, tree);
}

/* ------------------------------------------------------------------ the run */

static void judge_one(struct report *report, const struct manifest *manifest)
{
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(judgement) struct judgement judgement;
    struct plan_settings settings = cli_settings(report->cli);
    judge(&report->manifests, manifest, &settings, &arena, &judgement);
    report->refused_count += judgement.refused;
    report->accepted_count += !judgement.refused;
    if (report->results != NULL)
        append_judgement(report, &judgement);
    else
        print_judgement(report, &judgement);
}

/* ConfigMaps are looked at with the Workspaces that name them. */
static void skip(struct report *report, const struct manifest *manifest)
{
    if (strcmp(manifest->kind, "ConfigMap") == 0)
        return;
    report->skipped_count++;
    if (report->results != NULL)
        json_append(report->results, result_json(manifest, "skipped"));
    else
        print_head(report->cli, manifest, "skipped, only Workspaces are judged");
}

static void judge_all(struct report *report)
{
    for (size_t i = 0; i < report->manifests.count; i++) {
        const struct manifest *manifest = &report->manifests.items[i];
        if (manifest_is_workspace(manifest))
            judge_one(report, manifest);
        else
            skip(report, manifest);
    }
    if (report->results != NULL)
        print_results(report);
    else
        fprintf(report->cli->out, "%zu accepted, %zu refused, %zu skipped\n",
                report->accepted_count, report->refused_count, report->skipped_count);
}

static int finish(const struct report *report, struct error *err)
{
    const struct string_list *failures = &report->manifests.failures;
    for (size_t i = 0; i < failures->count; i++)
        fprintf(report->cli->err, "error: %s\n", failures->items[i]);
    if (failures->count > 0)
        return CLI_FAILED;
    if (report->accepted_count + report->refused_count == 0)
        return error_set(err, ERR_INVALID,
                         "there is no Workspace in what -f names: name a file with kind: "
                         "Workspace and apiVersion: " WORKSPACE_API_VERSION
                         ", or a folder with -R");
    return report->refused_count > 0 ? CLI_REFUSED : CLI_OK;
}

int report_run(struct cli *cli, report_accepted *accepted, struct error *err)
{
    if (cli->flags.filenames.count == 0)
        return error_set(err, ERR_INVALID, "what is to be read? write -f FILE, -f FOLDER or -f -");
    struct report report = { .cli = cli, .accepted = accepted };
    if (strcmp(cli->flags.output, "table") != 0)
        report.results = json_new_array();
    manifests_read(&cli->flags.filenames, cli->flags.recursive, cli->in, cli->arena,
                   &report.manifests);
    judge_all(&report);
    int status = finish(&report, err);
    manifests_fini(&report.manifests);
    return status;
}
