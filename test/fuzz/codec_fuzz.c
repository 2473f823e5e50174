/* Tables: for every type that comes from outside, decoding never fails half-way, a clean decoding
 * encodes to something that decodes as cleanly, and from then on nothing changes. */
#include "common/api/workspace.h"
#include "proto/messages.h"
#include "test/fuzz/fuzz.h"

static const struct codec_type *types(size_t index)
{
    switch (index) {
    case 0:
        return workspace_type();
    case 1:
        return node_demand_type();
    case 2:
        return node_state_type();
    case 3:
        return node_release_type();
    case 4:
        return node_released_type();
    case 5:
        return config_check_type();
    case 6:
        return config_findings_type();
    case 7:
        return rejection_type();
    default:
        return NULL;
    }
}

static cJSON *round_trip(const struct codec_type *type, const cJSON *json)
{
    AUTO(arena) struct arena arena = ARENA_INIT;
    struct field_errors errors;
    field_errors_init(&errors, &arena);
    void *value = arena_alloc(&arena, type->size);
    if (codec_decode(type, json, "", &arena, value, &errors) < 0) {
        HOLDS(errors.count > 0);
        HOLDS(*field_errors_text(&errors) != '\0');
        return NULL;
    }
    return codec_encode(type, value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = ERROR_INIT;
    AUTO(json) cJSON *json = NULL;
    if (json_parse((const char *)data, size, JSON_BYTES_MAX, &json, &err) < 0)
        return 0;
    for (size_t i = 0; types(i) != NULL; i++) {
        AUTO(json) cJSON *once = round_trip(types(i), json);
        if (once == NULL)
            continue;
        AUTO(json) cJSON *twice = round_trip(types(i), once);
        HOLDS(twice != NULL);
        fuzz_same_canonical(once, twice);
    }
    return 0;
}
