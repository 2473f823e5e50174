/* For the fuzz targets: a property that does not hold ends the run as a crash would. */
#pragma once

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOLDS(property)                                                                   \
    do {                                                                                  \
        if (!(property)) {                                                                \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #property); \
            abort();                                                                      \
        }                                                                                 \
    } while (0)

/* Our own output must be readable. The caller frees. */
static inline cJSON *fuzz_reparse(const char *text)
{
    struct error err = ERROR_INIT;
    cJSON *json = NULL;
    if (json_parse_text(text, &json, &err) < 0) {
        fprintf(stderr, "own output: %s: %.200s\n", err.message, text);
        abort();
    }
    return json;
}

static inline void fuzz_same_canonical(const cJSON *a, const cJSON *b)
{
    AUTO_FREE char *x = json_print_canonical(a);
    AUTO_FREE char *y = json_print_canonical(b);
    if (strcmp(x, y) != 0) {
        fprintf(stderr, "differ:\n%s\n%s\n", x, y);
        abort();
    }
}
