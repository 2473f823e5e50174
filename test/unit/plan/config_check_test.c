#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/json/build.h"
#include "common/json/json.h"
#include "common/plan/config_check.h"
#include "test/lib/literals.h"

static const struct model phi = { .name = "microsoft/phi-4",
                                  .context_max = { .set = true, .value = 16384 } };

struct row {
    const char *content; /* NULL: no such key */
    const char *rule;    /* of the first finding; NULL: none */
    const char *inner;   /* must be in the detail */
    int64_t context_length;
    const char *output_dir;
};

static void run(const struct row *row, enum config_use use, const struct workspace *ws)
{
    AUTO(arena) struct arena arena = ARENA_INIT;
    const char *key = use == CONFIG_FOR_INFERENCE ? INFERENCE_CONFIG_KEY : TUNING_CONFIG_KEY;
    AUTO(json) cJSON *data = JOBJ(JS("other", "x"));
    json_set(data, key, json_new_string(row->content));
    struct config_reading reading;
    config_check(use, data, "default/c", ws, &phi, &arena, &reading);
    const struct field_errors *list = &reading.problems;
    if (row->rule == NULL) {
        if (list->count > 0)
            fail_msg("%s: %s", row->content, list->items[0].detail);
    } else {
        if (list->count == 0)
            fail_msg("%s: nothing found", row->content);
        assert_string_equal(list->items[0].rule, row->rule);
        assert_string_equal(list->items[0].path, config_path(use));
        if (row->inner != NULL)
            assert_non_null(strstr(list->items[0].detail, row->inner));
    }
    assert_int_equal(reading.context_length, row->context_length);
    if (row->output_dir == NULL)
        assert_null(reading.output_dir);
    else
        assert_string_equal(reading.output_dir, row->output_dir);
}

static void test_config_check_inference(void **state)
{
    (void)state;
    static const struct row rows[] = {
        { .content = NULL, .rule = "F2" },
        { .content = "" },
        { .content = "vllm:\n" },
        { .content = "vllm:\n  gpu-memory-utilization: 0.95\nother: [1]\n" },
        { .content = "vllm: [\n", .rule = "F3" },
        { .content = "- a\n", .rule = "F3" },
        { .content = "vllm: 3\n", .rule = "F3" },
        { .content = "vllm:\n  a: {b: 1}\n", .rule = "F3", .inner = "vllm.a" },
        { .content = "vllm:\n  a: [1]\n", .rule = "F3", .inner = "vllm.a" },
        { .content = "vllm:\n  max-model-len: auto\n", .rule = "F5" },
        { .content = "vllm:\n  max-model-len: -1\n", .rule = "F5" },
        { .content = "vllm:\n  max-model-len: 0\n", .rule = "F5" },
        { .content = "vllm:\n  max-model-len: \"99999999999999999999\"\n", .rule = "F5" },
        { .content = "vllm:\n  max-model-len: 16385\n", .rule = "F6", .inner = "16384" },
        { .content = "vllm:\n  max-model-len: 16384\n", .context_length = 16384 },
        { .content = "vllm:\n  max-model-len: \"4096\"\n", .context_length = 4096 },
        { .content = "vllm:\n  max-model-len: \"\"\n" },
    };
    struct workspace ws = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        run(&rows[i], CONFIG_FOR_INFERENCE, &ws);
}

#define TRAINING(sections) "training_config:\n" sections
#define QUANTISED          "  QuantizationConfig: {load_in_4bit: true}\n"

static void test_config_check_qlora(void **state)
{
    (void)state;
    static const struct row rows[] = {
        { .content = NULL, .rule = "T11" },
        { .content = "training_config: [\n", .rule = "T12" },
        { .content = "", .rule = "T13" },
        { .content = "x: 1\n", .rule = "T13" },
        { .content = "training_config: 5\n", .rule = "T13" },
        { .content = TRAINING("  Optimizer: {}\n" QUANTISED), .rule = "T14" },
        { .content = TRAINING("  QuantizationConfig: {load_in_4bit: \"yes\"}\n"), .rule = "T15" },
        { .content = TRAINING("  QuantizationConfig: {load_in_8bit: 1}\n"), .rule = "T16" },
        { .content = TRAINING("  QuantizationConfig: {load_in_4bit: true, load_in_8bit: true}\n"),
          .rule = "T17" },
        { .content = TRAINING("  ModelConfig: {}\n"), .rule = "T19" },
        { .content = TRAINING("  QuantizationConfig: {load_in_4bit: false}\n"), .rule = "T19" },
        { .content = TRAINING(QUANTISED) },
        { .content = TRAINING(QUANTISED "  TrainingArguments: {output_dir: 7}\n"), .rule = "T20" },
        { .content = TRAINING(QUANTISED "  TrainingArguments: {output_dir: \"..\"}\n"),
          .rule = "T21" },
        { .content = TRAINING(QUANTISED "  TrainingArguments: {output_dir: \"\"}\n"),
          .rule = "T21" },
        { .content = TRAINING(QUANTISED "  TrainingArguments: {output_dir: /mnt}\n"),
          .rule = "T21" },
        { .content = TRAINING(QUANTISED "  TrainingArguments: {output_dir: /mnt/data/}\n"),
          .rule = "T21" },
        { .content = TRAINING(QUANTISED "  TrainingArguments: {output_dir: /mnt/results}\n"),
          .output_dir = "/mnt/results" },
    };
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(json)
    cJSON *tree = json_literal(
        "{\"metadata\":{\"name\":\"w\"},\"resource\":{\"labelSelector\":{}},\"tuning\":"
        "{\"method\":\"QLoRA\",\"input\":{},\"output\":{}}}");
    struct workspace ws = workspace_of(tree, &arena);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        run(&rows[i], CONFIG_FOR_TUNING, &ws);
}

static void test_config_check_lora_refuses_quantisation(void **state)
{
    (void)state;
    struct workspace_tuning tuning = { .method = "lora" };
    struct workspace ws = { .tuning = &tuning };
    run(&(struct row){ .content = TRAINING(QUANTISED), .rule = "T18" }, CONFIG_FOR_TUNING, &ws);
    run(&(struct row){ .content = TRAINING("  ModelConfig: {}\n") }, CONFIG_FOR_TUNING, &ws);
}

static void test_tuning_results_directory(void **state)
{
    (void)state;
    static const struct {
        const char *written, *directory;
    } rows[] = {
        { NULL, "/mnt/output" },
        { "", "/mnt/output" },
        { "/mnt/results", "/mnt/results" },
        { "/mnt//a/./b/../c/", "/mnt/a/c" },
        { "/results", "/results" },
        { "results", "/workspace/tfs/results" },
        { "../../..", "/" },
    };
    AUTO(arena) struct arena arena = ARENA_INIT;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(tuning_results_directory(rows[i].written, &arena), rows[i].directory);
}

static void test_config_refusal_is_the_first_problem(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    struct field_errors problems;
    field_errors_init(&problems, &arena);
    assert_null(config_refusal(&problems, &arena));
    field_errors_add(&problems,
                     &(struct field_error){ .path = "p", .detail = "wrong", .fix = "write x" });
    field_errors_add(&problems,
                     &(struct field_error){ .path = "q", .detail = "also", .fix = "write y" });
    assert_string_equal(config_refusal(&problems, &arena), "p: wrong; write x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_check_inference),
        cmocka_unit_test(test_config_check_qlora),
        cmocka_unit_test(test_config_check_lora_refuses_quantisation),
        cmocka_unit_test(test_tuning_results_directory),
        cmocka_unit_test(test_config_refusal_is_the_first_problem),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
