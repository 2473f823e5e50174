#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/json/json.h"
#include "common/json/yaml.h"
#include "test/lib/literals.h"
#include "test/unit/cli/run.h"

#define WORKSPACE(version, machine, inference)                                         \
    "apiVersion: kaito.sh/" version "\nkind: Workspace\nmetadata: {name: chat}\n"      \
    "resource:\n  labelSelector: {matchLabels: {apps: chat}}\n" machine "inference:\n" \
    "  preset: {name: phi-4-mini-instruct}\n" inference "---\n"
#define ON_A100 "  instanceType: Standard_NC24ads_A100_v4\n"
#define ON_CPU  "  instanceType: Standard_D4s_v3\n"
#define GOOD    WORKSPACE("v1beta1", ON_A100, "")
#define BAD     WORKSPACE("v1beta1", ON_CPU, "")
#define OTHER   "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n---\n"
#define CONFIG(text)                                                   \
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: vllm}\ndata:\n" \
    "  inference_config.yaml: '" text "'\n---\n"
#define CONFIGURED WORKSPACE("v1beta1", ON_A100, "  config: vllm\n")

static void test_validate_examples(void **state)
{
    (void)state;
    AUTO(outcome) struct outcome outcome = RUN("", "validate", "-f", "deploy/examples");
    assert_int_equal(outcome.status, CLI_OK);
    assert_says(outcome.out, "deploy/examples/inference-phi-4-mini.yaml, document 1: Workspace "
                             "default/workspace-phi-4-mini: accepted\n  plan: 1 x Standard_");
    assert_says(outcome.out, "2 accepted, 0 refused, 0 skipped\n");
    assert_string_equal(outcome.err, "");
}

static void test_validate_names_the_document_and_the_way_out(void **state)
{
    (void)state;
    AUTO(outcome) struct outcome outcome = RUN(GOOD OTHER BAD, "validate", "-f", "-");
    assert_int_equal(outcome.status, CLI_REFUSED);
    assert_says(outcome.out, "standard input, document 2: Deployment default/web: skipped");
    assert_says(outcome.out, "standard input, document 3: Workspace default/chat: refused\n"
                             "  resource.instanceType: Invalid value: \"Standard_D4s_v3\"");
    assert_says(outcome.out, "that can run it: Standard_");
    assert_says(outcome.out, "1 accepted, 1 refused, 1 skipped\n");
}

static void test_validate_fails_where_nothing_can_be_judged(void **state)
{
    (void)state;
    AUTO(outcome) struct outcome none = RUN(OTHER, "validate", "-f", "-");
    assert_int_equal(none.status, CLI_FAILED);
    assert_says(none.err, "there is no Workspace");
    AUTO(outcome) struct outcome missing = RUN("", "validate", "-f", "does-not-exist.yaml");
    assert_int_equal(missing.status, CLI_FAILED);
    assert_says(missing.err, "error: does-not-exist.yaml: ");
    AUTO(outcome) struct outcome broken = RUN(BAD "a: [", "validate", "-f", "-");
    assert_int_equal(broken.status, CLI_FAILED);
    assert_says(broken.err, "error: standard input: invalid YAML at line");
}

static void test_validate_several_files_are_told_apart(void **state)
{
    (void)state;
    AUTO(outcome)
    struct outcome outcome = RUN(BAD, "validate", "-f", "deploy/examples/tuning-phi-3.yaml",
                                 "--filename=-", "-f", "deploy/crds");
    assert_int_equal(outcome.status, CLI_REFUSED);
    assert_says(outcome.out, "tuning-phi-3.yaml, document 1");
    assert_says(outcome.out, "standard input, document 1");
    assert_says(outcome.out, "1 accepted, 1 refused, 1 skipped\n");
}

static void test_validate_defaults_as_the_schema_does(void **state)
{
    (void)state;
    AUTO(outcome)
    struct outcome alpha = RUN(WORKSPACE("v1alpha1", "", ""), "validate", "-f", "-");
    assert_int_equal(alpha.status, CLI_OK);
    AUTO(json) cJSON *versions = json_from_file("deploy/crds/kaito.sh_workspaces.yaml");
    const char *schema = json_string_at(
        versions, "spec.versions[name=v1alpha1].schema.openAPIV3Schema.properties.resource."
                  "properties.instanceType.default");
    assert_says(alpha.out, schema);
    AUTO(outcome)
    struct outcome beta = RUN(WORKSPACE("v1beta1", "", ""), "validate", "-f", "-");
    assert_int_equal(beta.status, CLI_REFUSED);
    assert_says(beta.out, "resource.instanceType: Required value");
    AUTO(outcome)
    struct outcome later = RUN(WORKSPACE("v2", ON_A100, ""), "validate", "-f", "-");
    assert_int_equal(later.status, CLI_REFUSED);
    assert_says(later.out, "apiVersion: Unsupported value: \"kaito.sh/v2\"");
}

static void test_validate_looks_into_config_maps(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
        int status;
    } cases[] = {
        { CONFIGURED, "warning: inference.config: this ConfigMap is not among the files", CLI_OK },
        { CONFIGURED CONFIG("vllm: {max-model-len: 4096}"), "context 4096", CLI_OK },
        { CONFIG("vllm: [") CONFIGURED, "key inference_config.yaml: invalid YAML", CLI_REFUSED },
        { CONFIGURED CONFIG("vllm: {max-model-len: 999999999}"), "knows a context", CLI_REFUSED },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(outcome) struct outcome outcome = RUN(cases[i].text, "validate", "-f", "-");
        assert_says(outcome.out, cases[i].says);
        assert_int_equal(outcome.status, cases[i].status);
        assert_null(strstr(outcome.out, "skipped, only"));
    }
}

static void test_validate_for_programs(void **state)
{
    (void)state;
    AUTO(outcome)
    struct outcome json = RUN(GOOD OTHER BAD, "validate", "-f", "-", "-o", "json");
    AUTO(outcome)
    struct outcome yaml = RUN(GOOD OTHER BAD, "validate", "-f", "-", "-o", "yaml");
    AUTO(json) cJSON *tree = json_literal(json.out), *same = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(json.status, CLI_REFUSED);
    assert_int_equal(json_integer_at(tree, "accepted", -1), 1);
    assert_int_equal(json_integer_at(tree, "refused", -1), 1);
    assert_int_equal(json_integer_at(tree, "skipped", -1), 1);
    assert_int_equal(json_integer_at(tree, "results[2].document", -1), 3);
    assert_string_equal(json_string_at(tree, "results[1].verdict"), "skipped");
    assert_string_equal(json_string_at(tree, "results[2].problems[0].rule"),
                        "plan/machine-unknown");
    assert_int_equal(json_integer_at(tree, "results[0].plan.nodeCount", -1), 1);
    assert_null(json_at(tree, "results[2].plan"));
    assert_int_equal(yaml_to_json(yaml.out, strlen(yaml.out), &same, &err), 0);
    assert_true(json_equal(tree, same));
}

static void test_plan_shows_figures_and_alternatives(void **state)
{
    (void)state;
    AUTO(outcome) struct outcome outcome = RUN(GOOD, "plan", "-f", "-");
    assert_int_equal(outcome.status, CLI_OK);
    assert_says(outcome.out, "  plan: 1 x Standard_NC24ads_A100_v4");
    assert_says(outcome.out, "    model ");
    assert_says(outcome.out, "microsoft/Phi-4-mini-instruct\n");
    assert_says(outcome.out, "    weights ");
    assert_says(outcome.out, "  smallest that can run it: Standard_");
    assert_null(strstr(outcome.out, " \n"));
}

static void test_plan_of_other_clouds(void **state)
{
    (void)state;
    const char *aws = WORKSPACE("v1beta1", "  instanceType: p4d.24xlarge\n", "");
    AUTO(outcome) struct outcome good = RUN(aws, "plan", "-f", "-", "--cloud", "aws");
    assert_int_equal(good.status, CLI_OK);
    AUTO(outcome) struct outcome bad = RUN(aws, "plan", "-f", "-");
    assert_int_equal(bad.status, CLI_REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_validate_examples),
        cmocka_unit_test(test_validate_names_the_document_and_the_way_out),
        cmocka_unit_test(test_validate_fails_where_nothing_can_be_judged),
        cmocka_unit_test(test_validate_several_files_are_told_apart),
        cmocka_unit_test(test_validate_defaults_as_the_schema_does),
        cmocka_unit_test(test_validate_looks_into_config_maps),
        cmocka_unit_test(test_validate_for_programs),
        cmocka_unit_test(test_plan_shows_figures_and_alternatives),
        cmocka_unit_test(test_plan_of_other_clouds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
