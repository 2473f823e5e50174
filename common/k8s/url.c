#include "common/k8s/url.h"

#include <ctype.h>
#include <string.h>

static void append_escaped(struct buf *url, const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (isalnum((unsigned char)*p) || strchr("-._~", *p) != NULL)
            buf_putc(url, *p);
        else
            buf_printf(url, "%%%02X", (unsigned)(unsigned char)*p);
    }
}

static void append_segment(struct buf *url, const char *text)
{
    buf_putc(url, '/');
    append_escaped(url, text);
}

void url_append_collection(struct buf *url, const struct gvr *gvr, const char *namespace_)
{
    if (gvr->group[0] == '\0') {
        buf_puts(url, "/api");
    } else {
        buf_puts(url, "/apis");
        append_segment(url, gvr->group);
    }
    append_segment(url, gvr->version);
    if (gvr->namespaced && namespace_ != NULL && namespace_[0] != '\0') {
        buf_puts(url, "/namespaces");
        append_segment(url, namespace_);
    }
    append_segment(url, gvr->resource);
}

void url_append_object(struct buf *url, const struct gvr *gvr, struct object_key key)
{
    url_append_collection(url, gvr, key.namespace_);
    append_segment(url, key.name);
}

void url_append_query(struct buf *url, const char *name, const char *value)
{
    if (value == NULL || value[0] == '\0')
        return;
    buf_putc(url, strchr(buf_text(url), '?') == NULL ? '?' : '&');
    append_escaped(url, name);
    buf_putc(url, '=');
    append_escaped(url, value);
}
