#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/json/json.h"
#include "common/plan/plan.h"
#include "test/lib/literals.h"

enum { NODES_MAX = 8 };

/* One planned Workspace and all that it borrows from. */
struct planned {
    struct arena arena;
    cJSON *json;
    struct workspace ws;
    struct field_errors problems;
    struct plan plan;
    int result;
};

static void planned_fini(struct planned *planned)
{
    json_free(planned->json);
    arena_fini(&planned->arena);
}

DEFINE_CLEANUP(planned, struct planned, planned_fini)

static void make_with(struct planned *out, const struct plan_settings *settings, const char *text)
{
    *out = (struct planned){ .json = json_literal(text) };
    out->ws = workspace_of(out->json, &out->arena);
    field_errors_init(&out->problems, &out->arena);
    out->result = plan_make(&out->ws, settings, &out->arena, &out->plan, &out->problems);
    assert_int_equal(out->result, out->problems.count == 0 ? 0 : -1);
}

static struct plan_settings settings_of(const char *cloud)
{
    return (struct plan_settings){ .catalogue = catalogue_builtin(),
                                   .cloud = cloud,
                                   .nodes_max = NODES_MAX };
}

static void make(struct planned *out, const char *text)
{
    const struct plan_settings settings = settings_of("azure");
    make_with(out, &settings, text);
}

#define METADATA(annotations) "\"metadata\":{\"name\":\"w\",\"annotations\":{" annotations "}},"
#define RESOURCE(type, more) \
    "\"resource\":{\"instanceType\":\"" type "\"" more ",\"labelSelector\":{}},"
#define SERVE(model) "\"inference\":{\"preset\":{\"name\":\"" model "\"}}"
#define TEMPLATE     "\"inference\":{\"template\":{\"spec\":{}}}"
#define TUNE(model, method)                                                \
    "\"tuning\":{\"preset\":{\"name\":\"" model "\"},\"method\":\"" method \
    "\",\"input\":{},\"output\":{}}"
#define TRANSFORMERS  "\"kaito.sh/runtime\":\"transformers\""
#define BYPASS(value) "\"kaito.sh/bypass-resource-checks\":\"" value "\""

static void test_plan_of_the_inference_example(void **state)
{
    (void)state;
    AUTO(planned) struct planned p;
    make(&p, "{" RESOURCE("standard_nc24ads_a100_v4", "") SERVE("phi-4-mini-instruct") "}");
    assert_int_equal(p.result, 0);
    assert_int_equal(p.plan.workload, PLAN_INFERENCE_PRESET);
    assert_int_equal(p.plan.runtime, RUNTIME_VLLM);
    assert_string_equal(p.plan.model->name, "microsoft/Phi-4-mini-instruct");
    assert_string_equal(p.plan.instance_type, "Standard_NC24ads_A100_v4");
    assert_int_equal(p.plan.node_count, 1);
    assert_int_equal(p.plan.gpus_per_node, 1);
    assert_int_equal(p.plan.tensor_parallel, 1);
    assert_int_equal(p.plan.pipeline_parallel, 1);
    assert_int_equal(p.plan.data_parallel, 1);
    assert_int_equal(p.plan.disk_gib, 87);
    assert_int_equal(p.plan.context_length, 131072);
    assert_string_equal(p.plan.utilisation, "0.84");
    assert_int_equal(p.plan.startup_budget_s, 1800);
    assert_string_equal(p.plan.summary, "1 x Standard_NC24ads_A100_v4, 7.2 of 67 GiB weights, "
                                        "context 131072, up to 30 min to ready");
}

static void test_plan_of_the_tuning_example(void **state)
{
    (void)state;
    AUTO(planned) struct planned p;
    make(&p, "{" RESOURCE("Standard_NC6s_v3", "") TUNE("phi-3-mini-128k-instruct", "qlora") "}");
    assert_int_equal(p.result, 0);
    assert_int_equal(p.plan.workload, PLAN_TUNING);
    assert_int_equal(p.plan.node_count, 1);
    assert_int_equal(p.plan.gpus_per_node, 1);
    assert_int_equal(p.plan.disk_gib, PLAN_DISK_DEFAULT_GIB);
    assert_int_equal(p.plan.context_length, 0);
    assert_string_equal(p.plan.summary,
                        "1 x Standard_NC6s_v3, qlora, 1.8 of 16 GiB weights, float16 because its "
                        "NVIDIA V100 has no bfloat16, up to 30 min to start");
}

/* Accepted Workspaces and what they come to, on azure. */
static void test_plan_summaries(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        { "{" RESOURCE("Standard_NC48ads_A100_v4", "") SERVE("llama-3.3-70b-instruct") "}",
          "2 x Standard_NC48ads_A100_v4, 65.7 of 133 GiB weights each, context 131072, tensor "
          "parallel 2, pipeline parallel 2, up to 55 min to ready" },
        { "{" RESOURCE("Standard_ND96isr_H100_v5", "") SERVE("Qwen/Qwen3.5-4B") "}",
          "1 x Standard_ND96isr_H100_v5, 69.4 of 532 GiB weights, context 262144, data parallel "
          "8, up to 30 min to ready" },
        { "{" RESOURCE("Standard_NC24ads_A100_v4", ",\"count\":4") SERVE("phi-4") "}",
          "1 x Standard_NC24ads_A100_v4, 27.3 of 67 GiB weights, context 16384, up to 30 min to "
          "ready" },
        { "{" METADATA(TRANSFORMERS) RESOURCE("Standard_NC24ads_A100_v4", ",\"count\":2")
              SERVE("phi-4") "}",
          "2 x Standard_NC24ads_A100_v4, 27.3 of 80 GiB weights each, transformers, up to 30 min "
          "to ready" },
        { "{" METADATA(TRANSFORMERS) RESOURCE("Standard_NC12s_v3", "") SERVE("phi-4") "}",
          "1 x Standard_NC12s_v3, 27.3 of 32 GiB weights, transformers, float16 because its "
          "NVIDIA V100 has no bfloat16, up to 30 min to ready" },
        { "{" RESOURCE("Standard_NV72ads_A10_v5", "")
              TUNE("qwen2.5-coder-32b-instruct", "LoRA") "}",
          "1 x Standard_NV72ads_A10_v5, lora, 61.0 of 48 GiB weights (may run out of GPU memory), "
          "up to 34 min to start" },
        { "{" RESOURCE("Standard_D4s_v3", ",\"count\":3") TEMPLATE "}",
          "3 x Standard_D4s_v3, own pod template" },
        { "{" RESOURCE("Standard_NG32ads_V620_v1", "") TEMPLATE "}",
          "1 x Standard_NG32ads_V620_v1, own pod template" },
        { "{\"resource\":{\"labelSelector\":{},\"count\":2}," TEMPLATE "}",
          "2 x existing node, own pod template" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        AUTO(planned) struct planned p;
        make(&p, table[i][0]);
        if (p.result < 0)
            fail_msg("%s: %s", table[i][0], field_errors_text(&p.problems));
        assert_string_equal(p.plan.summary, table[i][1]);
    }
}

/* Refused Workspaces: the one problem, as a person reads it, and its rule. */
static void test_plan_problems(void **state)
{
    (void)state;
    static const char *const table[][3] = {
        { "{" RESOURCE("Standard_D4s_v3", "") SERVE("phi-4-mini-instruct") "}",
          "plan/machine-unknown",
          "resource.instanceType: Invalid value: \"Standard_D4s_v3\": not a known GPU machine of "
          "azure; the smallest that can run it: Standard_NV36ads_A10_v5, Standard_NV72ads_A10_v5, "
          "Standard_NC24ads_A100_v4" },
        { "{" RESOURCE("Standard_NC24ads_A100_v5", "") SERVE("phi-4-mini-instruct") "}",
          "plan/machine-unknown",
          "resource.instanceType: Invalid value: \"Standard_NC24ads_A100_v5\": not a known GPU "
          "machine of azure; did you mean Standard_NC24ads_A100_v4? the smallest that can run it: "
          "Standard_NV36ads_A10_v5, Standard_NV72ads_A10_v5, Standard_NC24ads_A100_v4" },
        { "{" RESOURCE("p4d.24xlarge", "") TUNE("phi-4", "lora") "}", "plan/machine-unknown",
          "resource.instanceType: Invalid value: \"p4d.24xlarge\": not a known GPU machine of "
          "azure; the smallest that can run it: Standard_NC16as_T4_v3, Standard_NC4as_T4_v3, "
          "Standard_NC6s_v3" },
        { "{" RESOURCE("Standard_F4s", "") TEMPLATE "}", "plan/machine-unknown",
          "resource.instanceType: Invalid value: \"Standard_F4s\": not a known GPU machine of "
          "azure; the smallest that can run it: Standard_NC16as_T4_v3, Standard_NC4as_T4_v3, "
          "Standard_NC6s_v3" },
        { "{" RESOURCE("Standard_NG32ads_V620_v1", "") TUNE("phi-4", "qlora") "}",
          "plan/machine-no-cuda",
          "resource.instanceType: Invalid value: \"Standard_NG32ads_V620_v1\": the images need "
          "CUDA, which its AMD Radeon PRO V620 does not run; the smallest that can run it: "
          "Standard_NC16as_T4_v3, Standard_NC4as_T4_v3, Standard_NC6s_v3" },
        { "{" RESOURCE("Standard_NC6s_v3", "") SERVE("phi-4-mini-instruct") "}",
          "plan/machine-float16",
          "resource.instanceType: Invalid value: \"Standard_NC6s_v3\": vLLM runs in bfloat16, "
          "which its NVIDIA V100 does not have: it can tune, or serve with the transformers "
          "runtime; the smallest that can run it: Standard_NV36ads_A10_v5, "
          "Standard_NV72ads_A10_v5, Standard_NC24ads_A100_v4" },
        { "{" RESOURCE("Standard_NC24ads_A100_v4", "") SERVE("phi4") "}", "plan/model-unknown",
          "inference.preset.name: Invalid value: \"phi4\": no model or alias of this name is in "
          "the catalogue; did you mean phi-4?" },
        { "{" RESOURCE("Standard_NC24ads_A100_v4", "") SERVE("someorg/none") "}",
          "plan/model-unknown",
          "inference.preset.name: Invalid value: \"someorg/none\": not in the catalogue, so what "
          "it needs is unknown; to make it known, put into the catalogue's folder what `kubectl "
          "ckaito model add someorg/none --from config.json` writes" },
        { "{" RESOURCE("Standard_NC24ads_A100_v4", "") TUNE("base", "lora") "}",
          "plan/model-unknown",
          "tuning.preset.name: Invalid value: \"base\": no model or alias of this name is in the "
          "catalogue; write one of the catalogue, such as phi-4-mini-instruct, or "
          "organisation/model" },
        { "{" RESOURCE("Standard_NC24ads_A100_v4", "") TUNE("gpt-oss-20b", "lora") "}",
          "plan/model-untunable",
          "tuning.preset.name: Invalid value: \"gpt-oss-20b\": there is no tuning recipe for it; "
          "these can be tuned: phi-3-medium-128k-instruct, phi-3-medium-4k-instruct, "
          "phi-3-mini-128k-instruct, phi-3-mini-4k-instruct, phi-3.5-mini-instruct, phi-4, "
          "phi-4-mini-instruct, mistral-7b, qwen2.5-coder-32b-instruct, "
          "qwen2.5-coder-7b-instruct" },
        { "{" METADATA(TRANSFORMERS) RESOURCE("Standard_NC24ads_A100_v4", "")
              SERVE("phi-4-mini-instruct") "}",
          "plan/runtime-unsupported",
          "metadata.annotations[kaito.sh/runtime]: Invalid value: \"transformers\": "
          "phi-4-mini-instruct does not run with it; leave the annotation out to run it with "
          "vLLM" },
        { "{" METADATA(TRANSFORMERS) RESOURCE("Standard_NC24ads_A100_v4", "")
              SERVE("llama-3.3-70b-instruct") "}",
          "plan/does-not-fit",
          "resource.instanceType: Invalid value: \"Standard_NC24ads_A100_v4\": the weights of "
          "meta-llama/Llama-3.3-70B-Instruct take 131.4 GiB, its GPUs have 80; the smallest that "
          "can run it: Standard_NC48ads_A100_v4, Standard_NC80adis_H100_v5, Standard_ND40rs_v2" },
        { "{" METADATA(TRANSFORMERS) RESOURCE("Standard_NC24ads_A100_v4", ",\"count\":2")
              SERVE("llama-3.3-70b-instruct") "}",
          "plan/runtime-one-node",
          "metadata.annotations[kaito.sh/runtime]: Invalid value: \"transformers\": the weights of "
          "meta-llama/Llama-3.3-70B-Instruct take 131.4 GiB, one node has 80, and this runtime "
          "cannot spread a model over nodes; leave the annotation out to run it with vLLM" },
        { "{" RESOURCE("Standard_NC24ads_A100_v4", ",\"count\":3") SERVE("deepseek-v3-0324") "}",
          "plan/too-many-nodes",
          "resource.instanceType: Invalid value: \"Standard_NC24ads_A100_v4\": "
          "deepseek-ai/DeepSeek-V3-0324 needs 11 of them, more than 8; the smallest that can run "
          "it: Standard_ND96isr_H200_v5; or set resource.count: 11 to have them" },
        { "{" RESOURCE("Standard_NC4as_T4_v3", "") TUNE("qwen2.5-coder-32b-instruct", "qlora") "}",
          "plan/does-not-fit",
          "resource.instanceType: Invalid value: \"Standard_NC4as_T4_v3\": "
          "Qwen/Qwen2.5-Coder-32B-Instruct takes 15.3 GiB even in 4 bit, too much for GPUs of 16 "
          "GiB; the smallest that can run it: Standard_NV36ads_A10_v5, Standard_NC12s_v3, "
          "Standard_NV72ads_A10_v5" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        AUTO(planned) struct planned p;
        make(&p, table[i][0]);
        if (p.result == 0)
            fail_msg("accepted: %s", table[i][0]);
        assert_string_equal(field_errors_text(&p.problems), table[i][2]);
        assert_string_equal(p.problems.items[0].rule, table[i][1]);
    }
}

static void test_plan_finds_all_problems(void **state)
{
    (void)state;
    AUTO(planned) struct planned p;
    make(&p, "{" RESOURCE("Standard_NG32ads_V620_v1", "") TUNE("gpt-oss-20b", "lora") "}");
    assert_int_equal(p.problems.count, 2);
    assert_string_equal(p.problems.items[0].rule, "plan/model-untunable");
    assert_string_equal(p.problems.items[1].rule, "plan/machine-no-cuda");
}

/* What has a suggested machine must run on it. */
static void test_plan_suggestions_are_accepted(void **state)
{
    (void)state;
    static const char *const models[] = { "phi-4", "gpt-oss-120b", "deepseek-v3-0324",
                                          "deepseek-ai/DeepSeek-V4-Pro" };
    for (size_t i = 0; i < ARRAY_LEN(models); i++) {
        AUTO(planned) struct planned p;
        AUTO(planned) struct planned again;
        AUTO(arena) struct arena arena = ARENA_INIT;
        static const char shape[] = "{\"resource\":{\"instanceType\":\"%s\",\"labelSelector\":{}},"
                                    "\"inference\":{\"preset\":{\"name\":\"%s\"}}}";
        make(&p, arena_printf(&arena, shape, "Standard_NG32ads_V620_v1", models[i]));
        const char *fix = strrchr(p.problems.items[0].fix, ' ');
        assert_non_null(fix);
        make(&again, arena_printf(&arena, shape, fix + 1, models[i]));
        assert_int_equal(again.result, 0);
    }
}

static void test_plan_suggests_several_nodes_where_one_is_too_small(void **state)
{
    (void)state;
    AUTO(planned) struct planned p;
    const struct plan_settings settings = settings_of("arc");
    make_with(&p, &settings,
              "{" RESOURCE("Standard_NC4_A2", "") SERVE("llama-3.3-70b-instruct") "}");
    assert_string_equal(p.problems.items[0].rule, "plan/too-many-nodes");
    assert_string_equal(p.problems.items[0].fix,
                        "the smallest that can run it: 7 x Standard_NC16_A16, "
                        "7 x Standard_NC16_A2, 7 x Standard_NC32_A16; "
                        "or set resource.count: 14 to have them");
}

static void test_plan_bypass_leaves_size_out(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int result;
        int64_t nodes;
    } table[] = {
        { "{" METADATA(BYPASS("true")) RESOURCE("Standard_NC24ads_A100_v4", "")
              SERVE("deepseek-v3-0324") "}",
          0, 11 },
        { "{" METADATA(BYPASS("")) RESOURCE("Standard_NC24ads_A100_v4", "")
              SERVE("deepseek-v3-0324") "}",
          0, 11 },
        { "{" METADATA(BYPASS("false")) RESOURCE("Standard_NC24ads_A100_v4", "")
              SERVE("deepseek-v3-0324") "}",
          -1, 11 },
        { "{" METADATA(BYPASS("true")) RESOURCE("Standard_NC4as_T4_v3", "")
              TUNE("qwen2.5-coder-32b-instruct", "qlora") "}",
          0, 1 },
        { "{" METADATA(BYPASS("true")) RESOURCE("Standard_NG32ads_V620_v1", "") SERVE("phi-4") "}",
          -1, 1 },
        { "{" METADATA(BYPASS("true") "," TRANSFORMERS) RESOURCE("Standard_NC24ads_A100_v4", "")
              SERVE("llama-3.3-70b-instruct") "}",
          -1, 1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        AUTO(planned) struct planned p;
        make(&p, table[i].text);
        if (p.result != table[i].result || p.plan.node_count != table[i].nodes)
            fail_msg("%s: %d, %lld nodes", table[i].text, p.result, (long long)p.plan.node_count);
    }
}

static void test_plan_count_raises_the_limit(void **state)
{
    (void)state;
    AUTO(planned) struct planned p;
    make(&p,
         "{" RESOURCE("Standard_NC24ads_A100_v4", ",\"count\":11") SERVE("deepseek-v3-0324") "}");
    assert_int_equal(p.result, 0);
    assert_int_equal(p.plan.node_count, 11);
    assert_int_equal(p.plan.pipeline_parallel, 11);
}

static void test_plan_explicit_context(void **state)
{
    (void)state;
    static const struct {
        int64_t context;
        const char *rule; /* "": accepted */
        int64_t nodes, planned_context;
        const char *utilisation;
    } table[] = {
        { 0, "", 1, 25620, "0.82" },
        { 4096, "", 1, 4096, "0.82" },
        { 40 * 1024, "", 3, 40 * 1024, "0.93" },
        { 131072, "plan/does-not-fit", 1, 131072, "0.93" },
        { 131073, "plan/context-too-long", 1, 131073, "0.93" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        AUTO(planned) struct planned p;
        struct plan_settings settings = settings_of("azure");
        settings.context_length = table[i].context;
        make_with(&p, &settings,
                  "{" RESOURCE("Standard_NV36ads_A10_v5", "")
                      SERVE("phi-3-mini-128k-instruct") "}");
        assert_string_equal(p.problems.count > 0 ? p.problems.items[0].rule : "", table[i].rule);
        assert_int_equal(p.plan.node_count, table[i].nodes);
        assert_int_equal(p.plan.context_length, table[i].planned_context);
        assert_string_equal(p.plan.utilisation, table[i].utilisation);
    }
}

static void test_plan_context_problem_says_what_to_write(void **state)
{
    (void)state;
    AUTO(planned) struct planned p;
    struct plan_settings settings = settings_of("azure");
    settings.context_length = 200000;
    make_with(&p, &settings,
              "{" RESOURCE("Standard_ND96isr_H200_v5", "") SERVE("phi-3-mini-128k-instruct") "}");
    assert_string_equal(field_errors_text(&p.problems),
                        "inference.config: Invalid value: max-model-len 200000 is more than the "
                        "131072 tokens of microsoft/Phi-3-mini-128k-instruct; write max-model-len: "
                        "131072 or less");
}

static void test_plan_of_other_clouds(void **state)
{
    (void)state;
    static const struct {
        const char *cloud, *text, *rule;
    } table[] = {
        { "aws", "{" RESOURCE("P4D.24xlarge", "") SERVE("phi-4") "}", "" },
        { "aws", "{" RESOURCE("trn1.2xlarge", "") SERVE("phi-4-mini-instruct") "}",
          "plan/machine-no-cuda" },
        { "aws", "{" RESOURCE("inf2.xlarge", "") TUNE("phi-4", "lora") "}",
          "plan/machine-no-cuda" },
        { "aws", "{" RESOURCE("Standard_NC24ads_A100_v4", "") SERVE("phi-4") "}",
          "plan/machine-unknown" },
        { "aws", "{" RESOURCE("Standard_D4s_v3", "") TEMPLATE "}", "plan/machine-unknown" },
        { "arc", "{" RESOURCE("Standard_NC16_A16", "") SERVE("phi-4-mini-instruct") "}", "" },
        { "arc", "{" RESOURCE("Standard_D4s_v3", "") TEMPLATE "}", "plan/machine-unknown" },
        { "gcp", "{" RESOURCE("a2-highgpu-1g", "") SERVE("phi-4") "}", "plan/machine-unknown" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        AUTO(planned) struct planned p;
        const struct plan_settings settings = settings_of(table[i].cloud);
        make_with(&p, &settings, table[i].text);
        const char *rule = p.problems.count > 0 ? p.problems.items[0].rule : "";
        if (strcmp(rule, table[i].rule) != 0)
            fail_msg("%s: %s", table[i].text, rule);
    }
}

/* What is missing is for the validation to report; here it must only do no harm. */
static void test_plan_skips_what_is_missing(void **state)
{
    (void)state;
    static const char *const table[] = {
        "{}",
        "{\"resource\":{\"labelSelector\":{}}}",
        "{\"inference\":{}}",
        "{\"inference\":{\"preset\":{\"name\":\"\"}}}",
        "{" SERVE("phi-4") "}",
        "{" TEMPLATE "}",
        "{" TUNE("phi-4", "") "}",
        "{\"tuning\":{\"input\":{},\"output\":{}}}",
        "{" RESOURCE("", "") SERVE("phi-4") "}",
        "{" RESOURCE("Standard_NC24ads_A100_v4", "") "\"inference\":{}}",
        "{" RESOURCE("Standard_NC24ads_A100_v4", ",\"count\":0") SERVE("phi-4") "}",
        "{" RESOURCE("Standard_NC24ads_A100_v4", ",\"count\":-3") SERVE("phi-4") "}",
        "{" RESOURCE("Standard_NC24ads_A100_v4", "") SERVE("phi-4") "," TUNE("phi-4", "lora") "}",
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        AUTO(planned) struct planned p;
        make(&p, table[i]);
        if (p.result < 0)
            fail_msg("%s: %s", table[i], field_errors_text(&p.problems));
        assert_non_null(p.plan.summary);
        assert_non_null(p.plan.utilisation);
    }
}

static void test_plan_still_checks_the_machine_without_a_model(void **state)
{
    (void)state;
    AUTO(planned) struct planned p;
    make(&p, "{" RESOURCE("Standard_D4s_v3", "") "\"inference\":{}}");
    assert_int_equal(p.problems.count, 1);
    assert_string_equal(p.problems.items[0].rule, "plan/machine-unknown");
}

/* ------------------------------------------------------------------ alternatives and figures */

static const struct catalogue *with_prices(const char *machines)
{
    const struct catalogue *catalogue = NULL;
    struct error err = ERROR_INIT;
    if (catalogue_extend(catalogue_builtin(), machines, &catalogue, &err) < 0)
        fail_msg("%s", err.message);
    return catalogue;
}

static void test_plan_alternatives_are_the_smallest(void **state)
{
    (void)state;
    AUTO(planned) struct planned p;
    make(&p, "{" RESOURCE("Standard_NC24ads_A100_v4", "") SERVE("gpt-oss-120b") "}");
    assert_int_equal(p.result, 0);
    assert_false(p.plan.by_price);
    assert_int_equal(p.plan.alternative_count, 3);
    assert_string_equal(p.plan.alternatives[0].machine->name, "Standard_NC24ads_A100_v4");
    assert_string_equal(p.plan.alternatives[1].machine->name, "Standard_NC40ads_H100_v5");
    assert_int_equal(p.plan.alternatives[0].node_count, 1);
    assert_true(p.plan.alternatives[0].price_per_hour == 0);
}

/* On arc, all machines that can run it alone have a price: then the cheapest count. */
static void test_plan_alternatives_are_the_cheapest(void **state)
{
    (void)state;
    static const char prices[] =
        "machines:\n"
        "- { name: A, cloud: arc, gpus: 1, gpuMemoryMiB: 98304, pricePerHour: 9.5 }\n"
        "- { name: B, cloud: arc, gpus: 1, gpuMemoryMiB: 131072, pricePerHour: 2 }\n"
        "- { name: C, cloud: arc, gpus: 1, gpuMemoryMiB: 196608, pricePerHour: 3 }\n"
        "- { name: D, cloud: arc, gpus: 1, gpuMemoryMiB: 262144, pricePerHour: 1.5 }\n";
    AUTO(catalogue) const struct catalogue *catalogue = with_prices(prices);
    struct plan_settings settings = settings_of("arc");
    settings.catalogue = catalogue;
    AUTO(planned) struct planned p;
    make_with(&p, &settings, "{" RESOURCE("Nope", "") SERVE("gpt-oss-120b") "}");
    assert_true(p.plan.by_price);
    assert_string_equal(p.problems.items[0].fix, "the cheapest that can run it: D, B, C");
    assert_true(p.plan.alternatives[0].price_per_hour == 1.5);
}

static void test_plan_alternatives_need_every_price(void **state)
{
    (void)state;
    AUTO(catalogue)
    const struct catalogue *catalogue =
        with_prices("machines: [{ name: A, cloud: arc, gpus: 1, gpuMemoryMiB: 98304, "
                    "pricePerHour: 9 }, { name: B, cloud: arc, gpus: 1, gpuMemoryMiB: 131072 }]");
    struct plan_settings settings = settings_of("arc");
    settings.catalogue = catalogue;
    AUTO(planned) struct planned p;
    make_with(&p, &settings, "{" RESOURCE("Nope", "") SERVE("gpt-oss-120b") "}");
    assert_string_equal(p.problems.items[0].fix, "the smallest that can run it: A, B");
}

static const struct plan_figure *figure_of(const struct plan *plan, const char *name)
{
    for (size_t i = 0; i < plan->figure_count; i++) {
        if (strcmp(plan->figures[i].name, name) == 0)
            return &plan->figures[i];
    }
    return NULL;
}

static void test_plan_figures_of_vllm(void **state)
{
    (void)state;
    static const char *const parts[] = { "weights", "activation", "CUDA graphs", "non-torch",
                                         "cache" };
    AUTO(planned) struct planned p;
    make(&p, "{" RESOURCE("Standard_NC24ads_A100_v4", "") SERVE("gpt-oss-120b") "}");
    double sum = 0;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        sum += figure_of(&p.plan, parts[i])->value;
    const struct plan_figure *needed = figure_of(&p.plan, "needed");
    assert_true(needed->value > sum - 0.05 && needed->value < sum + 0.05);
    assert_true(needed->value <= figure_of(&p.plan, "available")->value);
    assert_true(figure_of(&p.plan, "utilisation")->value == 0.93);
    assert_string_equal(p.plan.utilisation, "0.93");
    assert_string_equal(figure_of(&p.plan, "weights")->unit, "GiB");
    assert_string_equal(figure_of(&p.plan, "weights")->rule, "as measured / GPUs that share them");
    assert_string_equal(figure_of(&p.plan, "activation")->rule,
                        "measured: mixture-of-experts, 8192 tokens at once");
    assert_true(figure_of(&p.plan, "context")->value == (double)p.plan.context_length);
    assert_true(figure_of(&p.plan, "disk")->value == (double)p.plan.disk_gib);
}

/* Every plan has some, each with a rule; none where nothing can be worked out. */
static void test_plan_figures_of_others(void **state)
{
    (void)state;
    static const struct {
        const char *text, *figure;
    } table[] = {
        { "{" RESOURCE("Standard_NC6s_v3", "") TUNE("phi-3-mini-128k-instruct", "qlora") "}",
          "needed" },
        { "{" METADATA(TRANSFORMERS) RESOURCE("Standard_NC6s_v3", "") SERVE("phi-4") "}",
          "weights" },
        { "{" RESOURCE("Standard_NC48ads_A100_v4", "") SERVE("llama-3.3-70b-instruct") "}",
          "pipeline parallel" },
        { "{" RESOURCE("Standard_ND96isr_H100_v5", "") SERVE("phi-4") "}", "data parallel" },
        { "{" RESOURCE("Standard_NC24ads_A100_v4", "") TEMPLATE "}", NULL },
        { "{" RESOURCE("Standard_D4s_v3", "") SERVE("phi-4") "}", NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        AUTO(planned) struct planned p;
        make(&p, table[i].text);
        assert_int_equal(p.plan.figure_count > 0, table[i].figure != NULL);
        if (table[i].figure != NULL && figure_of(&p.plan, table[i].figure) == NULL)
            fail_msg("%s: no %s", table[i].text, table[i].figure);
        for (size_t k = 0; k < p.plan.figure_count; k++)
            assert_true(p.plan.figures[k].rule != NULL && p.plan.figures[k].unit != NULL);
    }
}

static void test_plan_adapters_take_memory(void **state)
{
    (void)state;
    AUTO(planned) struct planned p;
    make(&p, "{" RESOURCE(
                 "Standard_NC24ads_A100_v4",
                 "") "\"inference\":{\"preset\":{\"name\":\"phi-4\"},\"adapters\":[{\"source\":{"
                     "\"name\":\"a\",\"image\":\"r/a:1\"}},{\"source\":{\"name\":\"b\",\"image\":"
                     "\"r/b:1\"}}]}}");
    assert_int_equal(p.result, 0);
    assert_true(figure_of(&p.plan, "adapters")->value == 1.11);
}

static void test_plan_of_every_model_on_every_machine(void **state)
{
    (void)state;
    const struct catalogue_data *all = catalogue_all(catalogue_builtin());
    size_t plans = 0;
    for (size_t i = 0; i < all->models.count; i++) {
        for (size_t k = 0; k < all->machines.count; k++) {
            AUTO(arena) struct arena arena = ARENA_INIT;
            const struct plan_settings settings = settings_of(all->machines.items[k].cloud);
            struct preset preset = { .name = all->models.items[i].name };
            struct workspace_inference inference = { .preset = &preset };
            struct workspace_resource resource = { .instance_type = all->machines.items[k].name };
            struct object_meta metadata = { .name = "w" };
            struct workspace ws = { .metadata = &metadata,
                                    .resource = &resource,
                                    .inference = &inference };
            struct field_errors problems;
            struct plan plan;
            field_errors_init(&problems, &arena);
            int result = plan_make(&ws, &settings, &arena, &plan, &problems);
            assert_true(result == 0 || problems.count > 0);
            assert_true(result < 0 || plan.alternative_count > 0);
            plans++;
        }
    }
    assert_int_equal(plans, 60 * 67);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan_of_the_inference_example),
        cmocka_unit_test(test_plan_of_the_tuning_example),
        cmocka_unit_test(test_plan_summaries),
        cmocka_unit_test(test_plan_problems),
        cmocka_unit_test(test_plan_finds_all_problems),
        cmocka_unit_test(test_plan_suggestions_are_accepted),
        cmocka_unit_test(test_plan_suggests_several_nodes_where_one_is_too_small),
        cmocka_unit_test(test_plan_bypass_leaves_size_out),
        cmocka_unit_test(test_plan_count_raises_the_limit),
        cmocka_unit_test(test_plan_explicit_context),
        cmocka_unit_test(test_plan_context_problem_says_what_to_write),
        cmocka_unit_test(test_plan_of_other_clouds),
        cmocka_unit_test(test_plan_skips_what_is_missing),
        cmocka_unit_test(test_plan_still_checks_the_machine_without_a_model),
        cmocka_unit_test(test_plan_alternatives_are_the_smallest),
        cmocka_unit_test(test_plan_alternatives_are_the_cheapest),
        cmocka_unit_test(test_plan_alternatives_need_every_price),
        cmocka_unit_test(test_plan_figures_of_vllm),
        cmocka_unit_test(test_plan_figures_of_others),
        cmocka_unit_test(test_plan_adapters_take_memory),
        cmocka_unit_test(test_plan_of_every_model_on_every_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
