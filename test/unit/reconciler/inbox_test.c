#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/base/metrics.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "reconciler/inbox.h"
#include "test/lib/fake_apiserver.h"
#include "test/lib/literals.h"

struct world {
    struct fake_apiserver *server;
    struct stop stop;
    struct k8s_client client;
    struct listers listers;
    struct workspace_controller controller;
    struct state_follower follower;
};

static int world_open(void **state)
{
    struct world *world = mem_new(struct world);
    world->server = fake_apiserver_new(clock_system());
    stop_init(&world->stop);
    world->client = (struct k8s_client){ .transport = fake_apiserver_transport(world->server),
                                         .stop = &world->stop };
    world->listers.workspaces = store_new(NULL, 0);
    world->controller = (struct workspace_controller){
        .observer = { .listers = &world->listers,
                      .client = &world->client,
                      .catalogue = catalogue_builtin() },
        .actor = { .events = event_recorder_new(&world->client, "test", clock_system()) },
        .queue = workqueue_new("workspace", clock_system()),
    };
    world->follower.controller = &world->controller;
    metrics_reset();
    *state = world;
    return 0;
}

static int world_close(void **state)
{
    struct world *world = *state;
    event_recorder_free(world->controller.actor.events);
    workqueue_shutdown(world->controller.queue);
    workqueue_free(world->controller.queue);
    store_free(world->listers.workspaces);
    fake_apiserver_free(world->server);
    stop_fini(&world->stop);
    free(world);
    return 0;
}

static void put_workspace(struct world *world, const char *name, const char *ready)
{
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(object)
    const struct object *object = object_literal(
        arena_printf(&arena,
                     "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"d\",\"generation\":1},"
                     "\"status\":{\"observedGeneration\":1,\"conditions\":[{\"type\":\"Ready\","
                     "\"status\":\"%s\"}]}}",
                     name, ready));
    assert_null(store_put(world->listers.workspaces, object));
}

static void hear(struct world *world, const char *publisher, int sequence)
{
    AUTO(json)
    cJSON *body = JOBJ(JS("namespace", "d"), JS("name", "named"), JI("readyCount", 0),
                       JS("publisher", publisher), JI("sequence", sequence));
    const struct envelope message = { .type = MESSAGE_NODE_STATE, .body = body };
    inbox_node_state(&world->follower, &message);
}

/* Empties the queue; how many keys were in it. */
static size_t drain(struct world *world)
{
    size_t count = 0;
    for (char *key; (key = workqueue_try_get(world->controller.queue)) != NULL; count++)
        workqueue_done(world->controller.queue, key);
    return count;
}

static void test_inbox_node_state_follows_publishers(void **state)
{
    struct world *world = *state;
    put_workspace(world, "resting", "True");
    put_workspace(world, "restless", "False");
    static const struct {
        const char *publisher;
        int sequence;
        size_t keys; /* 1: the one named; 2: all that are not at rest too */
    } rows[] = { { "a", 7, 2 }, { "a", 8, 1 },  { "a", 10, 2 }, { "a", 11, 1 },
                 { "b", 1, 2 }, { "a", 12, 1 }, { "b", 2, 1 },  { "a", 1, 2 } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        hear(world, rows[i].publisher, rows[i].sequence);
        assert_int_equal(drain(world), rows[i].keys);
    }
}

static void test_inbox_node_state_invalid(void **state)
{
    struct world *world = *state;
    AUTO(json) cJSON *body = JOBJ(JS("name", "w"));
    const struct envelope message = { .type = MESSAGE_NODE_STATE, .body = body };
    inbox_node_state(&world->follower, &message);
    assert_int_equal(drain(world), 0);
    assert_int_equal(metric_value(METRIC_MESSAGES_TOTAL,
                                  (const char *const[]){ MESSAGE_NODE_STATE, "invalid", NULL }),
                     1);
}

static cJSON *ask(struct world *world, const char *kind, struct error *err)
{
    AUTO(json)
    cJSON *body =
        JOBJ(JS("namespace", "d"), JS("configMap", "c"), JS("kind", kind),
             JV("workspace",
                json_literal("{\"metadata\":{\"name\":\"w\"},\"resource\":{\"labelSelector\":{}},"
                             "\"inference\":{\"preset\":{\"name\":\"phi-4\"}}}")));
    const struct envelope request = { .type = MESSAGE_CONFIG_CHECK, .body = body };
    const char *type = NULL;
    cJSON *answer = inbox_config_check(&world->controller, &request, &type, err);
    if (answer != NULL)
        assert_string_equal(type, MESSAGE_CONFIG_FINDINGS);
    return answer;
}

static void test_inbox_config_check(void **state)
{
    struct world *world = *state;
    struct error err = ERROR_INIT;
    AUTO(json) cJSON *missing = ask(world, "inference", &err);
    assert_string_equal(json_string_at(missing, "findings[0].severity"), "warning");

    fake_apiserver_create(
        world->server, &GVR_CONFIGMAP,
        json_literal("{\"metadata\":{\"name\":\"c\",\"namespace\":\"d\"},\"data\":"
                     "{\"inference_config.yaml\":\"vllm:\\n  max-model-len: "
                     "999999\\n\"}}"));
    AUTO(json) cJSON *wrong = ask(world, "inference", &err);
    assert_string_equal(json_string_at(wrong, "findings[0].rule"), "F6");
    assert_string_equal(json_string_at(wrong, "findings[0].path"), "inference.config");
    AUTO(json) cJSON *other = ask(world, "tuning", &err);
    assert_string_equal(json_string_at(other, "findings[0].rule"), "T11");

    fake_apiserver_set_down(world->server, true);
    AUTO(json) cJSON *down = ask(world, "inference", &err);
    assert_null(down);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
}

static void test_inbox_config_check_unknown_type(void **state)
{
    struct world *world = *state;
    struct error err = ERROR_INIT;
    AUTO(json) cJSON *body = json_new_object();
    const struct envelope request = { .type = "Nonsense", .body = body };
    const char *type = NULL;
    assert_null(inbox_config_check(&world->controller, &request, &type, &err));
    assert_int_equal(err.code, ERR_INVALID);
}

static void reject(struct world *world, const char *name)
{
    AUTO(json)
    cJSON *body =
        JOBJ(JS("namespace", "d"), JS("name", name), JS("user", "alice"), JS("operation", "CREATE"),
             JV("rules", JARR(JSTR("O1"), JSTR("O2"))), JS("message", "tuning.output.image: no"));
    const struct envelope message = { .type = MESSAGE_REJECTION, .body = body };
    inbox_rejection(&world->controller, &message);
}

static void test_inbox_rejection(void **state)
{
    struct world *world = *state;
    reject(world, "w");
    reject(world, "w");
    reject(world, NULL);
    event_recorder_free(STEAL(world->controller.actor.events)); /* writes what is queued */
    assert_int_equal(fake_apiserver_object_count(world->server, &GVR_EVENT), 2);
}

#define INBOX(test) cmocka_unit_test_setup_teardown(test, world_open, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        INBOX(test_inbox_node_state_follows_publishers),
        INBOX(test_inbox_node_state_invalid),
        INBOX(test_inbox_config_check),
        INBOX(test_inbox_config_check_unknown_type),
        INBOX(test_inbox_rejection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
