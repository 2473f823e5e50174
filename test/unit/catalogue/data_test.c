/* The compiled-in data: every entry is checked against what can be derived, a few against what is
 * known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "common/catalogue/catalogue.h"
#include "common/json/json.h"
#include "test/lib/literals.h"

static const struct catalogue_data *data(void)
{
    return catalogue_all(catalogue_builtin());
}

static void test_data_builds_once(void **state)
{
    (void)state;
    assert_non_null(catalogue_builtin());
    assert_ptr_equal(catalogue_builtin(), catalogue_builtin());
}

static void test_data_has_all_models_and_machines(void **state)
{
    (void)state;
    size_t azure, aws, arc;
    catalogue_machines(catalogue_builtin(), "azure", &azure);
    catalogue_machines(catalogue_builtin(), "aws", &aws);
    catalogue_machines(catalogue_builtin(), "arc", &arc);
    assert_int_equal(data()->models.count, 60);
    assert_int_equal(azure, 24);
    assert_int_equal(aws, 35);
    assert_int_equal(arc, 8);
}

static void test_data_is_sorted(void **state)
{
    (void)state;
    for (size_t i = 1; i < data()->models.count; i++)
        assert_true(strcasecmp(data()->models.items[i - 1].name, data()->models.items[i].name) < 0);
    for (size_t i = 1; i < data()->machines.count; i++) {
        const struct machine *a = &data()->machines.items[i - 1], *b = a + 1;
        int clouds = strcmp(a->cloud, b->cloud);
        assert_true(clouds < 0 || (clouds == 0 && strcasecmp(a->name, b->name) < 0));
    }
}

static const struct codec_field *find_field(const struct codec_type *type, const char *name)
{
    for (size_t i = 0; i < type->field_count; i++) {
        if (strcmp(type->fields[i].name, name) == 0)
            return &type->fields[i];
    }
    return NULL;
}

/* A misspelt member would be left out without a word. */
static void check_members(const cJSON *json, const struct codec_type *type)
{
    const cJSON *member, *item;
    cJSON_ArrayForEach(member, json) {
        const struct codec_field *field = find_field(type, member->string);
        if (field == NULL)
            fail_msg("%s has no member %s", type->name, member->string);
        if (field->kind == CODEC_OBJECT)
            check_members(member, field->type());
        if (field->kind != CODEC_OBJECTS)
            continue;
        cJSON_ArrayForEach(item, member)
            check_members(item, field->type());
    }
}

static void test_data_has_no_unknown_members(void **state)
{
    (void)state;
    AUTO(json) cJSON *models = json_from_file("common/catalogue/models.yaml");
    AUTO(json) cJSON *machines = json_from_file("common/catalogue/machines.yaml");
    check_members(models, catalogue_data_type());
    check_members(machines, catalogue_data_type());
}

/* The rules at the head of models.yaml. The figures there come from sizes rounded to 0.01 GiB. */
static void test_data_derived_figures(void **state)
{
    (void)state;
    for (size_t i = 0; i < data()->models.count; i++) {
        const struct model *model = &data()->models.items[i];
        double gib = (double)model->weights_mib.value / 1024;
        double budget = 900 + 18 * gib;
        budget = budget < 1800 ? 1800 : budget > 10800 ? 10800 : budget;
        if (model->disk_gib.value < (int64_t)(gib + 79.98) ||
            model->disk_gib.value > (int64_t)(gib + 80.02))
            fail_msg("%s: diskGiB %lld", model->name, (long long)model->disk_gib.value);
        if ((double)model->startup_budget_s.value < budget - 1 ||
            (double)model->startup_budget_s.value > budget + 1)
            fail_msg("%s: startupBudgetSeconds %lld, not %f", model->name,
                     (long long)model->startup_budget_s.value, budget);
    }
}

static void test_data_models_have_what_the_server_needs(void **state)
{
    (void)state;
    for (size_t i = 0; i < data()->models.count; i++) {
        const struct model *model = &data()->models.items[i];
        const struct string_map *vllm = &model->vllm_parameters;
        assert_true(model->architectures.count > 0);
        assert_non_null(string_map_get(vllm, "load_format"));
        assert_non_null(string_map_get(vllm, "config_format"));
        assert_non_null(string_map_get(vllm, "tokenizer_mode"));
        assert_string_equal(string_map_get(vllm, "trust-remote-code"), "");
        assert_string_equal(string_map_get(vllm, "dtype"),
                            model->quantization != NULL ? "auto" : "bfloat16");
        assert_int_equal(string_map_get(vllm, "tool-call-parser") != NULL,
                         string_map_get(vllm, "enable-auto-tool-choice") != NULL);
        if (model->deep_gemm.value)
            assert_true(model->cuda_toolkit.value);
    }
}

static void test_data_recipes(void **state)
{
    (void)state;
    size_t tunable = 0, transformers = 0;
    for (size_t i = 0; i < data()->models.count; i++) {
        const struct model *model = &data()->models.items[i];
        if (model->transformers != NULL) {
            transformers++;
            assert_string_equal(string_map_get(&model->transformers->parameters, "pipeline"),
                                "text-generation");
        }
        if (model->tuning == NULL)
            continue;
        tunable++;
        assert_true(model->tuning->disk_gib.set);
        assert_non_null(model->tuning->weights_tag);
        assert_int_equal(model->tuning->target_modules != NULL,
                         strncmp(model->short_name, "phi-3", 5) == 0);
    }
    assert_int_equal(tunable, 10);
    assert_int_equal(transformers, 20);
}

static void test_data_model_of_the_tuning_example(void **state)
{
    (void)state;
    const struct model *model = catalogue_model(catalogue_builtin(), "phi-3-mini-128k-instruct");
    assert_string_equal(model->name, "microsoft/Phi-3-mini-128k-instruct");
    assert_int_equal(model->weights_mib.value, 7291);
    assert_int_equal(model->bytes_per_token.value, 393216);
    assert_int_equal(model->context_max.value, 131072);
    assert_int_equal(model->disk_gib.value, 87);
    assert_int_equal(model->tuning->disk_gib.value, 80);
    assert_string_equal(model->tuning->weights_tag, "0.2.0");
    assert_string_equal(model->tuning->target_modules,
                        "k_proj,q_proj,v_proj,o_proj,gate_proj,down_proj,up_proj");
}

/* Its image of weights has another name than the model. */
static void test_data_model_with_a_weights_name(void **state)
{
    (void)state;
    const struct model *model = catalogue_model(catalogue_builtin(), "mistral-7b");
    assert_string_equal(model->name, "mistralai/Mistral-7B-v0.3");
    assert_string_equal(model->tuning->weights_name, "mistral-7b");
    assert_null(catalogue_model(catalogue_builtin(), "mistral-7b-v0.3"));
}

static void test_data_aliases(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        { "phi-4", "microsoft/phi-4" },
        { "gemma-3-4b-instruct", "google/gemma-3-4b-it" },
        { "gpt-oss-120b", "openai/gpt-oss-120b" },
        { "mistral-large-3-675b-instruct", "mistralai/Mistral-Large-3-675B-Instruct-2512" },
        { "deepseek-ai/deepseek-v3.2", "deepseek-ai/DeepSeek-V3.2" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        assert_string_equal(catalogue_model(catalogue_builtin(), table[i][0])->name, table[i][1]);
    assert_null(catalogue_model(catalogue_builtin(), "phi-2"));
    assert_null(catalogue_model(catalogue_builtin(), "falcon-7b"));
    assert_null(catalogue_model(catalogue_builtin(), "base"));
}

static void test_data_accelerators(void **state)
{
    (void)state;
    for (size_t i = 0; i < data()->machines.count; i++) {
        const struct machine *machine = &data()->machines.items[i];
        assert_int_equal(machine_runs_cuda(machine),
                         strncmp(machine->gpu_model, "NVIDIA ", 7) == 0);
        assert_int_equal(machine->float16_only.value,
                         strcmp(machine->gpu_model, "NVIDIA V100") == 0 ||
                             strcmp(machine->gpu_model, "NVIDIA T4") == 0);
        assert_int_equal(machine->memory_mib.value % (machine->gpus.value * 1024), 0);
    }
}

static void test_data_nearest(void **state)
{
    (void)state;
    static const char *const models[][2] = {
        { "phi4", "phi-4" },
        { "phi-4-mini", "phi-4-mini-instruct" },
        { "microsoft/phi-4-mini-instrct", "microsoft/Phi-4-mini-instruct" },
        { "someone-else/gpt-oss-20b", "gpt-oss-20b" },
        { "mistral-7b-v0.3", "mistralai/Mistral-7B-v0.3" },
        { "qwen3-8b", "Qwen/Qwen3-8B-AWQ" },
        { "llama-3.1-8b", "llama-3.1-8b-instruct" },
    };
    static const char *const machines[][2] = {
        { "Standard_NC24ads_A100", "Standard_NC24ads_A100_v4" },
        { "NC24ads_A100_v4", "Standard_NC24ads_A100_v4" },
        { "standard_nc6s_v2", "Standard_NC6s_v3" },
        { "Standard_ND96isr_H100v5", "Standard_ND96isr_H100_v5" },
    };
    for (size_t i = 0; i < ARRAY_LEN(models); i++)
        assert_string_equal(catalogue_nearest_model(catalogue_builtin(), models[i][0]),
                            models[i][1]);
    for (size_t i = 0; i < ARRAY_LEN(machines); i++)
        assert_string_equal(catalogue_nearest_machine(catalogue_builtin(), "azure", machines[i][0]),
                            machines[i][1]);
    assert_null(catalogue_nearest_model(catalogue_builtin(), "no-such-model"));
    assert_null(catalogue_nearest_model(catalogue_builtin(), "base"));
    assert_null(catalogue_nearest_machine(catalogue_builtin(), "azure", "Standard_D4s_v3"));
    assert_null(catalogue_nearest_machine(catalogue_builtin(), "azure", "p4d.24xlarge"));
    assert_null(catalogue_nearest_machine(catalogue_builtin(), "gcp", "Standard_NC6s_v3"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data_builds_once),
        cmocka_unit_test(test_data_has_all_models_and_machines),
        cmocka_unit_test(test_data_is_sorted),
        cmocka_unit_test(test_data_has_no_unknown_members),
        cmocka_unit_test(test_data_derived_figures),
        cmocka_unit_test(test_data_models_have_what_the_server_needs),
        cmocka_unit_test(test_data_recipes),
        cmocka_unit_test(test_data_model_of_the_tuning_example),
        cmocka_unit_test(test_data_model_with_a_weights_name),
        cmocka_unit_test(test_data_aliases),
        cmocka_unit_test(test_data_accelerators),
        cmocka_unit_test(test_data_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
