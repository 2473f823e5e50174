#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/api/workspace.h"
#include "common/base/memory.h"
#include "common/json/json.h"
#include "test/lib/literals.h"

static const char tuning[] =
    "{\"apiVersion\":\"kaito.sh/v1alpha1\",\"kind\":\"Workspace\","
    "\"metadata\":{\"name\":\"workspace-tuning-phi-3\"},"
    "\"resource\":{\"instanceType\":\"Standard_NC6s_v3\","
    "\"labelSelector\":{\"matchLabels\":{\"app\":\"tuning-phi-3\"}}},"
    "\"tuning\":{\"preset\":{\"name\":\"phi-3-mini-128k-instruct\"},\"method\":\"qlora\","
    "\"input\":{\"urls\":[\"https://huggingface.co/data.parquet?download=true\"]},"
    "\"output\":{\"image\":\"myregistry.azurecr.io/phi-3-tuned:0.0.1\","
    "\"imagePushSecret\":\"acr-push-secret\"}}}";

static const char inference[] =
    "{\"apiVersion\":\"kaito.sh/v1beta1\",\"kind\":\"Workspace\","
    "\"metadata\":{\"name\":\"phi-4\",\"namespace\":\"default\",\"uid\":\"u\",\"generation\":2,"
    "\"managedFields\":[{\"manager\":\"kubectl\"}],"
    "\"annotations\":{\"kaito.sh/runtime\":\"transformers\"},\"labels\":{\"team\":\"a\"},"
    "\"finalizers\":[\"workspace.finalizer.kaito.sh\"]},"
    "\"resource\":{\"count\":0,\"instanceType\":\"Standard_NC24ads_A100_v4\","
    "\"labelSelector\":{\"matchLabels\":{\"kaito.sh/workspace\":\"x\",\"app\":\"phi-4\","
    "\"karpenter.kaito.sh/inferenceset\":\"y\",\"zone\":\"1\"}},\"preferredNodes\":[]},"
    "\"inference\":{\"preset\":{\"name\":\"phi-4\",\"presetOptions\":{},\"later\":1},"
    "\"adapters\":[{\"source\":{\"name\":\"a\",\"image\":\"r.io/a:1\"},\"strength\":\"0.5\"}]},"
    "\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\",\"reason\":\"R\","
    "\"message\":\"\",\"lastTransitionTime\":\"2026-01-01T00:00:00Z\"}],\"targetNodeCount\":0},"
    "\"extra\":{\"kept\":true}}";

static void test_workspace_decodes_tuning(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(json) cJSON *json = json_literal(tuning);
    struct workspace ws = workspace_of(json, &arena);
    assert_string_equal(ws.metadata->name, "workspace-tuning-phi-3");
    assert_null(ws.metadata->namespace_);
    assert_string_equal(ws.resource->instance_type, "Standard_NC6s_v3");
    assert_false(ws.resource->count.set);
    assert_null(ws.inference);
    assert_string_equal(ws.tuning->preset->name, "phi-3-mini-128k-instruct");
    assert_string_equal(ws.tuning->method, "qlora");
    assert_int_equal(ws.tuning->input->urls.count, 1);
    assert_string_equal(ws.tuning->output->image_push_secret, "acr-push-secret");
}

static void test_workspace_decodes_inference(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(json) cJSON *json = json_literal(inference);
    struct workspace ws = workspace_of(json, &arena);
    assert_true(ws.resource->count.set);
    assert_int_equal(ws.resource->count.value, 0);
    assert_int_equal(ws.metadata->generation.value, 2);
    assert_int_equal(ws.inference->adapters.count, 1);
    assert_string_equal(ws.inference->adapters.items[0].strength, "0.5");
    assert_string_equal(ws.status->conditions.items[0].type, CONDITION_READY);
    assert_true(string_list_has(&ws.metadata->finalizers, WORKSPACE_FINALIZER));
}

static void test_workspace_round_trips(void **state)
{
    (void)state;
    static const char *const table[] = { tuning, inference };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        AUTO(arena) struct arena arena = ARENA_INIT;
        AUTO(json) cJSON *json = json_literal(table[i]);
        struct workspace ws = workspace_of(json, &arena);
        AUTO(json) cJSON *again = codec_encode(workspace_type(), &ws);
        assert_true(json_equal(json, again));
    }
}

static void test_workspace_names_all_problems(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(json)
    cJSON *json = json_literal(
        "{\"metadata\":{\"labels\":{\"a\":1}},"
        "\"resource\":{\"count\":\"2\",\"partition\":{}},"
        "\"inference\":{\"preset\":{},\"adapters\":[{\"source\":{\"urls\":[\"x\",2]}}]},"
        "\"tuning\":{\"preset\":\"phi-4\"}}");
    struct workspace ws;
    struct field_errors errors;
    field_errors_init(&errors, &arena);
    assert_int_equal(workspace_decode(json, &arena, &ws, &errors), -1);
    assert_string_equal(
        field_errors_text(&errors),
        "metadata.labels[a]: Invalid value: \"1\": expected a string\n"
        "resource.count: Invalid value: \"2\": expected an integer\n"
        "resource.labelSelector: Required value\n"
        "resource.partition.mode: Required value\n"
        "inference.preset.name: Required value\n"
        "inference.adapters[0].source.urls[1]: Invalid value: \"2\": expected a string\n"
        "tuning.preset: Invalid value: \"phi-4\": expected an object\n"
        "tuning.input: Required value\n"
        "tuning.output: Required value");
}

static void test_workspace_metadata_is_never_null(void **state)
{
    (void)state;
    static const char *const table[] = { "{}", "{\"metadata\":null}", "{\"metadata\":{}}", "[]" };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        AUTO(arena) struct arena arena = ARENA_INIT;
        AUTO(json) cJSON *json = json_literal(table[i]);
        struct workspace ws;
        struct field_errors errors;
        field_errors_init(&errors, &arena);
        (void)workspace_decode(json, &arena, &ws,
                               &errors); /* "[]" is an error, and still readable */
        assert_non_null(ws.metadata);
        assert_null(workspace_annotation(&ws, ANNOTATION_RUNTIME));
        assert_null(workspace_label(&ws, "team"));
    }
}

static void test_workspace_annotation_and_label(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(json) cJSON *json = json_literal(inference);
    struct workspace ws = workspace_of(json, &arena);
    assert_string_equal(workspace_annotation(&ws, ANNOTATION_RUNTIME), "transformers");
    assert_null(workspace_annotation(&ws, "team"));
    assert_string_equal(workspace_label(&ws, "team"), "a");
}

static void test_workspace_runtime(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        enum workspace_runtime runtime;
    } table[] = {
        { "\"transformers\"", RUNTIME_TRANSFORMERS },
        { "\"vllm\"", RUNTIME_VLLM },
        { "\"Transformers\"", RUNTIME_VLLM },
        { "\"\"", RUNTIME_VLLM },
        { "null", RUNTIME_VLLM },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        AUTO(arena) struct arena arena = ARENA_INIT;
        AUTO(json)
        cJSON *json =
            json_literal(arena_printf(&arena, "{\"metadata\":{\"annotations\":{\"%s\":%s}}}",
                                      ANNOTATION_RUNTIME, table[i].value));
        struct workspace ws;
        struct field_errors errors;
        field_errors_init(&errors, &arena);
        (void)workspace_decode(json, &arena, &ws, &errors); /* null is no string */
        assert_int_equal(workspace_runtime(&ws), table[i].runtime);
    }
}

static void test_workspace_match_labels_leave_reserved_out(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(json) cJSON *json = json_literal(inference);
    struct workspace ws = workspace_of(json, &arena);
    struct string_map labels = workspace_match_labels(&ws, &arena);
    assert_int_equal(labels.count, 2);
    assert_string_equal(labels.items[0].key, "app");
    assert_string_equal(labels.items[1].key, "zone");

    AUTO(json) cJSON *bare = json_literal("{\"metadata\":{}}");
    ws = workspace_of(bare, &arena);
    assert_int_equal(workspace_match_labels(&ws, &arena).count, 0);
}

static void test_workspace_reserved_labels(void **state)
{
    (void)state;
    static const char *const reserved[] = {
        "kaito.sh/workspace",
        "kaito.sh/workspacenamespace",
        "kaito.sh/ragengine",
        "kaito.sh/ragenginenamespace",
        "karpenter.kaito.sh/workspace-name",
        "karpenter.kaito.sh/workspace-namespace",
        "karpenter.kaito.sh/inferenceset",
        "karpenter.kaito.sh/inferenceset-namespace",
    };
    for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
        assert_true(label_is_reserved(reserved[i]));
    assert_false(label_is_reserved("kaito.sh/Workspace"));
    assert_false(label_is_reserved("app"));
    assert_false(label_is_reserved(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_workspace_decodes_tuning),
        cmocka_unit_test(test_workspace_decodes_inference),
        cmocka_unit_test(test_workspace_round_trips),
        cmocka_unit_test(test_workspace_names_all_problems),
        cmocka_unit_test(test_workspace_metadata_is_never_null),
        cmocka_unit_test(test_workspace_annotation_and_label),
        cmocka_unit_test(test_workspace_runtime),
        cmocka_unit_test(test_workspace_match_labels_leave_reserved_out),
        cmocka_unit_test(test_workspace_reserved_labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
