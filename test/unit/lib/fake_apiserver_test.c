#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "common/k8s/client.h"
#include "test/lib/fake_apiserver.h"
#include "test/lib/literals.h"

struct fixture {
    struct clock_fake clock;
    struct fake_apiserver *server;
    struct stop stop;
    struct k8s_client client;
    struct error err;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){ .err = ERROR_INIT };
    clock_fake_init(&fixture.clock, 0);
    fixture.server = fake_apiserver_new(&fixture.clock.clock);
    stop_init(&fixture.stop);
    fixture.client = (struct k8s_client){ .transport = fake_apiserver_transport(fixture.server),
                                          .stop = &fixture.stop };
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    fake_apiserver_free(fixture->server);
    stop_fini(&fixture->stop);
    return 0;
}

static const struct object_key key = { "x", "w" };

#define WORKSPACE                                                                               \
    "{\"apiVersion\":\"kaito.sh/v1beta1\",\"kind\":\"Workspace\",\"metadata\":{\"name\":\"w\"," \
    "\"namespace\":\"x\",\"finalizers\":[\"f\"]},\"resource\":{\"count\":1},"                   \
    "\"status\":{\"phase\":\"mine\"}}"

static const struct object *create(struct fixture *fixture)
{
    AUTO(json) cJSON *json = json_literal(WORKSPACE);
    const struct object *object = NULL;
    if (k8s_create(&fixture->client, &GVR_WORKSPACE, json, &object, &fixture->err) < 0)
        fail_msg("%s", fixture->err.message);
    return object;
}

/* The object after a merge patch; a refusal leaves NULL and the error. */
static const struct object *patch(struct fixture *fixture, const char *subresource,
                                  const char *text)
{
    AUTO(json) cJSON *json = json_literal(text);
    const struct object *object = NULL;
    return k8s_merge_patch(&fixture->client, &GVR_WORKSPACE, key, subresource, json, &object,
                           &fixture->err) < 0
               ? NULL
               : object;
}

static const struct object *apply(struct fixture *fixture, const char *text)
{
    AUTO(json) cJSON *json = json_literal(text);
    const struct object *object = NULL;
    return k8s_apply(&fixture->client, &GVR_CONFIGMAP, json, &object, &fixture->err) < 0 ? NULL
                                                                                         : object;
}

static void test_fake_create_fills_in_metadata(void **state)
{
    AUTO(object) const struct object *object = create(*state);
    assert_string_equal(object->resource_version, "1001");
    assert_int_equal(object->generation, 1);
    assert_true(strlen(object->uid) == 36);
    assert_string_equal(json_string_at(object->json, "metadata.creationTimestamp"),
                        "1970-01-01T00:00:00Z");
    assert_null(json_get(object->json, "status"));
}

static void test_fake_create_twice(void **state)
{
    struct fixture *fixture = *state;
    AUTO(json) cJSON *json = json_literal(WORKSPACE);
    object_unref(create(fixture));
    assert_int_equal(k8s_create(&fixture->client, &GVR_WORKSPACE, json, NULL, &fixture->err), -1);
    assert_int_equal(fixture->err.code, ERR_ALREADY_EXISTS);
}

static void test_fake_get_of_nothing(void **state)
{
    struct fixture *fixture = *state;
    const struct object *object = NULL;
    assert_int_equal(k8s_get(&fixture->client, &GVR_WORKSPACE, key, &object, &fixture->err), -1);
    assert_int_equal(fixture->err.code, ERR_NOT_FOUND);
}

static void test_fake_generation_follows_the_spec(void **state)
{
    struct fixture *fixture = *state;
    object_unref(create(fixture));
    static const struct {
        const char *subresource, *patch;
        int64_t generation;
        const char *version;
    } steps[] = {
        { NULL, "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}", 1, "1002" },
        { NULL, "{\"resource\":{\"count\":2}}", 2, "1003" },
        { NULL, "{\"resource\":{\"count\":2}}", 2, "1003" }, /* nothing changes */
        { "status", "{\"status\":{\"phase\":\"new\"}}", 2, "1004" },
        { NULL, "{\"status\":{\"phase\":\"ignored\"}}", 2, "1004" },
        { "status", "{\"resource\":{\"count\":7}}", 2, "1004" }, /* ignored, too */
        { NULL, "{\"resource\":null}", 3, "1005" },
    };
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        AUTO(object)
        const struct object *object = patch(fixture, steps[i].subresource, steps[i].patch);
        assert_non_null(object);
        assert_int_equal(object->generation, steps[i].generation);
        assert_string_equal(object->resource_version, steps[i].version);
    }
    AUTO(json) cJSON *end = fake_apiserver_get(fixture->server, &GVR_WORKSPACE, key);
    assert_string_equal(json_string_at(end, "status.phase"), "new");
    assert_null(json_get(end, "resource"));
}

static void test_fake_optimistic_lock(void **state)
{
    struct fixture *fixture = *state;
    object_unref(create(fixture));
    AUTO(object)
    const struct object *object = patch(
        fixture, NULL, "{\"metadata\":{\"resourceVersion\":\"1001\",\"labels\":{\"a\":\"1\"}}}");
    assert_non_null(object);
    assert_null(patch(fixture, NULL,
                      "{\"metadata\":{\"resourceVersion\":\"1001\",\"labels\":{\"a\":\"2\"}}}"));
    assert_int_equal(fixture->err.code, ERR_CONFLICT);
}

static void test_fake_apply(void **state)
{
    struct fixture *fixture = *state;
#define CONFIGMAP(data)                                                                         \
    "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"c\",\"namespace\":" \
    "\"x\"},\"data\":" data "}"
    AUTO(object)
    const struct object *made = apply(fixture, CONFIGMAP("{\"a\":\"1\",\"b\":\"1\"}"));
    assert_non_null(made);
    fake_apiserver_merge(fixture->server, &GVR_CONFIGMAP, made->key,
                         JOBJ(JV("data", JOBJ(JS("theirs", "1")))));
    AUTO(object) const struct object *again = apply(fixture, CONFIGMAP("{\"a\":\"2\"}"));
    AUTO_FREE char *data = json_print_canonical(json_get(again->json, "data"));
    assert_string_equal(data, "{\"a\":\"2\",\"theirs\":\"1\"}");
    AUTO(object) const struct object *same = apply(fixture, CONFIGMAP("{\"a\":\"2\"}"));
    assert_string_equal(same->resource_version, again->resource_version);
}

static void test_fake_delete_waits_for_finalizers(void **state)
{
    struct fixture *fixture = *state;
    object_unref(create(fixture));
    const struct delete_options none = { 0 };
    assert_int_equal(k8s_delete(&fixture->client, &GVR_WORKSPACE, key, &none, &fixture->err), 0);
    AUTO(json) cJSON *waiting = fake_apiserver_get(fixture->server, &GVR_WORKSPACE, key);
    assert_non_null(json_at(waiting, "metadata.deletionTimestamp"));
    object_unref(patch(fixture, NULL, "{\"metadata\":{\"finalizers\":null}}"));
    assert_int_equal(fake_apiserver_object_count(fixture->server, &GVR_WORKSPACE), 0);
    assert_int_equal(k8s_delete(&fixture->client, &GVR_WORKSPACE, key, &none, &fixture->err), 1);
}

static void test_fake_delete_preconditions(void **state)
{
    struct fixture *fixture = *state;
    AUTO(object) const struct object *object = create(fixture);
    const struct delete_options other = { .uid = "other" };
    const struct delete_options stale = { .uid = object->uid, .resource_version = "1" };
    const struct delete_options right = { .uid = object->uid, .resource_version = "1001" };
    assert_int_equal(k8s_delete(&fixture->client, &GVR_WORKSPACE, key, &other, &fixture->err), 1);
    assert_int_equal(k8s_delete(&fixture->client, &GVR_WORKSPACE, key, &stale, &fixture->err), -1);
    assert_int_equal(fixture->err.code, ERR_CONFLICT);
    assert_int_equal(k8s_delete(&fixture->client, &GVR_WORKSPACE, key, &right, &fixture->err), 0);
}

static void count_item(void *context, const struct object *object)
{
    (void)object;
    ++*(size_t *)context;
}

static void test_fake_list_selectors(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 3; i++)
        fake_apiserver_create(
            fixture->server, &GVR_NODE,
            JOBJ(JV("metadata", JOBJ(JF("name", "n%d", i),
                                     JV("labels", JOBJ(JS("k", i == 0 ? "a" : "b"),
                                                       JS("only", i == 2 ? "" : NULL)))))));
    static const struct {
        const char *labels, *fields;
        size_t count;
    } cases[] = { { NULL, NULL, 3 },
                  { "k=b", NULL, 2 },
                  { "k==a", NULL, 1 },
                  { "k!=a", NULL, 2 },
                  { "only", NULL, 1 },
                  { "!only", NULL, 2 },
                  { "k=b,only", NULL, 1 },
                  { NULL, "metadata.name=n1", 1 },
                  { "k=a", "metadata.name=n1", 0 } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_FREE char *version = NULL;
        const struct list_options options = { .label_selector = cases[i].labels,
                                              .field_selector = cases[i].fields };
        size_t count = 0;
        assert_int_equal(k8s_list(&fixture->client, &GVR_NODE, &options, count_item, &count,
                                  &version, &fixture->err),
                         0);
        assert_int_equal(count, cases[i].count);
        assert_string_equal(version, "1003");
    }
}

static void test_fake_faults(void **state)
{
    static const struct {
        enum fake_fault fault;
        enum error_code code;
        bool acted;
        int64_t retry_after_ms;
    } cases[] = { { FAKE_REFUSED, ERR_UNAVAILABLE, false, 0 },
                  { FAKE_ANSWER_LOST, ERR_UNAVAILABLE, true, 0 },
                  { FAKE_CONFLICT, ERR_CONFLICT, false, 0 },
                  { FAKE_THROTTLED, ERR_THROTTLED, false, 1000 },
                  { FAKE_BROKEN, ERR_UNAVAILABLE, false, 0 } };
    struct fixture *fixture = *state;
    object_unref(create(fixture));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        fake_apiserver_fail_next(fixture->server, 2, cases[i].fault);
        object_unref(patch(fixture, NULL, "{\"resource\":{\"count\":100}}"));
        AUTO(json) cJSON *before = fake_apiserver_get(fixture->server, &GVR_WORKSPACE, key);
        assert_null(patch(fixture, NULL, "{\"resource\":{\"count\":200}}"));
        AUTO(json) cJSON *after = fake_apiserver_get(fixture->server, &GVR_WORKSPACE, key);
        assert_int_equal(fixture->err.code, cases[i].code);
        assert_int_equal(fixture->err.retry_after_ms, cases[i].retry_after_ms);
        assert_int_equal(json_equal(before, after), !cases[i].acted);
    }
}

static void test_fake_counts(void **state)
{
    struct fixture *fixture = *state;
    object_unref(create(fixture));
    object_unref(patch(fixture, "status", "{\"status\":{\"a\":1}}"));
    object_unref(patch(fixture, NULL, "{\"resource\":{\"a\":1}}"));
    assert_int_equal(fake_apiserver_requests(fixture->server, NULL, NULL), 3);
    assert_int_equal(fake_apiserver_requests(fixture->server, "patch", NULL), 2);
    assert_int_equal(fake_apiserver_requests(fixture->server, "patch", "workspaces/status"), 1);
    fake_apiserver_reset_requests(fixture->server);
    assert_int_equal(fake_apiserver_requests(fixture->server, NULL, NULL), 0);
}

static void note(void *context, bool after, const char *verb, const char *resource,
                 struct object_key of)
{
    char *text = context;
    snprintf(text + strlen(text), 64, "%s %s %s/%s;", after ? "after" : "before", verb, resource,
             of.name);
}

static void test_fake_write_hook(void **state)
{
    struct fixture *fixture = *state;
    char text[256] = "";
    fake_apiserver_on_write(fixture->server, note, text);
    object_unref(create(fixture));
    const struct object *object = NULL;
    assert_int_equal(k8s_get(&fixture->client, &GVR_WORKSPACE, key, &object, &fixture->err), 0);
    object_unref(object);
    assert_string_equal(text, "before create workspaces/w;after create workspaces/w;");
}

static void test_fake_versions_show_the_same_object(void **state)
{
    struct fixture *fixture = *state;
    struct gvr alpha = GVR_WORKSPACE;
    alpha.version = "v1alpha1";
    object_unref(create(fixture));
    AUTO(object) const struct object *object = NULL;
    assert_int_equal(k8s_get(&fixture->client, &alpha, key, &object, &fixture->err), 0);
    assert_string_equal(json_string_at(object->json, "apiVersion"), "kaito.sh/v1alpha1");
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_fake_create_fills_in_metadata),
        WITH_FIXTURE(test_fake_create_twice),
        WITH_FIXTURE(test_fake_get_of_nothing),
        WITH_FIXTURE(test_fake_generation_follows_the_spec),
        WITH_FIXTURE(test_fake_optimistic_lock),
        WITH_FIXTURE(test_fake_apply),
        WITH_FIXTURE(test_fake_delete_waits_for_finalizers),
        WITH_FIXTURE(test_fake_delete_preconditions),
        WITH_FIXTURE(test_fake_list_selectors),
        WITH_FIXTURE(test_fake_faults),
        WITH_FIXTURE(test_fake_counts),
        WITH_FIXTURE(test_fake_write_hook),
        WITH_FIXTURE(test_fake_versions_show_the_same_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
