/* A transport that gives prepared answers in order and keeps what it was asked. More requests than
 * answers fail the test. Single-threaded. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/k8s/transport.h"

enum { SCRIPT_MAX = 16 };

struct scripted_answer {
    enum error_code error; /* not ERR_NONE: no answer comes, after `body` was streamed */
    int status;
    const char *body; /* borrowed; of a stream: handed out in pieces of `piece` bytes */
    size_t piece;     /* 0: all at once */
    int64_t retry_after_ms;
};

struct scripted_request {
    char *method, *path, *content_type, *body;
    int64_t timeout_ms;
};

struct scripted_transport {
    struct transport transport;
    struct scripted_answer answers[SCRIPT_MAX];
    size_t answer_count;
    struct scripted_request requests[SCRIPT_MAX];
    size_t request_count;
};

void scripted_transport_init(struct scripted_transport *script);
void scripted_transport_add(struct scripted_transport *script, struct scripted_answer answer);
void scripted_transport_fini(struct scripted_transport *script);
