#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/json/json.h"
#include "provisioner/drivers/arm.h"
#include "test/lib/scripted_client.h"

#define TOKEN(text) "{\"access_token\":\"" text "\",\"expires_in\":3600}"
#define POOLS                                                      \
    "https://arm.test/subscriptions/s/resourceGroups/g/providers/" \
    "Microsoft.ContainerService/managedClusters/c/agentPools"

struct world {
    struct scripted_client client;
    struct stop stop;
    struct azure_token *token;
    struct arm arm;
    struct arm_error err;
};

static int set_up(void **state)
{
    struct world *world = mem_new(struct world);
    scripted_client_init(&world->client);
    stop_init(&world->stop);
    const struct azure_token_options token = { .http = &world->client.client,
                                               .clock = clock_system(),
                                               .resource = "https://arm.test",
                                               .authority = "https://login.test",
                                               .tenant_id = "",
                                               .client_id = "",
                                               .federated_file = "",
                                               .metadata_endpoint = "http://metadata.test" };
    world->token = azure_token_new(&token);
    world->arm.options = (struct arm_options){ .http = &world->client.client,
                                               .token = world->token,
                                               .stop = &world->stop,
                                               .endpoint = "https://arm.test",
                                               .subscription_id = "s",
                                               .resource_group = "g",
                                               .cluster_name = "c" };
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    assert_int_equal(world->client.request_count, world->client.answer_count);
    azure_token_free(world->token);
    scripted_client_fini(&world->client);
    stop_fini(&world->stop);
    free(world);
    return 0;
}

static void say(struct world *world, int status, const char *body)
{
    scripted_client_add(&world->client,
                        (struct scripted_client_answer){ .status = status, .body = body });
}

static void test_arm_asks_again_with_a_new_token_after_401(void **state)
{
    struct world *world = *state;
    say(world, 200, TOKEN("old"));
    say(world, 401, NULL);
    say(world, 200, TOKEN("new"));
    say(world, 200, "{\"name\":\"p\"}");
    AUTO(json) cJSON *pool = NULL;
    assert_int_equal(arm_pool_get(&world->arm, "p", &pool, &world->err), 0);
    assert_string_equal(json_string_at(pool, "name"), "p");
    assert_non_null(strstr(world->client.requests[3].headers, "Bearer new\n"));
}

static void test_arm_gives_up_after_a_second_401(void **state)
{
    struct world *world = *state;
    say(world, 200, TOKEN("old"));
    say(world, 401, NULL);
    say(world, 200, TOKEN("new"));
    say(world, 401, NULL);
    AUTO(json) cJSON *pool = NULL;
    assert_int_equal(arm_pool_get(&world->arm, "p", &pool, &world->err), -1);
    assert_int_equal(world->err.cause, AKS_FORBIDDEN);
}

static void test_arm_pool_list_turns_pages(void **state)
{
    struct world *world = *state;
    say(world, 200, TOKEN("t"));
    say(world, 200, "{\"value\":[{\"name\":\"a\"}],\"nextLink\":\"https://arm.test/2\"}");
    say(world, 200, "{\"value\":[{\"name\":\"b\"}]}");
    AUTO(json) cJSON *pools = NULL;
    assert_int_equal(arm_pool_list(&world->arm, &pools, &world->err), 0);
    assert_int_equal(cJSON_GetArraySize(pools), 2);
    assert_string_equal(world->client.requests[1].url, POOLS "?api-version=2024-01-01");
    assert_string_equal(world->client.requests[2].url, "https://arm.test/2");
}

static void test_arm_pool_list_follows_no_link_elsewhere(void **state)
{
    struct world *world = *state;
    say(world, 200, TOKEN("t"));
    say(world, 200, "{\"value\":[],\"nextLink\":\"https://evil.test/2\"}");
    AUTO(json) cJSON *pools = NULL;
    assert_int_equal(arm_pool_list(&world->arm, &pools, &world->err), -1);
    assert_int_equal(world->err.error.code, ERR_INVALID);
}

static void test_arm_knows_a_missing_pool_from_a_missing_cluster(void **state)
{
    struct world *world = *state;
    say(world, 200, TOKEN("t"));
    static const struct {
        const char *body;
        int expected;
    } cases[] = {
        { "{\"code\":\"NotFound\",\"message\":\"Agent Pool not found: 'p'.\"}", 1 },
        { "{\"error\":{\"code\":\"NotFound\",\"message\":\"x\"}}", 1 },
        { "{\"error\":{\"code\":\"ResourceNotFound\",\"message\":\"The Resource "
          "'Microsoft.ContainerService/managedClusters/c' was not found\"}}",
          -1 },
        { "{\"error\":{\"code\":\"ResourceGroupNotFound\",\"message\":\"x\"}}", -1 },
        { "{\"error\":{\"code\":\"SubscriptionNotFound\",\"message\":\"x\"}}", -1 },
        { "<html>", -1 },
        { "", -1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(json) cJSON *pool = NULL;
        say(world, 404, cases[i].body);
        if (arm_pool_get(&world->arm, "p", &pool, &world->err) != cases[i].expected)
            fail_msg("%s", cases[i].body);
        if (cases[i].expected < 0)
            assert_int_equal(world->err.cause, AKS_NO_CLUSTER);
    }
}

static void test_arm_pool_put_gives_the_operation(void **state)
{
    struct world *world = *state;
    say(world, 200, TOKEN("t"));
    scripted_client_add(
        &world->client,
        (struct scripted_client_answer){ .status = 201, .body = "{}", .operation = "https://o" });
    AUTO_FREE char *operation = NULL;
    AUTO(json) cJSON *body = cJSON_CreateObject();
    assert_int_equal(arm_pool_put(&world->arm, "p", body, &operation, &world->err), 0);
    assert_string_equal(operation, "https://o");
    assert_string_equal(world->client.requests[1].body, "{}");
    assert_string_equal(world->client.requests[1].url, POOLS "/p?api-version=2024-01-01");
}

static void test_arm_pool_delete_outcomes(void **state)
{
    struct world *world = *state;
    say(world, 200, TOKEN("t"));
    say(world, 202, NULL);
    assert_int_equal(arm_pool_delete(&world->arm, "p", &world->err), 0);
    say(world, 404, "{\"code\":\"NotFound\"}");
    assert_int_equal(arm_pool_delete(&world->arm, "p", &world->err), 1);
    scripted_client_add(&world->client,
                        (struct scripted_client_answer){ .status = 429, .retry_after_ms = 5000 });
    assert_int_equal(arm_pool_delete(&world->arm, "p", &world->err), -1);
    assert_int_equal(world->err.error.code, ERR_THROTTLED);
    assert_int_equal(world->err.error.retry_after_ms, 5000);
}

static void test_arm_unreachable_is_unavailable(void **state)
{
    struct world *world = *state;
    say(world, 200, TOKEN("t"));
    scripted_client_add(&world->client, (struct scripted_client_answer){ .error = ERR_TIMEOUT });
    AUTO(json) cJSON *pool = NULL;
    assert_int_equal(arm_pool_get(&world->arm, "p", &pool, &world->err), -1);
    assert_int_equal(world->err.cause, AKS_UNAVAILABLE);
    assert_int_equal(world->err.error.code, ERR_TIMEOUT);
}

int main(void)
{
#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_WORLD(test_arm_asks_again_with_a_new_token_after_401),
        WITH_WORLD(test_arm_gives_up_after_a_second_401),
        WITH_WORLD(test_arm_pool_list_turns_pages),
        WITH_WORLD(test_arm_pool_list_follows_no_link_elsewhere),
        WITH_WORLD(test_arm_knows_a_missing_pool_from_a_missing_cluster),
        WITH_WORLD(test_arm_pool_put_gives_the_operation),
        WITH_WORLD(test_arm_pool_delete_outcomes),
        WITH_WORLD(test_arm_unreachable_is_unavailable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
