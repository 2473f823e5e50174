#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "common/k8s/membership.h"
#include "test/lib/fake_apiserver.h"

enum { KEYS = 1000 };

/* ------------------------------------------------------------------ rendezvous hash */

static const char *key_number(int i, char out[32])
{
    snprintf(out, 32, "default/workspace-%d", i);
    return out;
}

static void test_membership_rendezvous_of_nobody(void **state)
{
    (void)state;
    assert_int_equal(rendezvous_winner(NULL, 0, "k"), -1);
}

static void test_membership_rendezvous_ignores_the_order(void **state)
{
    (void)state;
    static const char *const forward[] = { "r-0", "r-1", "r-2" };
    static const char *const backward[] = { "r-2", "r-1", "r-0" };
    char key[32];
    for (int i = 0; i < KEYS; i++) {
        key_number(i, key);
        assert_string_equal(forward[rendezvous_winner(forward, 3, key)],
                            backward[rendezvous_winner(backward, 3, key)]);
    }
}

static void test_membership_rendezvous_moves_only_the_keys_of_who_leaves(void **state)
{
    (void)state;
    static const char *const members[] = { "r-0", "r-1", "r-2", "r-3" };
    char key[32];
    int moved = 0;
    for (int i = 0; i < KEYS; i++) {
        key_number(i, key);
        int before = rendezvous_winner(members, 4, key);
        int after = rendezvous_winner(members, 3, key);
        if (before == 3)
            moved++;
        else
            assert_int_equal(after, before);
    }
    assert_in_range(moved, 1, KEYS - 1);
}

static void test_membership_rendezvous_is_even(void **state)
{
    (void)state;
    static const char *const members[] = { "ckaito-reconciler-7d9f8b6c5-abcde",
                                           "ckaito-reconciler-7d9f8b6c5-abcdf",
                                           "ckaito-reconciler-7d9f8b6c5-abcdg",
                                           "ckaito-reconciler-7d9f8b6c5-abcdh" };
    size_t wins[4] = { 0 };
    char key[32];
    for (int i = 0; i < KEYS; i++)
        wins[rendezvous_winner(members, 4, key_number(i, key))]++;
    for (size_t i = 0; i < 4; i++)
        assert_in_range(wins[i], KEYS / 4 - 70, KEYS / 4 + 70); /* five standard deviations */
}

/* ------------------------------------------------------------------ Leases */

struct fixture {
    struct clock_fake clock;
    struct fake_apiserver *server;
    struct stop stop;
    struct k8s_client client;
    struct membership *a, *b;
    int a_changes, b_changes;
};

static void count_change(void *context)
{
    (*(int *)context)++;
}

static int set_up(void **state)
{
    struct fixture *f = mem_new(struct fixture);
    clock_fake_init(&f->clock, 1000 * 1000);
    f->server = fake_apiserver_new(&f->clock.clock);
    stop_init(&f->stop);
    f->client =
        (struct k8s_client){ .transport = fake_apiserver_transport(f->server), .stop = &f->stop };
    f->a = membership_new(&f->client, "system", "group", "a", &f->stop, &f->clock.clock,
                          count_change, &f->a_changes);
    f->b = membership_new(&f->client, "system", "group", "b", &f->stop, &f->clock.clock,
                          count_change, &f->b_changes);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    membership_free(f->a);
    membership_free(f->b);
    fake_apiserver_free(f->server);
    stop_fini(&f->stop);
    free(f);
    return 0;
}

static void round_of(struct membership *membership)
{
    struct error err = ERROR_INIT;
    if (membership_round(membership, &err) < 0)
        fail_msg("%s", err.message);
}

static int owned(struct membership *membership)
{
    char key[32];
    int count = 0;
    for (int i = 0; i < KEYS; i++)
        count += membership_owns(membership, key_number(i, key));
    return count;
}

static void test_membership_owns_nothing_before_its_lease(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(owned(f->a), 0);
}

static void test_membership_of_one_without_leases_owns_everything(void **state)
{
    (void)state;
    assert_true(membership_owns(NULL, "default/ws"));
}

static void test_membership_identity_differs_and_is_a_name(void **state)
{
    (void)state;
    AUTO_FREE char *one = membership_identity();
    AUTO_FREE char *other = membership_identity();
    assert_string_not_equal(one, other);
    assert_int_equal(strspn(one, "abcdefghijklmnopqrstuvwxyz0123456789-"), strlen(one));
}

static void test_membership_alone_owns_everything(void **state)
{
    struct fixture *f = *state;
    round_of(f->a);
    assert_int_equal(owned(f->a), KEYS);
    assert_int_equal(f->a_changes, 1);
}

static void test_membership_lease_on_the_server(void **state)
{
    struct fixture *f = *state;
    round_of(f->a);
    AUTO(json)
    cJSON *lease = fake_apiserver_get(
        f->server, &GVR_LEASE, (struct object_key){ .namespace_ = "system", .name = "group-a" });
    assert_string_equal(json_string_at(lease, "metadata.labels[\"ckaito.sh/group\"]"), "group");
    assert_string_equal(json_string_at(lease, "spec.holderIdentity"), "a");
    assert_int_equal(json_integer_at(lease, "spec.leaseDurationSeconds", 0), 3);
    assert_string_equal(json_string_at(lease, "spec.renewTime"), "1970-01-01T00:16:40.000000Z");
}

static void test_membership_two_share_without_overlap(void **state)
{
    struct fixture *f = *state;
    round_of(f->a);
    round_of(f->b);
    round_of(f->a);
    int by_a = owned(f->a), by_b = owned(f->b);
    assert_int_equal(by_a + by_b, KEYS);
    assert_in_range(by_a, 1, KEYS - 1);
    char key[32];
    for (int i = 0; i < KEYS; i++) {
        key_number(i, key);
        assert_int_not_equal(membership_owns(f->a, key), membership_owns(f->b, key));
    }
    assert_int_equal(f->a_changes, 2);
    assert_int_equal(f->b_changes, 1);
}

static void test_membership_dead_after_3_seconds_without_change(void **state)
{
    struct fixture *f = *state;
    round_of(f->b);
    round_of(f->a);
    f->clock.now_ms += 2999;
    round_of(f->a);
    assert_in_range(owned(f->a), 1, KEYS - 1);
    f->clock.now_ms += 1;
    round_of(f->a);
    assert_int_equal(owned(f->a), KEYS);
    assert_int_equal(f->a_changes, 2);
}

static void test_membership_clocks_of_others_are_not_trusted(void **state)
{
    struct fixture *f = *state;
    round_of(f->b);
    round_of(f->a);
    for (int i = 0; i < 4; i++) { /* b's clock stands near 1971, but it moves */
        f->clock.now_ms += 1000;
        AUTO_FREE char *time = mem_printf("1971-01-01T00:00:0%d.000000Z", i);
        fake_apiserver_merge(f->server, &GVR_LEASE,
                             (struct object_key){ .namespace_ = "system", .name = "group-b" },
                             JOBJ(JV("spec", JOBJ(JS("renewTime", time)))));
        round_of(f->a);
    }
    assert_in_range(owned(f->a), 1, KEYS - 1);
}

static void test_membership_lapsed_lease_owns_nothing(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    round_of(f->a);
    fake_apiserver_set_down(f->server, true);
    f->clock.now_ms += 2999;
    assert_int_equal(membership_round(f->a, &err), -1);
    assert_int_equal(owned(f->a), KEYS);
    f->clock.now_ms += 1;
    assert_int_equal(owned(f->a), 0);

    fake_apiserver_set_down(f->server, false);
    round_of(f->a);
    assert_int_equal(owned(f->a), KEYS);
    assert_int_equal(f->a_changes, 2); /* it looks again at what it turned away */
}

static void test_membership_other_groups_do_not_count(void **state)
{
    struct fixture *f = *state;
    struct membership *other = membership_new(&f->client, "system", "others", "x", &f->stop,
                                              &f->clock.clock, count_change, &f->b_changes);
    round_of(other);
    round_of(f->a);
    assert_int_equal(owned(f->a), KEYS);
    membership_free(other);
}

static void test_membership_long_dead_leases_are_deleted(void **state)
{
    struct fixture *f = *state;
    round_of(f->b);
    round_of(f->a);
    f->clock.now_ms += 10 * 60 * 1000 - 1;
    round_of(f->a);
    assert_int_equal(fake_apiserver_object_count(f->server, &GVR_LEASE), 2);
    f->clock.now_ms += 1;
    round_of(f->a);
    assert_int_equal(fake_apiserver_object_count(f->server, &GVR_LEASE), 1);
}

static void test_membership_thread_takes_and_leaves(void **state)
{
    struct fixture *f = *state;
    int changes = 0;
    struct stop stop;
    stop_init(&stop);
    struct k8s_client client = { .transport = f->client.transport, .stop = &stop };
    struct membership *c = membership_new(&client, "system", "group", "c", &stop, clock_system(),
                                          count_change, &changes);
    membership_start(c);
    while (!membership_owns(c, "k"))
        stop_wait(&stop, 1);
    assert_int_equal(fake_apiserver_object_count(f->server, &GVR_LEASE), 1);
    stop_raise(&stop);
    membership_free(c);
    assert_int_equal(fake_apiserver_object_count(f->server, &GVR_LEASE), 0);
    assert_int_equal(changes, 1);
    stop_fini(&stop);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_membership_rendezvous_of_nobody),
        cmocka_unit_test(test_membership_rendezvous_ignores_the_order),
        cmocka_unit_test(test_membership_rendezvous_moves_only_the_keys_of_who_leaves),
        cmocka_unit_test(test_membership_rendezvous_is_even),
        TEST(test_membership_owns_nothing_before_its_lease),
        cmocka_unit_test(test_membership_of_one_without_leases_owns_everything),
        cmocka_unit_test(test_membership_identity_differs_and_is_a_name),
        TEST(test_membership_alone_owns_everything),
        TEST(test_membership_lease_on_the_server),
        TEST(test_membership_two_share_without_overlap),
        TEST(test_membership_dead_after_3_seconds_without_change),
        TEST(test_membership_clocks_of_others_are_not_trusted),
        TEST(test_membership_lapsed_lease_owns_nothing),
        TEST(test_membership_other_groups_do_not_count),
        TEST(test_membership_long_dead_leases_are_deleted),
        TEST(test_membership_thread_takes_and_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
