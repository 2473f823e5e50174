#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/catalogue/catalogue.h"
#include "common/json/json.h"
#include "test/lib/literals.h"
#include "test/lib/tls_dir.h"
#include "test/unit/cli/run.h"

static size_t count_lines(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++)
        count += *text == '\n';
    return count;
}

static void test_models_lists_all(void **state)
{
    (void)state;
    AUTO(outcome) struct outcome outcome = RUN("", "models");
    assert_int_equal(outcome.status, CLI_OK);
    assert_memory_equal(outcome.out, "NAME ", 5);
    assert_int_equal(count_lines(outcome.out),
                     1 + catalogue_all(catalogue_builtin())->models.count);
}

static void test_models_shows_one(void **state)
{
    (void)state;
    AUTO(outcome) struct outcome outcome = RUN("", "models", "PHI-4-mini-instruct");
    assert_int_equal(count_lines(outcome.out), 2);
    assert_says(outcome.out, "microsoft/Phi-4-mini-instruct ");
    AUTO(outcome) struct outcome unknown = RUN("", "models", "phi-4-mini-instrcut");
    assert_int_equal(unknown.status, CLI_FAILED);
    assert_says(unknown.err, "did you mean phi-4-mini-instruct?");
}

/* What is printed can be put into a file of the catalogue. */
static void test_models_as_yaml_is_a_catalogue(void **state)
{
    (void)state;
    AUTO(outcome) struct outcome outcome = RUN("", "models", "phi-4", "-o", "yaml");
    const char *text = outcome.out;
    AUTO(catalogue) const struct catalogue *catalogue = NULL;
    struct error err = ERROR_INIT;
    if (catalogue_parse(&text, 1, &catalogue, &err) < 0)
        fail_msg("%s", err.message);
    assert_non_null(catalogue_model(catalogue, "phi-4"));
}

static void test_machines_of_a_cloud(void **state)
{
    (void)state;
    AUTO(outcome) struct outcome azure = RUN("", "machines");
    assert_says(azure.out, "Standard_NC24ads_A100_v4 ");
    assert_says(azure.out, "float16: tuning and transformers only");
    assert_null(strstr(azure.out, "p4d.24xlarge"));
    AUTO(outcome) struct outcome aws = RUN("", "machines", "--cloud", "aws");
    assert_says(aws.out, "p4d.24xlarge ");
}

static void test_machines_that_fit(void **state)
{
    (void)state;
    AUTO(outcome)
    struct outcome outcome = RUN("", "machines", "--fits", "llama-3.3-70b-instruct", "-o", "json");
    AUTO(json) cJSON *tree = json_literal(outcome.out);
    assert_int_equal(outcome.status, CLI_OK);
    const cJSON *machine;
    cJSON_ArrayForEach(machine, json_get(tree, "machines")) {
        assert_true(json_integer_at(machine, "plan.nodeCount", 0) > 0);
        assert_string_not_equal(json_string_at(machine, "name"), "Standard_NC6s_v3");
    }
    AUTO(outcome)
    struct outcome few =
        RUN("", "machines", "--fits", "llama-3.3-70b-instruct", "--max-nodes", "1");
    AUTO(outcome) struct outcome many = RUN("", "machines", "--fits", "llama-3.3-70b-instruct");
    assert_true(count_lines(few.out) > 1);
    assert_true(count_lines(few.out) < count_lines(many.out));
}

/* ------------------------------------------------------------------ models of one's own */

#define CONFIG                                                                                 \
    "{\"architectures\":[\"LlamaForCausalLM\"],\"hidden_size\":2048,\"num_hidden_layers\":16," \
    "\"num_attention_heads\":32,\"num_key_value_heads\":8,\"intermediate_size\":8192,"         \
    "\"vocab_size\":128256,\"max_position_embeddings\":8192,\"tie_word_embeddings\":true}"
#define SERVES_IT                                                                             \
    "apiVersion: kaito.sh/v1beta1\nkind: Workspace\nmetadata: {name: own}\nresource:\n"       \
    "  instanceType: Standard_NC24ads_A100_v4\n  labelSelector: {matchLabels: {apps: own}}\n" \
    "inference: {preset: {name: Acme/Tiny-1B}}\n"

static void test_model_add_prints_an_entry(void **state)
{
    (void)state;
    AUTO(outcome)
    struct outcome outcome =
        RUN(CONFIG, "model", "add", "Acme/Tiny-1B", "--from", "-", "--weights-gib", "2.5");
    assert_int_equal(outcome.status, CLI_OK);
    assert_says(outcome.out, "name: Acme/Tiny-1B\n");
    assert_says(outcome.out, "weightsMiB: 2560\n");
    assert_string_equal(outcome.err, "");
    AUTO(outcome)
    struct outcome counted = RUN(CONFIG, "model", "add", "Acme/Tiny-1B", "--from", "-");
    assert_int_equal(counted.status, CLI_OK);
    assert_says(counted.err, "note: the weights");
}

static void test_model_add_makes_it_known(void **state)
{
    (void)state;
    AUTO_FREE char *dir = test_dir_new();
    AUTO(outcome) struct outcome unknown = RUN(SERVES_IT, "validate", "-f", "-");
    assert_int_equal(unknown.status, CLI_REFUSED);
    AUTO(outcome)
    struct outcome added =
        RUN(CONFIG, "model", "add", "Acme/Tiny-1B", "--from", "-", "--catalogue-dir", dir);
    assert_int_equal(added.status, CLI_OK);
    assert_says(added.out, "/tiny-1b.yaml: Acme/Tiny-1B added\n");
    AUTO(outcome)
    struct outcome known = RUN(SERVES_IT, "validate", "-f", "-", "--catalogue-dir", dir);
    assert_int_equal(known.status, CLI_OK);
    test_dir_remove(dir);
}

static void test_model_add_says_what_is_missing(void **state)
{
    (void)state;
    static const struct {
        const char *words[8], *says;
    } cases[] = {
        { { "model", "add" }, "ORG/NAME --from FILE is missing" },
        { { "model", "add", "Acme/Tiny-1B" }, "--from is missing" },
        { { "model", "add", "tiny", "--from", "-" }, "write organisation/model" },
        { { "model", "add", "A/B", "--from", "no-such-file" }, "cannot read no-such-file" },
        { { "model", "add", "A/B", "--from", "-", "--weights-gib", "-1" }, "is not legal" },
        { { "model", "add", "A/B", "--from", "-", "--weights-gib", "nan" }, "is not legal" },
        { { "model", "remove" }, "unknown command \"model\"; did you mean models?" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(outcome) struct outcome outcome = run_bytes(CONFIG, strlen(CONFIG), cases[i].words);
        assert_int_equal(outcome.status, CLI_FAILED);
        assert_says(outcome.err, cases[i].says);
    }
}

static void test_catalogue_dir_names_the_file_that_is_wrong(void **state)
{
    (void)state;
    AUTO_FREE char *dir = test_dir_new();
    test_file_write(dir, "a.yaml",
                    "machines:\n  - {name: Own_1, cloud: azure, gpus: 1, "
                    "gpuMemoryMiB: 81920}\n");
    AUTO(outcome) struct outcome good = RUN("", "machines", "--catalogue-dir", dir);
    assert_int_equal(good.status, CLI_OK);
    assert_says(good.out, "Own_1 ");
    test_file_write(dir, "b.yaml", "machines:\n  - {name: Own_2, cloud: moon}\n");
    AUTO(outcome) struct outcome bad = RUN("", "machines", "--catalogue-dir", dir);
    assert_int_equal(bad.status, CLI_FAILED);
    assert_says(bad.err, "/b.yaml: ");
    test_dir_remove(dir);
    AUTO(outcome) struct outcome none = RUN("", "machines", "--catalogue-dir", dir);
    assert_int_equal(none.status, CLI_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_models_lists_all),
        cmocka_unit_test(test_models_shows_one),
        cmocka_unit_test(test_models_as_yaml_is_a_catalogue),
        cmocka_unit_test(test_machines_of_a_cloud),
        cmocka_unit_test(test_machines_that_fit),
        cmocka_unit_test(test_model_add_prints_an_entry),
        cmocka_unit_test(test_model_add_makes_it_known),
        cmocka_unit_test(test_model_add_says_what_is_missing),
        cmocka_unit_test(test_catalogue_dir_names_the_file_that_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
