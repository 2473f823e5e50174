#include <assert.h>
#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/base/memory.h"
#include "common/base/metrics.h"
#include "common/base/mutex.h"
#include "common/k8s/kubeconfig.h"
#include "common/k8s/transport.h"

enum {
    IDLE_CONNECTIONS_MAX = 16,
    KEEPALIVE_IDLE_S = 5, /* a silent peer is given up after 5 + 3 * 2 seconds */
    KEEPALIVE_INTERVAL_S = 2,
    KEEPALIVE_PROBES = 3,
    UNACKNOWLEDGED_MS = 11 * 1000, /* and so is one that acknowledges nothing */
    RETRY_AFTER_MAX_S = 3600,
    POLL_MS = 60 * 1000, /* curl and the stop wake it sooner */
};

/* A connection to the server lives in the cache of its multi handle: one each, used by one thread
 * at a time. The easy handle keeps what all requests share. */
struct connection {
    CURL *easy;
    CURLM *multi;
    struct connection *next;
    char detail[CURL_ERROR_SIZE];
};

struct transport_curl {
    struct transport transport; /* first */
    struct kubeconfig *config;  /* borrowed */
    char *user_agent;
    char *host_header;             /* NULL: curl's own */
    char *url_base;                /* the server, or the same by its TLS name */
    struct curl_slist *connect_to; /* where the TLS name really is */
    struct mutex lock;
    struct connection *idle; /* guarded by lock; the last used first */
    size_t idle_count;       /* guarded by lock */
};

struct transfer {
    const struct http_request *request;
    CURL *easy;
    transport_sink *sink; /* NULL: the body goes into the response */
    void *context;
    struct http_response response;
    int64_t last_byte_ms;
    bool ended_by_sink;
};

static int64_t now_ms(void)
{
    return clock_monotonic(clock_system());
}

/* ------------------------------------------------------------------ connections */

static void connection_free(struct connection *connection)
{
    curl_easy_cleanup(connection->easy);
    curl_multi_cleanup(connection->multi); /* closes the socket */
    free(connection);
}

static int on_socket(void *context, curl_socket_t fd, curlsocktype purpose)
{
    (void)context;
    (void)purpose;
    int probes = KEEPALIVE_PROBES;
    unsigned unacknowledged_ms = UNACKNOWLEDGED_MS;
    /* Without these a dead peer is noticed later, by the deadline of the request. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_ms,
                     sizeof(unacknowledged_ms));
    return CURL_SOCKOPT_OK;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    (void)bytes;
    transfer->last_byte_ms = now_ms();
    return size * count;
}

static bool is_success(int status)
{
    return status >= 200 && status < 300;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    size_t length = size * count;
    long status = 0;

    transfer->last_byte_ms = now_ms();
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    if (transfer->sink != NULL && is_success((int)status)) {
        if (transfer->sink(transfer->context, bytes, length))
            return length;
        transfer->ended_by_sink = true;
        return 0;
    }
    return buf_append(&transfer->response.body, bytes, length) < 0 ? 0 : length;
}

static void set_tls(CURL *easy, const struct kubeconfig *config)
{
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    if (config->insecure_skip_verify) {
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (config->ca_pem != NULL) {
        struct curl_blob ca = { config->ca_pem, strlen(config->ca_pem), CURL_BLOB_NOCOPY };
        curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &ca);
        /* Or the system's authorities would be trusted as well. */
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
    if (config->client_cert_pem != NULL && config->client_key_pem != NULL) {
        struct curl_blob cert = { config->client_cert_pem, strlen(config->client_cert_pem),
                                  CURL_BLOB_NOCOPY };
        struct curl_blob key = { config->client_key_pem, strlen(config->client_key_pem),
                                 CURL_BLOB_NOCOPY };
        curl_easy_setopt(easy, CURLOPT_SSLCERT_BLOB, &cert);
        curl_easy_setopt(easy, CURLOPT_SSLKEY_BLOB, &key);
    }
}

static struct connection *connection_new(const struct transport_curl *t)
{
    struct connection *connection = mem_new(struct connection);
    CURL *easy = connection->easy = curl_easy_init();
    connection->multi = curl_multi_init();
    if (easy == NULL || connection->multi == NULL)
        mem_exhausted();

    curl_multi_setopt(connection->multi, CURLMOPT_MAXCONNECTS, 1L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, connection->detail);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* a slow resolver delays no cancellation */
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* what the environment says is not for us */
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, t->user_agent);
    curl_easy_setopt(easy, CURLOPT_CONNECT_TO, t->connect_to);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)HTTP_CONNECT_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_IDLE_S);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_INTERVAL_S);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_socket);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    set_tls(easy, t->config);
    return connection;
}

static struct connection *connection_acquire(struct transport_curl *t)
{
    mutex_lock(&t->lock);
    struct connection *connection = t->idle;
    if (connection != NULL) {
        t->idle = connection->next;
        t->idle_count--;
    }
    mutex_unlock(&t->lock);
    return connection != NULL ? connection : connection_new(t);
}

static void connection_release(struct transport_curl *t, struct connection *connection)
{
    mutex_lock(&t->lock);
    bool keep = t->idle_count < IDLE_CONNECTIONS_MAX;
    if (keep) {
        connection->next = t->idle;
        t->idle = connection;
        t->idle_count++;
    }
    mutex_unlock(&t->lock);
    if (!keep)
        connection_free(connection);
}

static void drop_idle(struct transport_curl *t)
{
    mutex_lock(&t->lock);
    struct connection *idle = STEAL(t->idle);
    t->idle_count = 0;
    mutex_unlock(&t->lock);
    while (idle != NULL) {
        struct connection *next = idle->next;
        connection_free(idle);
        idle = next;
    }
}

/* ------------------------------------------------------------------ what went wrong */

static int fail_connect(const char *server, CURL *easy, struct error *err)
{
    long number = 0;
    curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &number);
    char reason[64];
    snprintf(reason, sizeof(reason), "%s", number != 0 ? strerror((int)number) : "no connection");
    reason[0] = (char)tolower((unsigned char)reason[0]);
    return error_set(err, ERR_UNAVAILABLE, "cannot reach %s: %s", server, reason);
}

static int fail_verify(const char *server, bool own_ca, const struct connection *connection,
                       struct error *err)
{
    /* As OpenSSL's x509_vfy.h numbers them: self-signed, unknown issuer, first link not verified.
     */
    enum { SELF_SIGNED_LEAF = 18, FIRST_LINK_UNVERIFIED = 21 };
    long result = 0;
    curl_easy_getinfo(connection->easy, CURLINFO_SSL_VERIFYRESULT, &result);
    if (result >= SELF_SIGNED_LEAF && result <= FIRST_LINK_UNVERIFIED)
        return error_set(err, ERR_UNAVAILABLE,
                         "TLS: the certificate of %s is not signed by %s (%s)", server,
                         own_ca ? "the CA in the kubeconfig" : "a CA that this system trusts",
                         connection->detail);
    return error_set(err, ERR_UNAVAILABLE, "TLS: the certificate of %s is not valid: %s", server,
                     connection->detail);
}

static int fail_timeout(const char *server, CURL *easy, struct error *err)
{
    curl_off_t sent_us = 0;
    curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &sent_us);
    if (sent_us == 0)
        return error_set(err, ERR_TIMEOUT, "cannot reach %s: no answer within %d s", server,
                         HTTP_CONNECT_TIMEOUT_MS / 1000);
    return error_set(err, ERR_TIMEOUT, "%s accepted the request and did not answer in time",
                     server);
}

static int fail(const struct transport_curl *t, const struct connection *connection, CURLcode code,
                struct error *err)
{
    const char *server = t->config->server;
    const char *detail =
        connection->detail[0] != '\0' ? connection->detail : curl_easy_strerror(code);

    switch (code) {
    case CURLE_COULDNT_CONNECT:
        return fail_connect(server, connection->easy, err);
    case CURLE_COULDNT_RESOLVE_HOST:
        return error_set(err, ERR_UNAVAILABLE, "cannot reach %s: the host name does not resolve",
                         server);
    case CURLE_OPERATION_TIMEDOUT:
        return fail_timeout(server, connection->easy, err);
    case CURLE_PEER_FAILED_VERIFICATION:
        return fail_verify(server, t->config->ca_pem != NULL, connection, err);
    case CURLE_SSL_CACERT_BADFILE:
        return error_set(err, ERR_UNAVAILABLE, "TLS: the CA in the kubeconfig is unusable: %s",
                         detail);
    case CURLE_SSL_CERTPROBLEM:
        return error_set(err, ERR_UNAVAILABLE, "TLS: the client certificate is unusable: %s",
                         detail);
    case CURLE_SSL_CONNECT_ERROR:
        return error_set(err, ERR_UNAVAILABLE, "TLS with %s failed: %s", server, detail);
    case CURLE_OUT_OF_MEMORY:
        mem_exhausted();
    default:
        return error_set(err, ERR_UNAVAILABLE, "the connection to %s broke: %s", server, detail);
    }
}

/* ------------------------------------------------------------------ one exchange */

static struct curl_slist *append(struct curl_slist *list, const char *text)
{
    struct curl_slist *longer = curl_slist_append(list, text);
    if (longer == NULL)
        mem_exhausted();
    return longer;
}

static struct curl_slist *make_headers(const struct transport_curl *t,
                                       const struct http_request *request, const char *token)
{
    struct curl_slist *headers = append(NULL, "Accept: application/json");
    if (t->host_header != NULL)
        headers = append(headers, t->host_header);
    if (request->body != NULL) {
        AUTO_FREE char *type = mem_printf("Content-Type: %s", request->content_type);
        headers = append(append(headers, type), "Expect:"); /* no 100-continue */
    }
    if (token != NULL) {
        AUTO_FREE char *bearer = mem_printf("Authorization: Bearer %s", token);
        headers = append(headers, bearer);
    }
    return headers;
}

static int64_t limit_ms(const struct http_request *request)
{
    return request->timeout_ms > 0 ? request->timeout_ms : HTTP_TIMEOUT_MS;
}

static void set_request(const struct transport_curl *t, struct transfer *transfer,
                        struct curl_slist *headers)
{
    const struct http_request *request = transfer->request;
    CURL *easy = transfer->easy;
    AUTO_FREE char *url = mem_printf("%s%s", t->url_base, request->path);

    curl_easy_setopt(easy, CURLOPT_URL, url); /* copied */
    if (request->body != NULL) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(request->body));
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body);
    } else {
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS,
                     transfer->sink != NULL ? 0L : (long)limit_ms(request));
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
}

/* Drives the transfer to its end. */
static int drive(const struct transport_curl *t, struct connection *connection,
                 struct transfer *transfer, struct stop *stop, struct error *err)
{
    int64_t silence_ms = transfer->sink != NULL ? limit_ms(transfer->request) : INT64_MAX / 2;
    struct curl_waitfd wake = { .fd = stop->fd, .events = CURL_WAIT_POLLIN };

    for (;;) {
        int running = 0;
        curl_multi_perform(connection->multi, &running);
        if (running == 0)
            break;
        if (stop_raised(stop))
            return error_set(err, ERR_CANCELLED, "stopping");
        int64_t left_ms = transfer->last_byte_ms + silence_ms - now_ms();
        if (left_ms <= 0)
            return error_set(err, ERR_TIMEOUT, "no byte from %s for %lld ms", t->config->server,
                             (long long)silence_ms);
        curl_multi_poll(connection->multi, &wake, 1, left_ms < POLL_MS ? (int)left_ms : POLL_MS,
                        NULL);
    }

    int queued;
    const CURLMsg *message = curl_multi_info_read(connection->multi, &queued);
    assert(message != NULL && message->msg == CURLMSG_DONE);
    CURLcode code = message->data.result;
    if (code == CURLE_OK || transfer->ended_by_sink)
        return 0;
    if (buf_failed(&transfer->response.body))
        return error_set(err, ERR_TOO_LARGE, "an answer of more than %d bytes from %s",
                         HTTP_RESPONSE_BYTES_MAX, t->config->server);
    return fail(t, connection, code, err);
}

static void read_response(struct transfer *transfer)
{
    long status = 0;
    curl_off_t retry_after_s = 0;

    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &retry_after_s); /* seconds or date */
    if (retry_after_s > RETRY_AFTER_MAX_S)
        retry_after_s = RETRY_AFTER_MAX_S;
    transfer->response.status = (int)status;
    transfer->response.retry_after_ms = retry_after_s > 0 ? retry_after_s * 1000 : 0;
}

static void count_request(const struct http_request *request, int status)
{
    char code[16] = "<error>";
    if (status > 0)
        snprintf(code, sizeof(code), "%d", status);
    METRIC_INC(METRIC_REST_REQUESTS_TOTAL, code, request->method);
}

static int attempt(struct transport_curl *t, struct transfer *transfer, const char *token,
                   struct stop *stop, struct error *err)
{
    struct connection *connection = connection_acquire(t);
    struct curl_slist *headers = make_headers(t, transfer->request, token);

    transfer->easy = connection->easy;
    transfer->last_byte_ms = now_ms();
    connection->detail[0] = '\0';
    set_request(t, transfer, headers);
    curl_multi_add_handle(connection->multi, connection->easy);
    int result = drive(t, connection, transfer, stop, err);
    if (result == 0)
        read_response(transfer);
    curl_multi_remove_handle(connection->multi, connection->easy);
    curl_slist_free_all(headers);
    count_request(transfer->request, result == 0 ? transfer->response.status : 0);

    /* What was cut short is not used again: libcurl itself would keep an HTTP/2 connection that has
     * gone silent. After a failure the idle ones are suspects too: each would cost its next user
     * the same wait. */
    if (result < 0 || transfer->ended_by_sink)
        connection_free(connection);
    else
        connection_release(t, connection);
    if (result < 0 && err->code != ERR_CANCELLED)
        drop_idle(t);
    return result;
}

/* A 401 may mean that the token was replaced or revoked early: once more with a new one. */
static int run(struct transport_curl *t, struct transfer *transfer, struct stop *stop,
               struct error *err)
{
    AUTO_FREE char *token = NULL;
    if (kubeconfig_token(t->config, false, &token, err) < 0 ||
        attempt(t, transfer, token, stop, err) < 0)
        return -1;
    if (transfer->response.status != 401 || token == NULL)
        return 0;

    AUTO_FREE char *renewed = NULL;
    if (kubeconfig_token(t->config, true, &renewed, err) < 0)
        return -1;
    if (renewed == NULL || strcmp(renewed, token) == 0)
        return 0;
    buf_reset(&transfer->response.body);
    return attempt(t, transfer, renewed, stop, err);
}

static int transfer_run(struct transport *transport, struct transfer *transfer, struct stop *stop,
                        struct http_response *out, struct error *err)
{
    if (stop_raised(stop))
        return error_set(err, ERR_CANCELLED, "stopping");
    if (run((struct transport_curl *)transport, transfer, stop, err) < 0) {
        buf_fini(&transfer->response.body);
        return -1;
    }
    *out = transfer->response;
    return 0;
}

static int curl_exchange(struct transport *transport, const struct http_request *request,
                         struct stop *stop, struct http_response *out, struct error *err)
{
    struct transfer transfer = { .request = request,
                                 .response.body = BUF_INIT(HTTP_RESPONSE_BYTES_MAX) };
    return transfer_run(transport, &transfer, stop, out, err);
}

static int curl_stream(struct transport *transport, const struct http_request *request,
                       struct stop *stop, transport_sink *sink, void *context,
                       struct http_response *out, struct error *err)
{
    struct transfer transfer = { .request = request,
                                 .sink = sink,
                                 .context = context,
                                 .response.body = BUF_INIT(HTTP_RESPONSE_BYTES_MAX) };
    return transfer_run(transport, &transfer, stop, out, err);
}

/* ------------------------------------------------------------------ life cycle */

static void curl_destroy(struct transport *transport)
{
    struct transport_curl *t = (struct transport_curl *)transport;
    drop_idle(t);
    mutex_fini(&t->lock);
    curl_slist_free_all(t->connect_to);
    free(t->url_base);
    free(t->host_header);
    free(t->user_agent);
    free(t);
}

static void url_cleanup(CURLU **url)
{
    curl_url_cleanup(*url);
}

static void part_free(char **part)
{
    curl_free(*part);
}

/* tls-server-name: curl verifies the host of the URL, so the URL gets that name and CONNECT_TO and
 * the Host header say where it really goes. */
static int use_tls_name(struct transport_curl *t, struct error *err)
{
    const char *server = t->config->server, *name = t->config->tls_server_name;
    __attribute__((cleanup(url_cleanup))) CURLU *url = curl_url();
    __attribute__((cleanup(part_free))) char *host = NULL;
    __attribute__((cleanup(part_free))) char *port = NULL;
    __attribute__((cleanup(part_free))) char *renamed = NULL;

    if (curl_url_set(url, CURLUPART_URL, server, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK)
        return error_set(err, ERR_INVALID, "the server %s is not a URL", server);
    if (name == NULL)
        return 0;
    if (curl_url_set(url, CURLUPART_HOST, name, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_URL, &renamed, 0) != CURLUE_OK)
        return error_set(err, ERR_INVALID, "tls-server-name %s is not a host name", name);

    size_t length = strlen(renamed); /* the URL interface ends an empty path with '/' */
    free(t->url_base);
    t->url_base =
        mem_strndup(renamed, length > 0 && renamed[length - 1] == '/' ? length - 1 : length);
    AUTO_FREE char *route = mem_printf("::%s:%s", host, port);
    t->connect_to = append(NULL, route);
    t->host_header = mem_printf("Host: %s:%s", host, port);
    return 0;
}

static void initialise(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

int transport_curl_new(struct kubeconfig *config, const char *user_agent, struct transport **out,
                       struct error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, initialise);

    struct transport_curl *t = mem_new(struct transport_curl);
    t->transport = (struct transport){
        .exchange = curl_exchange,
        .stream = curl_stream,
        .destroy = curl_destroy,
    };
    t->config = config;
    t->user_agent = mem_strdup(user_agent);
    t->url_base = mem_strdup(config->server);
    mutex_init(&t->lock);
    if (use_tls_name(t, err) < 0) {
        curl_destroy(&t->transport);
        return -1;
    }
    *out = &t->transport;
    return 0;
}
