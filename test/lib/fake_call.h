/* One request to fake_apiserver.h taken apart. */
#pragma once

#include <stdbool.h>

#include "common/k8s/transport.h"
#include "test/lib/fake_storage.h"

/* A request taken apart. All texts live in `buffer`. */
struct fake_call {
    char buffer[2048];
    const char *verb; /* NULL: not understood */
    bool is_write;
    const struct fake_kind *kind;
    char api_version[128];
    struct object_key key; /* name "" for collections */
    const char *subresource;
    char resource[64]; /* with the subresource, for counting */
    const char *labels, *fields, *limit, *continue_token, *version, *timeout, *manager, *watch;
};

/* Always succeeds; what is not understood leaves `verb` or `kind` NULL. The call points into
 * itself: do not copy it. */
void fake_call_parse(struct fake_call *call, const struct http_request *request);
