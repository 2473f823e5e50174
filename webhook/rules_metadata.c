/* Rules on the name and the annotations. */
#include <string.h>
#include <strings.h>

#include "common/api/names.h"
#include "common/base/compiler.h"
#include "webhook/rules.h"

/* "<name>-<revision hash>" is the value of a pod label, and the hash has up to ten characters. */
enum { INFERENCE_NAME_BYTES_MAX = 52 };

void rule_name_label(struct rule_pass *pass)
{
    const char *name = pass->ws->metadata->name;
    /* With generateName the name is not made yet when the object is first seen. */
    if (name == NULL && is_given(pass->ws->metadata->generate_name))
        return;
    if (name == NULL || !name_is_dns1123_label(name))
        rule_report(pass, "metadata.name", name);
}

void rule_name_length(struct rule_pass *pass)
{
    const char *name = pass->ws->metadata->name;
    if (name != NULL && pass->ws->inference != NULL && name_is_dns1123_label(name) &&
        strlen(name) > INFERENCE_NAME_BYTES_MAX)
        rule_report(pass, "metadata.name", name);
}

/* ------------------------------------------------------------------ annotations */

/* Reports the annotation when it is there and none of `words`, a list that ends with NULL. */
static void check_words(struct rule_pass *pass, const char *key, const char *const *words)
{
    const char *value = workspace_annotation(pass->ws, key);
    if (value == NULL)
        return;
    for (; *words != NULL; words++) {
        if (strcmp(value, *words) == 0)
            return;
    }
    rule_report(pass, pass->rule->path, value);
}

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

void rule_runtime(struct rule_pass *pass)
{
    check_words(pass, ANNOTATION_RUNTIME, WORDS("vllm", "transformers"));
}

void rule_performance_mode(struct rule_pass *pass)
{
    check_words(pass, ANNOTATION_PERFORMANCE, WORDS("balanced", "interactivity", "throughput"));
}

void rule_local_weights(struct rule_pass *pass)
{
    check_words(pass, ANNOTATION_LOCAL_WEIGHTS, WORDS("true", "false"));
}

void rule_load_balancer_ignored(struct rule_pass *pass)
{
    check_words(pass, ANNOTATION_ENABLE_LB, WORDS("True", "False", "false", ""));
}

void rule_benchmark_ignored(struct rule_pass *pass)
{
    check_words(pass, ANNOTATION_NO_BENCHMARK, WORDS("true", "false", ""));
}

/* Alone among the annotations, this one is read without regard to case and blanks around it. */
void rule_image_family(struct rule_pass *pass)
{
    static const char *const families[] = { "ubuntu", "azurelinux" };
    const char *value = workspace_annotation(pass->ws, ANNOTATION_IMAGE_FAMILY);
    if (value == NULL)
        return;
    const char *word = value + strspn(value, " \t\r\n");
    size_t length = strcspn(word, " \t\r\n");
    bool alone = word[length + strspn(word + length, " \t\r\n")] == '\0';

    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        if (alone && length == strlen(families[i]) && strncasecmp(word, families[i], length) == 0)
            return;
    }
    rule_report(pass, pass->rule->path, value);
}

/* ------------------------------------------------------------------ what is not there yet */

void rule_inference_role(struct rule_pass *pass)
{
    const char *role = workspace_label(pass->ws, LABEL_INFERENCE_ROLE);
    if (is_given(role) && pass->ws->inference != NULL)
        rule_report(pass, pass->rule->path, role);
}

/* KAITO reads these only behind a feature gate, where weights come from a mirror in object storage.
 * `unless`: the value that asks for nothing. */
void rule_streaming(struct rule_pass *pass)
{
    static const struct {
        const char *key, *unless;
    } annotations[] = {
        { "kaito.sh/model-streaming", "disabled" },
        { "kaito.sh/model-mirror-storage-class", "" },
        { "kaito.sh/streaming-service-account", "" },
        { "inference.kaito.sh/static-model-mirror", "false" },
        { "inference.kaito.sh/stream-datarefs-url", "" },
        { "inference.kaito.sh/stream-identity-client-id", "" },
        { "inference.kaito.sh/stream-source-type", "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(annotations); i++) {
        const char *value = workspace_annotation(pass->ws, annotations[i].key);
        if (is_given(value) && strcmp(value, annotations[i].unless) != 0)
            rule_report(
                pass,
                arena_printf(pass->errors->arena, "metadata.annotations[%s]", annotations[i].key),
                value);
    }
}

/* ------------------------------------------------------------------ node class */

void rule_node_class(struct rule_pass *pass)
{
    const char *value = workspace_annotation(pass->ws, ANNOTATION_NODE_CLASS);
    if (is_given(value) && !name_is_dns1123_subdomain(value))
        rule_report(pass, pass->rule->path, value);
}
