/* YAML to JSON: what is read can be printed and read again as JSON, and the reader of whole streams
 * sees the same document. */
#include "common/json/yaml.h"
#include "test/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = ERROR_INIT;
    AUTO(json) cJSON *one = NULL;
    AUTO(json) cJSON *all = NULL;
    const char *text = (const char *)data;

    int read = yaml_to_json(text, size, &one, &err);
    int read_all = yaml_to_json_all(text, size, &all, &err);
    if (read == 0) {
        HOLDS(read_all == 0);
        HOLDS(cJSON_GetArraySize(all) == (cJSON_IsNull(one) ? 0 : 1) || cJSON_IsNull(one));
        if (!cJSON_IsNull(one))
            fuzz_same_canonical(one, all->child);
        AUTO_FREE char *printed = json_print(one);
        AUTO(json) cJSON *again = fuzz_reparse(printed);
        fuzz_same_canonical(one, again);
    }
    return 0;
}
