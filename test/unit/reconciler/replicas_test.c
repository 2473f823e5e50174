/* A reconciler among others, and among several provisioners. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "reconciler/inbox.h"
#include "test/lib/fake_apiserver.h"
#include "test/lib/literals.h"

enum { TRIES = 2000 };

struct world {
    struct clock_fake clock;
    struct fake_apiserver *server;
    struct stop stop;
    struct k8s_client client;
    struct listers listers;
    struct membership *members;
    struct workspace_controller controller;
};

static void ignore_change(void *context)
{
    (void)context;
}

static int set_up(void **state)
{
    struct world *world = mem_new(struct world);
    clock_fake_init(&world->clock, 1000 * 1000);
    world->server = fake_apiserver_new(clock_system());
    stop_init(&world->stop);
    world->client = (struct k8s_client){ .transport = fake_apiserver_transport(world->server),
                                         .stop = &world->stop };
    world->listers.workspaces = store_new(NULL, 0);
    world->members = membership_new(&world->client, "system", "group", "a", &world->stop,
                                    &world->clock.clock, ignore_change, NULL);
    world->controller = (struct workspace_controller){
        .observer = { .listers = &world->listers, .client = &world->client },
        .clock = clock_system(),
        .queue = workqueue_new("workspace", clock_system()),
        .members = world->members,
        .resync_ms = 1000,
    };
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    workqueue_shutdown(world->controller.queue);
    workqueue_free(world->controller.queue);
    membership_free(world->members);
    store_free(world->listers.workspaces);
    fake_apiserver_free(world->server);
    stop_fini(&world->stop);
    free(world);
    return 0;
}

/* Not owned: no look at anything, not even later. Owned: an absent Workspace is nothing to do, and
 * its key comes back with the resync. */
static void test_workspace_key_of_another_replica_is_turned_away(void **state)
{
    struct world *world = *state;
    struct reconcile_result result = { .requeue_after_ms = 1 };
    struct error err = ERROR_INIT;
    assert_int_equal(workspace_reconcile(&world->controller, "d/w", &result, &err), 0);
    assert_int_equal(result.requeue_after_ms, 0);
    assert_false(workspace_is_ours(&world->controller, (struct object_key){ "d", "w" }));

    if (membership_round(world->members, &err) < 0)
        fail_msg("%s", err.message);
    assert_true(workspace_is_ours(&world->controller, (struct object_key){ "d", "w" }));
    assert_int_equal(workspace_reconcile(&world->controller, "d/w", &result, &err), 0);
    assert_int_not_equal(result.requeue_after_ms, 0);
}

static void test_workspace_enqueue_all_knows_no_rest(void **state)
{
    struct world *world = *state;
    static const char *const literals[] = {
        "{\"metadata\":{\"name\":\"one\",\"namespace\":\"d\",\"generation\":1},\"status\":{"
        "\"observedGeneration\":1,\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}",
        "{\"metadata\":{\"name\":\"two\",\"namespace\":\"d\",\"generation\":1}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(literals); i++) {
        AUTO(object) const struct object *object = object_literal(literals[i]);
        assert_null(store_put(world->listers.workspaces, object));
    }
    workspace_enqueue_all(&world->controller);
    assert_int_equal(workqueue_depth(world->controller.queue), ARRAY_LEN(literals));
}

/* ------------------------------------------------------------------ several provisioners */

static struct msg_sender *publish_at(const char *url)
{
    const struct socket_options options = { .url = url };
    struct msg_sender *sender = NULL;
    struct error err = ERROR_INIT;
    if (msg_publisher_open(&options, &sender, &err) < 0)
        fail_msg("%s", err.message);
    return sender;
}

/* Sends until its key is in the queue: the first messages may come before the subscription. */
static void is_heard(struct world *world, struct msg_sender *sender, const char *name)
{
    AUTO(json) cJSON *body = JOBJ(JS("namespace", "d"), JS("name", name), JI("readyCount", 0));
    for (int i = 0; i < TRIES; i++) {
        (void)msg_send(sender, MESSAGE_NODE_STATE, body, NULL);
        stop_wait(&world->stop, 1);
        char *key = workqueue_try_get(world->controller.queue);
        if (key == NULL)
            continue;
        bool same = strcmp(key + strlen("d/"), name) == 0;
        workqueue_done(world->controller.queue, key);
        if (same)
            return;
    }
    fail_msg("%s was not heard", name);
}

static void test_inbox_hears_every_provisioner(void **state)
{
    struct world *world = *state;
    const struct inbox_options options = { .state_url = "inproc://state-a,inproc://state-b" };
    struct inbox *inbox = NULL;
    struct error err = ERROR_INIT;
    struct msg_sender *a = publish_at("inproc://state-a"), *b = publish_at("inproc://state-b");
    if (inbox_open(&options, &world->controller, &inbox, &err) < 0)
        fail_msg("%s", err.message);
    is_heard(world, a, "from-a");
    is_heard(world, b, "from-b");
    inbox_close(inbox);
    msg_sender_close(a);
    msg_sender_close(b);
}

static void test_inbox_refuses_an_empty_url_among_others(void **state)
{
    struct world *world = *state;
    const struct inbox_options options = { .state_url = "inproc://state-a,," };
    struct inbox *inbox = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(inbox_open(&options, &world->controller, &inbox, &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_workspace_key_of_another_replica_is_turned_away),
        TEST(test_workspace_enqueue_all_knows_no_rest),
        TEST(test_inbox_hears_every_provisioner),
        TEST(test_inbox_refuses_an_empty_url_among_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
