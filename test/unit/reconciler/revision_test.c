#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/json/json.h"
#include "reconciler/revision.h"
#include "test/lib/literals.h"

static const char *const phi4 =
    "{\"metadata\":{\"name\":\"workspace-phi-4-mini\",\"namespace\":\"default\",\"uid\":\"u1\"},"
    "\"resource\":{\"count\":1,\"instanceType\":\"Standard_NC24ads_A100_v4\","
    "\"labelSelector\":{\"matchLabels\":{\"apps\":\"phi-4\"}}},"
    "\"inference\":{\"preset\":{\"name\":\"phi-4-mini-instruct\",\"accessMode\":\"public\"}}}";

static const struct {
    const char *workspace, *hash;
} hashes[] = {
    /* the check value of spec 5.3 */
    { "{\"metadata\":{\"name\":\"w\"},\"resource\":{\"count\":1,\"instanceType\":"
      "\"Standard_NV36ads_A10_v5\",\"labelSelector\":{\"matchLabels\":{\"workspace.kaito.io/name\":"
      "\"testWorkspace\"}}},\"inference\":{\"preset\":{\"name\":\"test-model\"}}}",
      "79676e4782172441933f628c7f541c81accd0fe88af9588101e2344589f6dbae" },
    { phi4, "203bd2f573e212877fc413be56776945a635c4cd6ea73b05061e71a0272019a8" },
    { "{\"metadata\":{\"name\":\"w\"},\"resource\":{\"count\":2,\"instanceType\":"
      "\"Standard_NC48ads_A100_v4\",\"labelSelector\":{\"matchLabels\":{\"apps\":"
      "\"llama-3-3-70b-instruct\"}}},\"inference\":{\"preset\":{\"name\":\"llama-3.3-70b-"
      "instruct\","
      "\"accessMode\":\"public\",\"presetOptions\":{\"modelAccessSecret\":\"hf-token\"}},"
      "\"config\":\"llama-inference-params\"}}",
      "c9e3f7ac8a934af12388af0bcb7a1bab18e7dc41ec669a768c7f412852b3fed3" },
    { "{\"metadata\":{\"name\":\"w\"},\"resource\":{\"count\":1,\"instanceType\":"
      "\"Standard_NC24ads_A100_v4\",\"labelSelector\":{\"matchLabels\":{\"app\":\"tuning-phi-3\"}}}"
      ","
      "\"tuning\":{\"preset\":{\"name\":\"phi-3-mini-128k-instruct\",\"accessMode\":\"public\"},"
      "\"method\":\"qlora\",\"input\":{\"urls\":[\"https://huggingface.co/datasets/philschmid/"
      "dolly-15k-oai-style/resolve/main/data/"
      "train-00000-of-00001-54e3756291ca09c6.parquet?download=true\"]},\"output\":{\"image\":"
      "\"myacr.azurecr.io/adapters/phi3:0.0.1\",\"imagePushSecret\":\"acr-push\"}}}",
      "89a04102cfb225ba20b3f2882b7aa475df0e66cfa8bd1937228318ef298cdf02" },
};

static void test_revision_hash(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
        AUTO(arena) struct arena arena = ARENA_INIT;
        AUTO(json) cJSON *tree = json_literal(hashes[i].workspace);
        struct workspace ws = workspace_of(tree, &arena);
        assert_string_equal(revision_hash(&ws, &arena), hashes[i].hash);
    }
}

static const struct object *known(const char *name, const char *hash, int number)
{
    AUTO(arena) struct arena arena = ARENA_INIT;
    return object_literal(arena_printf(
        &arena,
        "{\"metadata\":{\"name\":\"%s\",\"annotations\":{\"workspace.kaito.io/hash\":\"%s\"}},"
        "\"revision\":%d}",
        name, hash, number));
}

static void test_revision_choose_first(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(json) cJSON *tree = json_literal(phi4);
    struct workspace ws = workspace_of(tree, &arena);
    struct revision revision = revision_choose(&ws, &(struct object_list){ 0 }, &arena);
    assert_string_equal(revision.name, "workspace-phi-4-mini-203bd");
    assert_int_equal(revision.number, 1);
    assert_null(revision.existing);
    assert_null(revision.surplus);
}

static void test_revision_choose_reuses_number(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(json) cJSON *tree = json_literal(phi4);
    struct workspace ws = workspace_of(tree, &arena);
    AUTO(object) const struct object *old = known("workspace-phi-4-mini-203bd", hashes[1].hash, 3);
    AUTO(object) const struct object *newer = known("workspace-phi-4-mini-aaaaa", "aaaaa0", 4);
    const struct object *items[] = { old, newer };
    struct revision revision =
        revision_choose(&ws, &(struct object_list){ .items = items, .count = 2 }, &arena);
    assert_int_equal(revision.number, 3);
    assert_ptr_equal(revision.existing, old);
}

static void test_revision_choose_avoids_taken_name(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(json) cJSON *tree = json_literal(phi4);
    struct workspace ws = workspace_of(tree, &arena);
    AUTO(object) const struct object *other = known("workspace-phi-4-mini-203bd", "203bdffff", 7);
    struct revision revision =
        revision_choose(&ws, &(struct object_list){ .items = &other, .count = 1 }, &arena);
    assert_string_equal(revision.name, "workspace-phi-4-mini-203bd2");
    assert_int_equal(revision.number, 8);
}

static void test_revision_choose_names_surplus(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(json) cJSON *tree = json_literal(phi4);
    struct workspace ws = workspace_of(tree, &arena);
    const struct object *items[REVISION_HISTORY_MAX + 1];
    for (int i = 0; i <= REVISION_HISTORY_MAX; i++) {
        char name[32];
        snprintf(name, sizeof(name), "r-%d", i);
        items[i] = known(name, name, 20 - i);
    }
    struct object_list list = { .items = items, .count = REVISION_HISTORY_MAX };
    assert_null(revision_choose(&ws, &list, &arena).surplus);
    list.count = REVISION_HISTORY_MAX + 1;
    struct revision revision = revision_choose(&ws, &list, &arena);
    assert_ptr_equal(revision.surplus, items[REVISION_HISTORY_MAX]);
    assert_int_equal(revision.number, 21);
    for (int i = 0; i <= REVISION_HISTORY_MAX; i++)
        object_unref(items[i]);
}

/* KAITO's hash of a template is another than ours; what it hashed says that it is the same. */
static void test_revision_choose_knows_content_under_another_hash(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(json)
    cJSON *tree = json_literal(
        "{\"metadata\":{\"name\":\"w\"},\"resource\":{\"count\":1,\"labelSelector\":{}},"
        "\"inference\":{\"template\":"
        "{\"spec\":{\"containers\":[{\"name\":\"c\",\"tty\":false,\"resources\":{\"limits\":"
        "{\"cpu\":1}}}]}}}}");
    struct workspace ws = workspace_of(tree, &arena);
    static const struct {
        const char *containers;
        bool same;
    } rows[] = {
        { "[{\"resources\":{\"limits\":{\"cpu\":\"1000m\"}},\"name\":\"c\"}]", true },
        { "[{\"resources\":{\"limits\":{\"cpu\":\"1\"}},\"name\":\"c\",\"lifecycle\":{}}]", true },
        { "[{\"resources\":{\"limits\":{\"cpu\":\"2\"}},\"name\":\"c\"}]", false },
        { "[{\"resources\":{\"limits\":{\"cpu\":\"1\"}},\"name\":\"c\",\"tty\":true}]", false },
        { "[{\"resources\":{\"limits\":{\"cpu\":\"1\"}},\"name\":\"c\"},{\"name\":\"d\"}]", false },
        { "[]", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(object)
        const struct object *theirs = object_literal(arena_printf(
            &arena,
            "{\"metadata\":{\"name\":\"w-c0ffe\",\"annotations\":{\"workspace.kaito.io/hash\":"
            "\"c0ffee\"}},\"revision\":4,\"data\":{\"resource\":{\"count\":1,\"labelSelector\":"
            "null},"
            "\"tuning\":null,\"inference\":{\"template\":{\"metadata\":{\"creationTimestamp\":null}"
            ","
            "\"spec\":{\"containers\":%s}}}}}",
            rows[i].containers));
        struct revision revision =
            revision_choose(&ws, &(struct object_list){ .items = &theirs, .count = 1 }, &arena);
        assert_int_equal(revision.number, rows[i].same ? 4 : 5);
        assert_ptr_equal(revision.existing, rows[i].same ? theirs : NULL);
        if (rows[i].same)
            assert_string_equal(revision.hash, "c0ffee");
    }
}

/* In the order of KAITO's types, not of the names. */
static void test_revision_volume_order(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(json)
    cJSON *tree = json_literal("{\"metadata\":{\"name\":\"w\",\"uid\":\"u\"},\"tuning\":{"
                               "\"output\":{\"image\":\"i\"},\"input\":"
                               "{\"volumeSource\":{\"nfs\":"
                               "{\"readOnly\":true,\"path\":\"/p\",\"server\":\"s\"}}}}}");
    struct workspace ws = workspace_of(tree, &arena);
    struct revision revision = revision_choose(&ws, &(struct object_list){ 0 }, &arena);
    AUTO(json) cJSON *object = revision_object(&ws, &revision);
    AUTO_FREE char *volume = json_print(json_at(object, "data.tuning.input.volumeSource"));
    assert_string_equal(volume, "{\"nfs\":{\"server\":\"s\",\"path\":\"/p\",\"readOnly\":true}}");
}

static void test_revision_object(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(json) cJSON *tree = json_literal(phi4);
    struct workspace ws = workspace_of(tree, &arena);
    struct revision revision = revision_choose(&ws, &(struct object_list){ 0 }, &arena);
    AUTO(json) cJSON *object = revision_object(&ws, &revision);
    AUTO_FREE char *data = json_print_canonical(json_get(object, "data"));
    assert_string_equal(data,
                        "{\"inference\":{\"preset\":{\"accessMode\":\"public\",\"name\":"
                        "\"phi-4-mini-instruct\",\"presetOptions\":{}}},\"resource\":{\"count\":1,"
                        "\"instanceType\":\"Standard_NC24ads_A100_v4\",\"labelSelector\":"
                        "{\"matchLabels\":{\"apps\":\"phi-4\"}}},\"tuning\":null}");
    assert_string_equal(json_string_at(object, "metadata.ownerReferences[0].uid"), "u1");
    assert_string_equal(json_string_at(object, "metadata.labels[\"workspace.kaito.io/name\"]"),
                        "workspace-phi-4-mini");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_revision_hash),
        cmocka_unit_test(test_revision_choose_first),
        cmocka_unit_test(test_revision_choose_reuses_number),
        cmocka_unit_test(test_revision_choose_avoids_taken_name),
        cmocka_unit_test(test_revision_choose_names_surplus),
        cmocka_unit_test(test_revision_choose_knows_content_under_another_hash),
        cmocka_unit_test(test_revision_volume_order),
        cmocka_unit_test(test_revision_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
