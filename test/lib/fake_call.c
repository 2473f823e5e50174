#include "test/lib/fake_call.h"

#include <stdio.h>
#include <string.h>

#include "common/base/compiler.h"

enum { SEGMENTS_MAX = 8 };

static void unescape(char *text)
{
    char *out = text;
    for (const char *p = text; *p != '\0'; p++) {
        unsigned byte;
        if (*p == '%' && sscanf(p + 1, "%2x", &byte) == 1) {
            *out++ = (char)byte;
            p += 2;
        } else {
            *out++ = *p == '+' ? ' ' : *p;
        }
    }
    *out = '\0';
}

static void parse_query(struct fake_call *call, char *query)
{
    const struct {
        const char *name;
        const char **value;
    } known[] = { { "labelSelector", &call->labels },
                  { "fieldSelector", &call->fields },
                  { "limit", &call->limit },
                  { "continue", &call->continue_token },
                  { "resourceVersion", &call->version },
                  { "timeoutSeconds", &call->timeout },
                  { "fieldManager", &call->manager },
                  { "watch", &call->watch } };
    for (char *pair; query != NULL && (pair = strsep(&query, "&")) != NULL;) {
        char *value = strchr(pair, '=');
        if (value == NULL)
            continue;
        *value++ = '\0';
        unescape(value);
        for (size_t i = 0; i < ARRAY_LEN(known); i++) {
            if (strcmp(pair, known[i].name) == 0)
                *known[i].value = value;
        }
    }
}

/* /api/v1/... and /apis/group/version/..., then [namespaces/x/]resource[/name[/subresource]]. */
static void parse_path(struct fake_call *call, char *path)
{
    const char *segments[SEGMENTS_MAX + 1] = { NULL };
    size_t count = 0, at;
    for (char *segment; path != NULL && (segment = strsep(&path, "/")) != NULL;) {
        if (segment[0] == '\0' || count == SEGMENTS_MAX)
            continue;
        unescape(segment);
        segments[count++] = segment;
    }
    bool core = count > 0 && strcmp(segments[0], "api") == 0;
    if (count < 3)
        return;
    const char *group = core ? "" : segments[1];
    at = core ? 1 : 2;
    snprintf(call->api_version, sizeof(call->api_version), "%s%s%s", group, core ? "" : "/",
             segments[at++]);
    if (segments[at] != NULL && strcmp(segments[at], "namespaces") == 0 && count > at + 2) {
        call->key.namespace_ = segments[at + 1];
        at += 2;
    }
    if (segments[at] == NULL)
        return;
    call->kind = fake_kind_find(group, segments[at]);
    if (at + 1 < count)
        call->key.name = segments[at + 1];
    if (at + 2 < count)
        call->subresource = segments[at + 2];
    snprintf(call->resource, sizeof(call->resource), "%s%s%s", segments[at],
             call->subresource[0] != '\0' ? "/" : "", call->subresource);
}

void fake_call_parse(struct fake_call *call, const struct http_request *request)
{
    *call =
        (struct fake_call){ .key = { "", "" }, .subresource = "", .manager = "", .version = "" };
    snprintf(call->buffer, sizeof(call->buffer), "%s", request->path);
    char *query = strchr(call->buffer, '?');
    if (query != NULL) {
        *query = '\0';
        parse_query(call, query + 1);
    }
    parse_path(call, call->buffer);

    bool named = call->key.name[0] != '\0';
    const char *type = request->content_type != NULL ? request->content_type : "";
    if (strcmp(request->method, "GET") == 0)
        call->verb = named ? "get" : call->watch != NULL ? "watch" : "list";
    else if (strcmp(request->method, "POST") == 0 && !named)
        call->verb = "create";
    else if (strcmp(request->method, "POST") == 0 && strcmp(call->subresource, "eviction") == 0)
        call->verb = "delete"; /* nothing here disrupts a budget */
    else if (strcmp(request->method, "DELETE") == 0 && named)
        call->verb = "delete";
    else if (strcmp(request->method, "PATCH") == 0 && named)
        call->verb = strcmp(type, "application/merge-patch+json") == 0   ? "patch"
                     : strcmp(type, "application/apply-patch+yaml") == 0 ? "apply"
                                                                         : NULL;
    call->is_write = strcmp(request->method, "GET") != 0;
}
