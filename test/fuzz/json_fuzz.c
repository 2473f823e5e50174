/* JSON in and out: printing and parsing again gives the same document, and so does the canonical
 * text, which is a fixed point. */
#include "test/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = ERROR_INIT;
    AUTO(json) cJSON *json = NULL;
    if (json_parse((const char *)data, size, JSON_BYTES_MAX, &json, &err) < 0) {
        HOLDS(err.code == ERR_INVALID || err.code == ERR_TOO_LARGE);
        return 0;
    }
    AUTO_FREE char *text = json_print(json);
    AUTO(json) cJSON *again = fuzz_reparse(text);
    fuzz_same_canonical(json, again);

    AUTO_FREE char *canonical = json_print_canonical(json);
    AUTO(json) cJSON *sorted = fuzz_reparse(canonical);
    AUTO_FREE char *twice = json_print_canonical(sorted);
    HOLDS(strcmp(canonical, twice) == 0);

    AUTO(json) cJSON *copy = json_copy(json);
    fuzz_same_canonical(json, copy);
    return 0;
}
