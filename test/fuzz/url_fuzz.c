/* Data-source URLs: a verdict does not depend on the case of scheme and host, on a port, on the
 * root's dot or on what follows the host; what passes has neither credentials nor control
 * characters. */
#include <ctype.h>
#include <stdbool.h>

#include "test/fuzz/fuzz.h"
#include "webhook/url.h"

static bool passes(const char *text)
{
    return url_refusal(text) == NULL;
}

static void check_host(const char *host)
{
    char url[URL_BYTES_MAX + 64];
    snprintf(url, sizeof(url), "http://%s/", host);
    bool verdict = passes(url);
    snprintf(url, sizeof(url), "https://%s", host);
    HOLDS(passes(url) == verdict);
    snprintf(url, sizeof(url), "https://%s:443/x?y#z", host);
    HOLDS(passes(url) == verdict);
    snprintf(url, sizeof(url), "https://user@%s/", host);
    HOLDS(!passes(url));
    if (host[0] != '[' && *host != '\0' && host[strlen(host) - 1] != '.') {
        snprintf(url, sizeof(url), "https://%s./", host);
        HOLDS(passes(url) == verdict);
    }
    snprintf(url, sizeof(url), "HTTPS://%s/", host);
    for (char *p = url; *p != '\0'; p++)
        *p = (char)toupper((unsigned char)*p);
    HOLDS(passes(url) == verdict);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > URL_BYTES_MAX)
        return 0;
    AUTO_FREE char *text = mem_strndup((const char *)data, size);
    if (passes(text)) {
        HOLDS(strncasecmp(text, "http", 4) == 0);
        for (const char *p = text; *p != '\0'; p++)
            HOLDS((unsigned char)*p > ' ' && *p != 0x7f && *p != '\\');
    }
    bool plain = strpbrk(text, "/?#:@\\") == NULL;
    bool bracketed = text[0] == '[' && strchr(text, ']') == text + strlen(text) - 1 &&
                     strpbrk(text, "/?#@\\") == NULL;
    if ((plain || bracketed) && strlen(text) <= 253)
        check_host(text);
    return 0;
}
