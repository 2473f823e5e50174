#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/compiler.h"
#include "common/base/memory.h"
#include "common/json/json.h"
#include "common/k8s/object.h"
#include "test/lib/literals.h"

#define FULL                                                                                      \
    "{\"metadata\":{\"name\":\"a\",\"namespace\":\"x\",\"uid\":\"u1\",\"resourceVersion\":\"7\"," \
    "\"generation\":3,\"deletionTimestamp\":\"2026-01-01T00:00:00Z\",\"managedFields\":[{}],"     \
    "\"labels\":{\"kaito.sh/workspace\":\"w\"},\"annotations\":{\"n.m/k\":\"v\",\"bad\":1},"      \
    "\"finalizers\":[\"f1\",\"f2\"],\"ownerReferences\":[{\"name\":\"no\"},{\"name\":\"yes\","    \
    "\"controller\":true}]}}"

static void test_object_new_reads_metadata(void **state)
{
    (void)state;
    AUTO(object) const struct object *object = object_literal(FULL);
    assert_string_equal(object->key.name, "a");
    assert_string_equal(object->key.namespace_, "x");
    assert_string_equal(object->uid, "u1");
    assert_string_equal(object->resource_version, "7");
    assert_int_equal(object->generation, 3);
    assert_true(object->deleting);
}

static void test_object_new_fills_in_what_is_absent(void **state)
{
    (void)state;
    AUTO(object) const struct object *object = object_literal("{\"metadata\":{\"name\":\"a\"}}");
    assert_string_equal(object->key.namespace_, "");
    assert_string_equal(object->uid, "");
    assert_string_equal(object->resource_version, "");
    assert_int_equal(object->generation, 0);
    assert_false(object->deleting);
}

static void test_object_new_drops_managed_fields(void **state)
{
    (void)state;
    AUTO(object) const struct object *object = object_literal(FULL);
    assert_null(json_at(object->json, "metadata.managedFields"));
    assert_non_null(json_at(object->json, "metadata.labels"));
}

static void test_object_new_refuses(void **state)
{
    (void)state;
    char long_name[400];
    snprintf(long_name, sizeof(long_name), "{\"metadata\":{\"name\":\"%0330d\"}}", 0);
    const char *const cases[] = { "{}",
                                  "[]",
                                  "{\"metadata\":{}}",
                                  "{\"metadata\":{\"name\":\"\"}}",
                                  "{\"metadata\":{\"name\":1}}",
                                  long_name };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        cJSON *json = NULL;
        const struct object *object = NULL;
        struct error err = ERROR_INIT;
        assert_int_equal(json_parse_text(cases[i], &json, &err), 0);
        assert_int_equal(object_new(json, &object, &err), -1);
        assert_int_equal(err.code, ERR_INVALID);
        assert_null(object);
    }
}

static void test_object_lookups(void **state)
{
    (void)state;
    AUTO(object) const struct object *object = object_literal(FULL);
    assert_string_equal(object_label(object, "kaito.sh/workspace"), "w");
    assert_null(object_label(object, "kaito"));
    assert_string_equal(object_annotation(object, "n.m/k"), "v");
    assert_null(object_annotation(object, "bad"));
    assert_string_equal(json_string_at(object_controller(object), "name"), "yes");
    assert_true(object_has_finalizer(object, "f2"));
    assert_false(object_has_finalizer(object, "f"));
}

static void test_object_lookups_on_little(void **state)
{
    (void)state;
    AUTO(object) const struct object *object = object_literal("{\"metadata\":{\"name\":\"a\"}}");
    assert_null(object_label(object, "x"));
    assert_null(object_controller(object));
    assert_false(object_has_finalizer(object, "f"));
    assert_null(object_ref(NULL));
    object_unref(NULL);
}

static void test_object_lives_until_the_last_reference(void **state)
{
    (void)state;
    const struct object *object = object_literal(FULL);
    const struct object *second = object_ref(object);
    assert_ptr_equal(second, object);
    object_unref(object);
    assert_string_equal(second->key.name, "a"); /* ASan says whether it still is there */
    object_unref(second);
}

static void test_object_detects_mutation(void **state)
{
    (void)state;
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__)
    skip();
#endif
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        close(STDERR_FILENO);
        const struct object *object = object_literal(FULL);
        ((cJSON *)(uintptr_t)json_at(object->json, "metadata.generation"))->valuedouble = 4;
        object_unref(object);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
}

static void test_object_key_format_and_parse(void **state)
{
    (void)state;
    static const struct {
        const char *text, *namespace_, *name;
    } cases[] = { { "x/a", "x", "a" }, { "a", "", "a" }, { "x/a/b", "x", "a/b" } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char buffer[OBJECT_KEY_BYTES], again[OBJECT_KEY_BYTES];
        struct object_key key = object_key_parse(cases[i].text, buffer);
        assert_string_equal(key.namespace_, cases[i].namespace_);
        assert_string_equal(key.name, cases[i].name);
        assert_string_equal(object_key_format(key, again), cases[i].text);
    }
    char text[OBJECT_KEY_BYTES];
    assert_string_equal(object_key_format((struct object_key){ NULL, "a" }, text), "a");
}

static void test_object_key_compare(void **state)
{
    (void)state;
    struct object_key a = { "x", "b" }, b = { "y", "a" }, c = { "x", "c" };
    assert_true(object_key_compare(a, b) < 0);
    assert_true(object_key_compare(c, a) > 0);
    assert_int_equal(object_key_compare(a, a), 0);
}

static void test_owner_reference_controller(void **state)
{
    (void)state;
    AUTO(json)
    cJSON *owners = owner_reference_controller("kaito.sh/v1beta1", "Workspace", "w", "u");
    AUTO_FREE char *text = json_print(owners);
    assert_string_equal(text, "[{\"apiVersion\":\"kaito.sh/v1beta1\",\"kind\":\"Workspace\","
                              "\"name\":\"w\",\"uid\":\"u\",\"controller\":true,"
                              "\"blockOwnerDeletion\":true}]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_object_new_reads_metadata),
        cmocka_unit_test(test_object_new_fills_in_what_is_absent),
        cmocka_unit_test(test_object_new_drops_managed_fields),
        cmocka_unit_test(test_object_new_refuses),
        cmocka_unit_test(test_object_lookups),
        cmocka_unit_test(test_object_lookups_on_little),
        cmocka_unit_test(test_object_lives_until_the_last_reference),
        cmocka_unit_test(test_object_detects_mutation),
        cmocka_unit_test(test_object_key_format_and_parse),
        cmocka_unit_test(test_object_key_compare),
        cmocka_unit_test(test_owner_reference_controller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
