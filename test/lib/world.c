#include "test/lib/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "test/lib/literals.h"

/* ------------------------------------------------------------------ provisioner */

static cJSON *claims_json(const struct world *world)
{
    return JARR(JOBJ(JS("name", "ws0123456789"), JS("node", world->ready > 0 ? "node-1" : NULL),
                     JS("phase", world->ready > 0 ? CLAIM_READY : CLAIM_PENDING)));
}

static int answer(void *context, const char *type, const cJSON *body, int64_t timeout_ms,
                  struct envelope *out, struct error *err)
{
    struct world *world = context;
    (void)timeout_ms;
    if (world->unreachable)
        return error_set(err, ERR_TIMEOUT, "no answer");
    cJSON *tree;
    if (strcmp(type, MESSAGE_NODE_DEMAND) == 0) {
        world->demands++;
        json_free(world->last_demand);
        world->last_demand = json_copy(body);
        tree = JOBJ(JS("namespace", json_string_at(body, "namespace")),
                    JS("name", json_string_at(body, "name")), JI("readyCount", world->ready),
                    JV("claims", claims_json(world)));
    } else {
        world->releases++;
        tree = JOBJ(JV("remaining", world->claims_remain ? claims_json(world) : json_new_array()));
    }
    *out = (struct envelope){ .body = tree, .tree = tree };
    return 0;
}

/* ------------------------------------------------------------------ world */

static const struct gvr *const kinds[WORLD_INFORMERS] = {
    &GVR_WORKSPACE, &GVR_STATEFULSET, &GVR_JOB, &GVR_SERVICE, &GVR_CONTROLLERREVISION, &GVR_POD
};

void world_pause_ms(long ms)
{
    nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

void world_start_informers(struct world *world)
{
    static store_index *const by_revision[] = { revision_index_workspace };
    static store_index *const by_pod[] = { pod_index_workspace };
    struct error err = ERROR_INIT;
    struct store **stores[WORLD_INFORMERS] = {
        &world->listers.workspaces, &world->listers.stateful_sets, &world->listers.jobs,
        &world->listers.services,   &world->listers.revisions,     &world->listers.pods
    };
    for (size_t i = 0; i < WORLD_INFORMERS; i++) {
        struct informer_options options = { .gvr = kinds[i] };
        if (kinds[i] == &GVR_CONTROLLERREVISION || kinds[i] == &GVR_POD) {
            options.indexes = kinds[i] == &GVR_POD ? by_pod : by_revision;
            options.index_count = 1;
        }
        world->informers[i] = informer_new(&world->client, &options, &world->stop, clock_system());
        *stores[i] = informer_store(world->informers[i]);
        informer_add_handler(world->informers[i],
                             i == 0 ? workspace_changed : workspace_part_changed,
                             &world->controller);
    }
    for (size_t i = 0; i < WORLD_INFORMERS; i++)
        informer_start(world->informers[i]);
    assert_int_equal(
        informers_wait(world->informers, WORLD_INFORMERS, &world->stop, WORLD_PATIENCE_MS, &err),
        0);
}

void world_stop_informers(struct world *world)
{
    stop_raise(&world->stop);
    for (size_t i = 0; i < WORLD_INFORMERS; i++)
        informer_free(world->informers[i]);
    stop_fini(&world->stop);
}

int world_open(void **state)
{
    struct world *world = mem_new(struct world);
    world->server = fake_apiserver_new(clock_system());
    stop_init(&world->stop);
    world->client = (struct k8s_client){ .transport = fake_apiserver_transport(world->server),
                                         .stop = &world->stop };
    world->port = (struct node_port){ .call = answer, .context = world, .url = "inproc://demand" };
    world->controller = (struct workspace_controller){
        .observer = { .listers = &world->listers,
                      .client = &world->client,
                      .nodes = &world->port,
                      .catalogue = catalogue_builtin(),
                      .cloud = "azure" },
        .actor = { .client = &world->client,
                   .events = event_recorder_new(&world->client, "test", clock_system()) },
        .settings = { .plan = { .catalogue = catalogue_builtin(),
                                .cloud = "azure",
                                .nodes_max = 8 },
                      .preset_registry = "registry.example/kaito" },
        .clock = clock_system(),
        .queue = workqueue_new("workspace", clock_system()),
        .resync_ms = 3600 * 1000,
    };
    world_start_informers(world);
    *state = world;
    return 0;
}

int world_close(void **state)
{
    struct world *world = *state;
    event_recorder_free(world->controller.actor.events);
    world_stop_informers(world);
    workqueue_shutdown(world->controller.queue);
    workqueue_free(world->controller.queue);
    fake_apiserver_free(world->server);
    json_free(world->last_demand);
    free(world);
    return 0;
}

/* The caches hold what the server holds. */
static bool is_fresh(const struct world *world)
{
    for (size_t i = 0; i < WORLD_INFORMERS; i++) {
        AUTO(object_list) struct object_list list = store_list(informer_store(world->informers[i]));
        if (list.count != fake_apiserver_object_count(world->server, kinds[i]))
            return false;
        for (size_t j = 0; j < list.count; j++) {
            AUTO(json)
            cJSON *there = fake_apiserver_get(world->server, kinds[i], list.items[j]->key);
            const char *version = json_string_at(there, "metadata.resourceVersion");
            if (version == NULL || strcmp(version, list.items[j]->resource_version) != 0)
                return false;
        }
    }
    return true;
}

static void catch_up(const struct world *world)
{
    for (int i = 0; i < WORLD_PATIENCE_MS && !is_fresh(world); i++)
        world_pause_ms(1);
}

void world_settle(struct world *world)
{
    for (int quiet = 0; quiet < 20;) {
        if (!world->stale_caches)
            catch_up(world);
        quiet = controller_run_one("workspace", world->controller.queue, workspace_reconcile,
                                   &world->controller)
                    ? 0
                    : quiet + 1;
        world_pause_ms(2);
    }
}

cJSON *world_get(const struct world *world, const struct gvr *gvr, const char *name)
{
    return fake_apiserver_get(world->server, gvr,
                              (struct object_key){ .namespace_ = "default", .name = name });
}

void world_change(const struct world *world, const struct gvr *gvr, const char *name,
                  const char *patch)
{
    fake_apiserver_merge(world->server, gvr,
                         (struct object_key){ .namespace_ = "default", .name = name },
                         json_literal(patch));
}

void world_erase(const struct world *world, const struct gvr *gvr, const char *name)
{
    fake_apiserver_delete(world->server, gvr,
                          (struct object_key){ .namespace_ = "default", .name = name });
}

void world_touch(struct world *world, const char *name)
{
    workspace_enqueue(&world->controller,
                      (struct object_key){ .namespace_ = "default", .name = name });
    world_settle(world);
}

void assert_condition(const struct world *world, const char *name, const char *type,
                      const char *status, const char *reason)
{
    AUTO(json) cJSON *ws = world_get(world, &GVR_WORKSPACE, name);
    const cJSON *condition;
    cJSON_ArrayForEach(condition, json_at(ws, "status.conditions")) {
        if (strcmp(json_string_at(condition, "type"), type) != 0)
            continue;
        if (strcmp(json_string_at(condition, "status"), status) != 0)
            fail_msg("%s is %s: %s", type, json_string_at(condition, "status"),
                     json_string_at(condition, "message"));
        if (reason != NULL)
            assert_string_equal(json_string_at(condition, "reason"), reason);
        return;
    }
    fail_msg("no condition %s", type);
}

void assert_gone(const struct world *world, const struct gvr *gvr, const char *name)
{
    AUTO(json) cJSON *object = world_get(world, gvr, name);
    assert_null(object);
}

void world_create_from(const struct world *world, const char *file)
{
    AUTO(json) cJSON *documents = json_all_from_file(file);
    cJSON *ws = json_copy(json_at(documents, "[0]"));
    json_set(ws, "metadata",
             JOBJ(JS("name", json_string_at(ws, "metadata.name")), JS("namespace", "default")));
    fake_apiserver_create(world->server, &GVR_WORKSPACE, ws);
}
