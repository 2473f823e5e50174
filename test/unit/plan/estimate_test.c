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

static void check_nodes(const struct model *model, const struct machine *machine, int64_t nodes)
{
    struct estimate estimate = estimate_vllm(model, machine, PLAN_CONTEXT_DEFAULT);
    bool data_parallel = nodes == -1;
    if (estimate.nodes != (data_parallel ? 1 : nodes))
        fail_msg("%s on %s: %lld nodes, not %lld", model->name, machine->name,
                 (long long)estimate.nodes, (long long)nodes);
    if (nodes == 0)
        return;
    int64_t gpus = machine->gpus.value;
    assert_int_equal(estimate.data_parallel, data_parallel ? gpus : 1);
    assert_int_equal(estimate.tensor_parallel, data_parallel ? 1 : gpus);
    assert_int_equal(estimate.pipeline_parallel, data_parallel ? 1 : nodes);
}

static void test_estimate_nodes_are_those_of_kaito(void **state)
{
    (void)state;
    for_every_pair(check_nodes, 60 * 57);
}

/* The context is the largest: it needs no more nodes, and a little more of it would. */
static void check_context(const struct model *model, const struct machine *machine, int64_t nodes)
{
    if (nodes <= 0 || machine_utilisation(machine) < 0.84)
        return;
    struct estimate estimate = estimate_vllm(model, machine, PLAN_CONTEXT_DEFAULT);
    assert_in_range(estimate.context_max, PLAN_CONTEXT_DEFAULT, model->context_max.value);
    assert_int_equal(estimate_vllm(model, machine, estimate.context_max - 1).nodes, nodes);
    if (estimate.context_max == model->context_max.value)
        return;
    int64_t more = estimate_vllm(model, machine, estimate.context_max + 2).nodes;
    if (more != 0 && more <= nodes)
        fail_msg("%s on %s: context %lld is not the largest", model->name, machine->name,
                 (long long)estimate.context_max);
}

static void test_estimate_context_is_the_largest(void **state)
{
    (void)state;
    for_every_pair(check_context, 60 * 57);
}

static struct estimate estimate_of(const char *model, const char *machine, int64_t context)
{
    return estimate_vllm(catalogue_model(catalogue_builtin(), model),
                         catalogue_machine(catalogue_builtin(), "azure", machine), context);
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

static void test_estimate_utilisation(void **state)
{
    (void)state;
    const struct catalogue *catalogue = catalogue_builtin();
    const struct machine *a10 = catalogue_machine(catalogue, "azure", "Standard_NV36ads_A10_v5");
    const struct machine *a10g = catalogue_machine(catalogue, "aws", "g5.xlarge");
    assert_string_equal(machine_utilisation_text(a10), "0.82");
    assert_true(machine_utilisation(a10) == 0.82);
    assert_string_equal(machine_utilisation_text(a10g), "0.84");
    assert_true(machine_utilisation(a10g) == 0.84);
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
        };
        const struct machine machine = {
            .gpus = { true, (i >> 3 & 1) != 0 ? 1024 : 1 },
            .memory_mib = { true, figures[i >> 4 & 1] },
        };
        struct estimate estimate = estimate_vllm(&model, &machine, JSON_INTEGER_MAX);
        assert_in_range(estimate.nodes, 0, ESTIMATE_NODES_MAX);
        estimate = estimate_vllm(&model, &machine, 1);
        assert_in_range(estimate.nodes, 0, ESTIMATE_NODES_MAX);
        if (estimate.nodes > 0)
            assert_in_range(estimate.context_max, 1, 1 << 30);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_estimate_nodes_are_those_of_kaito),
        cmocka_unit_test(test_estimate_context_is_the_largest),
        cmocka_unit_test(test_estimate_longer_context_needs_more),
        cmocka_unit_test(test_estimate_context_is_at_least_what_was_asked),
        cmocka_unit_test(test_estimate_context_of_a_replica),
        cmocka_unit_test(test_estimate_utilisation),
        cmocka_unit_test(test_estimate_tuning),
        cmocka_unit_test(test_estimate_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
