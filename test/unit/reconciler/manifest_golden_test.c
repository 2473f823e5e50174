/* The objects made of four Workspaces, against test/golden. Compared without the annotation that is
 * ours alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "reconciler/inference_manifest.h"
#include "reconciler/revision.h"
#include "reconciler/scripts.h"
#include "reconciler/tuning_manifest.h"
#include "test/lib/literals.h"

struct scene {
    struct arena arena;
    cJSON *documents;
    struct workspace ws;
    struct plan plan;
    struct manifest_context ctx;
};

static void scene_open(struct scene *scene, const char *file)
{
    *scene = (struct scene){ 0 };
    scene->documents = json_all_from_file(file);
    scene->ws = workspace_of(json_at(scene->documents, "[0]"), &scene->arena);
    struct field_errors problems;
    field_errors_init(&problems, &scene->arena);
    const struct plan_settings settings = { .catalogue = catalogue_builtin(),
                                            .cloud = "azure",
                                            .nodes_max = 8,
                                            .context_length =
                                                strstr(file, "two-nodes") != NULL ? 16384 : 0 };
    if (plan_make(&scene->ws, &settings, &scene->arena, &scene->plan, &problems) < 0)
        fail_msg("%s", field_errors_text(&problems));
    scene->ctx = (struct manifest_context){
        .ws = &scene->ws,
        .plan = &scene->plan,
        .cloud = "azure",
        .preset_registry = "mcr.microsoft.com/aks/kaito",
        .revision = 1,
        .local_nvme_class = true,
        .arena = &scene->arena,
    };
}

static void scene_close(struct scene *scene)
{
    json_free(scene->documents);
    arena_fini(&scene->arena);
}

static cJSON *without_hash(const cJSON *manifest)
{
    cJSON *metadata = json_new_object();
    cJSON *annotations = json_new_object();
    const cJSON *item;
    cJSON_ArrayForEach(item, json_at(manifest, "metadata.annotations")) {
        if (strcmp(item->string, ANNOTATION_APPLIED_HASH) != 0)
            json_set(annotations, item->string, json_copy(item));
    }
    cJSON_ArrayForEach(item, json_get(manifest, "metadata")) {
        if (strcmp(item->string, "annotations") != 0)
            json_set(metadata, item->string, json_copy(item));
    }
    if (annotations->child != NULL)
        json_set(metadata, "annotations", annotations);
    else
        json_free(annotations);
    cJSON *copy = json_copy(manifest);
    json_set(copy, "metadata", metadata);
    return copy;
}

/* The text with each string that is `program` replaced by "{name}". */
static char *abbreviate(char *take, const char *program, const char *name)
{
    AUTO_FREE char *text = take;
    AUTO(json) cJSON *string = json_new_string(program);
    AUTO_FREE char *quoted = json_print(string);
    char *found = strstr(text, quoted);
    if (found == NULL)
        return STEAL(text);
    return mem_printf("%.*s\"{%s}\"%s", (int)(found - text), text, name, found + strlen(quoted));
}

static char *canonical(const cJSON *manifest)
{
    AUTO(json) cJSON *plain = without_hash(manifest);
    char *text = json_print_canonical(plain);
    text = abbreviate(text, script_download, "download");
    return abbreviate(text, script_push, "push");
}

static const cJSON *document(const struct scene *scene, const char *kind, const char *name)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, scene->documents) {
        if (strcmp(json_string_at(item, "kind"), kind) == 0 &&
            strcmp(json_string_at(item, "metadata.name"), name) == 0)
            return item;
    }
    fail_msg("the golden file has no %s %s", kind, name);
    return NULL;
}

static void assert_golden(const struct scene *scene, cJSON *take)
{
    AUTO(json) cJSON *made = take;
    assert_non_null(json_at(made, "metadata.annotations[\"" ANNOTATION_APPLIED_HASH "\"]"));
    AUTO_FREE char *ours = canonical(made);
    AUTO_FREE char *golden = json_print_canonical(
        document(scene, json_string_at(made, "kind"), json_string_at(made, "metadata.name")));
    assert_string_equal(ours, golden);
}

static void assert_golden_revision(const struct scene *scene)
{
    struct arena arena = ARENA_INIT;
    struct revision revision = revision_choose(&scene->ws, &(struct object_list){ 0 }, &arena);
    AUTO(json) cJSON *made = revision_object(&scene->ws, &revision);
    AUTO_FREE char *ours = json_print_canonical(made);
    AUTO_FREE char *golden =
        json_print_canonical(document(scene, "ControllerRevision", revision.name));
    assert_string_equal(ours, golden);
    arena_fini(&arena);
}

static void assert_golden_inference(struct scene *scene)
{
    assert_null(inference_unsupported(&scene->ctx));
    assert_golden(scene, inference_service(&scene->ctx));
    assert_golden(scene, inference_headless_service(&scene->ctx));
    assert_golden(scene, inference_stateful_set(&scene->ctx));
}

static void test_golden_inference_single_node(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, "test/golden/inference-single-node.yaml");
    assert_golden_revision(&scene);
    assert_golden_inference(&scene);
    scene_close(&scene);
}

static void test_golden_inference_two_nodes(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, "test/golden/inference-two-nodes.yaml");
    scene.ctx.config_name = "llama-inference-params";
    assert_golden_revision(&scene);
    assert_golden_inference(&scene);
    scene_close(&scene);
}

static void test_golden_inference_template(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, "test/golden/inference-template.yaml");
    assert_golden_inference(&scene);
    scene_close(&scene);
}

static void test_golden_tuning_qlora(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, "test/golden/tuning-qlora.yaml");
    scene.ctx.config_name = tuning_config_name(&scene.ws, scene.plan.machine);
    scene.ctx.output_dir = "/mnt/results";
    assert_golden_revision(&scene);
    assert_null(tuning_unsupported(&scene.ctx));
    assert_golden(&scene, tuning_job(&scene.ctx));
    scene_close(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_inference_single_node),
        cmocka_unit_test(test_golden_inference_two_nodes),
        cmocka_unit_test(test_golden_inference_template),
        cmocka_unit_test(test_golden_tuning_qlora),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
