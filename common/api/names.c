#include "common/api/names.h"

#include <stddef.h>
#include <string.h>

enum {
    LABEL_BYTES_MAX = 63,
    SUBDOMAIN_BYTES_MAX = 253,
    IMAGE_NAME_BYTES_MAX = 255,
    TAG_BYTES_MAX = 128,
    DIGEST_HEX_MIN = 32,
    SHA256_HEX = 64,
};

/* Not <ctype.h>: names are ASCII whatever the locale. */
static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_lower_alnum(char c)
{
    return is_lower(c) || is_digit(c);
}

static bool is_alnum(char c)
{
    return is_lower_alnum(c) || is_upper(c);
}

static bool is_label(const char *text, size_t length)
{
    if (length == 0 || length > LABEL_BYTES_MAX || !is_lower_alnum(text[0]) ||
        !is_lower_alnum(text[length - 1]))
        return false;
    for (size_t i = 0; i < length; i++) {
        if (!is_lower_alnum(text[i]) && text[i] != '-')
            return false;
    }
    return true;
}

bool name_is_dns1123_label(const char *text)
{
    return is_label(text, strlen(text));
}

/* Unlike the label rule, Kubernetes bounds the whole and not each label. */
static bool is_subdomain(const char *text, size_t length)
{
    if (length == 0 || length > SUBDOMAIN_BYTES_MAX)
        return false;
    for (size_t i = 0; i < length; i++) {
        bool at_edge = i == 0 || i + 1 == length || text[i - 1] == '.' || text[i + 1] == '.';
        if (is_lower_alnum(text[i]))
            continue;
        if ((text[i] != '-' && text[i] != '.') || at_edge)
            return false;
    }
    return true;
}

bool name_is_dns1123_subdomain(const char *text)
{
    return is_subdomain(text, strlen(text));
}

static bool is_qualified_part(const char *text, size_t length)
{
    if (length == 0 || length > LABEL_BYTES_MAX || !is_alnum(text[0]) ||
        !is_alnum(text[length - 1]))
        return false;
    for (size_t i = 0; i < length; i++) {
        if (!is_alnum(text[i]) && strchr("-_.", text[i]) == NULL)
            return false;
    }
    return true;
}

bool name_is_label_key(const char *text)
{
    const char *slash = strchr(text, '/');
    if (slash == NULL)
        return is_qualified_part(text, strlen(text));
    return is_subdomain(text, (size_t)(slash - text)) &&
           is_qualified_part(slash + 1, strlen(slash + 1));
}

bool name_is_label_value(const char *text)
{
    return *text == '\0' || is_qualified_part(text, strlen(text));
}

bool name_is_env(const char *text)
{
    /* "." and anything that begins with ".." would leave the directory it may become a file of. */
    if (*text == '\0' || is_digit(*text) || strcmp(text, ".") == 0 || strncmp(text, "..", 2) == 0)
        return false;
    for (; *text != '\0'; text++) {
        if (!is_alnum(*text) && strchr("-_.", *text) == NULL)
            return false;
    }
    return true;
}

/* ------------------------------------------------------------------ image references */

struct span {
    const char *text;
    size_t length;
};

static bool span_has(struct span span, char c)
{
    return memchr(span.text, c, span.length) != NULL;
}

static bool is_port(struct span port)
{
    if (port.length == 0 || port.length > 5)
        return false;
    unsigned number = 0;
    for (size_t i = 0; i < port.length; i++) {
        if (!is_digit(port.text[i]))
            return false;
        number = number * 10 + (unsigned)(port.text[i] - '0');
    }
    return number >= 1 && number <= 65535;
}

static bool is_domain_name(struct span name)
{
    for (size_t i = 0; i < name.length; i++) {
        bool at_edge =
            i == 0 || i + 1 == name.length || name.text[i - 1] == '.' || name.text[i + 1] == '.';
        if (is_alnum(name.text[i]))
            continue;
        if ((name.text[i] != '-' && name.text[i] != '.') || at_edge)
            return false;
    }
    return name.length > 0;
}

static bool is_bracketed_address(struct span host)
{
    if (host.length < 4 || host.text[0] != '[' || host.text[host.length - 1] != ']')
        return false;
    for (size_t i = 1; i + 1 < host.length; i++) {
        char c = host.text[i];
        if (!is_digit(c) && !(c >= 'a' && c <= 'f') && !(c >= 'A' && c <= 'F') && c != ':')
            return false;
    }
    return true;
}

static bool is_registry(struct span host)
{
    const char *end = host.text + host.length;
    const char *colon = memrchr(host.text, ':', host.length);
    if (colon != NULL && memchr(colon, ']', (size_t)(end - colon)) == NULL) {
        if (!is_port((struct span){ colon + 1, (size_t)(end - colon) - 1 }))
            return false;
        host.length = (size_t)(colon - host.text);
    }
    return is_domain_name(host) || is_bracketed_address(host);
}

/* Runs of [a-z0-9] joined by one of '.', '_', '__' or dashes. */
static bool is_path_component(struct span part)
{
    size_t i = 0;

    while (i < part.length && is_lower_alnum(part.text[i])) {
        while (i < part.length && is_lower_alnum(part.text[i]))
            i++;
        if (i == part.length)
            return true;
        size_t start = i;
        char separator = part.text[i];
        while (i < part.length && part.text[i] == separator)
            i++;
        size_t run = i - start;
        if (separator != '-' && !(separator == '_' && run <= 2) && !(separator == '.' && run == 1))
            return false;
    }
    return false;
}

static bool is_tag(struct span tag)
{
    if (tag.length == 0 || tag.length > TAG_BYTES_MAX ||
        (!is_alnum(tag.text[0]) && tag.text[0] != '_'))
        return false;
    for (size_t i = 1; i < tag.length; i++) {
        if (!is_alnum(tag.text[i]) && strchr("-_.", tag.text[i]) == NULL)
            return false;
    }
    return true;
}

static bool is_hex(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (!is_digit(text[i]) && !(text[i] >= 'a' && text[i] <= 'f'))
            return false;
    }
    return true;
}

static bool is_digest(const char *text)
{
    const char *colon = strchr(text, ':');
    if (colon == NULL || colon == text)
        return false;
    for (const char *p = text; p < colon; p++) {
        bool first = p == text || strchr("+.-_", p[-1]) != NULL;
        if (first ? !is_lower(*p) && !is_upper(*p) : !is_alnum(*p) && strchr("+.-_", *p) == NULL)
            return false;
    }
    size_t length = strlen(colon + 1);
    if (strchr("+.-_", colon[-1]) != NULL || !is_hex(colon + 1, length))
        return false;
    bool sha256 = (size_t)(colon - text) == 6 && memcmp(text, "sha256", 6) == 0;
    return sha256 ? length == SHA256_HEX : length >= DIGEST_HEX_MIN;
}

/* The first part of a name with several is a registry when it could not be a path component. */
static bool looks_like_registry(struct span first)
{
    if (span_has(first, '.') || span_has(first, ':') ||
        (first.length == 9 && memcmp(first.text, "localhost", 9) == 0))
        return true;
    for (size_t i = 0; i < first.length; i++) {
        if (is_upper(first.text[i]))
            return true;
    }
    return false;
}

static bool is_image_name(struct span name)
{
    if (name.length == 0 || name.length > IMAGE_NAME_BYTES_MAX)
        return false;
    const char *end = name.text + name.length;
    const char *p = name.text;
    const char *slash = memchr(p, '/', name.length);

    if (slash == NULL && name.length == SHA256_HEX && is_hex(p, name.length))
        return false; /* would be read as an image's id */
    if (slash != NULL) {
        struct span first = { p, (size_t)(slash - p) };
        if (looks_like_registry(first)) {
            if (!is_registry(first))
                return false;
            p = slash + 1;
        }
    }
    for (;;) {
        slash = memchr(p, '/', (size_t)(end - p));
        const char *stop = slash != NULL ? slash : end;
        if (!is_path_component((struct span){ p, (size_t)(stop - p) }))
            return false;
        if (slash == NULL)
            return true;
        p = slash + 1;
    }
}

bool name_is_image_reference(const char *text)
{
    const char *at = strchr(text, '@');
    if (at != NULL && !is_digest(at + 1))
        return false;
    struct span name = { text, at != NULL ? (size_t)(at - text) : strlen(text) };

    /* A ':' behind the last '/' begins the tag; before it, a port. */
    const char *slash = memrchr(name.text, '/', name.length);
    const char *last = slash != NULL ? slash + 1 : name.text;
    const char *colon = memchr(last, ':', (size_t)(name.text + name.length - last));
    if (colon != NULL) {
        if (!is_tag((struct span){ colon + 1, (size_t)(name.text + name.length - colon) - 1 }))
            return false;
        name.length = (size_t)(colon - name.text);
    }
    return is_image_name(name);
}
