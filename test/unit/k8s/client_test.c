#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/json/json.h"
#include "common/k8s/client.h"
#include "test/lib/literals.h"
#include "test/lib/scripted_transport.h"

#define ITEM(name, uid) "{\"metadata\":{\"name\":\"" name "\",\"uid\":\"" uid "\"}}"

struct fixture {
    struct scripted_transport script;
    struct k8s_client client;
    struct stop stop;
    struct error err;
};

static int set_up(void **state)
{
    struct fixture *f = mem_new(struct fixture);
    scripted_transport_init(&f->script);
    stop_init(&f->stop);
    f->client = (struct k8s_client){ .transport = &f->script.transport, .stop = &f->stop };
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    scripted_transport_fini(&f->script);
    stop_fini(&f->stop);
    free(f);
    return 0;
}

static void will_answer(struct fixture *f, int status, const char *body)
{
    scripted_transport_add(&f->script, (struct scripted_answer){ .status = status, .body = body });
}

static const struct object_key key = { .namespace_ = "ns", .name = "a" };
static const char one[] = "{\"metadata\":{\"name\":\"a\",\"namespace\":\"ns\"}}";

/* ------------------------------------------------------------------ single objects */

static void test_client_get(void **state)
{
    struct fixture *f = *state;
    AUTO(object) const struct object *object = NULL;
    will_answer(f, 200, one);
    assert_int_equal(k8s_get(&f->client, &GVR_POD, key, &object, &f->err), 0);
    assert_string_equal(object->key.name, "a");
    assert_string_equal(f->script.requests[0].method, "GET");
    assert_string_equal(f->script.requests[0].path, "/api/v1/namespaces/ns/pods/a");
    assert_null(f->script.requests[0].body);
}

static void test_client_error_says_what_was_tried(void **state)
{
    struct fixture *f = *state;
    const struct object *object = NULL;
    will_answer(f, 404, "{\"message\":\"pods \\\"a\\\" not found\",\"details\":{\"name\":\"a\"}}");
    assert_int_equal(k8s_get(&f->client, &GVR_POD, key, &object, &f->err), -1);
    assert_int_equal(f->err.code, ERR_NOT_FOUND);
    assert_string_equal(f->err.message, "get Pod ns/a: pods \"a\" not found");
    assert_null(object);
}

static void test_client_passes_transport_failures_on(void **state)
{
    struct fixture *f = *state;
    const struct object *object = NULL;
    scripted_transport_add(&f->script, (struct scripted_answer){ .error = ERR_TIMEOUT });
    assert_int_equal(k8s_get(&f->client, &GVR_POD, key, &object, &f->err), -1);
    assert_int_equal(f->err.code, ERR_TIMEOUT);
}

static void test_client_answer_that_is_not_json_is_worth_a_retry(void **state)
{
    struct fixture *f = *state;
    const struct object *object = NULL;
    will_answer(f, 200, "<html>");
    assert_int_equal(k8s_get(&f->client, &GVR_POD, key, &object, &f->err), -1);
    assert_int_equal(f->err.code, ERR_INTERNAL);
}

static void test_client_refuses_an_empty_name(void **state)
{
    struct fixture *f = *state;
    struct delete_options options = { 0 };
    struct object_key no_name = { .namespace_ = "ns", .name = "" };
    struct object_key no_namespace = { .namespace_ = "", .name = "a" };
    assert_int_equal(k8s_delete(&f->client, &GVR_POD, no_name, &options, &f->err), -1);
    assert_int_equal(f->err.code, ERR_INVALID);
    assert_int_equal(k8s_delete(&f->client, &GVR_POD, no_namespace, &options, &f->err), -1);
    assert_int_equal(f->script.request_count, 0);
}

static void test_client_create_posts_to_the_collection(void **state)
{
    struct fixture *f = *state;
    AUTO(json) cJSON *pod = json_literal(one);
    will_answer(f, 201, one);
    assert_int_equal(k8s_create(&f->client, &GVR_POD, pod, NULL, &f->err), 0);
    assert_string_equal(f->script.requests[0].method, "POST");
    assert_string_equal(f->script.requests[0].path,
                        "/api/v1/namespaces/ns/pods?fieldManager=ckaito");
    assert_string_equal(f->script.requests[0].content_type, "application/json");
    assert_string_equal(f->script.requests[0].body, one);
}

static void test_client_apply_forces_as_our_manager(void **state)
{
    struct fixture *f = *state;
    AUTO(json) cJSON *pod = json_literal(one);
    AUTO(object) const struct object *object = NULL;
    will_answer(f, 200, one);
    assert_int_equal(k8s_apply(&f->client, &GVR_POD, pod, &object, &f->err), 0);
    assert_string_equal(f->script.requests[0].method, "PATCH");
    assert_string_equal(f->script.requests[0].path,
                        "/api/v1/namespaces/ns/pods/a?fieldManager=ckaito&force=true");
    assert_string_equal(f->script.requests[0].content_type, "application/apply-patch+yaml");
    assert_non_null(object);
}

static void test_client_merge_patch_of_status(void **state)
{
    struct fixture *f = *state;
    AUTO(json) cJSON *patch = json_literal("{\"status\":{\"x\":null}}");
    will_answer(f, 200, one);
    assert_int_equal(k8s_merge_patch(&f->client, &GVR_POD, key, "status", patch, NULL, &f->err), 0);
    assert_string_equal(f->script.requests[0].path,
                        "/api/v1/namespaces/ns/pods/a/status?fieldManager=ckaito");
    assert_string_equal(f->script.requests[0].content_type, "application/merge-patch+json");
    assert_string_equal(f->script.requests[0].body, "{\"status\":{\"x\":null}}");
}

/* ------------------------------------------------------------------ delete */

static int delete_with_uid(struct fixture *f, const char *uid)
{
    struct delete_options options = { .uid = uid };
    return k8s_delete(&f->client, &GVR_POD, key, &options, &f->err);
}

static void test_client_delete_sends_its_preconditions(void **state)
{
    struct fixture *f = *state;
    struct delete_options options = { .uid = "u",
                                      .resource_version = "5",
                                      .propagation = "Foreground" };
    will_answer(f, 200, "{}");
    assert_int_equal(k8s_delete(&f->client, &GVR_POD, key, &options, &f->err), 0);
    assert_string_equal(f->script.requests[0].method, "DELETE");
    assert_string_equal(f->script.requests[0].body,
                        "{\"apiVersion\":\"v1\",\"kind\":\"DeleteOptions\","
                        "\"propagationPolicy\":\"Foreground\","
                        "\"preconditions\":{\"uid\":\"u\",\"resourceVersion\":\"5\"}}");
}

static void test_client_delete_of_what_is_gone(void **state)
{
    struct fixture *f = *state;
    will_answer(f, 404, "{\"details\":{\"name\":\"a\"}}");
    assert_int_equal(delete_with_uid(f, "u"), 1);
}

static void test_client_delete_when_another_has_the_name(void **state)
{
    struct fixture *f = *state;
    will_answer(f, 409, "{\"reason\":\"Conflict\"}");
    will_answer(f, 200, ITEM("a", "other"));
    assert_int_equal(delete_with_uid(f, "u"), 1);
}

static void test_client_delete_conflict_and_then_gone(void **state)
{
    struct fixture *f = *state;
    will_answer(f, 409, "{\"reason\":\"Conflict\"}");
    will_answer(f, 404, "{\"details\":{\"name\":\"a\"}}");
    assert_int_equal(delete_with_uid(f, "u"), 1);
}

static void test_client_delete_conflict_of_the_same_object(void **state)
{
    struct fixture *f = *state;
    will_answer(f, 409, "{\"reason\":\"Conflict\",\"message\":\"was modified\"}");
    will_answer(f, 200, ITEM("a", "u"));
    assert_int_equal(delete_with_uid(f, "u"), -1);
    assert_int_equal(f->err.code, ERR_CONFLICT);
    assert_string_equal(f->err.message, "delete Pod ns/a: was modified");
}

static void test_client_delete_conflict_without_uid_asks_nothing(void **state)
{
    struct fixture *f = *state;
    struct delete_options options = { .resource_version = "5" };
    will_answer(f, 409, "{\"reason\":\"Conflict\"}");
    assert_int_equal(k8s_delete(&f->client, &GVR_POD, key, &options, &f->err), -1);
    assert_int_equal(f->err.code, ERR_CONFLICT);
    assert_int_equal(f->script.request_count, 1);
}

/* ------------------------------------------------------------------ list */

static void collect(void *context, const struct object *object)
{
    struct buf *names = context;
    buf_printf(names, "%s ", object->key.name);
}

static int list(struct fixture *f, struct buf *names, char **version)
{
    struct list_options options = { .label_selector = "a=b" };
    return k8s_list(&f->client, &GVR_NODE, &options, collect, names, version, &f->err);
}

static void test_client_list_pages(void **state)
{
    struct fixture *f = *state;
    AUTO(buf) struct buf names = BUF_INIT(256);
    AUTO_FREE char *version = NULL;
    will_answer(f, 200,
                "{\"metadata\":{\"resourceVersion\":\"7\",\"continue\":\"c/1\"},"
                "\"items\":[" ITEM("a", "1") "," ITEM("b", "2") "]}");
    will_answer(f, 200,
                "{\"metadata\":{\"resourceVersion\":\"7\",\"continue\":\"\"},"
                "\"items\":[" ITEM("c", "3") "]}");
    assert_int_equal(list(f, &names, &version), 0);
    assert_string_equal(buf_text(&names), "a b c ");
    assert_string_equal(version, "7");
    assert_string_equal(f->script.requests[0].path, "/api/v1/nodes?labelSelector=a%3Db&limit=500");
    assert_string_equal(f->script.requests[1].path,
                        "/api/v1/nodes?labelSelector=a%3Db&limit=500&continue=c%2F1");
}

static void test_client_list_of_nothing(void **state)
{
    struct fixture *f = *state;
    AUTO(buf) struct buf names = BUF_INIT(256);
    AUTO_FREE char *version = NULL;
    will_answer(f, 200, "{\"metadata\":{\"resourceVersion\":\"7\"},\"items\":null}");
    assert_int_equal(list(f, &names, &version), 0);
    assert_string_equal(buf_text(&names), "");
}

static void test_client_list_expired_token_starts_again_without_pages(void **state)
{
    struct fixture *f = *state;
    AUTO(buf) struct buf names = BUF_INIT(256);
    AUTO_FREE char *version = NULL;
    will_answer(f, 200,
                "{\"metadata\":{\"resourceVersion\":\"7\",\"continue\":\"c\"},"
                "\"items\":[" ITEM("gone", "1") "]}");
    will_answer(f, 410, "{\"reason\":\"Expired\"}");
    will_answer(f, 200,
                "{\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[" ITEM("b", "2") "]}");
    assert_int_equal(list(f, &names, &version), 0);
    assert_string_equal(buf_text(&names), "b ");
    assert_string_equal(version, "9");
    assert_string_equal(f->script.requests[2].path, "/api/v1/nodes?labelSelector=a%3Db");
}

static void test_client_list_hands_out_nothing_on_failure(void **state)
{
    struct fixture *f = *state;
    AUTO(buf) struct buf names = BUF_INIT(256);
    AUTO_FREE char *version = NULL;
    will_answer(f, 200,
                "{\"metadata\":{\"resourceVersion\":\"7\",\"continue\":\"c\"},"
                "\"items\":[" ITEM("a", "1") "]}");
    will_answer(f, 500, "{\"message\":\"m\"}");
    assert_int_equal(list(f, &names, &version), -1);
    assert_int_equal(f->err.code, ERR_UNAVAILABLE);
    assert_string_equal(f->err.message, "list nodes: m");
    assert_string_equal(buf_text(&names), "");
    assert_null(version);
}

static void test_client_list_410_at_once_is_the_callers(void **state)
{
    struct fixture *f = *state;
    AUTO(buf) struct buf names = BUF_INIT(256);
    AUTO_FREE char *version = NULL;
    will_answer(f, 410, "{}");
    assert_int_equal(list(f, &names, &version), -1);
    assert_int_equal(f->err.code, ERR_EXPIRED);
}

static void test_client_list_refuses_what_is_no_list(void **state)
{
    struct fixture *f = *state;
    AUTO(buf) struct buf names = BUF_INIT(256);
    AUTO_FREE char *version = NULL;
    will_answer(f, 200, "{}");
    assert_int_equal(list(f, &names, &version), -1);
    assert_int_equal(f->err.code, ERR_INTERNAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_client_get),
        TEST(test_client_error_says_what_was_tried),
        TEST(test_client_passes_transport_failures_on),
        TEST(test_client_answer_that_is_not_json_is_worth_a_retry),
        TEST(test_client_refuses_an_empty_name),
        TEST(test_client_create_posts_to_the_collection),
        TEST(test_client_apply_forces_as_our_manager),
        TEST(test_client_merge_patch_of_status),
        TEST(test_client_delete_sends_its_preconditions),
        TEST(test_client_delete_of_what_is_gone),
        TEST(test_client_delete_when_another_has_the_name),
        TEST(test_client_delete_conflict_and_then_gone),
        TEST(test_client_delete_conflict_of_the_same_object),
        TEST(test_client_delete_conflict_without_uid_asks_nothing),
        TEST(test_client_list_pages),
        TEST(test_client_list_of_nothing),
        TEST(test_client_list_expired_token_starts_again_without_pages),
        TEST(test_client_list_hands_out_nothing_on_failure),
        TEST(test_client_list_410_at_once_is_the_callers),
        TEST(test_client_list_refuses_what_is_no_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
