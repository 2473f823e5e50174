/* Two replicas of the claims role before one API server. */
#include <pthread.h>
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
#include "common/json/build.h"
#include "common/json/json.h"
#include "proto/messages.h"
#include "provisioner/claim.h"
#include "provisioner/claims.h"
#include "test/lib/fake_apiserver.h"
#include "test/lib/literals.h"

enum { REPLICAS = 2, SYNC_MS = 10 * 1000, ROUNDS = 20, COUNT = 3, ORPHANS = 12 };

struct replica {
    struct informer *informers[3];
    struct membership *members;
    struct claims *claims;
};

struct world {
    struct clock_fake clock; /* of the Leases: none lapses */
    struct fake_apiserver *server, *event_server;
    struct stop stop;
    struct k8s_client client, event_client;
    struct event_recorder *events;
    struct replica replicas[REPLICAS];
};

static void ignore_change(void *context)
{
    (void)context;
}

static void open_replica(struct world *world, struct replica *replica, const char *identity)
{
    static store_index *const by_workspace[] = { claim_workspace_index };
    static store_index *const by_provider[] = { node_provider_index };
    const struct informer_options options[] = {
        { .gvr = &GVR_NODECLAIM, .indexes = by_workspace, .index_count = 1 },
        { .gvr = &GVR_NODE, .indexes = by_provider, .index_count = 1 },
        { .gvr = &GVR_WORKSPACE },
    };
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        replica->informers[i] =
            informer_new(&world->client, &options[i], &world->stop, clock_system());
    replica->members = membership_new(&world->client, "system", "group", identity, &world->stop,
                                      &world->clock.clock, ignore_change, NULL);
    const struct claims_options claims = {
        .client = &world->client,
        .claims = replica->informers[0],
        .nodes = replica->informers[1],
        .workspaces = replica->informers[2],
        .events = world->events,
        .cloud = "azure",
        .members = replica->members,
        .clock = clock_system(),
    };
    replica->claims = claims_new(&claims);
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        informer_start(replica->informers[i]);
    struct error err = ERROR_INIT;
    if (informers_wait(replica->informers, 3, &world->stop, SYNC_MS, &err) < 0)
        fail_msg("%s", err.message);
}

/* Everybody's Lease is taken and seen. */
static void meet(struct world *world)
{
    for (int i = 0; i < 2 * REPLICAS; i++) {
        struct error err = ERROR_INIT;
        if (membership_round(world->replicas[i % REPLICAS].members, &err) < 0)
            fail_msg("%s", err.message);
    }
}

static int set_up(void **state)
{
    static const char *const identities[REPLICAS] = { "a", "b" };
    struct world *world = mem_new(struct world);
    stop_init(&world->stop);
    clock_fake_init(&world->clock, 1000 * 1000);
    world->server = fake_apiserver_new(clock_system());
    world->client = (struct k8s_client){ .transport = fake_apiserver_transport(world->server),
                                         .stop = &world->stop };
    world->event_server = fake_apiserver_new(clock_system());
    world->event_client =
        (struct k8s_client){ .transport = fake_apiserver_transport(world->event_server),
                             .stop = &world->stop };
    world->events = event_recorder_new(&world->event_client, "test", clock_system());
    for (size_t i = 0; i < REPLICAS; i++)
        open_replica(world, &world->replicas[i], identities[i]);
    meet(world);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    event_recorder_free(world->events);
    stop_raise(&world->stop);
    for (size_t r = 0; r < REPLICAS; r++) {
        struct replica *replica = &world->replicas[r];
        claims_stop(replica->claims);
        for (size_t i = 0; i < 3; i++)
            informer_free(replica->informers[i]);
        claims_free(replica->claims);
        membership_free(replica->members);
    }
    fake_apiserver_free(world->server);
    fake_apiserver_free(world->event_server);
    stop_fini(&world->stop);
    free(world);
    return 0;
}

static void add_workspace(struct world *world, const char *name, char uid[64])
{
    fake_apiserver_create(world->server, &GVR_WORKSPACE,
                          JOBJ(JS("apiVersion", "kaito.sh/v1beta1"), JS("kind", "Workspace"),
                               JV("metadata", JOBJ(JS("name", name), JS("namespace", "default")))));
    AUTO(json)
    cJSON *made = fake_apiserver_get(world->server, &GVR_WORKSPACE,
                                     (struct object_key){ .namespace_ = "default", .name = name });
    snprintf(uid, 64, "%s", json_string_at(made, "metadata.uid"));
}

/* A demand handled by one replica, on this thread or on one of its own. */
struct demand {
    struct replica *replica;
    const char *name, *uid;
    int64_t count;
    pthread_barrier_t *start; /* NULL: at once */
    bool answered;
};

static void *handle_demand(void *context)
{
    struct demand *demand = context;
    AUTO(json)
    cJSON *body = JOBJ(JS("namespace", "default"), JS("name", demand->name), JS("uid", demand->uid),
                       JI("generation", 1), JS("instanceType", "Standard_NC24ads_A100_v4"),
                       JI("count", demand->count), JI("diskGiB", 87));
    AUTO_FREE char *text = envelope_encode(MESSAGE_NODE_DEMAND, "1", NULL, body);
    AUTO(envelope) struct envelope request = { 0 };
    const char *answer_type = NULL;
    struct error err = ERROR_INIT;
    if (envelope_decode(text, strlen(text), &request, &err) < 0)
        return NULL;
    if (demand->start != NULL)
        pthread_barrier_wait(demand->start);
    AUTO(json)
    cJSON *answer = claims_handle(demand->replica->claims, &request, &answer_type, &err);
    demand->answered = answer != NULL;
    return NULL;
}

static size_t claim_count(struct world *world)
{
    return fake_apiserver_object_count(world->server, &GVR_NODECLAIM);
}

/* Demands of both replicas at the same instant, again and again: each machine is claimed once. */
static void test_racing_demands_claim_each_machine_once(void **state)
{
    struct world *world = *state;
    for (size_t round = 0; round < ROUNDS; round++) {
        char name[32], uid[64];
        snprintf(name, sizeof(name), "ws-%zu", round);
        add_workspace(world, name, uid);
        pthread_barrier_t start;
        pthread_barrier_init(&start, NULL, REPLICAS);
        struct demand demands[REPLICAS];
        pthread_t threads[REPLICAS];
        for (size_t i = 0; i < REPLICAS; i++) {
            demands[i] = (struct demand){ &world->replicas[i], name, uid, COUNT, &start, false };
            assert_int_equal(pthread_create(&threads[i], NULL, handle_demand, &demands[i]), 0);
        }
        for (size_t i = 0; i < REPLICAS; i++) {
            pthread_join(threads[i], NULL);
            assert_true(demands[i].answered);
        }
        pthread_barrier_destroy(&start);
        assert_int_equal(claim_count(world), (round + 1) * COUNT);
    }
    assert_int_equal(fake_apiserver_requests(world->server, "delete", "nodeclaims"), 0);
}

/* ------------------------------------------------------------------ replacement */

/* One claim is on its way out. The first replica sees that its name is taken and is about to create
 * the next; then the name becomes free, and the second replica is about to create that one. */
struct parting {
    struct world *world;
    struct demand first, second;
    char old[CLAIM_NAME_BYTES], next[CLAIM_NAME_BYTES], uid[64];
    bool second_waits; /* with its create until the first has looked, else the first waits */
    struct stop second_creates, first_is_done;
    pthread_t thread;
    bool met;
};

static void begin_second(struct parting *parting)
{
    parting->met = true;
    fake_apiserver_merge(parting->world->server, &GVR_NODECLAIM,
                         (struct object_key){ "", parting->old },
                         json_literal("{\"metadata\":{\"finalizers\":null}}"));
    if (pthread_create(&parting->thread, NULL, handle_demand, &parting->second) != 0)
        fail_msg("no thread");
    if (parting->second_waits)
        stop_wait(&parting->second_creates, SYNC_MS);
    else
        pthread_join(parting->thread, NULL);
}

static void part(void *context, bool after, const char *verb, const char *resource,
                 struct object_key key)
{
    struct parting *parting = context;
    if (after || strcmp(verb, "create") != 0 || strcmp(resource, "nodeclaims") != 0)
        return;
    if (!parting->met) {
        begin_second(parting);
    } else if (parting->second_waits && strcmp(key.name, parting->next) != 0) {
        stop_raise(&parting->second_creates);
        stop_wait(&parting->first_is_done, SYNC_MS);
    }
}

/* Until its cache says so; bounded. */
static void wait_for_deletion(struct world *world, struct replica *replica, struct object_key key)
{
    for (int i = 0; i < SYNC_MS; i++) {
        AUTO(object)
        const struct object *claim = store_get(informer_store(replica->informers[0]), key);
        if (claim != NULL && claim->deleting)
            return;
        stop_wait(&world->stop, 1);
    }
    fail_msg("the informer never saw %s go", key.name);
}

static void add_claim_on_its_way_out(struct parting *parting)
{
    struct node_demand demand = { .namespace_ = "default",
                                  .name = "ws",
                                  .uid = parting->uid,
                                  .instance_type = "Standard_NC24ads_A100_v4",
                                  .count = { true, 1 },
                                  .disk_gib = { true, 87 } };
    struct world *world = parting->world;
    struct object_key key = { "", parting->old };
    claim_name(parting->uid, 0, parting->old);
    claim_name(parting->uid, 1, parting->next);
    cJSON *claim = claim_manifest(&demand, 0, "azure");
    json_set(cJSON_GetObjectItemCaseSensitive(claim, "metadata"), "finalizers",
             JARR(JSTR(CLAIM_FINALIZER)));
    fake_apiserver_create(world->server, &GVR_NODECLAIM, claim);
    fake_apiserver_delete(world->server, &GVR_NODECLAIM, key);
    for (size_t r = 0; r < REPLICAS; r++)
        wait_for_deletion(world, &world->replicas[r], key);
}

static void run_parting(struct world *world, bool second_waits)
{
    struct parting parting = { .world = world, .second_waits = second_waits };
    stop_init(&parting.second_creates);
    stop_init(&parting.first_is_done);
    add_workspace(world, "ws", parting.uid);
    add_claim_on_its_way_out(&parting);
    parting.first = (struct demand){ &world->replicas[0], "ws", parting.uid, 1, NULL, false };
    parting.second = (struct demand){ &world->replicas[1], "ws", parting.uid, 1, NULL, false };
    fake_apiserver_on_write(world->server, part, &parting);
    handle_demand(&parting.first);
    stop_raise(&parting.first_is_done);
    assert_true(parting.met);
    if (second_waits)
        pthread_join(parting.thread, NULL);
    fake_apiserver_on_write(world->server, NULL, NULL);
    assert_true(parting.first.answered);
    assert_true(parting.second.answered);
    assert_int_equal(claim_count(world), 1);
    stop_fini(&parting.second_creates);
    stop_fini(&parting.first_is_done);
}

static void test_replacement_race_leaves_one_claim_when_the_first_is_later(void **state)
{
    run_parting(*state, false);
}

static void test_replacement_race_leaves_one_claim_when_the_second_is_later(void **state)
{
    run_parting(*state, true);
}

/* ------------------------------------------------------------------ sweep */

static void add_orphan(struct world *world, int number)
{
    AUTO_FREE char *name = mem_printf("ws%09d", number);
    AUTO_FREE char *workspace = mem_printf("gone-%d", number);
    fake_apiserver_create(
        world->server, &GVR_NODECLAIM,
        JOBJ(JS("apiVersion", "karpenter.sh/v1"), JS("kind", "NodeClaim"),
             JV("metadata", JOBJ(JS("name", name),
                                 JV("labels", JOBJ(JS(LABEL_WORKSPACE, workspace),
                                                   JS(LABEL_WORKSPACE_NAMESPACE, "default"))),
                                 JV("annotations", JOBJ(JS(ANNOTATION_WORKSPACE_UID,
                                                           "of-a-life-that-is-over")))))));
}

static void test_orphans_are_swept_by_their_owner_alone(void **state)
{
    struct world *world = *state;
    size_t swept[REPLICAS] = { 0 };
    for (int i = 0; i < ORPHANS; i++)
        add_orphan(world, i);
    for (int i = 0; i < SYNC_MS && claim_count(world) > 0; i++) {
        for (size_t r = 0; r < REPLICAS; r++) {
            size_t before = claim_count(world);
            while (claims_sweep_one(world->replicas[r].claims))
                ;
            swept[r] += before - claim_count(world);
        }
        stop_wait(&world->stop, 1);
    }
    assert_int_equal(fake_apiserver_requests(world->server, "delete", "nodeclaims"), ORPHANS);
    for (size_t r = 0; r < REPLICAS; r++)
        assert_in_range(swept[r], 1, ORPHANS - 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_racing_demands_claim_each_machine_once),
        TEST(test_replacement_race_leaves_one_claim_when_the_first_is_later),
        TEST(test_replacement_race_leaves_one_claim_when_the_second_is_later),
        TEST(test_orphans_are_swept_by_their_owner_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
