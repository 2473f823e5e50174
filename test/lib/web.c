#include "test/lib/web.h"

#include <assert.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"

enum { TIMEOUT_MS = 20000 };

struct web {
    CURL *curl;
    char *base;
    char *authority_pem;
    int connections;
};

static size_t append(char *bytes, size_t size, size_t count, void *answer)
{
    return buf_append(answer, bytes, size * count) == 0 ? size * count : 0;
}

struct web *web_new(uint16_t port, const char *authority_pem)
{
    struct web *web = mem_new(struct web);
    web->curl = curl_easy_init();
    assert(web->curl != NULL);
    bool tls = authority_pem != NULL && authority_pem[0] != '\0';
    web->base = mem_printf("%s://localhost:%u", tls ? "https" : "http", port);
    web->authority_pem = tls ? mem_strdup(authority_pem) : NULL;
    curl_easy_setopt(web->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(web->curl, CURLOPT_IPRESOLVE, CURL_IPRESOLVE_V4);
    curl_easy_setopt(web->curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(web->curl, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS);
    curl_easy_setopt(web->curl, CURLOPT_HEADER, 1L);
    curl_easy_setopt(web->curl, CURLOPT_WRITEFUNCTION, append);
    if (tls) {
        struct curl_blob blob = { .data = web->authority_pem, .len = strlen(web->authority_pem) };
        curl_easy_setopt(web->curl, CURLOPT_CAINFO_BLOB, &blob);
    }
    return web;
}

void web_free(struct web *web)
{
    if (web == NULL)
        return;
    curl_easy_cleanup(web->curl);
    free(web->authority_pem);
    free(web->base);
    free(web);
}

void web_limit_tls(struct web *web, int version)
{
    long most = version <= 11 ? CURL_SSLVERSION_MAX_TLSv1_1 : CURL_SSLVERSION_MAX_TLSv1_2;
    curl_easy_setopt(web->curl, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1 | most);
    curl_easy_setopt(web->curl, CURLOPT_SSL_CIPHER_LIST, "DEFAULT@SECLEVEL=0");
}

struct upload {
    const char *bytes;
    size_t left;
};

static size_t read_upload(char *out, size_t size, size_t count, void *context)
{
    struct upload *upload = context;
    size_t bytes = size * count < upload->left ? size * count : upload->left;
    memcpy(out, upload->bytes, bytes);
    upload->bytes += bytes;
    upload->left -= bytes;
    return bytes;
}

static void set_body(struct web *web, const struct web_request *request, struct upload *upload)
{
    curl_easy_setopt(web->curl, CURLOPT_POST, 1L);
    if (request->chunked) {
        curl_easy_setopt(web->curl, CURLOPT_POSTFIELDS, NULL);
        curl_easy_setopt(web->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)-1);
        curl_easy_setopt(web->curl, CURLOPT_READFUNCTION, read_upload);
        curl_easy_setopt(web->curl, CURLOPT_READDATA, upload);
        return;
    }
    curl_easy_setopt(web->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_bytes);
    curl_easy_setopt(web->curl, CURLOPT_POSTFIELDS, request->body);
}

int web_send(struct web *web, const struct web_request *request, struct buf *answer)
{
    AUTO_FREE char *url = mem_printf("%s%s", web->base, request->path);
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    struct upload upload = { .bytes = request->body, .left = request->body_bytes };
    if (request->chunked)
        headers = curl_slist_append(headers, "Transfer-Encoding: chunked");
    buf_reset(answer);
    curl_easy_setopt(web->curl, CURLOPT_URL, url);
    curl_easy_setopt(web->curl, CURLOPT_WRITEDATA, answer);
    curl_easy_setopt(web->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(web->curl, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(web->curl, CURLOPT_NOBODY, strcmp(request->method, "HEAD") == 0 ? 1L : 0L);
    if (request->body != NULL)
        set_body(web, request, &upload);
    curl_easy_setopt(web->curl, CURLOPT_CUSTOMREQUEST,
                     strcmp(request->method, "HEAD") == 0 ? NULL : request->method);
    CURLcode code = curl_easy_perform(web->curl);
    long status = 0, made = 0;
    curl_easy_getinfo(web->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(web->curl, CURLINFO_NUM_CONNECTS, &made);
    curl_slist_free_all(headers);
    web->connections += (int)made;
    return code == CURLE_OK ? (int)status : -(int)code;
}

int web_get(struct web *web, const char *path, struct buf *answer)
{
    const struct web_request request = { .method = "GET", .path = path };
    return web_send(web, &request, answer);
}

int web_connections(const struct web *web)
{
    return web->connections;
}
