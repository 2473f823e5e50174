/* An HTTP client that gives prepared answers in order and keeps what it was asked. More requests
 * than answers fail the test. Single-threaded. */
#pragma once

#include <stddef.h>

#include "common/http/client.h"

enum { SCRIPTED_CLIENT_MAX = 32 };

struct scripted_client_answer {
    enum error_code error; /* not ERR_NONE: no answer comes */
    int status;
    const char *body;      /* borrowed; NULL: none */
    const char *operation; /* borrowed; NULL: none */
    int64_t retry_after_ms;
};

struct scripted_client_request {
    char *method, *url, *body;
    char *headers; /* one a line */
    bool direct;
};

struct scripted_client {
    struct http_client client;
    struct scripted_client_answer answers[SCRIPTED_CLIENT_MAX];
    size_t answer_count;
    struct scripted_client_request requests[SCRIPTED_CLIENT_MAX];
    size_t request_count;
};

void scripted_client_init(struct scripted_client *script);
void scripted_client_add(struct scripted_client *script, struct scripted_client_answer answer);
void scripted_client_fini(struct scripted_client *script);
