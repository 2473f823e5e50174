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
#include "provisioner/claim.h"
#include "provisioner/claims.h"
#include "provisioner/fulfil.h"
#include "test/lib/fake_apiserver.h"
#include "test/lib/literals.h"

enum { SYNC_MS = 10 * 1000 };

/* ------------------------------------------------------------------ the pure part */

#define TRUE_(type) \
    "{\"type\":\"" type "\",\"status\":\"True\",\"lastTransitionTime\":\"2026-01-01T00:00:00Z\"}"
#define CLAIM(meta, conditions) \
    "{\"metadata\":{\"name\":\"c\"" meta "},\"status\":{\"conditions\":[" conditions "]}}"
#define FINALIZER ",\"finalizers\":[\"karpenter.sh/termination\"]"
#define DELETING  ",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\""
#define NODE(ready)                                                                   \
    "{\"metadata\":{\"name\":\"c\"},\"status\":{\"conditions\":[{\"type\":\"Ready\"," \
    "\"status\":\"" ready "\"}]}}"

static void test_claim_next_step(void **state)
{
    (void)state;
    static const struct {
        const char *what, *claim, *node;
        enum claim_step expected;
    } cases[] = {
        { "new", CLAIM("", ""), NULL, STEP_ADD_FINALIZER },
        { "ours", CLAIM(FINALIZER, ""), NULL, STEP_LAUNCH },
        { "launched", CLAIM(FINALIZER, TRUE_("Launched")), NULL, STEP_ADVANCE },
        { "node joined", CLAIM(FINALIZER, TRUE_("Launched")), NODE("False"), STEP_REGISTER },
        { "registered, not ready", CLAIM(FINALIZER, TRUE_("Launched") "," TRUE_("Registered")),
          NODE("False"), STEP_NOTHING },
        { "registered, ready", CLAIM(FINALIZER, TRUE_("Launched") "," TRUE_("Registered")),
          NODE("True"), STEP_INITIALIZE },
        { "done",
          CLAIM(FINALIZER, TRUE_("Launched") "," TRUE_("Registered") "," TRUE_("Initialized")),
          NODE("True"), STEP_NOTHING },
        { "lost its node",
          CLAIM(FINALIZER, TRUE_("Launched") "," TRUE_("Registered") "," TRUE_("Initialized")),
          NULL, STEP_REPLACE },
        { "deleted", CLAIM(FINALIZER DELETING, TRUE_("Launched")), NULL, STEP_TERMINATE },
        { "deleted before it was ours", CLAIM(DELETING, ""), NULL, STEP_NOTHING },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(object) const struct object *claim = object_literal(cases[i].claim);
        AUTO(object)
        const struct object *node = cases[i].node != NULL ? object_literal(cases[i].node) : NULL;
        if (claim_next_step(claim, node) != cases[i].expected)
            fail_msg("%s: step %d", cases[i].what, (int)claim_next_step(claim, node));
    }
}

static void test_claim_conditions_keep_the_time_of_what_did_not_change(void **state)
{
    (void)state;
    AUTO(object) const struct object *claim = object_literal(CLAIM("", TRUE_("Launched")));
    const struct claim_progress progress = {
        .launched = true, .registered = true, .reason = "NodeNotReady", .message = "wait"
    };
    AUTO(json) cJSON *list = claim_conditions(claim, &progress, 1800000000000);
    assert_string_equal(json_string_at(list, "[type=Launched].lastTransitionTime"),
                        "2026-01-01T00:00:00Z");
    assert_string_equal(json_string_at(list, "[type=Registered].lastTransitionTime"),
                        "2027-01-15T08:00:00Z");
    assert_string_equal(json_string_at(list, "[type=Initialized].status"), "Unknown");
    assert_string_equal(json_string_at(list, "[type=Initialized].reason"), "NodeNotReady");
    assert_string_equal(json_string_at(list, "[type=Ready].status"), "Unknown");
}

static void test_claim_conditions_ready_when_all_is_done(void **state)
{
    (void)state;
    AUTO(object) const struct object *claim = object_literal(CLAIM("", ""));
    const struct claim_progress progress = { .launched = true,
                                             .registered = true,
                                             .initialized = true };
    AUTO(json) cJSON *list = claim_conditions(claim, &progress, 0);
    assert_string_equal(json_string_at(list, "[type=Ready].status"), "True");
    assert_int_equal(cJSON_GetArraySize(list), 4);
}

/* ------------------------------------------------------------------ a whole life */

struct world {
    struct fake_apiserver *server;
    struct stop stop;
    struct k8s_client client;
    struct informer *informers[2];
    struct driver *driver;
    struct fulfil *fulfil;
};

/* A cloud that answers as it is told, and whose machines join by themselves. */
struct stub {
    struct driver driver; /* first */
    int launched;         /* what launch returns */
    struct driver_pending pending;
    unsigned sweeps;
};

static const struct object_key claim_key = { .namespace_ = "", .name = "ws1" };

static int set_up_with(void **state, struct driver *(*make)(const struct driver_options *))
{
    static store_index *const by_provider[] = { node_provider_index };
    struct world *world = mem_new(struct world);
    stop_init(&world->stop);
    world->server = fake_apiserver_new(clock_system());
    world->client = (struct k8s_client){ .transport = fake_apiserver_transport(world->server),
                                         .stop = &world->stop };
    const struct informer_options options[] = {
        { .gvr = &GVR_NODECLAIM },
        { .gvr = &GVR_NODE, .indexes = by_provider, .index_count = 1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        world->informers[i] =
            informer_new(&world->client, &options[i], &world->stop, clock_system());
    const struct driver_options driver = { .client = &world->client,
                                           .cloud = "azure",
                                           .clock = clock_system() };
    world->driver = make(&driver);
    const struct fulfil_options fulfil = { .client = &world->client,
                                           .claims = world->informers[0],
                                           .nodes = world->informers[1],
                                           .driver = world->driver,
                                           .clock = clock_system(),
                                           .workers = 1 };
    world->fulfil = fulfil_new(&fulfil);
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        informer_start(world->informers[i]);
    *state = world;
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, driver_rehearsal_new);
}

static int stub_launch(struct driver *driver, const struct object *claim,
                       char provider_id[PROVIDER_ID_BYTES], struct driver_pending *pending,
                       struct error *err)
{
    (void)claim;
    (void)err;
    const struct stub *stub = (const struct stub *)(const void *)driver;
    *pending = stub->pending;
    snprintf(provider_id, PROVIDER_ID_BYTES, "stub://ws1");
    return stub->launched;
}

static int stub_sweep(struct driver *driver, struct store *claims, struct error *err)
{
    (void)err;
    ((struct stub *)(void *)driver)->sweeps++;
    assert_int_equal(store_count(claims), 0);
    return 0;
}

static void stub_destroy(struct driver *driver)
{
    free(driver);
}

static struct driver *stub_new(const struct driver_options *options)
{
    (void)options;
    struct stub *stub = mem_new(struct stub);
    stub->driver = (struct driver){
        .name = "stub", .launch = stub_launch, .sweep = stub_sweep, .destroy = stub_destroy
    };
    return &stub->driver;
}

static int set_up_stub(void **state)
{
    return set_up_with(state, stub_new);
}

static struct stub *stub_of(const struct world *world)
{
    return (struct stub *)(void *)world->driver;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    stop_raise(&world->stop);
    for (size_t i = 0; i < 2; i++)
        informer_free(world->informers[i]);
    fulfil_free(world->fulfil);
    world->driver->destroy(world->driver);
    fake_apiserver_free(world->server);
    stop_fini(&world->stop);
    free(world);
    return 0;
}

static void add_claim(struct world *world)
{
    struct node_demand demand = { .namespace_ = "default",
                                  .name = "ws",
                                  .uid = "u",
                                  .instance_type = "Standard_NC48ads_A100_v4",
                                  .count = { true, 1 },
                                  .disk_gib = { true, 87 } };
    cJSON *claim = claim_manifest(&demand, 0, "azure");
    json_set(cJSON_GetObjectItemCaseSensitive(claim, "metadata"), "name", JSTR("ws1"));
    fake_apiserver_create(world->server, &GVR_NODECLAIM, claim);
}

static const char *condition_status(const cJSON *claim, const char *type)
{
    char path[128];
    snprintf(path, sizeof(path), "status.conditions[type=%s].status", type);
    const char *status = json_string_at(claim, path);
    return status != NULL ? status : "";
}

typedef bool predicate(const struct world *world);

static bool node_exists(const struct world *world)
{
    return fake_apiserver_object_count(world->server, &GVR_NODE) == 1;
}

static bool claim_ready(const struct world *world)
{
    AUTO(json) cJSON *claim = fake_apiserver_get(world->server, &GVR_NODECLAIM, claim_key);
    return strcmp(condition_status(claim, "Ready"), "True") == 0;
}

static bool all_gone(const struct world *world)
{
    return fake_apiserver_object_count(world->server, &GVR_NODECLAIM) == 0 &&
           fake_apiserver_object_count(world->server, &GVR_NODE) == 0;
}

static void run_until(struct world *world, predicate *done, const char *what)
{
    for (int i = 0; i < SYNC_MS; i++) {
        while (fulfil_run_one(world->fulfil))
            ;
        if (done(world))
            return;
        stop_wait(&world->stop, 1);
    }
    fail_msg("never: %s", what);
}

static void make_node_ready(struct world *world)
{
    fake_apiserver_merge(world->server, &GVR_NODE, claim_key,
                         json_literal("{\"status\":{\"conditions\":[{\"type\":\"Ready\","
                                      "\"status\":\"True\"}]}}"));
}

static void test_life_of_a_claim(void **state)
{
    struct world *world = *state;
    add_claim(world);
    run_until(world, node_exists, "the node");
    AUTO(json) cJSON *node = fake_apiserver_get(world->server, &GVR_NODE, claim_key);
    assert_string_equal(json_string_at(node, "status.allocatable[\"nvidia.com/gpu\"]"), "2");
    assert_string_equal(json_string_at(node, "spec.providerID"), "rehearsal:///ws1");
    assert_string_equal(
        json_string_at(node, "metadata.labels[\"node.kubernetes.io/instance-type\"]"),
        "Standard_NC48ads_A100_v4");
    assert_string_equal(json_string_at(node, "metadata.labels[\"kaito.sh/workspace\"]"), "ws");

    make_node_ready(world);
    run_until(world, claim_ready, "the claim is Ready");
    AUTO(json) cJSON *claim = fake_apiserver_get(world->server, &GVR_NODECLAIM, claim_key);
    assert_string_equal(json_string_at(claim, "status.nodeName"), "ws1");

    fake_apiserver_delete(world->server, &GVR_NODECLAIM, claim_key);
    run_until(world, all_gone, "claim and node are gone");
}

/* Before the node goes, its pods do: those that nobody else deletes are evicted. */
static void test_a_node_is_drained_before_it_goes(void **state)
{
    struct world *world = *state;
    add_claim(world);
    run_until(world, node_exists, "the node");
    make_node_ready(world);
    run_until(world, claim_ready, "the claim is Ready");
    fake_apiserver_create(
        world->server, &GVR_POD,
        json_literal("{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\","
                     "\"namespace\":\"default\"},\"spec\":{\"nodeName\":\"ws1\"}}"));
    fake_apiserver_delete(world->server, &GVR_NODECLAIM, claim_key);
    run_until(world, all_gone, "claim and node are gone");
    assert_int_equal(fake_apiserver_object_count(world->server, &GVR_POD), 0);
    assert_int_equal(fake_apiserver_requests(world->server, "delete", "pods/eviction"), 1);
}

static void test_a_claim_whose_node_is_gone_is_given_up(void **state)
{
    struct world *world = *state;
    add_claim(world);
    run_until(world, node_exists, "the node");
    make_node_ready(world);
    run_until(world, claim_ready, "the claim is Ready");
    fake_apiserver_delete(world->server, &GVR_NODE, claim_key);
    run_until(world, all_gone, "claim and node are gone");
}

static void test_a_node_that_is_broken_for_long_is_given_up(void **state)
{
    struct world *world = *state;
    add_claim(world);
    run_until(world, node_exists, "the node");
    make_node_ready(world);
    run_until(world, claim_ready, "the claim is Ready");
    fake_apiserver_merge(world->server, &GVR_NODE, claim_key,
                         json_literal("{\"status\":{\"conditions\":[{\"type\":\"Ready\","
                                      "\"status\":\"Unknown\",\"lastTransitionTime\":"
                                      "\"2026-01-01T00:00:00Z\"}]}}"));
    run_until(world, all_gone, "claim and node are gone");
}

/* Every write of a whole life fails once in each way; the end is the same. */
static void test_life_survives_each_fault(void **state)
{
    static const enum fake_fault faults[] = { FAKE_REFUSED, FAKE_ANSWER_LOST, FAKE_CONFLICT,
                                              FAKE_BROKEN };
    struct world *world = *state;
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        for (unsigned nth = 1; nth <= 6; nth++) {
            fake_apiserver_fail_next(world->server, nth, faults[i]);
            add_claim(world);
            run_until(world, node_exists, "the node");
            make_node_ready(world);
            run_until(world, claim_ready, "the claim is Ready");
            fake_apiserver_delete(world->server, &GVR_NODECLAIM, claim_key);
            run_until(world, all_gone, "claim and node are gone");
        }
    }
}

/* ------------------------------------------------------------------ a cloud that takes its time */

static void set_pending(const struct world *world, const char *reason, bool final)
{
    struct stub *stub = stub_of(world);
    stub->launched = 1;
    stub->pending = (struct driver_pending){
        .wait_ms = 1, .reason = reason, .final = final, .message = "words"
    };
}

static bool launched_is_false(const struct world *world)
{
    AUTO(json) cJSON *claim = fake_apiserver_get(world->server, &GVR_NODECLAIM, claim_key);
    return strcmp(condition_status(claim, "Launched"), "False") == 0;
}

static void test_a_launch_that_takes_time_says_why_once(void **state)
{
    struct world *world = *state;
    set_pending(world, "PolicyDenied", true);
    add_claim(world);
    run_until(world, launched_is_false, "Launched is False");
    AUTO(json) cJSON *claim = fake_apiserver_get(world->server, &GVR_NODECLAIM, claim_key);
    assert_string_equal(json_string_at(claim, "status.conditions[type=Launched].reason"),
                        "PolicyDenied");
    assert_string_equal(json_string_at(claim, "status.conditions[type=Launched].message"), "words");

    unsigned writes = fake_apiserver_requests(world->server, NULL, NULL);
    for (int i = 0; i < 100; i++) { /* each millisecond it is looked at again */
        fulfil_run_one(world->fulfil);
        stop_wait(&world->stop, 1);
    }
    assert_int_equal(fake_apiserver_requests(world->server, NULL, NULL), writes);
}

static bool node_is_adopted(const struct world *world)
{
    AUTO(json) cJSON *node = fake_apiserver_get(world->server, &GVR_NODE, claim_key);
    return json_at(node, "metadata.ownerReferences[0]") != NULL;
}

static void test_a_node_of_the_cloud_is_adopted(void **state)
{
    struct world *world = *state;
    fake_apiserver_create(
        world->server, &GVR_NODE,
        json_literal("{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"ws1\","
                     "\"labels\":{\"own\":\"1\"}},\"spec\":{\"providerID\":\"stub://ws1\"}}"));
    while (store_count(informer_store(world->informers[1])) == 0)
        stop_wait(&world->stop, 1);
    add_claim(world);
    run_until(world, node_is_adopted, "the node is adopted");
    AUTO(json) cJSON *node = fake_apiserver_get(world->server, &GVR_NODE, claim_key);
    AUTO(json) cJSON *claim = fake_apiserver_get(world->server, &GVR_NODECLAIM, claim_key);
    assert_string_equal(json_string_at(node, "metadata.ownerReferences[0].uid"),
                        json_string_at(claim, "metadata.uid"));
    assert_string_equal(json_string_at(node, "metadata.labels[\"karpenter.sh/registered\"]"),
                        "true");
    assert_string_equal(json_string_at(node, "metadata.labels[\"kaito.sh/workspace\"]"), "ws");
    assert_string_equal(json_string_at(node, "metadata.labels.own"), "1");

    make_node_ready(world); /* its changes lead to the claim now */
    run_until(world, claim_ready, "the claim is Ready");
}

static bool was_swept(const struct world *world)
{
    fulfil_sweep_one(world->fulfil);
    return stub_of(world)->sweeps > 0;
}

static void test_the_cloud_is_swept_at_the_start(void **state)
{
    struct world *world = *state;
    run_until(world, was_swept, "a sweep");
    assert_int_equal(stub_of(world)->sweeps, 1);
}

int main(void)
{
#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define WITH_STUB(test)  cmocka_unit_test_setup_teardown(test, set_up_stub, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_claim_next_step),
        cmocka_unit_test(test_claim_conditions_keep_the_time_of_what_did_not_change),
        cmocka_unit_test(test_claim_conditions_ready_when_all_is_done),
        WITH_WORLD(test_life_of_a_claim),
        WITH_WORLD(test_a_node_is_drained_before_it_goes),
        WITH_WORLD(test_a_claim_whose_node_is_gone_is_given_up),
        WITH_WORLD(test_a_node_that_is_broken_for_long_is_given_up),
        WITH_WORLD(test_life_survives_each_fault),
        WITH_STUB(test_a_launch_that_takes_time_says_why_once),
        WITH_STUB(test_a_node_of_the_cloud_is_adopted),
        WITH_STUB(test_the_cloud_is_swept_at_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
