#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/certificate.h"
#include "common/base/memory.h"

#define DAY_MS INT64_C(86400000)

/* 2026-11-24T05:36:46Z */
#define NOW_MS INT64_C(1795498606000)

static const char *const hosts[] = { "ckaito-webhook.kaito.svc", "*.example.org", "10.1.2.3",
                                     "fd00::1", NULL };

static void check(int result, const struct error *err)
{
    if (result < 0)
        fail_msg("%s: %s", error_code_name(err->code), err->message);
}

static void make_authority(struct key_pair *out)
{
    struct error err = ERROR_INIT;
    check(certificate_make_authority("ckaito test", NOW_MS, 3650 * DAY_MS, out, &err), &err);
}

static struct certificate_request leaf_request(void)
{
    return (struct certificate_request){ .common_name = "ckaito-webhook",
                                         .hosts = hosts,
                                         .server_auth = true,
                                         .not_before_ms = NOW_MS,
                                         .lifetime_ms = 90 * DAY_MS };
}

static void make_leaf(const struct key_pair *authority, struct key_pair *out)
{
    struct error err = ERROR_INIT;
    struct certificate_request request = leaf_request();
    check(certificate_issue(authority, &request, out, &err), &err);
}

static void test_certificate_inspect_reads_what_was_asked_for(void **state)
{
    (void)state;
    AUTO(key_pair) struct key_pair authority = { .key_pem = NULL };
    AUTO(key_pair) struct key_pair leaf = { .key_pem = NULL };
    struct certificate_info info;
    struct error err = ERROR_INIT;
    make_authority(&authority);
    make_leaf(&authority, &leaf);

    check(certificate_inspect(leaf.certificate_pem, &info, &err), &err);
    assert_string_equal(info.common_name, "ckaito-webhook");
    assert_int_equal(info.not_before_ms, NOW_MS);
    assert_int_equal(info.not_after_ms, NOW_MS + 90 * DAY_MS);

    check(certificate_inspect(authority.certificate_pem, &info, &err), &err);
    assert_string_equal(info.common_name, "ckaito test");
    assert_int_equal(info.not_after_ms, NOW_MS + 3650 * DAY_MS);
}

static void test_certificate_check_takes_what_fits(void **state)
{
    (void)state;
    static const char *const covered[] = { "ckaito-webhook.kaito.svc", "a.example.org", "10.1.2.3",
                                           "fd00:0:0::1", NULL };
    AUTO(key_pair) struct key_pair authority = { .key_pem = NULL };
    AUTO(key_pair) struct key_pair other = { .key_pem = NULL };
    AUTO(key_pair) struct key_pair leaf = { .key_pem = NULL };
    struct error err = ERROR_INIT;
    make_authority(&authority);
    make_authority(&other);
    make_leaf(&authority, &leaf);

    check(certificate_check(leaf.certificate_pem, leaf.key_pem, authority.certificate_pem, covered,
                            &err),
          &err);
    check(certificate_check(leaf.certificate_pem, leaf.key_pem, NULL, NULL, &err), &err);
    /* while an authority is being replaced the bundle holds both */
    AUTO_FREE char *bundle = mem_printf("%s%s", other.certificate_pem, authority.certificate_pem);
    check(certificate_check(leaf.certificate_pem, leaf.key_pem, bundle, covered, &err), &err);
}

static void test_certificate_check_says_what_does_not_fit(void **state)
{
    (void)state;
    static const char *const not_covered[] = { "10.1.2.3", "other.svc", NULL };
    static const char *const wrong_address[] = { "10.1.2.4", NULL };
    AUTO(key_pair) struct key_pair authority = { .key_pem = NULL };
    AUTO(key_pair) struct key_pair other = { .key_pem = NULL };
    AUTO(key_pair) struct key_pair leaf = { .key_pem = NULL };
    make_authority(&authority);
    make_authority(&other); /* the same name, another key */
    make_leaf(&authority, &leaf);

    const struct {
        const char *certificate, *key, *bundle;
        const char *const *hosts;
        const char *message;
    } rows[] = {
        { leaf.certificate_pem, other.key_pem, authority.certificate_pem, hosts,
          "certificate and private key do not belong together" },
        { leaf.certificate_pem, leaf.key_pem, other.certificate_pem, hosts,
          "not issued by an authority of the bundle" },
        { leaf.certificate_pem, leaf.key_pem, "", hosts,
          "not issued by an authority of the bundle" },
        { leaf.certificate_pem, leaf.key_pem, leaf.certificate_pem, hosts,
          "not issued by an authority of the bundle" },
        { leaf.certificate_pem, leaf.key_pem, authority.certificate_pem, not_covered,
          "does not cover host other.svc" },
        { leaf.certificate_pem, leaf.key_pem, authority.certificate_pem, wrong_address,
          "does not cover host 10.1.2.4" },
        { leaf.key_pem, leaf.key_pem, NULL, NULL, "not a PEM certificate: no start line" },
        { leaf.certificate_pem, "garbage", NULL, NULL,
          "not a PEM private key without passphrase: unsupported" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        assert_int_equal(certificate_check(rows[i].certificate, rows[i].key, rows[i].bundle,
                                           rows[i].hosts, &err),
                         -1);
        assert_int_equal(err.code, ERR_INVALID);
        assert_string_equal(err.message, rows[i].message);
    }
}

static void test_certificate_issue_refuses_bad_requests(void **state)
{
    (void)state;
    static const char *const comma[] = { "a.svc,IP:10.0.0.1", NULL };
    static const char *const empty[] = { "", NULL };
    AUTO(key_pair) struct key_pair authority = { .key_pem = NULL };
    make_authority(&authority);
    struct certificate_request requests[] = { leaf_request(), leaf_request(), leaf_request(),
                                              leaf_request(), leaf_request() };
    requests[0].hosts = comma;
    requests[1].hosts = empty;
    requests[2].common_name = "";
    requests[3].common_name =
        "a-name-of-more-than-sixty-four-bytes-is-not-possible-in-a-certificate";
    requests[4].lifetime_ms = 0;
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        struct error err = ERROR_INIT;
        struct key_pair leaf = { .key_pem = NULL };
        assert_int_equal(certificate_issue(&authority, &requests[i], &leaf, &err), -1);
        assert_int_equal(err.code, ERR_INVALID);
        assert_null(leaf.key_pem);
    }
}

static void test_certificate_issue_without_hosts(void **state)
{
    (void)state;
    static const char *const own_name[] = { "ckaito-webhook", NULL };
    AUTO(key_pair) struct key_pair authority = { .key_pem = NULL };
    AUTO(key_pair) struct key_pair leaf = { .key_pem = NULL };
    struct error err = ERROR_INIT;
    struct certificate_request request = leaf_request();
    request.hosts = NULL;
    make_authority(&authority);
    check(certificate_issue(&authority, &request, &leaf, &err), &err);
    /* the common name is not a host */
    assert_int_equal(certificate_check(leaf.certificate_pem, leaf.key_pem, NULL, own_name, &err),
                     -1);
}

static void test_certificate_serials_differ(void **state)
{
    (void)state;
    AUTO(key_pair) struct key_pair authority = { .key_pem = NULL };
    AUTO(key_pair) struct key_pair one = { .key_pem = NULL };
    AUTO(key_pair) struct key_pair two = { .key_pem = NULL };
    make_authority(&authority);
    make_leaf(&authority, &one);
    make_leaf(&authority, &two);
    assert_string_not_equal(one.certificate_pem, two.certificate_pem);
    assert_string_not_equal(one.key_pem, two.key_pem);
}

static void test_certificate_inspect_refuses_garbage(void **state)
{
    (void)state;
    static const char *const rows[] = { "", "garbage",
                                        "-----BEGIN CERTIFICATE-----\nAAAA\n"
                                        "-----END CERTIFICATE-----\n" };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct certificate_info info;
        struct error err = ERROR_INIT;
        assert_int_equal(certificate_inspect(rows[i], &info, &err), -1);
        assert_int_equal(err.code, ERR_INVALID);
    }
}

static void test_certificate_is_due_after_two_thirds(void **state)
{
    (void)state;
    const struct certificate_info info = { .not_before_ms = NOW_MS,
                                           .not_after_ms = NOW_MS + 90 * DAY_MS };
    const struct {
        int64_t now_ms;
        bool due;
    } rows[] = {
        { NOW_MS - 1, true },
        { NOW_MS, false },
        { NOW_MS + 60 * DAY_MS - 1, false },
        { NOW_MS + 60 * DAY_MS, true },
        { NOW_MS + 91 * DAY_MS, true },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(certificate_is_due(&info, rows[i].now_ms), rows[i].due);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificate_inspect_reads_what_was_asked_for),
        cmocka_unit_test(test_certificate_check_takes_what_fits),
        cmocka_unit_test(test_certificate_check_says_what_does_not_fit),
        cmocka_unit_test(test_certificate_issue_refuses_bad_requests),
        cmocka_unit_test(test_certificate_issue_without_hosts),
        cmocka_unit_test(test_certificate_serials_differ),
        cmocka_unit_test(test_certificate_inspect_refuses_garbage),
        cmocka_unit_test(test_certificate_is_due_after_two_thirds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
