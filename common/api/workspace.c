#include "common/api/workspace.h"

#include <string.h>

#define CODEC_DEFINE
#include "common/json/codec_begin.h"
#include "common/api/workspace.def"
#include "common/json/codec_end.h"

int workspace_decode(const cJSON *json, struct arena *arena, struct workspace *out,
                     struct field_errors *errors)
{
    int result = codec_decode(workspace_type(), json, "", arena, out, errors);
    if (out->metadata == NULL)
        out->metadata = arena_new(arena, struct object_meta);
    return result;
}

const char *workspace_annotation(const struct workspace *ws, const char *key)
{
    return string_map_get(&ws->metadata->annotations, key);
}

const char *workspace_label(const struct workspace *ws, const char *key)
{
    return string_map_get(&ws->metadata->labels, key);
}

enum workspace_runtime workspace_runtime(const struct workspace *ws)
{
    const char *runtime = workspace_annotation(ws, ANNOTATION_RUNTIME);
    return runtime != NULL && strcmp(runtime, "transformers") == 0 ? RUNTIME_TRANSFORMERS
                                                                   : RUNTIME_VLLM;
}

bool label_is_reserved(const char *key)
{
    static const char *const reserved[] = {
        LABEL_WORKSPACE,
        LABEL_WORKSPACE_NAMESPACE,
        "kaito.sh/ragengine",
        "kaito.sh/ragenginenamespace",
        "karpenter.kaito.sh/workspace-name",
        "karpenter.kaito.sh/workspace-namespace",
        "karpenter.kaito.sh/inferenceset",
        "karpenter.kaito.sh/inferenceset-namespace",
    };
    for (size_t i = 0; i < ARRAY_LEN(reserved); i++) {
        if (strcmp(key, reserved[i]) == 0)
            return true;
    }
    return false;
}

struct string_map workspace_match_labels(const struct workspace *ws, struct arena *arena)
{
    struct string_map out = { 0 };
    if (ws->resource == NULL || ws->resource->label_selector == NULL)
        return out;
    const struct string_map *labels = &ws->resource->label_selector->match_labels;
    out.items = arena_array(arena, struct string_pair, labels->count);
    for (size_t i = 0; i < labels->count; i++) {
        if (!label_is_reserved(labels->items[i].key))
            out.items[out.count++] = labels->items[i];
    }
    return out;
}
