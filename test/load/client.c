/* Clients of the webhook for the load tests.
 *
 *   client hold PORT CA COUNT
 *       opens so many TLS connections, says "ready", and keeps them until its input ends. Its last
 *       line is how many of them are still open then.
 *   client ask PORT PATH CA BODY EXPECT CONNECTIONS SECONDS
 *       one thread a connection, each a POST at a time, kept alive; a connection that the server
 *       says it closes is opened again. Every answer is looked at: the first that is not 200 with
 *       EXPECT in it, or does not come, ends the run with status 1. Prints one line of JSON. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    REQUEST_BYTES_MAX = 64 * 1024,
    ANSWER_BYTES_MAX = 64 * 1024,
    SAMPLES_MAX = 1 << 20, /* a thread */
    THREADS_MAX = 64,
    TIMEOUT_S = 10,
};

static _Noreturn void die(const char *what, const char *detail)
{
    fprintf(stderr, "client: %s: %s\n", what, detail);
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ------------------------------------------------------------------ connections */

static SSL_CTX *make_context(const char *ca_file)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL || SSL_CTX_load_verify_file(context, ca_file) != 1)
        die("CA file", ca_file);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    return context;
}

/* NULL with the reason in `why`. */
static SSL *open_tls(SSL_CTX *context, uint16_t port, const char **why)
{
    const struct sockaddr_in address = { .sin_family = AF_INET,
                                         .sin_port = htons(port),
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const struct timeval patience = { .tv_sec = TIMEOUT_S };
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *why = "connect";
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return NULL;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    SSL *ssl = SSL_new(context);
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), "127.0.0.1");
    *why = "TLS handshake";
    if (SSL_set_fd(ssl, fd) != 1 || SSL_connect(ssl) != 1) {
        SSL_free(ssl);
        close(fd);
        return NULL;
    }
    return ssl;
}

static void close_tls(SSL *ssl)
{
    int fd = SSL_get_fd(ssl);
    SSL_shutdown(ssl);
    SSL_free(ssl);
    close(fd);
}

/* ------------------------------------------------------------------ hold */

/* Open: nothing to read but, at most, the tickets of TLS 1.3, which OpenSSL takes by itself. */
static bool is_open(SSL *ssl)
{
    char byte;
    fcntl(SSL_get_fd(ssl), F_SETFL, O_NONBLOCK);
    int count = SSL_read(ssl, &byte, 1);
    return count <= 0 && SSL_get_error(ssl, count) == SSL_ERROR_WANT_READ;
}

static int hold(uint16_t port, const char *ca_file, size_t count)
{
    SSL_CTX *context = make_context(ca_file);
    SSL **all = calloc(count, sizeof(SSL *));
    const char *why = NULL;
    for (size_t i = 0; i < count; i++) {
        all[i] = open_tls(context, port, &why);
        if (all[i] == NULL)
            die(why, strerror(errno));
    }
    printf("ready\n");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    size_t open = 0;
    for (size_t i = 0; i < count; i++)
        open += is_open(all[i]);
    printf("%zu\n", open);
    return 0;
}

/* ------------------------------------------------------------------ ask */

struct plan {
    SSL_CTX *context;
    uint16_t port;
    char request[REQUEST_BYTES_MAX];
    int request_bytes;
    const char *expect;
    int64_t end_ns;
};

struct asker {
    const struct plan *plan;
    pthread_t thread;
    SSL *ssl;
    char answer[ANSWER_BYTES_MAX];
    uint64_t connections, answers;
    uint32_t *samples_us; /* of the first ones */
    size_t sample_count;
};

/* Reads one answer; false when the connection ends before its end. */
static bool receive(struct asker *asker)
{
    size_t received = 0, whole = 0;
    while (whole == 0 || received < whole) {
        int count = SSL_read(asker->ssl, asker->answer + received,
                             (int)(sizeof(asker->answer) - 1 - received));
        if (count <= 0)
            return false;
        received += (size_t)count;
        asker->answer[received] = '\0';
        const char *end = strstr(asker->answer, "\r\n\r\n");
        const char *length = strcasestr(asker->answer, "\r\nContent-Length:");
        if (end != NULL && length != NULL && length < end)
            whole = (size_t)(end + 4 - asker->answer) + strtoul(length + 17, NULL, 10);
    }
    return true;
}

static void ask_once(struct asker *asker)
{
    const struct plan *plan = asker->plan;
    const char *why = NULL;
    if (asker->ssl == NULL) {
        asker->ssl = open_tls(plan->context, plan->port, &why);
        if (asker->ssl == NULL)
            die(why, strerror(errno));
        asker->connections++;
    }
    int64_t begin_ns = now_ns();
    if (SSL_write(asker->ssl, plan->request, plan->request_bytes) != plan->request_bytes)
        die("a request was not taken", "the connection had ended without notice");
    if (!receive(asker))
        die("no answer", "the connection ended or nothing came");
    if (strncmp(asker->answer, "HTTP/1.1 200 ", 13) != 0 ||
        strstr(asker->answer, plan->expect) == NULL)
        die("a wrong answer", asker->answer);
    asker->answers++;
    if (asker->sample_count < SAMPLES_MAX)
        asker->samples_us[asker->sample_count++] = (uint32_t)((now_ns() - begin_ns) / 1000);
    if (strcasestr(asker->answer, "\r\nConnection: close") != NULL) {
        close_tls(asker->ssl);
        asker->ssl = NULL;
    }
}

static void *ask_on(void *argument)
{
    struct asker *asker = argument;
    while (now_ns() < asker->plan->end_ns)
        ask_once(asker);
    if (asker->ssl != NULL)
        close_tls(asker->ssl);
    return NULL;
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void print_figures(struct asker *askers, size_t count, double seconds)
{
    size_t total = 0;
    uint64_t connections = 0, answers = 0;
    for (size_t i = 0; i < count; i++) {
        total += askers[i].sample_count;
        answers += askers[i].answers;
        connections += askers[i].connections;
    }
    uint32_t *all = calloc(total + 1, sizeof(*all));
    size_t filled = 0;
    for (size_t i = 0; i < count; i++) {
        memcpy(all + filled, askers[i].samples_us, askers[i].sample_count * sizeof(*all));
        filled += askers[i].sample_count;
    }
    qsort(all, total, sizeof(*all), by_size);
    printf("{\"answers\": %llu, \"rate\": %.1f, \"connections\": %llu, \"p50_ms\": %.3f, "
           "\"p99_ms\": %.3f, \"max_ms\": %.3f}\n",
           (unsigned long long)answers, (double)answers / seconds, (unsigned long long)connections,
           all[total / 2] / 1e3, all[total * 99 / 100] / 1e3, all[total > 0 ? total - 1 : 0] / 1e3);
}

static void make_request(struct plan *plan, const char *path, const char *body_file)
{
    static char body[REQUEST_BYTES_MAX / 2];
    FILE *file = fopen(body_file, "r");
    if (file == NULL)
        die(body_file, strerror(errno));
    size_t bytes = fread(body, 1, sizeof(body), file);
    fclose(file);
    plan->request_bytes =
        snprintf(plan->request, sizeof(plan->request),
                 "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                 "Content-Length: %zu\r\n\r\n%.*s",
                 path, bytes, (int)bytes, body);
}

static int ask(char **argv)
{
    static struct plan plan;
    static struct asker askers[THREADS_MAX];
    size_t count = strtoul(argv[5], NULL, 10);
    double seconds = strtod(argv[6], NULL);
    if (count == 0 || count > THREADS_MAX)
        die("CONNECTIONS", "from 1 to 64");
    plan.port = (uint16_t)strtoul(argv[0], NULL, 10);
    plan.context = make_context(argv[2]);
    plan.expect = argv[4];
    make_request(&plan, argv[1], argv[3]);
    plan.end_ns = now_ns() + (int64_t)(seconds * 1e9);
    for (size_t i = 0; i < count; i++) {
        askers[i].plan = &plan;
        askers[i].samples_us = calloc(SAMPLES_MAX, sizeof(uint32_t));
        if (pthread_create(&askers[i].thread, NULL, ask_on, &askers[i]) != 0)
            die("thread", strerror(errno));
    }
    for (size_t i = 0; i < count; i++)
        pthread_join(askers[i].thread, NULL);
    print_figures(askers, count, seconds);
    return 0;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc == 5 && strcmp(argv[1], "hold") == 0)
        return hold((uint16_t)strtoul(argv[2], NULL, 10), argv[3], strtoul(argv[4], NULL, 10));
    if (argc == 9 && strcmp(argv[1], "ask") == 0)
        return ask(argv + 2);
    fprintf(stderr, "usage: client hold PORT CA COUNT\n"
                    "       client ask PORT PATH CA BODY EXPECT CONNECTIONS SECONDS\n");
    return 2;
}
