#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/catalogue/model_config.h"
#include "common/json/json.h"
#include "test/lib/literals.h"

static int read_config(const char *name, const char *json, int64_t weights_mib, struct arena *arena,
                       struct model *out, struct error *err)
{
    const struct model_config config = {
        .name = name, .json = json, .count = strlen(json), .weights_mib = weights_mib
    };
    return model_from_config(&config, arena, out, err);
}

static bool offloads(const struct model *model)
{
    return !model->kv_offload_off.value;
}

/* The lists have the same pairs; the catalogue's figures may say more. */
static void check_arguments(const struct model *made, const struct model *known)
{
    const struct string_map *map = &made->vllm_parameters;
    for (size_t i = 0; i < map->count; i++) {
        const char *value = string_map_get(&known->vllm_parameters, map->items[i].key);
        if (value == NULL || strcmp(value, map->items[i].value) != 0)
            fail_msg("%s: %s is %s, not %s", known->name, map->items[i].key, map->items[i].value,
                     value != NULL ? value : "absent");
    }
    if (map->count != known->vllm_parameters.count)
        fail_msg("%s: %zu arguments, not %zu", known->name, map->count,
                 known->vllm_parameters.count);
}

/* configs.json: the figures of every model of the catalogue as its config.json (or params.json) has
 * them. What follows from them must be what the catalogue says. */
static void test_model_config_makes_the_catalogue(void **state)
{
    (void)state;
    AUTO(json) cJSON *configs = json_from_file("test/unit/catalogue/configs.json");
    const cJSON *config;
    int models = 0;
    cJSON_ArrayForEach(config, configs) {
        AUTO(arena) struct arena arena = ARENA_INIT;
        AUTO_FREE char *text = json_print(config);
        struct error err = ERROR_INIT;
        struct model made;
        const struct model *known = catalogue_model(catalogue_builtin(), config->string);
        assert_non_null(known);
        if (read_config(config->string, text, known->weights_mib.value, &arena, &made, &err) != 0)
            fail_msg("%s: %s", config->string, err.message);
        assert_string_equal(made.name, known->name);
        assert_string_equal(made.short_name, known->short_name);
        assert_int_equal(made.bytes_per_token.value, known->bytes_per_token.value);
        assert_int_equal(made.kv_heads.value, known->kv_heads.value);
        assert_int_equal(made.context_max.value, known->context_max.value);
        assert_in_range(made.startup_budget_s.value, known->startup_budget_s.value - 1,
                        known->startup_budget_s.value + 1);
        if (offloads(&made) != offloads(known))
            fail_msg("%s: kvOffloadOff", known->name);
        assert_int_equal(made.deep_gemm.value, known->deep_gemm.value);
        assert_int_equal(made.cuda_toolkit.value, known->cuda_toolkit.value);
        assert_int_equal(made.quantization != NULL, known->quantization != NULL);
        check_arguments(&made, known);
        models++;
    }
    assert_int_equal(models, 60);
}

#define LLAMA                                                                                  \
    "\"architectures\":[\"LlamaForCausalLM\"],\"hidden_size\":4096,\"num_hidden_layers\":32,"  \
    "\"num_attention_heads\":32,\"num_key_value_heads\":8,\"max_position_embeddings\":131072," \
    "\"intermediate_size\":14336,\"vocab_size\":128256"

static void test_model_config_counts_weights(void **state)
{
    (void)state;
    static const struct {
        const char *name, *json;
        int64_t low, high; /* MiB of the hub's files: what is counted is never less, and near */
        const char *class;
    } table[] = {
        { "meta-llama/Llama-3.1-8B-Instruct", "{" LLAMA "}", 15316, 15500, "dense" },
        { "Qwen/Qwen3-30B-A3B",
          "{\"architectures\":[\"Qwen3MoeForCausalLM\"],\"hidden_size\":2048,\"num_hidden_layers\":"
          "48,\"num_attention_heads\":32,\"num_key_value_heads\":4,\"head_dim\":128,"
          "\"max_position_embeddings\":40960,\"intermediate_size\":6144,\"num_experts\":128,"
          "\"moe_intermediate_size\":768,\"vocab_size\":151936,\"rope_theta\":NaN}",
          58200, 59000, "mixture-of-experts" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        AUTO(arena) struct arena arena = ARENA_INIT;
        struct error err = ERROR_INIT;
        struct model made;
        assert_int_equal(read_config(table[i].name, table[i].json, 0, &arena, &made, &err),
                         MODEL_WEIGHTS_WORKED_OUT);
        assert_in_range(made.weights_mib.value, table[i].low, table[i].high);
        assert_string_equal(made.memory_class, table[i].class);
    }
}

static void test_model_config_reads_what_python_writes(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    struct error err = ERROR_INIT;
    struct model made;
    static const char json[] =
        "{\"note\":\"NaN, \\\"Infinity\\\"\",\"a\":[NaN,Infinity,-Infinity],"
        "\"architectures\":[\"Unknown\",\"LlamaForCausalLM\"],\"max_position_embeddings\":null,"
        "\"text_config\":{\"n_ctx\":\"4096\",\"hidden_size\":64,\"n_layer\":2,\"n_head\":4,"
        "\"multi_query\":true}}";
    if (read_config("a/b", json, 100, &arena, &made, &err) != 0)
        fail_msg("%s", err.message);
    assert_int_equal(made.context_max.value, 4096);
    assert_int_equal(made.kv_heads.value, 1);
    assert_int_equal(made.bytes_per_token.value, 2 * 16 * 2 * 2);
    assert_int_equal(made.weights_mib.value, 100);
}

static void test_model_config_context_is_2048_unless_it_says(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    struct error err = ERROR_INIT;
    struct model made;
    static const char json[] = "{\"architectures\":[\"MPTForCausalLM\"],\"d_model\":64,"
                               "\"n_layers\":2,\"n_heads\":4}";
    assert_int_equal(read_config("a/b", json, 1, &arena, &made, &err), 0);
    assert_int_equal(made.context_max.value, 2048);
}

static void test_model_config_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *name, *json;
        int64_t weights_mib;
        const char *message;
    } table[] = {
        { "llama", "{" LLAMA "}", 1, "llama is not a model's name: write organisation/model" },
        { "a/b/c", "{" LLAMA "}", 1, "is not a model's name" },
        { "a/b c", "{" LLAMA "}", 1, "is not a model's name" },
        { "a/", "{" LLAMA "}", 1, "is not a model's name" },
        { "a/b", "", 1, "the config is not JSON" },
        { "a/b", "{" LLAMA, 1, "the config is not JSON" },
        { "a/b", "[]", 1, "the config must be a JSON object" },
        { "a/b", "{}", 1, "architectures: the config names none" },
        { "a/b", "{\"architectures\":[\"LLamaForCausalLm\"]}", 1,
          "the server cannot load LLamaForCausalLm; the nearest that it can: LlamaForCausalLM" },
        { "a/b", "{\"architectures\":[\"LlamaForCausalLM\"]}", 1,
          "bytesPerToken: does not follow" },
        { "a/b",
          "{\"architectures\":[\"LlamaForCausalLM\"],\"hidden_size\":1e9,\"n_layer\":1000000,"
          "\"n_head\":1}",
          1, "bytesPerToken: does not follow" },
        { "a/b", "{" LLAMA ",\"vision_config\":{}}", 0, "weightsMiB: does not follow" },
        { "a/b", "{" LLAMA ",\"quantization_config\":{\"quant_method\":\"fp8\"}}", 0,
          "weightsMiB: does not follow" },
        { "a/b", "{" LLAMA "}", INT64_C(1) << 40, "weightsMiB: does not follow" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        AUTO(arena) struct arena arena = ARENA_INIT;
        struct error err = ERROR_INIT;
        struct model made;
        if (read_config(table[i].name, table[i].json, table[i].weights_mib, &arena, &made, &err) >=
            0)
            fail_msg("accepted: %s", table[i].json);
        assert_int_equal(err.code, ERR_INVALID);
        if (strstr(err.message, table[i].message) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", err.message, table[i].message);
    }
}

static void test_model_print_an_entry(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(buf) struct buf text = BUF_INIT(4096);
    struct error err = ERROR_INIT;
    struct model made;
    assert_int_equal(read_config("Org/Llama-3-Mine", "{" LLAMA "}", 15321, &arena, &made, &err), 0);
    model_print(&made, &text);
    assert_string_equal(
        buf_text(&text),
        "models:\n"
        "- name: Org/Llama-3-Mine\n"
        "  shortName: llama-3-mine\n"
        "  weightsMiB: 15321\n"
        "  bytesPerToken: 131072\n"
        "  kvHeads: 8\n"
        "  memoryClass: dense\n"
        "  contextMax: 131072\n"
        "  diskGiB: 94\n"
        "  startupBudgetSeconds: 1800\n"
        "  architectures:\n"
        "  - LlamaForCausalLM\n"
        "  vllm:\n"
        "    load_format: auto\n"
        "    config_format: auto\n"
        "    tokenizer_mode: auto\n"
        "    trust-remote-code: \"\"\n"
        "    dtype: bfloat16\n"
        "    chat-template: /workspace/chat_templates/tool-chat-llama3.1-json.jinja\n"
        "    tool-call-parser: llama3_json\n"
        "    enable-auto-tool-choice: \"\"\n");
}

/* Every entry of the catalogue is read back as it was printed. */
static void test_model_print_is_read_back(void **state)
{
    (void)state;
    const struct model_list *models = &catalogue_all(catalogue_builtin())->models;
    for (size_t i = 0; i < models->count; i++) {
        AUTO(buf) struct buf text = BUF_INIT(64 * 1024);
        AUTO(catalogue) const struct catalogue *catalogue = NULL;
        struct error err = ERROR_INIT;
        model_print(&models->items[i], &text);
        const char *const texts[] = { buf_text(&text) };
        if (catalogue_parse(texts, 1, &catalogue, &err) < 0)
            fail_msg("%s: %s", err.message, texts[0]);
        AUTO(json) cJSON *before = codec_encode(model_type(), &models->items[i]);
        AUTO(json)
        cJSON *after = codec_encode(model_type(), &catalogue_all(catalogue)->models.items[0]);
        assert_true(json_equal(before, after));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model_config_makes_the_catalogue),
        cmocka_unit_test(test_model_config_counts_weights),
        cmocka_unit_test(test_model_config_reads_what_python_writes),
        cmocka_unit_test(test_model_config_context_is_2048_unless_it_says),
        cmocka_unit_test(test_model_config_refuses),
        cmocka_unit_test(test_model_print_an_entry),
        cmocka_unit_test(test_model_print_is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
