#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/catalogue/catalogue.h"

static const char models[] = "models:\n"
                             "  - name: Org/Big-Model\n"
                             "    shortName: big-model\n"
                             "    aliases: [big, Large]\n"
                             "    weightsMiB: 1\n"
                             "    bytesPerToken: 2\n"
                             "    contextMax: 3\n"
                             "    diskGiB: 4\n"
                             "    startupBudgetSeconds: 5\n"
                             "    vllm: { dtype: auto, trust-remote-code: \"\" }\n"
                             "    deepGEMM: true\n"
                             "    tuning: { weightsTag: \"1.0\" }\n";

static const char machines[] =
    "machines:\n"
    "  - { name: Standard_Big, cloud: azure, gpus: 8, gpuMemoryMiB: 800, nvme: true }\n"
    "  - { name: Standard_Two, cloud: azure, gpus: 2, gpuMemoryMiB: 100 }\n"
    "  - { name: Standard_One, cloud: azure, gpus: 1, gpuMemoryMiB: 100, accelerator: cuda }\n"
    "  - { name: Standard_Red, cloud: azure, gpus: 1, gpuMemoryMiB: 50, accelerator: rocm }\n"
    "  - { name: standard_one, cloud: aws, gpus: 4, gpuMemoryMiB: 400, accelerator: neuron }\n";

static struct catalogue *parse(void)
{
    const char *const texts[] = { models, machines };
    struct catalogue *catalogue = NULL;
    struct error err = ERROR_INIT;
    if (catalogue_parse(texts, ARRAY_LEN(texts), &catalogue, &err) < 0)
        fail_msg("%s", err.message);
    return catalogue;
}

static int setup(void **state)
{
    *state = parse();
    return 0;
}

static int teardown(void **state)
{
    catalogue_free(*state);
    return 0;
}

static void test_catalogue_finds_models(void **state)
{
    static const char *const names[] = { "Org/Big-Model", "org/big-model", "big", "BIG", "large" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct model *model = catalogue_model(*state, names[i]);
        if (model == NULL)
            fail_msg("%s: not found", names[i]);
        assert_string_equal(model->name, "Org/Big-Model");
    }
    static const char *const unknown[] = { "big-model", "Org/", "", "bigger", "org/big-model/" };
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
        if (catalogue_model(*state, unknown[i]) != NULL)
            fail_msg("%s: found", unknown[i]);
    }
}

static void test_catalogue_reads_all_of_a_model(void **state)
{
    const struct model *model = catalogue_model(*state, "big");
    assert_string_equal(model->short_name, "big-model");
    assert_int_equal(model->weights_mib.value, 1);
    assert_int_equal(model->bytes_per_token.value, 2);
    assert_int_equal(model->context_max.value, 3);
    assert_int_equal(model->disk_gib.value, 4);
    assert_int_equal(model->startup_budget_s.value, 5);
    assert_string_equal(string_map_get(&model->vllm_parameters, "trust-remote-code"), "");
    assert_true(model->deep_gemm.value);
    assert_false(model->cuda_toolkit.value);
    assert_string_equal(model->tuning->weights_tag, "1.0");
    assert_null(model->transformers);
}

static void test_catalogue_finds_machines_of_the_cloud(void **state)
{
    assert_int_equal(catalogue_machine(*state, "azure", "STANDARD_ONE")->gpus.value, 1);
    assert_int_equal(catalogue_machine(*state, "aws", "Standard_One")->gpus.value, 4);
    assert_null(catalogue_machine(*state, "aws", "Standard_Two"));
    assert_null(catalogue_machine(*state, "arc", "Standard_One"));
    assert_null(catalogue_machine(*state, "gcp", "Standard_One"));
    assert_null(catalogue_machine(*state, "azure", ""));
}

static void test_catalogue_lists_machines_smallest_first(void **state)
{
    static const char *const order[] = { "Standard_Red", "Standard_One", "Standard_Two",
                                         "Standard_Big" };
    size_t count;
    const struct machine *const *list = catalogue_machines(*state, "azure", &count);
    assert_int_equal(count, ARRAY_LEN(order));
    for (size_t i = 0; i < count; i++)
        assert_string_equal(list[i]->name, order[i]);
    catalogue_machines(*state, "arc", &count);
    assert_int_equal(count, 0);
    catalogue_machines(*state, "gcp", &count);
    assert_int_equal(count, 0);
}

static void test_catalogue_machine_runs_cuda(void **state)
{
    assert_true(machine_runs_cuda(catalogue_machine(*state, "azure", "Standard_Two")));
    assert_true(machine_runs_cuda(catalogue_machine(*state, "azure", "Standard_One")));
    assert_false(machine_runs_cuda(catalogue_machine(*state, "azure", "Standard_Red")));
    assert_false(machine_runs_cuda(catalogue_machine(*state, "aws", "standard_one")));
}

static void test_catalogue_knows_clouds(void **state)
{
    (void)state;
    assert_true(catalogue_knows_cloud("azure"));
    assert_true(catalogue_knows_cloud("aws"));
    assert_true(catalogue_knows_cloud("arc"));
    assert_false(catalogue_knows_cloud("Azure"));
    assert_false(catalogue_knows_cloud("gcp"));
    assert_false(catalogue_knows_cloud(""));
}

static void test_catalogue_is_empty_without_texts(void **state)
{
    (void)state;
    struct catalogue *catalogue = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(catalogue_parse(NULL, 0, &catalogue, &err), 0);
    assert_null(catalogue_model(catalogue, "big"));
    assert_null(catalogue_machine(catalogue, "azure", "Standard_One"));
    assert_null(catalogue_nearest_model(catalogue, "big"));
    assert_int_equal(catalogue_all(catalogue)->models.count, 0);
    catalogue_free(catalogue);
}

#define MODEL(name, short_name, rest)                                                            \
    "models: [{ name: " name ", shortName: " short_name                                          \
    ", weightsMiB: 1, bytesPerToken: 1, contextMax: 1, diskGiB: 1, startupBudgetSeconds: 1" rest \
    " }]"
#define MACHINE(rest) "machines: [{ name: m" rest " }]"

static void test_catalogue_refuses(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        { "", "expected an object" },
        { "models: [", "invalid YAML at line 2" },
        { "models: {}", "models: Invalid value: expected a list" },
        { "models: [{ name: a/b }]", "models[0].shortName: Required value" },
        { MODEL("a/b", "b", ", aliases: x"), "models[0].aliases" },
        { MODEL("a", "a", ""), "model a: name: must be organisation/model" },
        { MODEL("a/", "a", ""), "model a/: name: must be organisation/model" },
        { MODEL("/a", "a", ""), "model /a: name: must be organisation/model" },
        { MODEL("a/B", "B", ""), "model a/B: shortName: must be the last part" },
        { MODEL("a/b", "c", ""), "model a/b: shortName: must be the last part" },
        { MODEL("a/b", "b", ", aliases: [\"\"]"), "model a/b: aliases: must not be empty" },
        { MODEL("a/b", "b", ", aliases: [x, X]"), "is there twice" },
        { MODEL("a/b", "b", ", aliases: [A/B]"), "is there twice" },
        { MODEL("a/b", "b", ", tuning: { diskGiB: 0 }"),
          "model a/b: tuning.diskGiB: must be from 1 to 1073741824, not 0" },
        { MACHINE(", cloud: azure, gpus: 1"), "machines[0].gpuMemoryMiB: Required value" },
        { MACHINE(", cloud: gcp, gpus: 1, gpuMemoryMiB: 1"),
          "machine m: cloud: must be azure, aws or arc, not gcp" },
        { MACHINE(", cloud: azure, gpus: 0, gpuMemoryMiB: 1"),
          "machine m: gpus: must be from 1 to 1024, not 0" },
        { MACHINE(", cloud: azure, gpus: 1025, gpuMemoryMiB: 1"), "not 1025" },
        { MACHINE(", cloud: azure, gpus: 1, gpuMemoryMiB: -1"),
          "machine m: gpuMemoryMiB: must be from 1 to 1073741824, not -1" },
        { MACHINE(", cloud: azure, gpus: 1, gpuMemoryMiB: 1, accelerator: tpu"),
          "machine m: accelerator: must be cuda, rocm or neuron, not tpu" },
        { "machines: [{ name: \"\", cloud: azure, gpus: 1, gpuMemoryMiB: 1 }]",
          "a machine has an empty name" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct catalogue *catalogue = NULL;
        struct error err = ERROR_INIT;
        if (catalogue_parse(&table[i][0], 1, &catalogue, &err) == 0)
            fail_msg("accepted: %s", table[i][0]);
        assert_null(catalogue);
        assert_int_equal(err.code, ERR_INVALID);
        if (strstr(err.message, table[i][1]) == NULL)
            fail_msg("%s: \"%s\" does not say \"%s\"", table[i][0], err.message, table[i][1]);
    }
}

static void test_catalogue_refuses_figures_out_of_range(void **state)
{
    (void)state;
    static const char *const members[] = { "weightsMiB", "bytesPerToken", "contextMax", "diskGiB",
                                           "startupBudgetSeconds" };
    static const char *const values[] = { "0", "-1", "1073741825" };
    for (size_t i = 0; i < ARRAY_LEN(members) * ARRAY_LEN(values); i++) {
        const char *member = members[i % ARRAY_LEN(members)];
        AUTO(arena) struct arena arena = ARENA_INIT;
        const char *text = "models: [{ name: a/b, shortName: b";
        for (size_t k = 0; k < ARRAY_LEN(members); k++)
            text = arena_printf(&arena, "%s, %s: %s", text, members[k],
                                members[k] == member ? values[i / ARRAY_LEN(members)] : "1");
        text = arena_printf(&arena, "%s }]", text);
        struct catalogue *catalogue = NULL;
        struct error err = ERROR_INIT;
        assert_int_equal(catalogue_parse(&text, 1, &catalogue, &err), -1);
        assert_non_null(strstr(err.message, member));
    }
}

/* A name may be there once only, in whichever text. */
static void test_catalogue_refuses_twins_of_other_texts(void **state)
{
    (void)state;
    const char *const same_models[] = { models, models };
    const char *const same_machines[] = { machines, machines };
    struct catalogue *catalogue = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(catalogue_parse(same_models, 2, &catalogue, &err), -1);
    assert_non_null(strstr(err.message, "is there twice"));
    assert_int_equal(catalogue_parse(same_machines, 2, &catalogue, &err), -1);
    assert_non_null(strstr(err.message, "is there twice"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_catalogue_finds_models, setup, teardown),
        cmocka_unit_test_setup_teardown(test_catalogue_reads_all_of_a_model, setup, teardown),
        cmocka_unit_test_setup_teardown(test_catalogue_finds_machines_of_the_cloud, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_catalogue_lists_machines_smallest_first, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_catalogue_machine_runs_cuda, setup, teardown),
        cmocka_unit_test(test_catalogue_knows_clouds),
        cmocka_unit_test(test_catalogue_is_empty_without_texts),
        cmocka_unit_test(test_catalogue_refuses),
        cmocka_unit_test(test_catalogue_refuses_figures_out_of_range),
        cmocka_unit_test(test_catalogue_refuses_twins_of_other_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
