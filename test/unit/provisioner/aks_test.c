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
#include "common/k8s/store.h"
#include "provisioner/drivers/aks.h"
#include "test/lib/fake_apiserver.h"
#include "test/lib/literals.h"
#include "test/lib/scripted_client.h"

#define POOL_URL                                                      \
    "https://arm.test/subscriptions/sub/resourceGroups/rg/providers/" \
    "Microsoft.ContainerService/managedClusters/c/agentPools/ws1?api-version=2024-01-01"
#define OPERATION "https://arm.test/operations/op1?api-version=1"

#define PROVIDER_ID "azure:///subscriptions/sub/x/virtualMachineScaleSets/aks-ws1-vmss/0"

#define POOL(state)                                                                              \
    "{\"name\":\"ws1\",\"properties\":{\"provisioningState\":\"" state "\",\"nodeLabels\":{"     \
    "\"karpenter.sh/nodepool\":\"kaito\",\"kaito.sh/creation-timestamp\":\"2027-01-15T08-00-00Z" \
    "\"}}}"
#define OTHERS_POOL "{\"name\":\"ws1\",\"properties\":{\"provisioningState\":\"Succeeded\"}}"
#define EARLIER_POOL                                                                               \
    "{\"name\":\"ws1\",\"properties\":{\"provisioningState\":\"Succeeded\",\"nodeLabels\":{"       \
    "\"karpenter.sh/nodepool\":\"kaito\",\"kaito.sh/creation-timestamp\":\"2020-01-01T00-00-00Z\"" \
    "}}}"
#define GONE  "{\"code\":\"NotFound\",\"message\":\"Agent Pool not found: 'ws1'.\"}"
#define TOKEN "{\"access_token\":\"t\",\"expires_in\":\"86400\"}"

struct world {
    struct fake_apiserver *server;
    struct stop stop;
    struct clock_fake clock;
    struct k8s_client client;
    struct scripted_client azure;
    struct driver *driver;
    struct driver_pending pending;
    struct error err;
    char provider_id[PROVIDER_ID_BYTES];
};

static const struct object_key key = { .namespace_ = "", .name = "ws1" };
static const struct object_key node_key = { .namespace_ = "", .name = "vm0" };

static const struct aks_config config = {
    .arm_endpoint = "https://arm.test",
    .authority = "https://login.test",
    .metadata_endpoint = "http://metadata.test",
    .ca_file = "",
    .subscription_id = "sub",
    .resource_group = "rg",
    .cluster_name = "c",
    .tenant_id = "",
    .client_id = "",
    .federated_token_file = "",
    .launch_deadline_ms = 600 * 1000,
    .poll_ms = 7000,
    .drain_timeout_ms = 60 * 1000,
};

static void say(struct world *world, int status, const char *body)
{
    scripted_client_add(&world->azure,
                        (struct scripted_client_answer){ .status = status, .body = body });
}

static int set_up(void **state)
{
    struct world *world = mem_new(struct world);
    stop_init(&world->stop);
    clock_fake_init(&world->clock, 1800000000000);
    world->server = fake_apiserver_new(&world->clock.clock);
    world->client = (struct k8s_client){ .transport = fake_apiserver_transport(world->server),
                                         .stop = &world->stop };
    scripted_client_init(&world->azure);
    const struct driver_options options = { .client = &world->client,
                                            .cloud = "azure",
                                            .clock = &world->clock.clock };
    world->driver = driver_aks_new(&options, &config, &world->azure.client);
    fake_apiserver_create(
        world->server, &GVR_NODECLAIM,
        json_literal("{\"apiVersion\":\"karpenter.sh/v1\",\"kind\":\"NodeClaim\",\"metadata\":{"
                     "\"name\":\"ws1\"},\"spec\":{"
                     "\"requirements\":[{\"key\":\"node.kubernetes.io/instance-type\","
                     "\"operator\":\"In\",\"values\":[\"Standard_NC6s_v3\"]}],\"resources\":{"
                     "\"requests\":{\"storage\":\"128Gi\"}}}}"));
    say(world, 200, TOKEN);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    assert_int_equal(world->azure.request_count, world->azure.answer_count);
    world->driver->destroy(world->driver);
    scripted_client_fini(&world->azure);
    fake_apiserver_free(world->server);
    stop_fini(&world->stop);
    free(world);
    return 0;
}

static const struct object *claim_of(struct world *world)
{
    return object_from(fake_apiserver_get(world->server, &GVR_NODECLAIM, key));
}

static int launch(struct world *world)
{
    AUTO(object) const struct object *claim = claim_of(world);
    world->pending = (struct driver_pending){ .wait_ms = 0 };
    return world->driver->launch(world->driver, claim, world->provider_id, &world->pending,
                                 &world->err);
}

/* A launch that ends an attempt is told by the next call, which hears nothing from Azure. */
static void launch_fails(struct world *world, const char *reason)
{
    assert_int_equal(launch(world), 1);
    assert_null(world->pending.reason);
    size_t requests = world->azure.request_count;
    assert_int_equal(launch(world), 1);
    assert_int_equal(world->azure.request_count, requests);
    assert_string_equal(world->pending.reason, reason);
}

static int terminate(struct world *world, int64_t *wait_ms)
{
    AUTO(object) const struct object *claim = claim_of(world);
    return world->driver->terminate(world->driver, claim, wait_ms, &world->err);
}

static const struct scripted_client_request *last(const struct world *world)
{
    return &world->azure.requests[world->azure.request_count - 1];
}

static void annotate(struct world *world, const char *name, const char *value)
{
    fake_apiserver_merge(world->server, &GVR_NODECLAIM, key,
                         JOBJ(JV("metadata", JOBJ(JV("annotations", JOBJ(JS(name, value)))))));
}

static bool has_annotation(struct world *world, const char *name)
{
    AUTO(object) const struct object *claim = claim_of(world);
    return object_annotation(claim, name) != NULL;
}

static void add_node(struct world *world)
{
    fake_apiserver_create(
        world->server, &GVR_NODE,
        json_literal("{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"vm0\","
                     "\"labels\":{\"kubernetes.azure.com/agentpool\":\"ws1\"}},\"spec\":{"
                     "\"providerID\":\"" PROVIDER_ID "\"}}"));
}

/* ------------------------------------------------------------------ launching */

static void test_launch_asks_for_a_pool_and_remembers_the_operation(void **state)
{
    struct world *world = *state;
    say(world, 404, GONE);
    scripted_client_add(&world->azure, (struct scripted_client_answer){ .status = 201,
                                                                        .body = POOL("Creating"),
                                                                        .operation = OPERATION });
    assert_int_equal(launch(world), 1);
    assert_string_equal(last(world)->method, "PUT");
    assert_string_equal(last(world)->url, POOL_URL);
    assert_non_null(strstr(last(world)->headers, "Authorization: Bearer t\n"));
    assert_int_equal(world->pending.wait_ms, config.poll_ms);
    AUTO(object) const struct object *claim = claim_of(world);
    assert_string_equal(object_annotation(claim, ANNOTATION_LAUNCH_OPERATION), OPERATION);
    assert_string_equal(object_annotation(claim, ANNOTATION_LAUNCH_STARTED),
                        "2027-01-15T08:00:00Z");
}

static void test_launch_of_a_pool_that_is_there_asks_for_no_other(void **state)
{
    struct world *world = *state;
    say(world, 200, POOL("Creating"));
    assert_int_equal(launch(world), 1);
    assert_true(has_annotation(world, ANNOTATION_LAUNCH_STARTED));
    say(world, 200, POOL("Creating"));
    assert_int_equal(launch(world), 1);
    assert_string_equal(last(world)->method, "GET");
    assert_string_equal(world->pending.reason, "Launching");
}

static void test_launch_is_done_when_the_node_has_joined(void **state)
{
    struct world *world = *state;
    annotate(world, ANNOTATION_LAUNCH_STARTED, "2027-01-15T08:00:00Z");
    say(world, 200, POOL("Succeeded"));
    assert_int_equal(launch(world), 1);
    assert_string_equal(world->pending.reason, "Launching");

    add_node(world);
    say(world, 200, POOL("Succeeded"));
    assert_int_equal(launch(world), 0);
    assert_string_equal(world->provider_id, PROVIDER_ID);
}

static void test_launch_refused_says_why_and_waits(void **state)
{
    struct world *world = *state;
    say(world, 404, GONE);
    say(world, 400,
        "{\"code\":\"ErrCode_InsufficientVCPUQuota\",\"message\":\"remaining 0 for family F\"}");
    launch_fails(world, "QuotaExceeded");
    assert_false(world->pending.final);
    assert_int_equal(world->pending.wait_ms, 600 * 1000);
    assert_non_null(strstr(world->pending.message, "remaining 0 for family F; ask for more quota"));

    world->clock.now_ms += 600 * 1000;
    say(world, 404, GONE);
    say(world, 201, POOL("Creating"));
    assert_int_equal(launch(world), 1);
    assert_false(has_annotation(world, ANNOTATION_LAUNCH_RETRY));
    assert_false(has_annotation(world, ANNOTATION_LAUNCH_FAILURE));
}

static void test_launch_throttled_waits_as_long_as_azure_says(void **state)
{
    struct world *world = *state;
    scripted_client_add(&world->azure, (struct scripted_client_answer){
                                           .status = 429, .body = "{}", .retry_after_ms = 90000 });
    launch_fails(world, "Throttled");
    assert_int_equal(world->pending.wait_ms, 90000);
}

static void test_launch_that_failed_later_tells_the_operations_reason(void **state)
{
    struct world *world = *state;
    annotate(world, ANNOTATION_LAUNCH_OPERATION, OPERATION);
    say(world, 200, POOL("Failed"));
    say(world, 200,
        "{\"status\":\"Failed\",\"error\":{\"code\":\"AllocationFailed\",\"message\":\"full\"}}");
    say(world, 202, NULL);
    launch_fails(world, "InsufficientCapacity");
    assert_string_equal(world->azure.requests[2].url, OPERATION);
    assert_string_equal(last(world)->method, "DELETE");
    assert_non_null(strstr(world->pending.message, "AllocationFailed: full"));
}

static void test_launch_sends_no_token_to_another_host(void **state)
{
    struct world *world = *state;
    annotate(world, ANNOTATION_LAUNCH_OPERATION, "https://arm.test.evil/operations/op1");
    say(world, 200, POOL("Failed"));
    say(world, 202, NULL);
    launch_fails(world, "LaunchFailed");
}

static void test_launch_gives_up_at_the_deadline(void **state)
{
    struct world *world = *state;
    say(world, 200, POOL("Creating"));
    assert_int_equal(launch(world), 1);
    world->clock.now_ms += config.launch_deadline_ms;
    say(world, 200, POOL("Creating"));
    say(world, 202, NULL);
    launch_fails(world, "LaunchTimeout");
    assert_string_equal(last(world)->method, "DELETE");
    assert_non_null(strstr(world->pending.message, "still Creating"));
}

static void test_launch_leaves_another_ones_pool_alone(void **state)
{
    struct world *world = *state;
    say(world, 200, OTHERS_POOL);
    launch_fails(world, "InvalidRequest");
    assert_true(world->pending.final);
}

static void test_launch_gives_an_earlier_claims_pool_back(void **state)
{
    struct world *world = *state;
    say(world, 200, EARLIER_POOL);
    say(world, 202, NULL);
    assert_int_equal(launch(world), 1);
    assert_string_equal(last(world)->method, "DELETE");
}

static void test_advance_gives_up_a_node_that_never_registers(void **state)
{
    struct world *world = *state;
    world->azure.answer_count = 0; /* Azure is not asked */
    AUTO(object) const struct object *claim = claim_of(world);
    int64_t wait_ms = 0, launched_ms = world->clock.now_ms;
    assert_int_equal(
        world->driver->advance(world->driver, claim, launched_ms, &wait_ms, &world->err), 1);
    assert_int_equal(fake_apiserver_object_count(world->server, &GVR_NODECLAIM), 1);
    world->clock.now_ms += config.launch_deadline_ms;
    assert_int_equal(
        world->driver->advance(world->driver, claim, launched_ms, &wait_ms, &world->err), 1);
    assert_int_equal(fake_apiserver_object_count(world->server, &GVR_NODECLAIM), 0);
}

/* ------------------------------------------------------------------ giving back */

static void test_terminate_follows_the_deletion_to_its_end(void **state)
{
    struct world *world = *state;
    int64_t wait_ms = 0;
    say(world, 200, POOL("Succeeded"));
    say(world, 202, NULL);
    assert_int_equal(terminate(world, &wait_ms), 1);
    assert_string_equal(last(world)->method, "DELETE");
    assert_int_equal(wait_ms, config.poll_ms);
    say(world, 200, POOL("Deleting"));
    assert_int_equal(terminate(world, &wait_ms), 1);
    say(world, 404, GONE);
    assert_int_equal(terminate(world, &wait_ms), 0);
}

static void test_terminate_waits_while_azure_is_busy_with_the_pool(void **state)
{
    struct world *world = *state;
    int64_t wait_ms = 0;
    say(world, 200, POOL("Creating"));
    say(world, 409, "{\"error\":{\"code\":\"OperationNotAllowed\",\"message\":\"in progress\"}}");
    assert_int_equal(terminate(world, &wait_ms), 1);
}

static void test_terminate_does_not_take_a_missing_cluster_for_a_missing_pool(void **state)
{
    struct world *world = *state;
    int64_t wait_ms = 0;
    say(world, 404, "{\"error\":{\"code\":\"ResourceGroupNotFound\",\"message\":\"no rg\"}}");
    assert_int_equal(terminate(world, &wait_ms), -1);
}

/* ------------------------------------------------------------------ sweeping */

static int sweep(struct world *world)
{
    struct store *store = store_new(NULL, 0);
    AUTO(json) cJSON *json = fake_apiserver_get(world->server, &GVR_NODECLAIM, key);
    if (json != NULL) {
        AUTO(object) const struct object *claim = object_from(STEAL(json));
        AUTO(object) const struct object *replaced = store_put(store, claim);
        assert_null(replaced);
    }
    int result = world->driver->sweep(world->driver, store, &world->err);
    store_free(store);
    return result;
}

static void test_sweep_keeps_what_belongs_together(void **state)
{
    struct world *world = *state;
    say(world, 200, "{\"value\":[" POOL("Succeeded") "," OTHERS_POOL "]}");
    assert_int_equal(sweep(world), 0);
}

static void test_sweep_deletes_a_pool_without_a_claim(void **state)
{
    struct world *world = *state;
    fake_apiserver_delete(world->server, &GVR_NODECLAIM, key);
    say(world, 200, "{\"value\":[],\"nextLink\":\"https://arm.test/next\"}");
    say(world, 200, "{\"value\":[" POOL("Succeeded") "]}");
    say(world, 200, POOL("Succeeded"));
    say(world, 202, NULL);
    assert_int_equal(sweep(world), 1);
    assert_string_equal(last(world)->method, "DELETE");
}

static void give_machine(struct world *world)
{
    fake_apiserver_merge(
        world->server, &GVR_NODECLAIM, key,
        JOBJ(JV("status", JOBJ(JS("providerID", PROVIDER_ID), JS("nodeName", node_key.name)))));
}

static void test_sweep_deletes_a_claim_without_a_pool(void **state)
{
    struct world *world = *state;
    give_machine(world);
    say(world, 200, "{\"value\":[]}");
    say(world, 404, GONE);
    assert_int_equal(sweep(world), 0);
    assert_int_equal(fake_apiserver_object_count(world->server, &GVR_NODECLAIM), 0);
}

static void test_sweep_believes_a_ready_node_more_than_the_list(void **state)
{
    struct world *world = *state;
    give_machine(world);
    add_node(world);
    fake_apiserver_merge(world->server, &GVR_NODE, node_key,
                         json_literal("{\"status\":{\"conditions\":[{\"type\":\"Ready\","
                                      "\"status\":\"True\"}]}}"));
    say(world, 200, "{\"value\":[]}");
    assert_int_equal(sweep(world), 0);
    assert_int_equal(fake_apiserver_object_count(world->server, &GVR_NODECLAIM), 1);
}

/* ------------------------------------------------------------------ settings */

static void test_config_names_what_is_missing(void **state)
{
    (void)state;
    struct aks_config incomplete = config;
    struct error err = ERROR_INIT;
    incomplete.cluster_name = "";
    assert_int_equal(aks_config_complete(&incomplete, &err), -1);
    assert_non_null(strstr(err.message, "--cluster-name"));

    incomplete = config;
    incomplete.federated_token_file = "/file";
    assert_int_equal(aks_config_complete(&incomplete, &err), -1);
    assert_non_null(strstr(err.message, "--tenant-id"));
}

static void test_config_takes_the_environment_of_workload_identity(void **state)
{
    (void)state;
    struct aks_config empty = config;
    struct error err = ERROR_INIT;
    empty.authority = empty.tenant_id = empty.client_id = empty.federated_token_file = "";
    setenv("AZURE_AUTHORITY_HOST", "https://login.test/", 1);
    setenv("AZURE_TENANT_ID", "tenant", 1);
    setenv("AZURE_CLIENT_ID", "client", 1);
    setenv("AZURE_FEDERATED_TOKEN_FILE", "/var/run/token", 1);
    assert_int_equal(aks_config_complete(&empty, &err), 0);
    assert_string_equal(empty.authority, "https://login.test/");
    assert_string_equal(empty.tenant_id, "tenant");
    assert_string_equal(empty.federated_token_file, "/var/run/token");
}

static void test_config_refuses_what_is_no_origin(void **state)
{
    (void)state;
    static const char *const bad[] = { "",
                                       "arm.test",
                                       "http://arm.test",
                                       "https://",
                                       "https://arm.test/",
                                       "https://arm.test/x",
                                       "https://u@arm.test" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct aks_config wrong = config;
        struct error err = ERROR_INIT;
        wrong.arm_endpoint = bad[i];
        if (aks_config_complete(&wrong, &err) == 0)
            fail_msg("%s passed", bad[i]);
        assert_non_null(strstr(err.message, "--arm-endpoint"));
    }
}

int main(void)
{
#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_WORLD(test_launch_asks_for_a_pool_and_remembers_the_operation),
        WITH_WORLD(test_launch_of_a_pool_that_is_there_asks_for_no_other),
        WITH_WORLD(test_launch_is_done_when_the_node_has_joined),
        WITH_WORLD(test_launch_refused_says_why_and_waits),
        WITH_WORLD(test_launch_throttled_waits_as_long_as_azure_says),
        WITH_WORLD(test_launch_that_failed_later_tells_the_operations_reason),
        WITH_WORLD(test_launch_sends_no_token_to_another_host),
        WITH_WORLD(test_launch_gives_up_at_the_deadline),
        WITH_WORLD(test_launch_leaves_another_ones_pool_alone),
        WITH_WORLD(test_launch_gives_an_earlier_claims_pool_back),
        WITH_WORLD(test_advance_gives_up_a_node_that_never_registers),
        WITH_WORLD(test_terminate_follows_the_deletion_to_its_end),
        WITH_WORLD(test_terminate_waits_while_azure_is_busy_with_the_pool),
        WITH_WORLD(test_terminate_does_not_take_a_missing_cluster_for_a_missing_pool),
        WITH_WORLD(test_sweep_keeps_what_belongs_together),
        WITH_WORLD(test_sweep_deletes_a_pool_without_a_claim),
        WITH_WORLD(test_sweep_deletes_a_claim_without_a_pool),
        WITH_WORLD(test_sweep_believes_a_ready_node_more_than_the_list),
        cmocka_unit_test(test_config_names_what_is_missing),
        cmocka_unit_test(test_config_takes_the_environment_of_workload_identity),
        cmocka_unit_test(test_config_refuses_what_is_no_origin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
