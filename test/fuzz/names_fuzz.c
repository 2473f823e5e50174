/* Names and image references: each check is total, bounded, and consistent with the others. */
#include "common/api/names.h"
#include "test/fuzz/fuzz.h"

enum { BYTES_MAX = 4096 };

static void check_names(const char *text)
{
    size_t length = strlen(text);
    if (name_is_dns1123_label(text)) {
        HOLDS(length <= 63);
        HOLDS(name_is_dns1123_subdomain(text));
        HOLDS(name_is_label_value(text));
        HOLDS(name_is_label_key(text));
    }
    if (name_is_dns1123_subdomain(text))
        HOLDS(length <= 253 && strstr(text, "..") == NULL);
    if (length > 0 && name_is_label_value(text))
        HOLDS(name_is_label_key(text));
    if (name_is_env(text))
        HOLDS(strchr(text, '/') == NULL && strchr(text, '=') == NULL);
}

static void check_image(const char *text)
{
    if (!name_is_image_reference(text))
        return;
    /* A registry in front of a name without tag and digest keeps it legal; a second tag does not.
     */
    char longer[BYTES_MAX + 32];
    snprintf(longer, sizeof(longer), "%s:a:b", text);
    HOLDS(!name_is_image_reference(longer));
    snprintf(longer, sizeof(longer), "%s/", text);
    HOLDS(!name_is_image_reference(longer));
    if (strlen(text) < 200) {
        bool has_registry = strpbrk(text, ".:@[") != NULL || strncmp(text, "localhost/", 10) == 0;
        for (const char *p = text; *p != '\0'; p++)
            has_registry = has_registry || (*p >= 'A' && *p <= 'Z');
        snprintf(longer, sizeof(longer), "registry.example:5000/%s", text);
        HOLDS(has_registry || name_is_image_reference(longer));
    }
    for (const char *p = text; *p != '\0'; p++)
        HOLDS(*p > ' ' && *p < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > BYTES_MAX)
        return 0;
    AUTO_FREE char *text = mem_strndup((const char *)data, size);
    check_names(text);
    check_image(text);
    return 0;
}
