#include <assert.h>
#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/base/mutex.h"
#include "common/http/client.h"

enum {
    IDLE_MAX = 8,
    CONNECT_TIMEOUT_MS = 10 * 1000,
    RETRY_AFTER_MAX_S = 3600,
    POLL_MS = 60 * 1000, /* curl and the stop wake it sooner */
};

/* One thread at a time uses a handle; its connections live in the cache of its multi handle. */
struct handle {
    CURL *easy;
    CURLM *multi;
    struct handle *next;
    char detail[CURL_ERROR_SIZE];
};

struct client_curl {
    struct http_client client; /* first */
    char *ca_file;             /* NULL: the system's */
    char *user_agent;
    struct mutex lock;
    struct handle *idle; /* guarded by lock */
    size_t idle_count;   /* guarded by lock */
};

void http_client_answer_fini(struct http_client_answer *answer)
{
    buf_fini(&answer->body);
    free(STEAL(answer->operation));
}

/* ------------------------------------------------------------------ handles */

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    struct http_client_answer *answer = context;
    return buf_append(&answer->body, bytes, size * count) < 0 ? 0 : size * count;
}

static struct handle *handle_new(const struct client_curl *c)
{
    struct handle *handle = mem_new(struct handle);
    CURL *easy = handle->easy = curl_easy_init();
    handle->multi = curl_multi_init();
    if (easy == NULL || handle->multi == NULL)
        mem_exhausted();

    curl_multi_setopt(handle->multi, CURLMOPT_MAXCONNECTS, 2L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, handle->detail);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* a slow resolver delays no cancellation */
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, c->user_agent);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)HTTP_CLIENT_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    if (c->ca_file != NULL) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, c->ca_file);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
    return handle;
}

static void handle_free(struct handle *handle)
{
    curl_easy_cleanup(handle->easy);
    curl_multi_cleanup(handle->multi);
    free(handle);
}

static struct handle *acquire(struct client_curl *c)
{
    mutex_lock(&c->lock);
    struct handle *handle = c->idle;
    if (handle != NULL) {
        c->idle = handle->next;
        c->idle_count--;
    }
    mutex_unlock(&c->lock);
    return handle != NULL ? handle : handle_new(c);
}

static void release(struct client_curl *c, struct handle *handle)
{
    mutex_lock(&c->lock);
    bool keep = c->idle_count < IDLE_MAX;
    if (keep) {
        handle->next = c->idle;
        c->idle = handle;
        c->idle_count++;
    }
    mutex_unlock(&c->lock);
    if (!keep)
        handle_free(handle);
}

/* ------------------------------------------------------------------ one exchange */

static struct curl_slist *make_headers(const struct http_client_request *request)
{
    struct curl_slist *list = NULL;
    for (const char *const *header = request->headers; header != NULL && *header != NULL;
         header++) {
        list = curl_slist_append(list, *header);
        if (list == NULL)
            mem_exhausted();
    }
    if (request->body != NULL)
        list = curl_slist_append(list, "Expect:"); /* no 100-continue */
    return list;
}

static void set_request(struct handle *handle, const struct http_client_request *request,
                        struct curl_slist *headers, struct http_client_answer *answer)
{
    CURL *easy = handle->easy;
    handle->detail[0] = '\0';
    curl_easy_setopt(easy, CURLOPT_URL, request->url);
    if (request->body != NULL) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(request->body));
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body);
    } else {
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_PROXY, request->direct ? "" : NULL);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, answer);
}

static int fail(const struct http_client_request *request, const struct handle *handle,
                CURLcode code, const struct http_client_answer *answer, struct error *err)
{
    const char *detail = handle->detail[0] != '\0' ? handle->detail : curl_easy_strerror(code);
    int host = (int)strcspn(request->url, "?"); /* what follows may be long */

    if (buf_failed(&answer->body))
        return error_set(err, ERR_TOO_LARGE, "an answer of more than %d bytes from %.*s",
                         HTTP_CLIENT_ANSWER_BYTES_MAX, host, request->url);
    if (code == CURLE_OUT_OF_MEMORY)
        mem_exhausted();
    return error_set(err, code == CURLE_OPERATION_TIMEDOUT ? ERR_TIMEOUT : ERR_UNAVAILABLE,
                     "%s %.*s: %s", request->method, host, request->url, detail);
}

static int drive(struct handle *handle, struct stop *stop, CURLcode *code, struct error *err)
{
    struct curl_waitfd wake = { .fd = stop->fd, .events = CURL_WAIT_POLLIN };
    for (;;) {
        int running = 0;
        curl_multi_perform(handle->multi, &running);
        if (running == 0)
            break;
        if (stop_raised(stop))
            return error_set(err, ERR_CANCELLED, "stopping");
        curl_multi_poll(handle->multi, &wake, 1, POLL_MS, NULL);
    }
    int queued;
    const CURLMsg *message = curl_multi_info_read(handle->multi, &queued);
    assert(message != NULL && message->msg == CURLMSG_DONE);
    *code = message->data.result;
    return 0;
}

static char *header_of(CURL *easy, const char *name)
{
    struct curl_header *header;
    if (curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return NULL;
    return mem_strndup(header->value, HTTP_CLIENT_HEADER_BYTES_MAX);
}

static void read_answer(CURL *easy, struct http_client_answer *answer)
{
    long status = 0;
    curl_off_t retry_after_s = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry_after_s); /* seconds or date */
    if (retry_after_s > RETRY_AFTER_MAX_S)
        retry_after_s = RETRY_AFTER_MAX_S;
    answer->status = (int)status;
    answer->retry_after_ms = retry_after_s > 0 ? retry_after_s * 1000 : 0;
    answer->operation = header_of(easy, "Azure-AsyncOperation");
    if (answer->operation == NULL)
        answer->operation = header_of(easy, "Location");
}

static int curl_exchange(struct http_client *client, const struct http_client_request *request,
                         struct stop *stop, struct http_client_answer *out, struct error *err)
{
    struct client_curl *c = (struct client_curl *)client;
    struct handle *handle = acquire(c);
    struct curl_slist *headers = make_headers(request);
    AUTO(http_client_answer)
    struct http_client_answer answer = { .body = BUF_INIT(HTTP_CLIENT_ANSWER_BYTES_MAX) };
    CURLcode code = CURLE_OK;

    set_request(handle, request, headers, &answer);
    curl_multi_add_handle(handle->multi, handle->easy);
    int result = drive(handle, stop, &code, err);
    if (result == 0 && code != CURLE_OK)
        result = fail(request, handle, code, &answer, err);
    if (result == 0)
        read_answer(handle->easy, &answer);
    curl_multi_remove_handle(handle->multi, handle->easy);
    curl_slist_free_all(headers);
    if (result < 0) { /* what was cut short is not used again */
        handle_free(handle);
        return -1;
    }
    release(c, handle);
    *out = answer;
    answer = (struct http_client_answer){ 0 };
    return 0;
}

/* ------------------------------------------------------------------ life cycle */

static void curl_destroy(struct http_client *client)
{
    struct client_curl *c = (struct client_curl *)client;
    while (c->idle != NULL) {
        struct handle *next = c->idle->next;
        handle_free(c->idle);
        c->idle = next;
    }
    mutex_fini(&c->lock);
    free(c->ca_file);
    free(c->user_agent);
    free(c);
}

static void initialise(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct http_client *http_client_curl_new(const char *ca_file, const char *user_agent)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, initialise);

    struct client_curl *c = mem_new(struct client_curl);
    c->client = (struct http_client){ .exchange = curl_exchange, .destroy = curl_destroy };
    c->ca_file = ca_file[0] != '\0' ? mem_strdup(ca_file) : NULL;
    c->user_agent = mem_strdup(user_agent);
    mutex_init(&c->lock);
    return &c->client;
}

void http_client_free(struct http_client *client)
{
    if (client != NULL)
        client->destroy(client);
}
