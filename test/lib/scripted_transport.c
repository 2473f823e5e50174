#include "test/lib/scripted_transport.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/memory.h"

static char *copy(const char *text)
{
    return text != NULL ? mem_strdup(text) : NULL;
}

static const struct scripted_answer *next_answer(struct scripted_transport *script,
                                                 const struct http_request *request)
{
    if (script->request_count == script->answer_count)
        fail_msg("no answer prepared for %s %s", request->method, request->path);
    script->requests[script->request_count] = (struct scripted_request){
        .method = copy(request->method),
        .path = copy(request->path),
        .content_type = copy(request->content_type),
        .body = copy(request->body),
        .timeout_ms = request->timeout_ms,
    };
    return &script->answers[script->request_count++];
}

static int give(const struct scripted_answer *answer, bool with_body, struct http_response *out,
                struct error *err)
{
    if (answer->error != ERR_NONE)
        return error_set(err, answer->error, "scripted failure");
    *out = (struct http_response){ .status = answer->status,
                                   .body = BUF_INIT(HTTP_RESPONSE_BYTES_MAX),
                                   .retry_after_ms = answer->retry_after_ms };
    if (with_body && answer->body != NULL)
        buf_puts(&out->body, answer->body);
    return 0;
}

static int scripted_exchange(struct transport *transport, const struct http_request *request,
                             struct stop *stop, struct http_response *out, struct error *err)
{
    (void)stop;
    return give(next_answer((struct scripted_transport *)transport, request), true, out, err);
}

static int scripted_stream(struct transport *transport, const struct http_request *request,
                           struct stop *stop, transport_sink *sink, void *context,
                           struct http_response *out, struct error *err)
{
    (void)stop;
    const struct scripted_answer *answer =
        next_answer((struct scripted_transport *)transport, request);
    bool streamed = answer->status >= 200 && answer->status < 300;
    const char *body = streamed && answer->body != NULL ? answer->body : "";
    for (size_t left = strlen(body); left > 0;) {
        size_t count = answer->piece != 0 && answer->piece < left ? answer->piece : left;
        if (!sink(context, body, count))
            return give(&(struct scripted_answer){ .status = answer->status }, false, out, err);
        body += count;
        left -= count;
    }
    return give(answer, !streamed, out, err);
}

void scripted_transport_init(struct scripted_transport *script)
{
    *script = (struct scripted_transport){ .transport = { .exchange = scripted_exchange,
                                                          .stream = scripted_stream } };
}

void scripted_transport_add(struct scripted_transport *script, struct scripted_answer answer)
{
    assert_true(script->answer_count < SCRIPT_MAX);
    script->answers[script->answer_count++] = answer;
}

void scripted_transport_fini(struct scripted_transport *script)
{
    for (size_t i = 0; i < script->request_count; i++) {
        free(script->requests[i].method);
        free(script->requests[i].path);
        free(script->requests[i].content_type);
        free(script->requests[i].body);
    }
}
