/* YAML to JSON: what is read can be printed and read again as JSON, and the reader of whole streams
 * sees the same document; what is printed as YAML reads back as it was. */
#include "common/json/yaml.h"
#include "common/json/yaml_print.h"
#include "test/fuzz/fuzz.h"

static void print_and_reread(const cJSON *json)
{
    AUTO(buf) struct buf text = BUF_INIT(YAML_BYTES_MAX);
    AUTO(json) cJSON *again = NULL;
    struct error err = ERROR_INIT;
    yaml_print(json, &text);
    if (buf_failed(&text)) /* indentation may take more room than was read */
        return;
    HOLDS(yaml_to_json(buf_text(&text), text.length, &again, &err) == 0);
    fuzz_same_canonical(json, again);
}

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
        print_and_reread(one);
    }
    return 0;
}
