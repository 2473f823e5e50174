/* What every message carries around its body: {v, type, id, traceparent, body}. Unknown members are
 * ignored; an unknown major version or a body that is no object is INVALID. */
#pragma once

#include <cjson/cJSON.h>

#include "common/base/error.h"

enum { MESSAGE_VERSION = 1, MESSAGE_BYTES_MAX = 1024 * 1024 };

struct envelope {
    const char *type;        /* borrowed from the tree */
    const char *id;          /* of the request; answers repeat it */
    const char *traceparent; /* W3C trace context; NULL when absent */
    const cJSON *body;
    cJSON *tree; /* owns all the above */
};

/* Text to send, the caller frees; `body` is borrowed. */
char *envelope_encode(const char *type, const char *id, const char *traceparent, const cJSON *body);
MUST_CHECK int envelope_decode(const char *bytes, size_t count, struct envelope *out,
                               struct error *err);
void envelope_fini(struct envelope *envelope);

DEFINE_CLEANUP(envelope, struct envelope, envelope_fini)
