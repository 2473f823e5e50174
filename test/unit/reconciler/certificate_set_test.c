#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/json/json.h"
#include "reconciler/certificate_set.h"

#define DAY CERTIFICATE_DAY_MS
static const int64_t start_ms = INT64_C(1800000000000);

static void hosts_of(struct arena *arena, struct certificate_hosts *out)
{
    certificate_hosts_make("ns", "hook", "127.0.0.1,,example.org", arena, out);
}

static int renew(struct certificate_set *set, int64_t now_ms)
{
    AUTO(arena) struct arena arena = ARENA_INIT;
    struct certificate_hosts hosts;
    struct error err = ERROR_INIT;
    hosts_of(&arena, &hosts);
    int result = certificate_set_renew(set, &hosts, now_ms, &err);
    if (result < 0)
        fail_msg("%s", err.message);
    return result;
}

static bool issued_by(const struct key_pair *leaf, const char *authority)
{
    struct error err = ERROR_INIT;
    return certificate_check(leaf->certificate_pem, leaf->key_pem, authority, NULL, &err) == 0;
}

static void test_certificate_hosts(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    struct certificate_hosts hosts;
    hosts_of(&arena, &hosts);
    const char *const *webhook = hosts.of[LEAF_WEBHOOK];
    assert_string_equal(webhook[0], "hook");
    assert_string_equal(webhook[1], "hook.ns");
    assert_string_equal(webhook[2], "hook.ns.svc");
    assert_string_equal(webhook[3], "127.0.0.1");
    assert_string_equal(webhook[4], "example.org");
    assert_null(webhook[5]);
    const char *const *bus = hosts.of[LEAF_BUS];
    assert_string_equal(bus[1], "ckaito-provisioner.ns.svc");
    assert_string_equal(bus[2], "*.ckaito-provisioner.ns.svc"); /* replicas by their names */
}

static void test_certificate_set_first_and_idle(void **state)
{
    (void)state;
    AUTO(certificate_set) struct certificate_set set = { 0 };
    assert_int_equal(renew(&set, start_ms), 1);
    for (size_t i = 0; i < LEAF_COUNT; i++)
        assert_true(issued_by(&set.leaves[i], set.authority.certificate_pem));
    assert_null(set.previous_authority);
    assert_int_equal(renew(&set, start_ms), 0);
    assert_int_equal(renew(&set, start_ms + 59 * DAY), 0);
}

static void test_certificate_set_leaf_at_two_thirds(void **state)
{
    (void)state;
    AUTO(certificate_set) struct certificate_set set = { 0 };
    renew(&set, start_ms);
    AUTO_FREE char *authority = mem_strdup(set.authority.certificate_pem);
    AUTO_FREE char *leaf = mem_strdup(set.leaves[LEAF_BUS].certificate_pem);
    assert_int_equal(renew(&set, start_ms + 60 * DAY), 1);
    assert_string_equal(set.authority.certificate_pem, authority);
    assert_string_not_equal(set.leaves[LEAF_BUS].certificate_pem, leaf);
}

static void test_certificate_set_changed_hosts(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(certificate_set) struct certificate_set set = { 0 };
    struct certificate_hosts hosts;
    struct error err = ERROR_INIT;
    renew(&set, start_ms);
    AUTO_FREE char *bus = mem_strdup(set.leaves[LEAF_BUS].certificate_pem);
    certificate_hosts_make("ns", "hook", "other.example.org", &arena, &hosts);
    assert_int_equal(certificate_set_renew(&set, &hosts, start_ms, &err), 1);
    assert_string_equal(set.leaves[LEAF_BUS].certificate_pem, bus);
    assert_int_equal(certificate_set_renew(&set, &hosts, start_ms, &err), 0);
}

/* The new authority is known, then used, then alone; each leaf is verifiable all the time. */
static void test_certificate_set_authority_rotates_in_three_steps(void **state)
{
    (void)state;
    AUTO(certificate_set) struct certificate_set set = { 0 };
    int64_t due_ms = start_ms + CERTIFICATE_AUTHORITY_MS / 3 * 2;
    renew(&set, start_ms);
    renew(&set, due_ms - 2 * DAY); /* fresh leaves of the old authority */
    AUTO_FREE char *old = mem_strdup(set.authority.certificate_pem);

    assert_int_equal(renew(&set, due_ms), 1);
    assert_string_equal(set.previous_authority, old);
    assert_true(issued_by(&set.leaves[LEAF_WEBHOOK], old));
    assert_false(issued_by(&set.leaves[LEAF_WEBHOOK], set.authority.certificate_pem));
    AUTO_FREE char *bundle = certificate_set_bundle(&set);
    assert_true(issued_by(&set.leaves[LEAF_WEBHOOK], bundle));
    assert_int_equal(renew(&set, due_ms + CERTIFICATE_SETTLE_MS - 1000), 0);

    int64_t used_ms = due_ms + CERTIFICATE_SETTLE_MS;
    assert_int_equal(renew(&set, used_ms), 1);
    assert_true(issued_by(&set.leaves[LEAF_WEBHOOK], set.authority.certificate_pem));
    assert_non_null(set.previous_authority);

    assert_int_equal(renew(&set, used_ms + CERTIFICATE_SETTLE_MS), 1);
    assert_null(set.previous_authority);
    assert_int_equal(renew(&set, used_ms + 2 * CERTIFICATE_SETTLE_MS), 0);
}

static void test_certificate_set_encode_round_trip(void **state)
{
    (void)state;
    AUTO(certificate_set) struct certificate_set set = { 0 };
    AUTO(certificate_set) struct certificate_set copy = { 0 };
    renew(&set, start_ms);
    AUTO(json) cJSON *data = certificate_set_encode(&set);
    certificate_set_decode(data, &copy);
    assert_string_equal(copy.authority.key_pem, set.authority.key_pem);
    assert_string_equal(copy.leaves[LEAF_WEBHOOK].certificate_pem,
                        set.leaves[LEAF_WEBHOOK].certificate_pem);
    assert_null(copy.previous_authority);
    assert_int_equal(renew(&copy, start_ms), 0);
}

static void test_certificate_set_damaged(void **state)
{
    (void)state;
    AUTO(certificate_set) struct certificate_set set = { 0 };
    AUTO(json) cJSON *data = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(
        json_parse_text("{\"ca.crt\":\"!!\",\"ca.key\":7,\"bus.crt\":\"YQ==\"}", &data, &err), 0);
    certificate_set_decode(data, &set);
    assert_int_equal(renew(&set, start_ms), 1);
    assert_true(issued_by(&set.leaves[LEAF_BUS], set.authority.certificate_pem));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificate_hosts),
        cmocka_unit_test(test_certificate_set_first_and_idle),
        cmocka_unit_test(test_certificate_set_leaf_at_two_thirds),
        cmocka_unit_test(test_certificate_set_changed_hosts),
        cmocka_unit_test(test_certificate_set_authority_rotates_in_three_steps),
        cmocka_unit_test(test_certificate_set_encode_round_trip),
        cmocka_unit_test(test_certificate_set_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
