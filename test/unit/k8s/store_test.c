#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/json/build.h"
#include "common/k8s/store.h"

static const struct object *thing(const char *namespace_, const char *name, const char *owner)
{
    const struct object *object = NULL;
    struct error err = ERROR_INIT;
    cJSON *json = JOBJ(JV("metadata", JOBJ(JS("namespace", namespace_), JS("name", name),
                                           JV("labels", JOBJ(JS("owner", owner))))));
    assert_int_equal(object_new(json, &object, &err), 0);
    return object;
}

static const char *by_owner(const struct object *object, char out[OBJECT_KEY_BYTES])
{
    const char *owner = object_label(object, "owner");
    if (owner == NULL)
        return NULL;
    snprintf(out, OBJECT_KEY_BYTES, "%s/%s", object->key.namespace_, owner);
    return out;
}

static const char *by_name(const struct object *object, char out[OBJECT_KEY_BYTES])
{
    snprintf(out, OBJECT_KEY_BYTES, "%s", object->key.name);
    return out;
}

static void put(struct store *store, const char *namespace_, const char *name, const char *owner)
{
    AUTO(object) const struct object *object = thing(namespace_, name, owner);
    object_unref(store_put(store, object));
}

static int set_up(void **state)
{
    *state = store_new((store_index *const[]){ by_owner, by_name }, 2);
    return 0;
}

static int tear_down(void **state)
{
    store_free(*state);
    return 0;
}

static void test_store_get(void **state)
{
    struct store *store = *state;
    put(store, "x", "a", NULL);
    AUTO(object) const struct object *found = store_get(store, (struct object_key){ "x", "a" });
    assert_non_null(found);
    assert_null(store_get(store, (struct object_key){ "y", "a" }));
    assert_null(store_get(store, (struct object_key){ "", "a" }));
}

static void test_store_put_returns_what_it_replaced(void **state)
{
    struct store *store = *state;
    AUTO(object) const struct object *first = thing("x", "a", NULL);
    AUTO(object) const struct object *second = thing("x", "a", NULL);
    assert_null(store_put(store, first));
    AUTO(object) const struct object *replaced = store_put(store, second);
    assert_ptr_equal(replaced, first);
    assert_int_equal(store_count(store), 1);
}

static void test_store_remove(void **state)
{
    struct store *store = *state;
    put(store, "x", "a", "o");
    AUTO(object)
    const struct object *removed = store_remove(store, (struct object_key){ "x", "a" });
    assert_string_equal(removed->key.name, "a");
    assert_null(store_remove(store, (struct object_key){ "x", "a" }));
    assert_int_equal(store_count(store), 0);
    AUTO(object_list) struct object_list list = store_by_index(store, 0, "x/o");
    assert_int_equal(list.count, 0);
}

static void test_store_list_is_sorted(void **state)
{
    struct store *store = *state;
    static const char *const names[] = { "c", "a", "b" };
    for (size_t i = 0; i < 3; i++) {
        put(store, "y", names[i], NULL);
        put(store, "x", names[i], NULL);
    }
    AUTO(object_list) struct object_list list = store_list(store);
    assert_int_equal(list.count, 6);
    for (size_t i = 1; i < list.count; i++)
        assert_true(object_key_compare(list.items[i - 1]->key, list.items[i]->key) < 0);
}

static void test_store_by_index(void **state)
{
    struct store *store = *state;
    put(store, "x", "b", "o");
    put(store, "x", "a", "o");
    put(store, "x", "c", "p");
    put(store, "y", "a", "o");
    AUTO(object_list) struct object_list owned = store_by_index(store, 0, "x/o");
    assert_int_equal(owned.count, 2);
    assert_string_equal(owned.items[0]->key.name, "a");
    assert_string_equal(owned.items[1]->key.name, "b");
    AUTO(object_list) struct object_list named = store_by_index(store, 1, "a");
    assert_int_equal(named.count, 2);
}

static void test_store_index_follows_changes(void **state)
{
    struct store *store = *state;
    static const struct {
        const char *owner;
        size_t under_o, under_p;
    } steps[] = { { "o", 1, 0 }, { "p", 0, 1 }, { "p", 0, 1 }, { NULL, 0, 0 }, { "o", 1, 0 } };
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        put(store, "x", "a", steps[i].owner);
        AUTO(object_list) struct object_list under_o = store_by_index(store, 0, "x/o");
        AUTO(object_list) struct object_list under_p = store_by_index(store, 0, "x/p");
        assert_int_equal(under_o.count, steps[i].under_o);
        assert_int_equal(under_p.count, steps[i].under_p);
    }
}

static void test_store_references_outlive_the_store(void **state)
{
    (void)state;
    struct store *store = store_new(NULL, 0);
    put(store, "x", "a", NULL);
    AUTO(object_list) struct object_list list = store_list(store);
    store_free(store);
    assert_string_equal(list.items[0]->key.name, "a");
}

struct race {
    struct store *store;
    const char *name;
};

static void *churn(void *argument)
{
    const struct race *race = argument;
    for (int i = 0; i < 300; i++) {
        put(race->store, "x", race->name, i % 2 == 0 ? "o" : "p");
        struct object_list list = store_by_index(race->store, 0, "x/o");
        object_list_fini(&list);
        object_unref(store_get(race->store, (struct object_key){ "x", "t0" }));
        if (i % 7 == 0)
            object_unref(store_remove(race->store, (struct object_key){ "x", race->name }));
    }
    return NULL;
}

static void test_store_is_thread_safe(void **state)
{
    struct race races[] = { { *state, "t0" }, { *state, "t1" }, { *state, "t0" } };
    pthread_t threads[ARRAY_LEN(races)];
    for (size_t i = 0; i < ARRAY_LEN(races); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, churn, &races[i]), 0);
    for (size_t i = 0; i < ARRAY_LEN(races); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(store_count(*state), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_store_get, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_store_put_returns_what_it_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_store_remove, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_store_list_is_sorted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_store_by_index, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_store_index_follows_changes, set_up, tear_down),
        cmocka_unit_test(test_store_references_outlive_the_store),
        cmocka_unit_test_setup_teardown(test_store_is_thread_safe, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
