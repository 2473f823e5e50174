/* What KAITO v0.12 made of models on machines, and of tuning jobs, against what we make of them.
 * Every difference must be one of the rules below, each of which docs/from-kaito.md explains; the
 * test says how often each was used. The rows in test/corpus are a few of each kind; a folder with
 * more can be named in $CKAITO_CORPUS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "reconciler/inference_manifest.h"
#include "reconciler/tuning_manifest.h"
#include "test/lib/literals.h"

enum { FILE_BYTES_MAX = 16 * 1024 * 1024 };

/* ------------------------------------------------------------------ rules */

/* One member of a row; of a list, one item that only one side has (the other is NULL). */
struct difference {
    const cJSON *row;
    const struct plan *plan;
    const char *member;
    const char *theirs, *ours;
};

struct rule {
    const char *name; /* as in docs/from-kaito.md */
    bool (*allows)(const struct difference *difference);
    unsigned used;
};

static bool starts(const char *text, const char *prefix)
{
    return text != NULL && strncmp(text, prefix, strlen(prefix)) == 0;
}

static const char utilisation[] = "--gpu-memory-utilization=";

static double utilisation_of(const cJSON *row)
{
    const cJSON *word;
    cJSON_ArrayForEach(word, json_get(row, "args")) {
        if (starts(word->valuestring, utilisation))
            return strtod(word->valuestring + strlen(utilisation), NULL);
    }
    return 1.0;
}

static bool is_fewer_nodes(const struct difference *difference)
{
    /* What is said only where there are several nodes. */
    static const char *const several[] = { "\"${POD_INDEX}\"",
                                           "\"0\"",
                                           "--distributed-executor-backend=",
                                           "--pipeline-parallel-size=",
                                           "--ray_address=",
                                           "--ray_cluster_size=",
                                           "--ray_port=",
                                           "--kaito-kv-cache-cpu-memory-",
                                           "/workspace/vllm/multi-node-serving.sh",
                                           "[",
                                           "]",
                                           "=",
                                           ";",
                                           "if",
                                           "then",
                                           "else",
                                           "fi",
                                           "leader",
                                           "worker",
                                           "POD_INDEX" };
    if (difference->plan->node_count >= json_integer_at(difference->row, "nodes", 0))
        return false;
    const char *member = difference->member;
    if (strcmp(member, "nodes") == 0 || strcmp(member, "replicas") == 0)
        return true;
    if (strcmp(member, "args") != 0 && strcmp(member, "env") != 0)
        return false;
    const char *word = difference->theirs != NULL ? difference->theirs : difference->ours;
    for (size_t i = 0; i < ARRAY_LEN(several); i++) {
        if (starts(word, several[i]))
            return true;
    }
    return false;
}

static bool is_more_memory(const struct difference *difference)
{
    const char *word = difference->theirs != NULL ? difference->theirs : difference->ours;
    return strcmp(difference->member, "args") == 0 && starts(word, utilisation) &&
           strtod(difference->plan->utilisation, NULL) > utilisation_of(difference->row);
}

static struct rule rules[] = {
    { "Fewer nodes", is_fewer_nodes, 0 },
    { "A larger share of the GPU's memory", is_more_memory, 0 },
};

static unsigned unexplained;

static void check(const struct difference *difference)
{
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        if (rules[i].allows(difference)) {
            rules[i].used++;
            return;
        }
    }
    const char *machine = json_string_at(difference->row, "machine");
    print_error("%s %s: %s: KAITO %s, we %s\n", json_string_at(difference->row, "model"),
                machine != NULL ? machine : json_string_at(difference->row, "method"),
                difference->member, difference->theirs != NULL ? difference->theirs : "nothing",
                difference->ours != NULL ? difference->ours : "nothing");
    unexplained++;
}

/* ------------------------------------------------------------------ comparing */

/* Lists hold what they hold in any order. */
static void compare_lists(const struct difference *about, const cJSON *theirs, const cJSON *ours)
{
    AUTO(json) cJSON *rest = cJSON_IsArray(ours) ? json_copy(ours) : json_new_array();
    const cJSON *item;
    cJSON_ArrayForEach(item, theirs) {
        cJSON *twin = rest->child;
        while (twin != NULL && !json_equal(twin, item))
            twin = twin->next;
        if (twin != NULL) {
            json_free(cJSON_DetachItemViaPointer(rest, twin));
            continue;
        }
        AUTO_FREE char *text = json_print_canonical(item);
        struct difference one = *about;
        one.theirs = cJSON_IsString(item) ? item->valuestring : text;
        check(&one);
    }
    cJSON_ArrayForEach(item, rest) {
        AUTO_FREE char *text = json_print_canonical(item);
        struct difference one = *about;
        one.ours = cJSON_IsString(item) ? item->valuestring : text;
        check(&one);
    }
}

static void compare(const cJSON *row, const struct plan *plan, const char *member,
                    const cJSON *ours)
{
    const cJSON *theirs = json_get(row, member);
    struct difference about = { .row = row, .plan = plan, .member = member };
    if (cJSON_IsArray(theirs)) {
        compare_lists(&about, theirs, ours);
        return;
    }
    if (ours != NULL ? json_equal(theirs, ours) : cJSON_IsNull(theirs))
        return;
    AUTO_FREE char *theirs_text = json_print_canonical(theirs);
    AUTO_FREE char *ours_text = ours != NULL ? json_print_canonical(ours) : NULL;
    about.theirs = theirs_text;
    about.ours = ours_text;
    check(&about);
}

static void compare_all(const cJSON *row, const struct plan *plan, cJSON *take)
{
    AUTO(json) cJSON *ours = take;
    const cJSON *member;
    cJSON_ArrayForEach(member, ours)
        compare(row, plan, member->string, member);
}

/* ------------------------------------------------------------------ facts of a manifest */

static void add_word(cJSON *words, const char *begin, size_t length)
{
    if (length > 0)
        json_append(words, json_new_printf("%.*s", (int)length, begin));
}

/* The words of a shell command; quotes stay, a semicolon is a word. */
static void add_words(cJSON *words, const char *text)
{
    const char *begin = text;
    char quote = '\0';
    for (const char *p = text; *p != '\0'; p++) {
        if (quote != '\0')
            quote = *p == quote ? '\0' : quote;
        else if (*p == '\'' || *p == '"')
            quote = *p;
        else if (*p == ' ' || *p == ';') {
            add_word(words, begin, (size_t)(p - begin));
            add_word(words, p, *p == ';');
            begin = p + 1;
        }
    }
    add_word(words, begin, strlen(begin));
}

static cJSON *words_of(const cJSON *container)
{
    cJSON *words = json_new_array();
    const cJSON *item;
    cJSON_ArrayForEach(item, json_get(container, "command"))
        add_words(words, item->valuestring);
    return words;
}

static cJSON *names_of(const cJSON *list)
{
    cJSON *names = json_new_array();
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
        json_append(names, json_new_string(json_string_at(item, "name")));
    return names;
}

static cJSON *mounts_of(const cJSON *container)
{
    cJSON *mounts = json_new_array();
    const cJSON *item;
    cJSON_ArrayForEach(item, json_get(container, "volumeMounts"))
        json_append(mounts, JARR(JSTR(json_string_at(item, "name")),
                                 JSTR(json_string_at(item, "mountPath"))));
    return mounts;
}

/* A list of [name, path], by name: so the corpus has it where it is inside another list. */
static cJSON *sorted(cJSON *take)
{
    AUTO(json) cJSON *list = take;
    cJSON *out = json_new_array();
    while (list->child != NULL) {
        cJSON *first = list->child;
        for (cJSON *item = first->next; item != NULL; item = item->next) {
            if (strcmp(item->child->valuestring, first->child->valuestring) < 0)
                first = item;
        }
        json_append(out, cJSON_DetachItemViaPointer(list, first));
    }
    return out;
}

/* As the API server completes them. */
static cJSON *ports_of(const cJSON *container)
{
    const cJSON *list = json_get(container, "ports");
    cJSON *ports = list != NULL ? json_new_array() : json_new_null();
    const cJSON *item;
    cJSON_ArrayForEach(item, list) {
        cJSON *port = json_copy(item);
        json_set(port, "protocol", json_new_string("TCP"));
        json_append(ports, port);
    }
    return ports;
}

static cJSON *copy_or_null(const cJSON *json)
{
    return json != NULL ? json_copy(json) : json_new_null();
}

/* ------------------------------------------------------------------ inference */

struct scene {
    struct arena arena;
    cJSON *source;
    struct workspace ws;
    struct plan plan;
    struct manifest_context ctx;
};

static void scene_open(struct scene *scene, cJSON *take)
{
    *scene = (struct scene){ .source = take };
    scene->ws = workspace_of(take, &scene->arena);
    struct field_errors problems;
    field_errors_init(&problems, &scene->arena);
    const struct plan_settings settings = { .catalogue = catalogue_builtin(),
                                            .cloud = "azure",
                                            .nodes_max = 8 };
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
    json_free(scene->source);
    arena_fini(&scene->arena);
}

static cJSON *workspace_json(const char *machine, const char *kind, cJSON *spec)
{
    return JOBJ(
        JS("apiVersion", WORKSPACE_API_VERSION), JS("kind", WORKSPACE_KIND),
        JV("metadata", JOBJ(JS("name", "NAME"), JS("namespace", "default"), JS("uid", "u1"))),
        JV("resource",
           JOBJ(JS("instanceType", machine),
                JV("labelSelector", JOBJ(JV("matchLabels", JOBJ(JS("apps", "test"))))))),
        JV(kind, spec));
}

static void check_inference(const cJSON *row)
{
    struct scene scene;
    cJSON *preset = JOBJ(JS("name", json_string_at(row, "model")),
                         JV("presetOptions", JOBJ(JS("modelAccessSecret", "token"))));
    scene_open(&scene, workspace_json(json_string_at(row, "machine"), "inference",
                                      JOBJ(JV("preset", preset))));
    AUTO(json) cJSON *set = inference_stateful_set(&scene.ctx);
    const cJSON *engine = json_at(set, "spec.template.spec.containers[0]");
    const cJSON *probe = json_get(engine, "startupProbe");
    const cJSON *claims = json_at(set, "spec.volumeClaimTemplates");
    compare_all(
        row, &scene.plan,
        JOBJ(JI("nodes", scene.plan.node_count),
             JF("disk", "%lldGi", (long long)scene.plan.disk_gib),
             JV("replicas", json_copy(json_at(set, "spec.replicas"))),
             JV("gpus", json_copy(json_at(engine, "resources.limits"))),
             JV("args", words_of(engine)),
             JV("startup",
                JOBJ(JI("periodSeconds", json_integer_at(probe, "periodSeconds", 0)),
                     JI("failureThreshold", json_integer_at(probe, "failureThreshold", 0)))),
             JV("ports", ports_of(engine)), JV("env", names_of(json_get(engine, "env"))),
             JV("mounts", mounts_of(engine)), JS("image", json_string_at(engine, "image")),
             JI("claims", claims != NULL ? cJSON_GetArraySize(claims) : 0)));
    scene_close(&scene);
}

/* ------------------------------------------------------------------ tuning */

static cJSON *containers_of(const cJSON *list)
{
    cJSON *out = json_new_array();
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
        json_append(out, JOBJ(JS("name", json_string_at(item, "name")),
                              JS("image", json_string_at(item, "image")),
                              JV("limits", copy_or_null(json_at(item, "resources.limits"))),
                              JV("env", names_of(json_get(item, "env"))),
                              JV("mounts", sorted(mounts_of(item))), JV("ports", ports_of(item))));
    return out;
}

static cJSON *volumes_of(const cJSON *pod)
{
    cJSON *out = json_new_array();
    const cJSON *item, *member;
    cJSON_ArrayForEach(item, json_get(pod, "volumes")) {
        cJSON_ArrayForEach(member, item) {
            if (strcmp(member->string, "name") != 0)
                json_append(out, JARR(JSTR(json_string_at(item, "name")), JSTR(member->string)));
        }
    }
    return out;
}

static void check_tuning(const cJSON *row)
{
    struct scene scene;
    cJSON *tuning = JOBJ(JV("preset", JOBJ(JS("name", json_string_at(row, "model")))),
                         JS("method", json_string_at(row, "method")),
                         JV("input", json_copy(json_get(row, "input"))),
                         JV("output", json_copy(json_get(row, "output"))));
    scene_open(&scene, workspace_json("Standard_NC24ads_A100_v4", "tuning", tuning));
    scene.ctx.config_name = tuning_config_name(&scene.ws, scene.plan.machine);
    scene.ctx.output_dir = "/mnt/results";
    AUTO(json) cJSON *job = tuning_job(&scene.ctx);
    const cJSON *pod = json_at(job, "spec.template.spec");
    compare_all(
        row, &scene.plan,
        JOBJ(JV("containers", containers_of(json_get(pod, "containers"))),
             JV("init", containers_of(json_get(pod, "initContainers"))),
             JV("args", words_of(json_at(pod, "containers[0]"))), JV("volumes", volumes_of(pod)),
             JI("backoffLimit", json_integer_at(job, "spec.backoffLimit", 6)),
             JV("pullSecrets", copy_or_null(json_get(pod, "imagePullSecrets"))),
             JV("shareProcessNamespace", copy_or_null(json_get(pod, "shareProcessNamespace")))));
    scene_close(&scene);
}

/* ------------------------------------------------------------------ files */

static unsigned check_file(const char *folder, const char *name, void (*check_row)(const cJSON *))
{
    AUTO_FREE char *path = mem_printf("%s/%s", folder, name);
    AUTO(buf) struct buf text = BUF_INIT(FILE_BYTES_MAX);
    struct error err = ERROR_INIT;
    unsigned rows = 0;
    if (file_read(path, &text, &err) < 0)
        fail_msg("%s", err.message);
    AUTO_FREE char *copy = mem_strdup(buf_text(&text));
    char *rest = NULL;
    for (char *line = strtok_r(copy, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        AUTO(json) cJSON *row = json_literal(line);
        check_row(row);
        rows++;
    }
    print_message("%s: %u rows\n", path, rows);
    return rows;
}

/* Ours, and where there are, more of them. */
static void check_files(const char *name, void (*check_row)(const cJSON *))
{
    const char *more = getenv("CKAITO_CORPUS");
    unexplained = 0;
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        rules[i].used = 0;
    assert_true(check_file("test/corpus", name, check_row) > 0);
    if (more != NULL)
        assert_true(check_file(more, name, check_row) > 0);
    else
        print_message("CKAITO_CORPUS is not set: no other rows\n");
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        print_message("%s: %u differences\n", rules[i].name, rules[i].used);
    assert_int_equal(unexplained, 0);
}

static void test_corpus_workloads(void **state)
{
    (void)state;
    check_files("workloads.jsonl", check_inference);
}

static void test_corpus_tuning(void **state)
{
    (void)state;
    check_files("tuning.jsonl", check_tuning);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_corpus_workloads),
        cmocka_unit_test(test_corpus_tuning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
