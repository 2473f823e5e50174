#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/k8s/url.h"

static void test_url_object_paths(void **state)
{
    (void)state;
    static const struct {
        const struct gvr *gvr;
        struct object_key key;
        const char *expected;
    } cases[] = {
        { &GVR_POD, { "ns", "p" }, "/api/v1/namespaces/ns/pods/p" },
        { &GVR_NODE, { "", "n" }, "/api/v1/nodes/n" },
        { &GVR_NODE, { "ignored", "n" }, "/api/v1/nodes/n" },
        { &GVR_STATEFULSET, { "ns", "s" }, "/apis/apps/v1/namespaces/ns/statefulsets/s" },
        { &GVR_POD, { "ns", "../x?y" }, "/api/v1/namespaces/ns/pods/..%2Fx%3Fy" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(buf) struct buf url = BUF_INIT(URL_BYTES_MAX);
        url_append_object(&url, cases[i].gvr, cases[i].key);
        assert_string_equal(buf_text(&url), cases[i].expected);
    }
}

static void test_url_collection_of_all_namespaces(void **state)
{
    (void)state;
    AUTO(buf) struct buf url = BUF_INIT(URL_BYTES_MAX);
    url_append_collection(&url, &GVR_POD, NULL);
    assert_string_equal(buf_text(&url), "/api/v1/pods");
}

static void test_url_query_is_encoded_and_absent_values_left_out(void **state)
{
    (void)state;
    AUTO(buf) struct buf url = BUF_INIT(URL_BYTES_MAX);
    buf_puts(&url, "/p");
    url_append_query(&url, "labelSelector", "a in (b,c),d=\xc3\xa9");
    url_append_query(&url, "fieldSelector", NULL);
    url_append_query(&url, "continue", "");
    url_append_query(&url, "x", "1");
    assert_string_equal(buf_text(&url), "/p?labelSelector=a%20in%20%28b%2Cc%29%2Cd%3D%C3%A9&x=1");
}

static void test_url_too_long_is_noticed(void **state)
{
    (void)state;
    char value[URL_BYTES_MAX + 1];
    memset(value, 'a', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    AUTO(buf) struct buf url = BUF_INIT(URL_BYTES_MAX);
    url_append_query(&url, "x", value);
    assert_true(buf_failed(&url));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_url_object_paths),
        cmocka_unit_test(test_url_collection_of_all_namespaces),
        cmocka_unit_test(test_url_query_is_encoded_and_absent_values_left_out),
        cmocka_unit_test(test_url_too_long_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
