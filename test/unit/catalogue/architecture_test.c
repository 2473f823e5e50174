#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/compiler.h"
#include "common/catalogue/architecture.h"

static const char *const names[] = {
#define ARCHITECTURE(name, class, reasoning, tool_call, flags) name,
#include "common/catalogue/architectures.def"
#undef ARCHITECTURE
};

static void test_architecture_finds_each(void **state)
{
    (void)state;
    assert_int_equal(ARRAY_LEN(names), 356);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct architecture *found = architecture_find(names[i]);
        if (found == NULL)
            fail_msg("%s is out of order", names[i]);
        assert_string_equal(found->name, names[i]);
        assert_non_null(architecture_nearest(names[i]));
    }
}

static void test_architecture_unknown(void **state)
{
    (void)state;
    assert_null(architecture_find(""));
    assert_null(architecture_find("llamaforcausallm"));
    assert_null(architecture_find("LlamaForCausalLMX"));
    assert_string_equal(architecture_nearest("llamaForCausalLM"), "LlamaForCausalLM");
    assert_string_equal(architecture_nearest("Qwen3ForCausualLM"), "Qwen3ForCausalLM");
    assert_null(architecture_nearest("UNet2DConditionModel"));
}

static void test_architecture_facts(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum memory_class class;
        const char *tool_call;
        unsigned flags;
    } table[] = {
        { "LlamaForCausalLM", MEMORY_DENSE, "llama3_json", 0 },
        { "GptOssForCausalLM", MEMORY_MOE, "openai", ARCHITECTURE_NO_OFFLOAD },
        { "Mistral3ForConditionalGeneration", MEMORY_MULTIMODAL, NULL, 0 },
        { "KimiK25ForConditionalGeneration", MEMORY_MOE, "kimi_k2", 0 },
        { "DeepseekV32ForCausalLM", MEMORY_MOE, "deepseek_v32",
          ARCHITECTURE_NO_OFFLOAD | ARCHITECTURE_DEEP_GEMM },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct architecture *found = architecture_find(table[i].name);
        assert_non_null(found);
        assert_int_equal(found->memory_class, table[i].class);
        assert_int_equal(found->flags, table[i].flags);
        if (table[i].tool_call == NULL)
            assert_null(found->tool_call_parser);
        else
            assert_string_equal(found->tool_call_parser, table[i].tool_call);
    }
}

static void test_architecture_longest_prefix_counts(void **state)
{
    (void)state;
    static const struct {
        enum name_rule rule;
        const char *name, *value;
    } table[] = {
        { NAME_TOOL_CALL_PARSER, "deepseek-v3.2", "deepseek_v32" },
        { NAME_TOOL_CALL_PARSER, "deepseek-v3-0324", "deepseek_v3" },
        { NAME_TOOL_CALL_PARSER, "qwen3-coder-30b", "qwen3_xml" },
        { NAME_TOOL_CALL_PARSER, "qwen3-32b", "hermes" },
        { NAME_REASONING_PARSER, "qwen3-32b", "qwen3" },
        { NAME_REASONING_PARSER, "gpt-oss-20b", NULL },
        { NAME_EXPERT_PARALLEL, "minimax-m2.7", "" },
        { NAME_CHAT_TEMPLATE, "", NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const char *value = name_rule_value(table[i].rule, table[i].name);
        if (table[i].value == NULL)
            assert_null(value);
        else
            assert_string_equal(value, table[i].value);
    }
}

static void test_architecture_class_names(void **state)
{
    (void)state;
    static const enum memory_class classes[] = { MEMORY_DENSE, MEMORY_MOE, MEMORY_MULTIMODAL };
    enum memory_class read = MEMORY_DENSE;
    for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
        assert_true(memory_class_parse(memory_class_name(classes[i]), &read));
        assert_int_equal(read, classes[i]);
    }
    assert_false(memory_class_parse("moe", &read));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_architecture_finds_each),
        cmocka_unit_test(test_architecture_unknown),
        cmocka_unit_test(test_architecture_facts),
        cmocka_unit_test(test_architecture_longest_prefix_counts),
        cmocka_unit_test(test_architecture_class_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
