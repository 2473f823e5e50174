#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/json/json.h"
#include "common/plan/estimate.h"
#include "common/plan/plan.h"
#include "test/lib/literals.h"

/* nodes.json: what KAITO v0.12 needs of every machine for every model at a context of 2048 tokens.
 * 0: it does not fit; -1: one node, on which it runs data-parallel on each GPU. */
static const char nodes_path[] = "test/unit/plan/nodes.json";

static const struct machine *machine_named(const char *cloud_and_name)
{
    char cloud[16];
    const char *slash = strchr(cloud_and_name, '/');
    size_t length = (size_t)(slash - cloud_and_name);
    memcpy(cloud, cloud_and_name, length);
    cloud[length] = '\0';
    const struct machine *machine = catalogue_machine(catalogue_builtin(), cloud, slash + 1);
    if (machine == NULL)
        fail_msg("no machine %s", cloud_and_name);
    return machine;
}

typedef void check_fn(const struct model *model, const struct machine *machine, int64_t nodes);

static void for_every_pair(check_fn *check, int expected_pairs)
{
    AUTO(json) cJSON *json = json_from_file(nodes_path);
    const cJSON *machines = json_get(json, "machines");
    const cJSON *row;
    int pairs = 0;
    cJSON_ArrayForEach(row, json_get(json, "models")) {
        const struct model *model = catalogue_model(catalogue_builtin(), row->string);
        assert_non_null(model);
        const cJSON *name = machines->child, *nodes;
        cJSON_ArrayForEach(nodes, row) {
            check(model, machine_named(name->valuestring), (int64_t)nodes->valuedouble);
            name = name->next;
            pairs++;
        }
        assert_null(name);
    }
    assert_int_equal(pairs, expected_pairs);
}

static struct estimate usual(const struct model *model, const struct machine *machine)
{
    return estimate_vllm(model, machine, PLAN_CONTEXT_DEFAULT, 0);
}

/* Never more, and the same way of sharing a model out where there are as many. */
static void check_nodes(const struct model *model, const struct machine *machine, int64_t nodes)
{
    struct estimate estimate = usual(model, machine);
    bool data_parallel = nodes == -1;
    int64_t gpus = machine->gpus.value;
    if (nodes == 0 ? estimate.nodes != 0
                   : estimate.nodes < 1 || estimate.nodes > (data_parallel ? 1 : nodes))
        fail_msg("%s on %s: %lld nodes, not %lld", model->name, machine->name,
                 (long long)estimate.nodes, (long long)nodes);
    if (nodes == 0)
        return;
    assert_int_equal(estimate.data_parallel, data_parallel ? gpus : 1);
    assert_int_equal(estimate.tensor_parallel, data_parallel ? 1 : gpus);
    assert_int_equal(estimate.pipeline_parallel, estimate.nodes);
}

static void test_estimate_nodes_are_never_more_than_those_of_kaito(void **state)
{
    (void)state;
    for_every_pair(check_nodes, 60 * 57);
}

/* More than the usual share of the memory is asked for only where that is too little. */
static void check_utilisation(const struct model *model, const struct machine *machine,
                              int64_t nodes)
{
    struct estimate estimate = usual(model, machine);
    if (nodes == 0 || !machine_runs_cuda(machine))
        return;
    int percent = machine_utilisation_percent(machine);
    assert_true(estimate.utilisation_percent == percent || estimate.utilisation_percent == 93);
    assert_true(estimate.available < machine_memory_gib(machine) / (double)machine->gpus.value);
    if (estimate.utilisation_percent != percent)
        assert_true(estimate.needed > estimate.memory * percent / 100);
    if (estimate.nodes == 1)
        assert_true(estimate.needed <= estimate.available);
}

static void test_estimate_utilisation_is_what_is_needed(void **state)
{
    (void)state;
    for_every_pair(check_utilisation, 60 * 57);
}

/* The context is the largest: it needs no more nodes, and a little more of it would not fit. */
static void check_context(const struct model *model, const struct machine *machine, int64_t nodes)
{
    if (nodes == 0)
        return;
    struct estimate estimate = usual(model, machine);
    assert_in_range(estimate.context_max, PLAN_CONTEXT_DEFAULT, model->context_max.value);
    if (estimate.nodes != 1 || estimate.context_max == model->context_max.value)
        return;
    struct estimate same = estimate_vllm(model, machine, estimate.context_max, 0);
    struct estimate more = estimate_vllm(model, machine, estimate.context_max + 2, 0);
    assert_int_equal(same.nodes, 1);
    assert_int_equal(same.utilisation_percent, estimate.utilisation_percent);
    assert_int_equal(same.tensor_parallel, estimate.tensor_parallel);
    if (more.nodes == 1 && more.utilisation_percent == same.utilisation_percent &&
        more.tensor_parallel == same.tensor_parallel)
        fail_msg("%s on %s: context %lld is not the largest", model->name, machine->name,
                 (long long)estimate.context_max);
}

static void test_estimate_context_is_the_largest(void **state)
{
    (void)state;
    for_every_pair(check_context, 60 * 57);
}

/* ------------------------------------------------------------------ measurements */

static double number(const cJSON *row, const char *name)
{
    const cJSON *value = json_get(row, name);
    assert_true(cJSON_IsNumber(value));
    return value->valuedouble;
}

static const struct catalogue *catalogue_of(const cJSON *row, struct arena *arena)
{
    const char *name = json_string_at(row, "name"),
               *quantization = json_string_at(row, "quantization");
    char *short_name = arena_strdup(arena, strchr(name, '/') + 1);
    for (char *p = short_name; *p != '\0'; p++)
        *p = (char)tolower((unsigned char)*p);
    const char *text = arena_printf(
        arena,
        "models: [{ name: %s, shortName: %s, weightsMiB: %.0f, bytesPerToken: %.0f, kvHeads: %.0f, "
        "contextMax: 131072, diskGiB: 1, startupBudgetSeconds: 1, architectures: [%s]%s%s }]\n"
        "machines: [{ name: measured, cloud: azure, gpus: %.0f, gpuMemoryMiB: %.0f, "
        "gpuModel: NVIDIA H100 }]",
        name, short_name, number(row, "weightsMiB"), number(row, "bytesPerToken"),
        number(row, "kvHeads"), json_string_at(row, "architecture"),
        quantization != NULL ? ", quantization: " : "", quantization != NULL ? quantization : "",
        number(row, "gpus"), number(row, "gpus") * 80 * 1024);
    const struct catalogue *catalogue = NULL;
    struct error err = ERROR_INIT;
    if (catalogue_parse(&text, 1, &catalogue, &err) < 0)
        fail_msg("%s", err.message);
    return catalogue;
}

/* At most a sixth too much, and never too little. */
static void check_measured(const cJSON *row)
{
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(catalogue) const struct catalogue *catalogue = catalogue_of(row, &arena);
    const struct model *model = &catalogue_all(catalogue)->models.items[0];
    const struct machine *machine = catalogue_machine(catalogue, "azure", "measured");
    struct estimate estimate = usual(model, machine);
    bool fitted = number(row, "cacheLeft") > 0;
    double measured = number(row, "weights") + number(row, "activation") + number(row, "nonTorch") +
                      number(row, "graphs");
    double gpus = (double)(estimate.data_parallel > 1 ? 1 : machine->gpus.value);

    if ((estimate.nodes == 1) != fitted)
        fail_msg("%s on %lld GPUs: %lld nodes", model->name, (long long)machine->gpus.value,
                 (long long)estimate.nodes);
    /* Two small models, of which we would put one on each GPU, were measured on two. */
    if (!fitted || gpus < number(row, "gpus"))
        return;
    assert_true(estimate.weights >= number(row, "weights"));
    assert_true(estimate.activation >= number(row, "activation"));
    assert_true(estimate.non_torch >= number(row, "nonTorch"));
    assert_true(estimate.graphs >= number(row, "graphs"));
    assert_true(estimate.needed >= measured);
    assert_true(estimate.needed - estimate.cache <= measured * 7 / 6 + 1);
}

static void test_estimate_agrees_with_what_was_measured(void **state)
{
    (void)state;
    AUTO(json) cJSON *json = json_from_file("test/unit/plan/measured.json");
    const cJSON *row;
    int rows = 0;
    cJSON_ArrayForEach(row, json_get(json, "rows")) {
        check_measured(row);
        rows++;
    }
    assert_int_equal(rows, 9);
}

/* ------------------------------------------------------------------ cases */

static struct estimate estimate_of(const char *model, const char *machine, int64_t context)
{
    return estimate_vllm(catalogue_model(catalogue_builtin(), model),
                         catalogue_machine(catalogue_builtin(), "azure", machine), context, 0);
}

/* KAITO takes two for each. */
static void test_estimate_one_gpu_of_80_gib_is_enough(void **state)
{
    (void)state;
    static const char *const models[] = { "gpt-oss-120b", "qwen2.5-coder-32b-instruct" };
    for (size_t i = 0; i < ARRAY_LEN(models); i++) {
        struct estimate estimate = estimate_of(models[i], "Standard_NC24ads_A100_v4", 2048);
        assert_int_equal(estimate.nodes, 1);
        assert_int_equal(estimate.utilisation_percent, 93);
        assert_true(estimate.context_max >= 4 * 2048);
    }
}

static void test_estimate_longer_context_needs_more(void **state)
{
    (void)state;
    assert_int_equal(estimate_of("llama-3.3-70b-instruct", "Standard_NC48ads_A100_v4", 2048).nodes,
                     2);
    assert_int_equal(estimate_of("phi-3-mini-128k-instruct", "Standard_NV36ads_A10_v5", 2048).nodes,
                     1);
    assert_int_equal(
        estimate_of("phi-3-mini-128k-instruct", "Standard_NV36ads_A10_v5", 40 * 1024).nodes, 3);
    assert_int_equal(
        estimate_of("phi-3-mini-128k-instruct", "Standard_NV36ads_A10_v5", 131072).nodes, 0);
    assert_int_equal(
        estimate_of("phi-3-mini-128k-instruct", "Standard_NC24ads_A100_v4", 131072).nodes, 1);
}

static void test_estimate_context_is_at_least_what_was_asked(void **state)
{
    (void)state;
    struct estimate estimate =
        estimate_of("phi-3-mini-128k-instruct", "Standard_NV36ads_A10_v5", 40 * 1024);
    assert_true(estimate.context_max >= 40 * 1024);
}

/* A data-parallel replica has the room of one GPU, not of the node. */
static void test_estimate_context_of_a_replica(void **state)
{
    (void)state;
    struct estimate one = estimate_of("gemma-3-27b-instruct", "Standard_NC24ads_A100_v4", 2048);
    struct estimate eight = estimate_of("gemma-3-27b-instruct", "Standard_ND96amsr_A100_v4", 2048);
    assert_int_equal(eight.tensor_parallel, 8);
    assert_true(eight.context_max > one.context_max);

    one = estimate_of("phi-3-mini-128k-instruct", "Standard_NV36ads_A10_v5", 2048);
    struct estimate two = estimate_of("phi-3-mini-128k-instruct", "Standard_NV72ads_A10_v5", 2048);
    assert_int_equal(two.data_parallel, 2);
    assert_int_equal(two.context_max, one.context_max);
}

static void test_estimate_usual_utilisation(void **state)
{
    (void)state;
    const struct catalogue *catalogue = catalogue_builtin();
    assert_int_equal(machine_utilisation_percent(
                         catalogue_machine(catalogue, "azure", "Standard_NV36ads_A10_v5")),
                     82);
    assert_int_equal(machine_utilisation_percent(catalogue_machine(catalogue, "aws", "g5.xlarge")),
                     84);
}

/* Memory in which error correction lives shows a sixteenth less of itself. */
static void test_estimate_memory_the_server_sees(void **state)
{
    (void)state;
    assert_true(estimate_of("phi-4", "Standard_NC24ads_A100_v4", 2048).memory > 79.1);
    assert_true(estimate_of("phi-4", "Standard_NC24ads_A100_v4", 2048).memory < 79.2);
    assert_true(estimate_of("phi-4-mini-instruct", "Standard_NV36ads_A10_v5", 2048).memory < 22.5);
}

static void test_estimate_adapters_take_memory(void **state)
{
    (void)state;
    const struct model *model = catalogue_model(catalogue_builtin(), "gemma-3-27b-instruct");
    const struct machine *machine =
        catalogue_machine(catalogue_builtin(), "azure", "Standard_NC24ads_A100_v4");
    struct estimate none = estimate_vllm(model, machine, 2048, 0);
    struct estimate two = estimate_vllm(model, machine, 2048, 2);
    assert_true(none.adapters == 0);
    assert_true(two.adapters > 0.039 * two.weights && two.adapters < 0.041 * two.weights);
    assert_true(two.needed - none.needed > 0.039 * two.weights);
    assert_true(two.context_max < none.context_max);
}

/* Latent attention has one cache, which each GPU holds. */
static void test_estimate_cache_is_spread_over_the_heads(void **state)
{
    (void)state;
    struct estimate mla = estimate_of("deepseek-v3-0324", "Standard_ND96isr_H200_v5", 8192);
    struct estimate gqa = estimate_of("minimaxai/minimax-m2.7", "Standard_ND96isr_H200_v5", 8192);
    assert_int_equal((int64_t)(mla.cache * 1e6), (int64_t)(70272.0 * 8192 / 1073741824 * 1e6));
    assert_int_equal((int64_t)(gqa.cache * 1e6), (int64_t)(253952.0 * 8192 / 8 / 1073741824 * 1e6));
}

static void test_estimate_tuning(void **state)
{
    (void)state;
    static const struct {
        const char *model, *machine;
        bool fits;
    } table[] = {
        { "phi-3-mini-128k-instruct", "Standard_NC6s_v3", true },
        { "phi-4-mini-instruct", "Standard_NC64as_T4_v3", true },
        { "phi-3-medium-4k-instruct", "Standard_NV36ads_A10_v5", true },
        { "qwen2.5-coder-32b-instruct", "Standard_NV36ads_A10_v5", true },
        { "qwen2.5-coder-32b-instruct", "Standard_NC6s_v3", false },
        { "qwen2.5-coder-32b-instruct", "Standard_NC12s_v3", true },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (estimate_tuning_fits(
                catalogue_model(catalogue_builtin(), table[i].model),
                catalogue_machine(catalogue_builtin(), "azure", table[i].machine)) != table[i].fits)
            fail_msg("%s on %s", table[i].model, table[i].machine);
    }
}

/* The largest and smallest figures that the catalogue admits end in numbers, not in overflow. */
static void test_estimate_extremes(void **state)
{
    (void)state;
    const int64_t figures[] = { 1, 1 << 30 };
    for (unsigned i = 0; i < 1U << 5; i++) {
        const struct model model = {
            .weights_mib = { true, figures[i & 1] },
            .bytes_per_token = { true, figures[i >> 1 & 1] },
            .context_max = { true, figures[i >> 2 & 1] },
            .kv_heads = { true, figures[i >> 3 & 1] },
        };
        const struct machine machine = {
            .gpus = { true, (i >> 3 & 1) != 0 ? 1024 : 1 },
            .memory_mib = { true, figures[i >> 4 & 1] },
        };
        struct estimate estimate = estimate_vllm(&model, &machine, JSON_INTEGER_MAX, 10);
        assert_in_range(estimate.nodes, 0, ESTIMATE_NODES_MAX);
        estimate = estimate_vllm(&model, &machine, 1, 0);
        assert_in_range(estimate.nodes, 0, ESTIMATE_NODES_MAX);
        if (estimate.nodes > 0)
            assert_in_range(estimate.context_max, 1, 1 << 30);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_estimate_nodes_are_never_more_than_those_of_kaito),
        cmocka_unit_test(test_estimate_utilisation_is_what_is_needed),
        cmocka_unit_test(test_estimate_context_is_the_largest),
        cmocka_unit_test(test_estimate_agrees_with_what_was_measured),
        cmocka_unit_test(test_estimate_one_gpu_of_80_gib_is_enough),
        cmocka_unit_test(test_estimate_longer_context_needs_more),
        cmocka_unit_test(test_estimate_context_is_at_least_what_was_asked),
        cmocka_unit_test(test_estimate_context_of_a_replica),
        cmocka_unit_test(test_estimate_usual_utilisation),
        cmocka_unit_test(test_estimate_memory_the_server_sees),
        cmocka_unit_test(test_estimate_adapters_take_memory),
        cmocka_unit_test(test_estimate_cache_is_spread_over_the_heads),
        cmocka_unit_test(test_estimate_tuning),
        cmocka_unit_test(test_estimate_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
