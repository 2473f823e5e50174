/* A cluster that changes from KAITO to ckaito: the objects of test/golden, as KAITO lays them out
 * and an API server keeps them, are there before the reconciler starts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "reconciler/manifest.h"
#include "reconciler/tuning_manifest.h"
#include "test/lib/literals.h"
#include "test/lib/world.h"

#define PRESET   "workspace-phi-4-mini"
#define TEMPLATE "workspace-custom-llm"
#define TUNING   "workspace-tuning-phi-3"

static const struct gvr *gvr_of(const char *kind)
{
    static const struct gvr *const kinds[] = { &GVR_CONTROLLERREVISION, &GVR_SERVICE,
                                               &GVR_STATEFULSET, &GVR_JOB };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(kinds[i]->kind, kind) == 0)
            return kinds[i];
    }
    fail_msg("unknown kind %s", kind);
    return NULL;
}

static void own(const struct world *world, const cJSON *document, const char *uid)
{
    const struct gvr *gvr = gvr_of(json_string_at(document, "kind"));
    AUTO(json) cJSON *owner = json_copy(json_at(document, "metadata.ownerReferences[0]"));
    json_set(owner, "uid", json_new_string(uid));
    AUTO_FREE char *text = json_print(owner);
    AUTO_FREE char *patch = mem_printf("{\"metadata\":{\"ownerReferences\":[%s]}}", text);
    fake_apiserver_create(world->server, gvr, json_copy(document));
    world_change(world, gvr, json_string_at(document, "metadata.name"), patch);
}

/* What KAITO leaves on a Workspace. */
static void mark(const struct world *world, const char *name, const char *hash)
{
    AUTO_FREE char *patch =
        mem_printf("{\"metadata\":{\"finalizers\":[\"" WORKSPACE_FINALIZER "\"],\"annotations\":{"
                   "\"" ANNOTATION_HASH "\":\"%s\",\"" ANNOTATION_REVISION "\":\"1\"}}}",
                   hash);
    world_change(world, &GVR_WORKSPACE, name, patch);
}

/* Everything of the file as KAITO made it; the nodes are there. */
static void lay_out(struct world *world, const char *file, const char *hash)
{
    AUTO(json) cJSON *documents = json_all_from_file(file);
    const char *name = json_string_at(json_at(documents, "[0]"), "metadata.name");
    world_create_from(world, file);
    AUTO(json) cJSON *workspace = world_get(world, &GVR_WORKSPACE, name);
    const char *uid = json_string_at(workspace, "metadata.uid");
    for (const cJSON *one = json_at(documents, "[1]"); one != NULL; one = one->next)
        own(world, one, uid);
    mark(world, name, hash);
    world->ready = 1;
}

/* KAITO's StatefulSet of one pod, which is ready, with a command that ckaito would not write. */
static void lay_out_inference(struct world *world, const char *file, const char *name,
                              const char *hash)
{
    lay_out(world, file, hash);
    world_change(world, &GVR_STATEFULSET, name,
                 "{\"metadata\":{\"labels\":{\"made-by\":\"kaito\"}},"
                 "\"status\":{\"observedGeneration\":9,\"readyReplicas\":1,\"replicas\":1}}");
}

static const char phi_hash[] = "203bd2f573e212877fc413be56776945a635c4cd6ea73b05061e71a0272019a8";

static void lay_out_preset(struct world *world)
{
    lay_out_inference(world, "test/golden/inference-single-node.yaml", PRESET, phi_hash);
    world_change(world, &GVR_STATEFULSET, PRESET,
                 "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"" PRESET
                 "\",\"image\":\"kaito-base:0.4.9\",\"command\":[\"/bin/sh\",\"-c\",\"serve\"]"
                 "}]}}}}");
}

static void assert_untouched(const struct world *world, const struct gvr *gvr, const cJSON *before)
{
    AUTO(json) cJSON *after = world_get(world, gvr, json_string_at(before, "metadata.name"));
    assert_non_null(after);
    assert_string_equal(json_string_at(after, "metadata.uid"),
                        json_string_at(before, "metadata.uid"));
    AUTO_FREE char *old = json_print_canonical(json_get(before, "spec"));
    AUTO_FREE char *new = json_print_canonical(json_get(after, "spec"));
    assert_string_equal(new, old);
}

static void assert_hash(const struct world *world, const char *name, const char *hash)
{
    AUTO(json) cJSON *ws = world_get(world, &GVR_WORKSPACE, name);
    assert_string_equal(json_string_at(ws, "metadata.annotations[\"" ANNOTATION_HASH "\"]"), hash);
    assert_string_equal(json_string_at(ws, "metadata.annotations[\"" ANNOTATION_REVISION "\"]"),
                        "1");
    assert_int_equal(fake_apiserver_object_count(world->server, &GVR_CONTROLLERREVISION), 1);
}

/* The StatefulSet goes without its pods and comes again as ours. */
static void assert_replaced(const struct world *world, const cJSON *before)
{
    AUTO(json)
    cJSON *after = world_get(world, &GVR_STATEFULSET, json_string_at(before, "metadata.name"));
    assert_string_not_equal(json_string_at(after, "metadata.uid"),
                            json_string_at(before, "metadata.uid"));
    assert_non_null(json_string_at(after, "metadata.annotations[\"" ANNOTATION_APPLIED_HASH "\"]"));
    assert_int_equal(fake_apiserver_requests(world->server, "delete", "statefulsets"), 1);
}

/* ------------------------------------------------------------------ presets */

static void test_adoption_preset(void **state)
{
    struct world *world = *state;
    lay_out_preset(world);
    AUTO(json) cJSON *before = world_get(world, &GVR_STATEFULSET, PRESET);
    world_settle(world);

    assert_untouched(world, &GVR_STATEFULSET, before);
    assert_hash(world, PRESET, phi_hash);
    assert_condition(world, PRESET, CONDITION_READY, "True", NULL);
    assert_int_equal(json_integer_at(world->last_demand, "count", 0), 1);
    assert_int_equal(fake_apiserver_requests(world->server, NULL, "workspaces"), 0);
    assert_int_equal(fake_apiserver_requests(world->server, "apply", "statefulsets"), 1);
    assert_int_equal(fake_apiserver_requests(world->server, "delete", NULL), 0);

    fake_apiserver_reset_requests(world->server);
    world_touch(world, PRESET);
    assert_int_equal(fake_apiserver_requests(world->server, NULL, NULL), 0);
}

static void test_adoption_keeps_its_nodes(void **state)
{
    struct world *world = *state;
    lay_out_preset(world);
    world->ready = 3;
    world_change(world, &GVR_STATEFULSET, PRESET, "{\"spec\":{\"replicas\":3}}");
    AUTO(json) cJSON *before = world_get(world, &GVR_STATEFULSET, PRESET);
    world_settle(world);
    assert_untouched(world, &GVR_STATEFULSET, before);
    assert_int_equal(json_integer_at(world->last_demand, "count", 0), 3);
    AUTO(json) cJSON *ws = world_get(world, &GVR_WORKSPACE, PRESET);
    assert_int_equal(json_integer_at(ws, "status.targetNodeCount", 0), 3);
}

static void test_adoption_ends_with_the_spec(void **state)
{
    struct world *world = *state;
    lay_out_preset(world);
    AUTO(json) cJSON *before = world_get(world, &GVR_STATEFULSET, PRESET);
    world_settle(world);
    world_change(world, &GVR_WORKSPACE, PRESET,
                 "{\"inference\":{\"adapters\":[{\"source\":{\"name\":\"law\",\"image\":"
                 "\"example.com/law:1\"}}]}}");
    world_settle(world);
    assert_replaced(world, before);
}

/* Annotations are in no revision, but in the manifest. */
static void test_adoption_ends_with_an_annotation(void **state)
{
    struct world *world = *state;
    lay_out_preset(world);
    AUTO(json) cJSON *before = world_get(world, &GVR_STATEFULSET, PRESET);
    world_settle(world);
    world_change(world, &GVR_WORKSPACE, PRESET,
                 "{\"metadata\":{\"annotations\":{\"" ANNOTATION_PERFORMANCE
                 "\":\"throughput\"}}}");
    world_settle(world);
    assert_replaced(world, before);
}

/* KAITO had not come round to it: there is no reason to leave the old revision running. */
static void test_adoption_not_of_an_old_revision(void **state)
{
    struct world *world = *state;
    lay_out_preset(world);
    world_change(world, &GVR_STATEFULSET, PRESET,
                 "{\"metadata\":{\"annotations\":{\"" ANNOTATION_REVISION "\":\"0\"}}}");
    AUTO(json) cJSON *before = world_get(world, &GVR_STATEFULSET, PRESET);
    world_settle(world);
    assert_replaced(world, before);
}

/* There, back, a change there, and here again. */
static void test_adoption_of_what_kaito_changed_since(void **state)
{
    struct world *world = *state;
    lay_out_preset(world);
    world_settle(world);
    world_change(world, &GVR_STATEFULSET, PRESET,
                 "{\"metadata\":{\"annotations\":{\"" ANNOTATION_ADOPTED_HASH "\":\"7/0\"}}}");
    AUTO(json) cJSON *before = world_get(world, &GVR_STATEFULSET, PRESET);
    world_settle(world);
    assert_untouched(world, &GVR_STATEFULSET, before);
    assert_int_equal(fake_apiserver_requests(world->server, "delete", NULL), 0);
}

/* ------------------------------------------------------------------ templates */

/* As KAITO records it: under its own hash, and through Go's types. */
static void record_template(const struct world *world)
{
    AUTO(json) cJSON *ws = world_get(world, &GVR_WORKSPACE, TEMPLATE);
    cJSON *template = json_copy(json_at(ws, "inference.template"));
    json_set(template, "metadata", JOBJ(JV("creationTimestamp", json_new_null())));
    cJSON *container = json_member(json_member(template, "spec"), "containers")->child;
    json_set(container, "resources",
             json_literal("{\"requests\":{\"nvidia.com/gpu\":\"1\"},"
                          "\"limits\":{\"nvidia.com/gpu\":\"1\"}}"));
    json_set(container, "securityContext", json_new_object());
    AUTO(json)
    cJSON *revision = JOBJ(
        JS("apiVersion", "apps/v1"), JS("kind", "ControllerRevision"),
        JV("metadata",
           JOBJ(JS("name", TEMPLATE "-c0ffe"), JS("namespace", "default"),
                JV("labels", JOBJ(JS(LABEL_REVISION_NAME, TEMPLATE))),
                JV("annotations", JOBJ(JS(ANNOTATION_HASH, "c0ffee"))),
                JV("ownerReferences", owner_reference_controller(WORKSPACE_API_VERSION,
                                                                 WORKSPACE_KIND, TEMPLATE, "u1")))),
        JI("revision", 1),
        JV("data",
           JOBJ(JV("resource", json_copy(json_get(ws, "resource"))),
                JV("inference", JOBJ(JV("template", template))), JV("tuning", json_new_null()))));
    own(world, revision, json_string_at(ws, "metadata.uid"));
}

static void lay_out_template(struct world *world)
{
    lay_out_inference(world, "test/golden/inference-template.yaml", TEMPLATE, "c0ffee");
    record_template(world);
}

static void test_adoption_template(void **state)
{
    struct world *world = *state;
    lay_out_template(world);
    AUTO(json) cJSON *before = world_get(world, &GVR_STATEFULSET, TEMPLATE);
    world_settle(world);
    assert_untouched(world, &GVR_STATEFULSET, before);
    assert_hash(world, TEMPLATE, "c0ffee");
    assert_condition(world, TEMPLATE, CONDITION_READY, "True", NULL);

    fake_apiserver_reset_requests(world->server);
    world_touch(world, TEMPLATE);
    assert_int_equal(fake_apiserver_requests(world->server, NULL, NULL), 0);
}

static void test_adoption_ends_with_the_template(void **state)
{
    struct world *world = *state;
    lay_out_template(world);
    AUTO(json) cJSON *before = world_get(world, &GVR_STATEFULSET, TEMPLATE);
    world_settle(world);
    world_change(world, &GVR_WORKSPACE, TEMPLATE,
                 "{\"inference\":{\"template\":{\"spec\":{\"priorityClassName\":\"high\"}}}}");
    world_settle(world);
    assert_replaced(world, before);
    assert_int_equal(fake_apiserver_object_count(world->server, &GVR_CONTROLLERREVISION), 2);
}

/* ------------------------------------------------------------------ tuning */

static void test_adoption_tuning(void **state)
{
    struct world *world = *state;
    static const char hash[] = "89a04102cfb225ba20b3f2882b7aa475df0e66cfa8bd1937228318ef298cdf02";
    lay_out(world, "test/golden/tuning-qlora.yaml", hash);
    world_change(world, &GVR_JOB, TUNING, "{\"status\":{\"active\":1,\"ready\":1}}");
    AUTO(json) cJSON *before = world_get(world, &GVR_JOB, TUNING);
    world_settle(world);
    assert_untouched(world, &GVR_JOB, before);
    assert_hash(world, TUNING, hash);
    assert_condition(world, TUNING, CONDITION_JOB_STARTED, "True", NULL);
    assert_int_equal(fake_apiserver_requests(world->server, NULL, "jobs"), 0);
    assert_int_equal(fake_apiserver_requests(world->server, NULL, "configmaps"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIFE(test_adoption_preset),
        LIFE(test_adoption_keeps_its_nodes),
        LIFE(test_adoption_ends_with_the_spec),
        LIFE(test_adoption_ends_with_an_annotation),
        LIFE(test_adoption_not_of_an_old_revision),
        LIFE(test_adoption_of_what_kaito_changed_since),
        LIFE(test_adoption_template),
        LIFE(test_adoption_ends_with_the_template),
        LIFE(test_adoption_tuning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
