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

static const struct catalogue *parse(void)
{
    const char *const texts[] = { models, machines };
    const struct catalogue *catalogue = NULL;
    struct error err = ERROR_INIT;
    if (catalogue_parse(texts, ARRAY_LEN(texts), &catalogue, &err) < 0)
        fail_msg("%s", err.message);
    return catalogue;
}

static const struct catalogue *parsed;

static int setup(void **state)
{
    (void)state;
    parsed = parse();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    catalogue_unref(parsed);
    return 0;
}

static void test_catalogue_finds_models(void **state)
{
    (void)state;
    static const char *const names[] = { "Org/Big-Model", "org/big-model", "big", "BIG", "large" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct model *model = catalogue_model(parsed, names[i]);
        if (model == NULL)
            fail_msg("%s: not found", names[i]);
        assert_string_equal(model->name, "Org/Big-Model");
    }
    static const char *const unknown[] = { "big-model", "Org/", "", "bigger", "org/big-model/" };
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
        if (catalogue_model(parsed, unknown[i]) != NULL)
            fail_msg("%s: found", unknown[i]);
    }
}

static void test_catalogue_reads_all_of_a_model(void **state)
{
    (void)state;
    const struct model *model = catalogue_model(parsed, "big");
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
    (void)state;
    assert_int_equal(catalogue_machine(parsed, "azure", "STANDARD_ONE")->gpus.value, 1);
    assert_int_equal(catalogue_machine(parsed, "aws", "Standard_One")->gpus.value, 4);
    assert_null(catalogue_machine(parsed, "aws", "Standard_Two"));
    assert_null(catalogue_machine(parsed, "arc", "Standard_One"));
    assert_null(catalogue_machine(parsed, "gcp", "Standard_One"));
    assert_null(catalogue_machine(parsed, "azure", ""));
}

static void test_catalogue_lists_machines_smallest_first(void **state)
{
    (void)state;
    static const char *const order[] = { "Standard_Red", "Standard_One", "Standard_Two",
                                         "Standard_Big" };
    size_t count;
    const struct machine *const *list = catalogue_machines(parsed, "azure", &count);
    assert_int_equal(count, ARRAY_LEN(order));
    for (size_t i = 0; i < count; i++)
        assert_string_equal(list[i]->name, order[i]);
    catalogue_machines(parsed, "arc", &count);
    assert_int_equal(count, 0);
    catalogue_machines(parsed, "gcp", &count);
    assert_int_equal(count, 0);
}

static void test_catalogue_machine_runs_cuda(void **state)
{
    (void)state;
    assert_true(machine_runs_cuda(catalogue_machine(parsed, "azure", "Standard_Two")));
    assert_true(machine_runs_cuda(catalogue_machine(parsed, "azure", "Standard_One")));
    assert_false(machine_runs_cuda(catalogue_machine(parsed, "azure", "Standard_Red")));
    assert_false(machine_runs_cuda(catalogue_machine(parsed, "aws", "standard_one")));
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
    const struct catalogue *catalogue = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(catalogue_parse(NULL, 0, &catalogue, &err), 0);
    assert_null(catalogue_model(catalogue, "big"));
    assert_null(catalogue_machine(catalogue, "azure", "Standard_One"));
    assert_null(catalogue_nearest_model(catalogue, "big"));
    assert_int_equal(catalogue_all(catalogue)->models.count, 0);
    catalogue_unref(catalogue);
}

#define MODEL(name, short_name, rest)                                                            \
    "models: [{ name: " name ", shortName: " short_name                                          \
    ", weightsMiB: 1, bytesPerToken: 1, contextMax: 1, diskGiB: 1, startupBudgetSeconds: 1" rest \
    " }]"
#define MACHINE_NAMED(name, cloud, more) \
    "machines: [{ name: " name ", cloud: " cloud ", gpus: 1, gpuMemoryMiB: " more " }]"
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
        const struct catalogue *catalogue = NULL;
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
        const struct catalogue *catalogue = NULL;
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
    const struct catalogue *catalogue = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(catalogue_parse(same_models, 2, &catalogue, &err), -1);
    assert_non_null(strstr(err.message, "is there twice"));
    assert_int_equal(catalogue_parse(same_machines, 2, &catalogue, &err), -1);
    assert_non_null(strstr(err.message, "is there twice"));
}

static const struct catalogue *extended(const struct catalogue *base, const char *text)
{
    const struct catalogue *catalogue = NULL;
    struct error err = ERROR_INIT;
    if (catalogue_extend(base, text, &catalogue, &err) < 0)
        fail_msg("%s", err.message);
    return catalogue;
}

static void test_catalogue_extend_adds(void **state)
{
    (void)state;
    AUTO(catalogue)
    const struct catalogue *more =
        extended(parsed, MODEL("new/Small", "small", ", aliases: [tiny]") "\n" MACHINE_NAMED(
                             "Standard_New", "azure", "1"));
    assert_string_equal(catalogue_model(more, "tiny")->name, "new/Small");
    assert_string_equal(catalogue_model(more, "big")->name, "Org/Big-Model");
    assert_non_null(catalogue_machine(more, "azure", "standard_new"));
    assert_non_null(catalogue_machine(more, "azure", "Standard_One"));
    assert_int_equal(catalogue_all(more)->models.count, 2);
    assert_int_equal(catalogue_all(more)->machines.count, 6);
    assert_null(catalogue_model(parsed, "tiny"));
}

static void test_catalogue_extend_replaces(void **state)
{
    (void)state;
    AUTO(catalogue)
    const struct catalogue *more =
        extended(parsed, MODEL("org/BIG-model", "big-model", "") "\n" MACHINE_NAMED("standard_ONE",
                                                                                    "azure", "7"));
    assert_int_equal(catalogue_all(more)->models.count, 1);
    assert_int_equal(catalogue_all(more)->machines.count, 5);
    assert_int_equal(catalogue_model(more, "Org/Big-Model")->weights_mib.value, 1);
    assert_null(catalogue_model(more, "big"));
    assert_int_equal(catalogue_machine(more, "azure", "Standard_One")->memory_mib.value, 7);
    assert_int_equal(catalogue_machine(more, "aws", "standard_one")->memory_mib.value, 400);
}

static void test_catalogue_extend_outlives_its_base(void **state)
{
    (void)state;
    const struct catalogue *base = parse();
    AUTO(catalogue)
    const struct catalogue *more = extended(base, MACHINE_NAMED("n", "aws", "1"));
    catalogue_unref(base);
    assert_string_equal(catalogue_model(more, "big")->name, "Org/Big-Model");
}

static void test_catalogue_extend_refuses(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        { MODEL("new/Small", "small", ", aliases: [BIG]"), "name or alias BIG is there twice" },
        { MACHINE_NAMED("n", "aws", "1, pricePerHour: 0"), "machine n: pricePerHour: must be" },
        { MACHINE_NAMED("n", "aws", "1, pricePerHour: cheap"), "machine n: pricePerHour: must be" },
        { MODEL("a/b", "b", ", memoryClass: huge"), "model a/b: memoryClass: must be dense" },
        { MODEL("a/b", "b", ", kvHeads: 0"), "model a/b: kvHeads: must be from 1" },
        { MODEL("a/b", "b", ", architectures: [LLamaForCausalLM]"),
          "the server cannot load LLamaForCausalLM; the nearest that it can: LlamaForCausalLM" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct catalogue *catalogue = NULL;
        struct error err = ERROR_INIT;
        if (catalogue_extend(parsed, table[i][0], &catalogue, &err) == 0)
            fail_msg("accepted: %s", table[i][0]);
        assert_null(catalogue);
        if (strstr(err.message, table[i][1]) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", err.message, table[i][1]);
    }
}

static void test_catalogue_price(void **state)
{
    (void)state;
    AUTO(catalogue)
    const struct catalogue *more =
        extended(parsed, MACHINE_NAMED("n", "aws", "1, pricePerHour: 3.67"));
    assert_true(machine_price(catalogue_machine(more, "aws", "n")) == 3.67);
    assert_true(machine_price(catalogue_machine(more, "aws", "standard_one")) == 0);
}

static void test_catalogue_memory_class_follows_from_the_architecture(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        { MODEL("a/b", "b", ""), "dense" },
        { MODEL("a/b", "b", ", architectures: [X, MixtralForCausalLM]"), "mixture-of-experts" },
        { MODEL("a/b", "b", ", architectures: [MixtralForCausalLM], memoryClass: dense"), "dense" },
        { MODEL("a/b", "b", ", architectures: [MiniCPMV]"), "multimodal" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        AUTO(catalogue) const struct catalogue *more = extended(parsed, table[i][0]);
        assert_string_equal(catalogue_model(more, "a/b")->memory_class, table[i][1]);
    }
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
        cmocka_unit_test_setup_teardown(test_catalogue_extend_adds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_catalogue_extend_replaces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_catalogue_extend_outlives_its_base, setup, teardown),
        cmocka_unit_test_setup_teardown(test_catalogue_extend_refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_catalogue_price, setup, teardown),
        cmocka_unit_test_setup_teardown(test_catalogue_memory_class_follows_from_the_architecture,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
