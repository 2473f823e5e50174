#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/api/workspace.h"
#include "common/base/memory.h"
#include "common/base/metrics.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "proto/messages.h"
#include "provisioner/claim.h"
#include "provisioner/claims.h"
#include "test/lib/fake_apiserver.h"
#include "test/lib/literals.h"

enum { SYNC_MS = 10 * 1000 };

/* A provisioner's claims role on an API server in memory; informers run, queues are run by hand. */
struct world {
    struct fake_apiserver *server;
    struct fake_apiserver
        *event_server; /* apart: events come when they like and would be counted */
    struct stop stop;
    struct k8s_client client, event_client;
    struct event_recorder *events;
    struct informer *informers[3];
    struct claims *claims;
    char uid[64]; /* of the Workspace default/ws */
};

static struct object_key ws_key(void)
{
    return (struct object_key){ .namespace_ = "default", .name = "ws" };
}

static void add_workspace(struct world *world)
{
    fake_apiserver_create(
        world->server, &GVR_WORKSPACE,
        json_literal("{\"apiVersion\":\"kaito.sh/v1beta1\",\"kind\":\"Workspace\","
                     "\"metadata\":{\"name\":\"ws\",\"namespace\":\"default\","
                     "\"finalizers\":[\"workspace.finalizer.kaito.sh\"]}}"));
    AUTO(json) cJSON *made = fake_apiserver_get(world->server, &GVR_WORKSPACE, ws_key());
    snprintf(world->uid, sizeof(world->uid), "%s", json_string_at(made, "metadata.uid"));
}

static int set_up(void **state)
{
    static store_index *const by_workspace[] = { claim_workspace_index };
    static store_index *const by_provider[] = { node_provider_index };
    struct world *world = mem_new(struct world);
    stop_init(&world->stop);
    world->server = fake_apiserver_new(clock_system());
    world->client = (struct k8s_client){ .transport = fake_apiserver_transport(world->server),
                                         .stop = &world->stop };
    world->event_server = fake_apiserver_new(clock_system());
    world->event_client =
        (struct k8s_client){ .transport = fake_apiserver_transport(world->event_server),
                             .stop = &world->stop };
    world->events = event_recorder_new(&world->event_client, "test", clock_system());
    const struct informer_options options[] = {
        { .gvr = &GVR_NODECLAIM, .indexes = by_workspace, .index_count = 1 },
        { .gvr = &GVR_NODE, .indexes = by_provider, .index_count = 1 },
        { .gvr = &GVR_WORKSPACE },
    };
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        world->informers[i] =
            informer_new(&world->client, &options[i], &world->stop, clock_system());
    const struct claims_options claims = {
        .client = &world->client,
        .claims = world->informers[0],
        .nodes = world->informers[1],
        .workspaces = world->informers[2],
        .events = world->events,
        .cloud = "azure",
        .clock = clock_system(),
    };
    world->claims = claims_new(&claims);
    add_workspace(world);
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        informer_start(world->informers[i]);
    struct error err = ERROR_INIT;
    if (informers_wait(world->informers, 3, &world->stop, SYNC_MS, &err) < 0)
        fail_msg("%s", err.message);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    event_recorder_free(world->events);
    stop_raise(&world->stop);
    claims_stop(world->claims);
    for (size_t i = 0; i < 3; i++)
        informer_free(world->informers[i]);
    claims_free(world->claims);
    fake_apiserver_free(world->server);
    fake_apiserver_free(world->event_server);
    stop_fini(&world->stop);
    free(world);
    return 0;
}

/* One request as the message server would hand it over; NULL with *err. */
static cJSON *ask(struct world *world, const char *type, const cJSON *body, struct error *err)
{
    AUTO_FREE char *text = envelope_encode(type, "1", NULL, body);
    AUTO(envelope) struct envelope request = { 0 };
    const char *answer_type = NULL;
    if (envelope_decode(text, strlen(text), &request, err) < 0)
        return NULL;
    return claims_handle(world->claims, &request, &answer_type, err);
}

static cJSON *demand(struct world *world, int64_t count, struct error *err)
{
    AUTO(json)
    cJSON *body = JOBJ(JS("namespace", "default"), JS("name", "ws"), JS("uid", world->uid),
                       JI("generation", 1), JS("instanceType", "Standard_NC24ads_A100_v4"),
                       JI("count", count), JI("diskGiB", 87));
    return ask(world, MESSAGE_NODE_DEMAND, body, err);
}

static cJSON *release(struct world *world, const char *uid, struct error *err)
{
    AUTO(json)
    cJSON *body = JOBJ(JS("namespace", "default"), JS("name", "ws"), JS("uid", uid));
    return ask(world, MESSAGE_NODE_RELEASE, body, err);
}

static size_t claim_count(struct world *world)
{
    return fake_apiserver_object_count(world->server, &GVR_NODECLAIM);
}

/* Until the informer has seen as many claims; bounded. */
static void wait_for_claims(struct world *world, size_t count)
{
    for (int i = 0; i < SYNC_MS; i++) {
        if (store_count(informer_store(world->informers[0])) == count)
            return;
        stop_wait(&world->stop, 1);
    }
    fail_msg("the informer never saw %zu claims", count);
}

static void test_demand_creates_each_claim_once(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 3; i++) {
        struct error err = ERROR_INIT;
        AUTO(json) cJSON *answer = demand(world, 2, &err);
        if (answer == NULL)
            fail_msg("%s", err.message);
        assert_int_equal(cJSON_GetArraySize(json_at(answer, "claims")), 2);
        assert_int_equal(json_integer_at(answer, "readyCount", -1), 0);
    }
    assert_int_equal(claim_count(world), 2);
    assert_int_equal(fake_apiserver_requests(world->server, "create", "nodeclaims"), 2);
}

static void test_demand_asks_the_server_nothing_when_all_is_there(void **state)
{
    struct world *world = *state;
    struct error err = ERROR_INIT;
    AUTO(json) cJSON *first = demand(world, 1, &err);
    wait_for_claims(world, 1);
    fake_apiserver_reset_requests(world->server);
    AUTO(json) cJSON *second = demand(world, 1, &err);
    assert_non_null(second);
    assert_int_equal(fake_apiserver_requests(world->server, "get", NULL), 0);
    assert_int_equal(fake_apiserver_requests(world->server, NULL, "nodeclaims"), 0);
}

static void test_demand_for_another_life_is_refused(void **state)
{
    struct world *world = *state;
    struct error err = ERROR_INIT;
    snprintf(world->uid, sizeof(world->uid), "of-an-earlier-life");
    assert_null(demand(world, 1, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_int_equal(claim_count(world), 0);
}

static void test_demand_for_a_workspace_being_deleted_is_refused(void **state)
{
    struct world *world = *state;
    struct error err = ERROR_INIT;
    fake_apiserver_delete(world->server, &GVR_WORKSPACE, ws_key()); /* its finalizer holds it */
    assert_null(demand(world, 1, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_int_equal(claim_count(world), 0);
}

static void test_demand_survives_each_fault_without_a_second_node(void **state)
{
    static const enum fake_fault faults[] = { FAKE_REFUSED, FAKE_ANSWER_LOST, FAKE_CONFLICT,
                                              FAKE_THROTTLED, FAKE_BROKEN };
    struct world *world = *state;
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        for (unsigned nth = 1; nth <= 2; nth++) {
            struct error err = ERROR_INIT;
            fake_apiserver_fail_next(world->server, nth, faults[i]);
            AUTO(json) cJSON *failed = demand(world, 2, &err);
            assert_null(failed);
            AUTO(json) cJSON *repeated = demand(world, 2, &err);
            assert_non_null(repeated);
            assert_int_equal(claim_count(world), 2);
            AUTO(json) cJSON *released = release(world, world->uid, &err);
            assert_int_equal(claim_count(world), 0);
            wait_for_claims(world, 0);
        }
    }
}

static void test_malformed_requests_are_answered_with_what_is_wrong(void **state)
{
    static const struct {
        const char *type, *body, *word;
    } cases[] = {
        { MESSAGE_NODE_DEMAND, "{}", "namespace" },
        { MESSAGE_NODE_DEMAND,
          "{\"namespace\":\"default\",\"name\":\"ws\",\"uid\":\"u\",\"generation\":1,"
          "\"instanceType\":\"x\",\"count\":0,\"diskGiB\":1}",
          "count" },
        { MESSAGE_NODE_DEMAND,
          "{\"namespace\":\"default\",\"name\":\"a/../b\",\"uid\":\"u\",\"generation\":1,"
          "\"instanceType\":\"x\",\"count\":1,\"diskGiB\":1}",
          "a/../b" },
        { MESSAGE_NODE_RELEASE, "{\"namespace\":\"default\"}", "name" },
        { "Surprise", "{}", "Surprise" },
    };
    struct world *world = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = ERROR_INIT;
        AUTO(json) cJSON *body = json_literal(cases[i].body);
        assert_null(ask(world, cases[i].type, body, &err));
        assert_int_equal(err.code, ERR_INVALID);
        if (strstr(err.message, cases[i].word) == NULL)
            fail_msg("%s", err.message);
    }
    assert_int_equal(claim_count(world), 0);
}

/* Handlers run after the store has changed; bounded. */
static void wait_for_pending(struct world *world, double count)
{
    for (int i = 0; i < SYNC_MS; i++) {
        if (metric_value(METRIC_NODECLAIMS, METRIC_LABELS(CLAIM_PENDING)) == count)
            return;
        stop_wait(&world->stop, 1);
    }
    fail_msg("never %g claims pending", count);
}

static void test_claims_are_counted_by_phase(void **state)
{
    struct world *world = *state;
    struct error err = ERROR_INIT;
    metrics_reset();
    AUTO(json) cJSON *made = demand(world, 2, &err);
    wait_for_pending(world, 2);
    AUTO(json) cJSON *gone = release(world, world->uid, &err);
    wait_for_pending(world, 0);
}

/* Made by KAITO for this Workspace: it counts, and no second one is bought. */
static void test_demand_counts_claims_of_others(void **state)
{
    struct world *world = *state;
    struct error err = ERROR_INIT;
    fake_apiserver_create(
        world->server, &GVR_NODECLAIM,
        json_literal("{\"apiVersion\":\"karpenter.sh/v1\",\"kind\":\"NodeClaim\",\"metadata\":{"
                     "\"name\":\"ws0123abcde\",\"labels\":{\"kaito.sh/workspace\":\"ws\","
                     "\"kaito.sh/workspacenamespace\":\"default\"}}}"));
    wait_for_claims(world, 1);
    AUTO(json) cJSON *answer = demand(world, 2, &err);
    assert_int_equal(cJSON_GetArraySize(json_at(answer, "claims")), 2);
    assert_int_equal(claim_count(world), 2);
}

static void test_release_names_what_is_still_there(void **state)
{
    struct world *world = *state;
    struct error err = ERROR_INIT;
    AUTO(json) cJSON *made = demand(world, 1, &err);
    const char *name = json_string_at(made, "claims[0].name");
    fake_apiserver_merge(
        world->server, &GVR_NODECLAIM, (struct object_key){ "", name },
        json_literal("{\"metadata\":{\"finalizers\":[\"karpenter.sh/termination\"]}}"));

    AUTO(json) cJSON *going = release(world, world->uid, &err);
    assert_string_equal(json_string_at(going, "remaining[0].name"), name);
    assert_string_equal(json_string_at(going, "remaining[0].phase"), CLAIM_DELETING);

    fake_apiserver_merge(world->server, &GVR_NODECLAIM, (struct object_key){ "", name },
                         json_literal("{\"metadata\":{\"finalizers\":[]}}"));
    AUTO(json) cJSON *gone = release(world, world->uid, &err);
    assert_non_null(gone);
    assert_int_equal(cJSON_GetArraySize(json_at(gone, "remaining")), 0);
}

static void test_release_leaves_another_lifes_claims_alone(void **state)
{
    struct world *world = *state;
    struct error err = ERROR_INIT;
    AUTO(json) cJSON *made = demand(world, 1, &err);
    AUTO(json) cJSON *answer = release(world, "of-an-earlier-life", &err);
    assert_non_null(answer);
    assert_int_equal(claim_count(world), 1);
}

/* Runs the sweep until the claims are as many or nothing happens any more. */
static void sweep_until(struct world *world, size_t count)
{
    for (int i = 0; i < SYNC_MS && claim_count(world) != count; i++) {
        while (claims_sweep_one(world->claims))
            ;
        stop_wait(&world->stop, 1);
    }
    assert_int_equal(claim_count(world), count);
}

static void test_sweep_deletes_the_claim_of_a_life_that_is_over(void **state)
{
    struct world *world = *state;
    struct error err = ERROR_INIT;
    AUTO(json) cJSON *made = demand(world, 1, &err);
    wait_for_claims(world, 1);
    fake_apiserver_merge(world->server, &GVR_WORKSPACE, ws_key(),
                         json_literal("{\"metadata\":{\"finalizers\":[]}}"));
    fake_apiserver_delete(world->server, &GVR_WORKSPACE, ws_key());
    add_workspace(world); /* the same name again, with another UID */
    sweep_until(world, 0);
}

static void test_sweep_leaves_what_it_must(void **state)
{
    struct world *world = *state;
    struct error err = ERROR_INIT;
    AUTO(json) cJSON *made = demand(world, 1, &err);
    fake_apiserver_create(
        world->server, &GVR_NODECLAIM,
        json_literal("{\"apiVersion\":\"karpenter.sh/v1\",\"kind\":\"NodeClaim\",\"metadata\":{"
                     "\"name\":\"foreign\",\"labels\":{\"kaito.sh/workspace\":\"gone\","
                     "\"kaito.sh/workspacenamespace\":\"default\"}}}"));
    wait_for_claims(world, 2);
    while (claims_sweep_one(world->claims))
        ;
    assert_int_equal(claim_count(world), 2);
}

static void test_sweep_deletes_nothing_when_the_server_does_not_answer(void **state)
{
    struct world *world = *state;
    struct error err = ERROR_INIT;
    AUTO(json) cJSON *made = demand(world, 1, &err);
    wait_for_claims(world, 1);
    while (claims_sweep_one(world->claims))
        ;
    fake_apiserver_merge(world->server, &GVR_WORKSPACE, ws_key(),
                         json_literal("{\"metadata\":{\"finalizers\":[]}}"));
    fake_apiserver_delete(world->server, &GVR_WORKSPACE, ws_key());
    for (int i = 0; i < SYNC_MS && store_count(informer_store(world->informers[2])) != 0; i++)
        stop_wait(&world->stop, 1);
    fake_apiserver_set_down(world->server, true);
    (void)claims_sweep_one(world->claims);
    assert_int_equal(claim_count(world), 1);
    fake_apiserver_set_down(world->server, false);
    sweep_until(world, 0);
}

int main(void)
{
#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_WORLD(test_demand_creates_each_claim_once),
        WITH_WORLD(test_demand_asks_the_server_nothing_when_all_is_there),
        WITH_WORLD(test_demand_for_another_life_is_refused),
        WITH_WORLD(test_demand_for_a_workspace_being_deleted_is_refused),
        WITH_WORLD(test_demand_survives_each_fault_without_a_second_node),
        WITH_WORLD(test_malformed_requests_are_answered_with_what_is_wrong),
        WITH_WORLD(test_claims_are_counted_by_phase),
        WITH_WORLD(test_demand_counts_claims_of_others),
        WITH_WORLD(test_release_names_what_is_still_there),
        WITH_WORLD(test_release_leaves_another_lifes_claims_alone),
        WITH_WORLD(test_sweep_deletes_the_claim_of_a_life_that_is_over),
        WITH_WORLD(test_sweep_leaves_what_it_must),
        WITH_WORLD(test_sweep_deletes_nothing_when_the_server_does_not_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
