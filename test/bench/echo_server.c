/* The floor under the webhook: nothing but libmicrohttpd and cJSON. Parses an AdmissionReview,
 * answers that it is allowed. Threads, event loop, TLS settings and the way connections reach the
 * daemon are those of common/http. Prints its port, then serves until it is killed. usage:
 * echo_server TLS-DIR THREADS */
#include <cjson/cJSON.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PEM_BYTES_MAX = 16 * 1024,
    BODY_BYTES_MAX = 64 * 1024,
    CONNECTION_BYTES = 64 * 1024,
    STACK_BYTES = 512 * 1024,
    CONNECTIONS_MAX = 16 * 1024,
    IDLE_TIMEOUT_S = 120,
    THREADS_MAX = 64,
    BACKLOG = 512,
};

static const char tls_priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-SHA1";

struct request {
    size_t length;
    size_t room;
    char *body;
};

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "echo_server: %s failed\n", what);
    exit(1);
}

static char *take_body(struct request *request, const char *bytes, size_t count)
{
    if (request->length + count > BODY_BYTES_MAX)
        return NULL;
    if (request->length + count > request->room) {
        request->room = 2 * (request->length + count);
        request->body = realloc(request->body, request->room);
    }
    memcpy(request->body + request->length, bytes, count);
    request->length += count;
    return request->body;
}

static enum MHD_Result answer(struct MHD_Connection *connection, const struct request *request)
{
    cJSON *review = cJSON_ParseWithLength(request->body, request->length);
    const cJSON *asked = cJSON_GetObjectItemCaseSensitive(review, "request");
    const char *uid = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(asked, "uid"));
    if (uid == NULL) {
        cJSON_Delete(review);
        return MHD_NO;
    }
    cJSON *result = cJSON_CreateObject();
    cJSON_AddStringToObject(result, "apiVersion", "admission.k8s.io/v1");
    cJSON_AddStringToObject(result, "kind", "AdmissionReview");
    cJSON *response = cJSON_AddObjectToObject(result, "response");
    cJSON_AddStringToObject(response, "uid", uid);
    cJSON_AddBoolToObject(response, "allowed", 1);
    char *text = cJSON_PrintUnformatted(result);
    cJSON_Delete(result);
    cJSON_Delete(review);

    struct MHD_Response *reply =
        MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    MHD_add_response_header(reply, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    enum MHD_Result queued = MHD_queue_response(connection, MHD_HTTP_OK, reply);
    MHD_destroy_response(reply);
    return queued;
}

static enum MHD_Result on_request(void *closure, struct MHD_Connection *connection,
                                  const char *path, const char *method, const char *version,
                                  const char *upload, size_t *upload_bytes, void **slot)
{
    (void)closure, (void)path, (void)method, (void)version;
    if (*slot == NULL) {
        *slot = calloc(1, sizeof(struct request));
        return MHD_YES;
    }
    if (*upload_bytes == 0)
        return answer(connection, *slot);
    size_t count = *upload_bytes;
    *upload_bytes = 0;
    return take_body(*slot, upload, count) != NULL ? MHD_YES : MHD_NO;
}

static void on_completed(void *closure, struct MHD_Connection *connection, void **slot,
                         enum MHD_RequestTerminationCode code)
{
    (void)closure, (void)connection, (void)code;
    struct request *request = *slot;
    if (request != NULL)
        free(request->body);
    free(request);
}

static void read_pem(const char *folder, const char *name, char out[PEM_BYTES_MAX])
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        die(path);
    out[fread(out, 1, PEM_BYTES_MAX - 1, file)] = '\0';
    fclose(file);
}

static struct MHD_Daemon *start_daemon(const char *tls_dir, unsigned threads)
{
    static char certificate[PEM_BYTES_MAX], key[PEM_BYTES_MAX];
    read_pem(tls_dir, "tls.crt", certificate);
    read_pem(tls_dir, "tls.key", key);
    unsigned flags =
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_TLS;
    struct MHD_OptionItem pool[] = { { MHD_OPTION_THREAD_POOL_SIZE, threads, NULL },
                                     { MHD_OPTION_END, 0, NULL } };
    return MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, NULL, MHD_OPTION_ARRAY, threads > 1 ? pool : pool + 1,
        MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_TIMEOUT_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_THREAD_STACK_SIZE,
        (size_t)STACK_BYTES, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
        MHD_OPTION_HTTPS_MEM_CERT, certificate, MHD_OPTION_HTTPS_MEM_KEY, key,
        MHD_OPTION_HTTPS_PRIORITIES, tls_priorities, MHD_OPTION_END);
}

static int listen_on_loopback(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t bytes = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, bytes) < 0 || listen(fd, BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &bytes) < 0)
        die("listen");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    long threads = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
    if (threads < 1 || threads > THREADS_MAX)
        die("usage: echo_server TLS-DIR THREADS; this");
    struct MHD_Daemon *daemon = start_daemon(argv[1], (unsigned)threads);
    if (daemon == NULL)
        die("MHD_start_daemon");
    int listener = listen_on_loopback();
    while (1) {
        struct sockaddr_storage peer;
        socklen_t bytes = sizeof(peer);
        int fd = accept4(listener, (struct sockaddr *)&peer, &bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            die("accept");
        MHD_add_connection(daemon, fd, (const struct sockaddr *)&peer, bytes);
    }
}
