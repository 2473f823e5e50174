/* Closed-loop HTTPS load: CONNECTIONS keep-alive connections on one thread, each with one POST in
 * flight. Every answer must be 200 and contain what is expected; the first that does not ends the
 * run with exit status 1. Prints one JSON object. usage: https_load PORT PATH CA-FILE BODY-FILE
 * EXPECT SECONDS */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    CONNECTIONS = 8,
    WARM_UP_MS = 300, /* not in rate and latencies */
    STALL_MS = 5000,  /* without one answer: something is wrong */
    SECONDS_MAX = 600,
    SAMPLES_MAX = 16 * 1024 * 1024,
    REQUEST_BYTES_MAX = 16 * 1024, /* one TLS record, which an idle loopback socket takes whole */
    ANSWER_BYTES_MAX = 64 * 1024,
};

struct connection {
    SSL *ssl;
    int64_t sent_ns;
    size_t received;
    char answer[ANSWER_BYTES_MAX];
};

struct load {
    char request[REQUEST_BYTES_MAX];
    size_t request_bytes;
    const char *expect;
    int epoll;
    struct connection connections[CONNECTIONS];
    int64_t measure_from_ns;
    uint64_t answers; /* with those of the warm-up */
    uint32_t *samples_ns;
    size_t sample_count;
};

static _Noreturn void die(const char *what, const char *detail)
{
    fprintf(stderr, "https_load: %s: %s\n", what, detail);
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ------------------------------------------------------------------ one exchange */

static void send_request(struct load *load, struct connection *connection)
{
    connection->received = 0;
    connection->sent_ns = now_ns();
    int count = SSL_write(connection->ssl, load->request, (int)load->request_bytes);
    if (count != (int)load->request_bytes)
        die("a request could not be sent", "the connection was closed");
}

/* The length of the whole answer, or 0 while its head is not there. */
static size_t answer_bytes(const struct connection *connection)
{
    const char *end = memmem(connection->answer, connection->received, "\r\n\r\n", 4);
    if (end == NULL)
        return 0;
    if (memcmp(connection->answer, "HTTP/1.1 200 ", 13) != 0)
        die("not status 200", connection->answer);
    const char *length = strcasestr(connection->answer, "\r\nContent-Length:");
    if (length == NULL || length > end)
        die("no Content-Length", connection->answer);
    return (size_t)(end + 4 - connection->answer) + strtoul(length + 17, NULL, 10);
}

/* True when the whole answer is there. */
static bool receive(struct connection *connection)
{
    while (connection->received < ANSWER_BYTES_MAX - 1) {
        int count = SSL_read(connection->ssl, connection->answer + connection->received,
                             (int)(ANSWER_BYTES_MAX - 1 - connection->received));
        if (count <= 0) {
            if (SSL_get_error(connection->ssl, count) == SSL_ERROR_WANT_READ)
                return false;
            die("a connection ended", "before its answer");
        }
        connection->received += (size_t)count;
        connection->answer[connection->received] = '\0';
        if (answer_bytes(connection) == connection->received)
            return true;
    }
    die("an answer is too long", connection->answer);
}

static void take_answer(struct load *load, struct connection *connection, int64_t now)
{
    if (strstr(connection->answer, load->expect) == NULL)
        die("unexpected answer", connection->answer);
    load->answers++;
    if (connection->sent_ns < load->measure_from_ns)
        return;
    if (load->sample_count == SAMPLES_MAX)
        die("too many answers", "run it for fewer seconds");
    int64_t took = now - connection->sent_ns;
    load->samples_ns[load->sample_count++] = took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
}

static void run(struct load *load, int64_t end_ns)
{
    for (size_t i = 0; i < CONNECTIONS; i++)
        send_request(load, &load->connections[i]);
    int64_t now = now_ns();
    while (now < end_ns) {
        struct epoll_event ready[CONNECTIONS];
        int count = epoll_wait(load->epoll, ready, CONNECTIONS, STALL_MS);
        if (count <= 0)
            die("no answer", count == 0 ? "for 5 s" : strerror(errno));
        for (int i = 0; i < count; i++) {
            struct connection *connection = ready[i].data.ptr;
            if (!receive(connection))
                continue;
            now = now_ns();
            take_answer(load, connection, now);
            send_request(load, connection);
        }
    }
}

/* ------------------------------------------------------------------ set-up */

/* AES-128-GCM first, as the API server's TLS offers it. */
static SSL_CTX *make_context(const char *ca_file)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL || SSL_CTX_load_verify_file(context, ca_file) != 1 ||
        SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384") != 1)
        die("TLS", ERR_reason_error_string(ERR_peek_error()));
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_read_ahead(context, 1);
    return context;
}

static void open_connection(struct load *load, struct connection *connection, SSL_CTX *context,
                            uint16_t port)
{
    const struct sockaddr_in address = { .sin_family = AF_INET,
                                         .sin_port = htons(port),
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        die("connect", strerror(errno));
    connection->ssl = SSL_new(context);
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(connection->ssl), "127.0.0.1");
    if (SSL_set_fd(connection->ssl, fd) != 1 || SSL_connect(connection->ssl) != 1)
        die("TLS handshake", ERR_reason_error_string(ERR_peek_error()));
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = connection };
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0 || epoll_ctl(load->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        die("epoll", strerror(errno));
}

static void make_request(struct load *load, const char *path, const char *body_file)
{
    char body[REQUEST_BYTES_MAX];
    FILE *file = fopen(body_file, "re");
    if (file == NULL)
        die(body_file, strerror(errno));
    size_t body_bytes = fread(body, 1, sizeof(body), file);
    fclose(file);
    int count = snprintf(load->request, sizeof(load->request),
                         "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                         "Content-Length: %zu\r\n\r\n%.*s",
                         path, body_bytes, (int)body_bytes, body);
    if (count < 0 || (size_t)count >= sizeof(load->request))
        die(body_file, "too long for one TLS record");
    load->request_bytes = (size_t)count;
}

/* ------------------------------------------------------------------ result */

static int compare(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static double percentile_ms(const struct load *load, double share)
{
    return load->samples_ns[(size_t)(share * (double)(load->sample_count - 1))] / 1e6;
}

static void print_result(struct load *load, double seconds)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    if (load->sample_count == 0)
        die("no answer", "after the warm-up");
    qsort(load->samples_ns, load->sample_count, sizeof(*load->samples_ns), compare);
    printf("{\"answers\": %llu, \"rate\": %.1f, \"p50_ms\": %.4f, \"p99_ms\": %.4f, "
           "\"max_ms\": %.4f, \"client_cpu_s\": %.3f}\n",
           (unsigned long long)load->answers, (double)load->sample_count / seconds,
           percentile_ms(load, 0.5), percentile_ms(load, 0.99), percentile_ms(load, 1), cpu);
}

int main(int argc, char **argv)
{
    static struct load load;
    if (argc != 7)
        die("usage", "https_load PORT PATH CA-FILE BODY-FILE EXPECT SECONDS");
    long port = strtol(argv[1], NULL, 10), seconds = strtol(argv[6], NULL, 10);
    if (port < 1 || port > UINT16_MAX || seconds < 1 || seconds > SECONDS_MAX)
        die("usage", "PORT or SECONDS is out of range");
    load.expect = argv[5];
    load.samples_ns = calloc(SAMPLES_MAX, sizeof(*load.samples_ns));
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    make_request(&load, argv[2], argv[4]);
    SSL_CTX *context = make_context(argv[3]);
    for (size_t i = 0; i < CONNECTIONS; i++)
        open_connection(&load, &load.connections[i], context, (uint16_t)port);
    load.measure_from_ns = now_ns() + WARM_UP_MS * 1000000LL;
    run(&load, load.measure_from_ns + seconds * 1000000000LL);
    print_result(&load, (double)seconds);
    return 0;
}
