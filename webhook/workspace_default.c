#include "webhook/workspace_default.h"

#include <stdbool.h>

#include "common/base/compiler.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "common/json/patch.h"

static bool is_absent(const cJSON *object, const char *name)
{
    const cJSON *member = json_get(object, name);
    return member == NULL || cJSON_IsNull(member);
}

cJSON *workspace_default(const cJSON *object)
{
    static const struct {
        const char *preset; /* path as json_at reads it */
        const char *pointer;
    } presets[] = {
        { "inference.preset", "/inference/preset/accessMode" },
        { "tuning.preset", "/tuning/preset/accessMode" },
    };
    cJSON *patch = json_new_array();

    /* What is going away is left alone. */
    if (json_string_at(object, "metadata.deletionTimestamp") != NULL)
        return patch;
    const cJSON *resource = json_get(object, "resource");
    if (cJSON_IsObject(resource) && is_absent(resource, "count"))
        json_patch_add(patch, "/resource/count", json_new_integer(1));
    for (size_t i = 0; i < ARRAY_LEN(presets); i++) {
        const cJSON *preset = json_at(object, presets[i].preset);
        if (cJSON_IsObject(preset) && is_absent(preset, "accessMode"))
            json_patch_add(patch, presets[i].pointer, JSTR("public"));
    }
    return patch;
}
