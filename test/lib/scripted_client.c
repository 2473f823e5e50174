#include "test/lib/scripted_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/memory.h"

enum { HEADERS_BYTES_MAX = 64 * 1024 };

static char *join(const char *const *headers)
{
    struct buf text = BUF_INIT(HEADERS_BYTES_MAX);
    for (; headers != NULL && *headers != NULL; headers++)
        buf_printf(&text, "%s\n", *headers);
    return buf_take(&text);
}

static int exchange(struct http_client *client, const struct http_client_request *request,
                    struct stop *stop, struct http_client_answer *out, struct error *err)
{
    struct scripted_client *script = (struct scripted_client *)client;
    (void)stop;
    if (script->request_count == script->answer_count)
        fail_msg("no answer prepared for %s %s", request->method, request->url);
    const struct scripted_client_answer *answer = &script->answers[script->request_count];
    script->requests[script->request_count++] = (struct scripted_client_request){
        .method = mem_strdup(request->method),
        .url = mem_strdup(request->url),
        .body = request->body != NULL ? mem_strdup(request->body) : NULL,
        .headers = join(request->headers),
        .direct = request->direct,
    };
    if (answer->error != ERR_NONE)
        return error_set(err, answer->error, "scripted failure");
    *out = (struct http_client_answer){
        .status = answer->status,
        .body = BUF_INIT(HTTP_CLIENT_ANSWER_BYTES_MAX),
        .operation = answer->operation != NULL ? mem_strdup(answer->operation) : NULL,
        .retry_after_ms = answer->retry_after_ms,
    };
    if (answer->body != NULL)
        buf_puts(&out->body, answer->body);
    return 0;
}

static void destroy(struct http_client *client)
{
    (void)client; /* the test's own */
}

void scripted_client_init(struct scripted_client *script)
{
    *script = (struct scripted_client){ .client = { .exchange = exchange, .destroy = destroy } };
}

void scripted_client_add(struct scripted_client *script, struct scripted_client_answer answer)
{
    assert_true(script->answer_count < SCRIPTED_CLIENT_MAX);
    script->answers[script->answer_count++] = answer;
}

void scripted_client_fini(struct scripted_client *script)
{
    for (size_t i = 0; i < script->request_count; i++) {
        free(script->requests[i].method);
        free(script->requests[i].url);
        free(script->requests[i].body);
        free(script->requests[i].headers);
    }
}
