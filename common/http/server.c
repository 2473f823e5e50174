#include "common/http/server.h"

#include <errno.h>
#include <malloc.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/mutex.h"
#include "common/base/stop.h"
#include "common/base/tls_files.h"
#include "common/http/exchange.h"
#include "common/http/listen.h"

enum {
    CONNECTION_BYTES = 64 * 1024,
    STACK_BYTES = 512 * 1024, /* touched pages count, not these */
    RETIRE_MIN_MS = 1000,
    RETIRE_MAX_MS = 60 * 1000,
    ACCEPT_PAUSE_MS = 100,
    STOP_LOOK_MS = 2,
    CROWD = 32,             /* connections whose memory is worth giving back */
    DESCRIPTORS_OTHER = 64, /* that are no connections */
};

static const char tls_priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-SHA1";

/* One MHD daemon and the certificate it was started with. A new certificate is a new daemon; the
 * old one takes no more connections and is stopped when its last one has ended. */
struct generation {
    struct MHD_Daemon *daemon;
    struct exchange_context exchanges;
    atomic_uint connections;
    int64_t retired_ms;
    struct generation *next;
};

/* The daemons do not listen: MHD 0.9.75 can abort when a listening daemon of several threads is
 * quiesced under load. One thread accepts and hands each connection to the current daemon. */
struct http_server {
    struct http_server_options options;
    char *tls_dir; /* NULL: plain HTTP */
    uint64_t stamp;
    int fd;
    uint16_t port;
    struct stop stop;
    pthread_t acceptor;
    struct mutex mutex;
    struct generation *current; /* guarded by mutex */
    struct generation *retired; /* the reloading thread's */
    unsigned crowd; /* the reloading thread's: most connections since memory was given back */
};

/* ------------------------------------------------------------------ daemons */

static void log_mhd(void *closure, const char *format, va_list args)
{
    (void)closure;
    char text[256];
    if (!log_enabled(LOG_DEBUG))
        return;
    vsnprintf(text, sizeof(text), format, args);
    text[strcspn(text, "\n")] = '\0';
    log_debug("http", "libmicrohttpd", KV("text", text));
}

static void count_connection(void *closure, struct MHD_Connection *connection, void **slot,
                             enum MHD_ConnectionNotificationCode code)
{
    (void)connection, (void)slot;
    struct generation *generation = closure;
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        atomic_fetch_add(&generation->connections, 1);
    else
        atomic_fetch_sub(&generation->connections, 1);
}

static struct MHD_Daemon *start_daemon(const struct http_server *server,
                                       struct generation *generation, const struct tls_files *files)
{
    const struct http_server_options *options = &server->options;
    unsigned flags =
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG;
    struct MHD_OptionItem items[8] = {
        { MHD_OPTION_CONNECTION_LIMIT, options->connections_max, NULL },
        { MHD_OPTION_CONNECTION_TIMEOUT, options->idle_timeout_s, NULL },
        { MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_BYTES, NULL },
        { MHD_OPTION_THREAD_STACK_SIZE, STACK_BYTES, NULL },
    };
    size_t count = 4;
    if (options->threads > 1) /* MHD calls a pool of one an error */
        items[count++] =
            (struct MHD_OptionItem){ MHD_OPTION_THREAD_POOL_SIZE, options->threads, NULL };
    if (files != NULL) {
        flags |= MHD_USE_TLS;
        items[count++] =
            (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_CERT, 0, files->certificate_pem };
        items[count++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_KEY, 0, files->key_pem };
    }
    items[count] = (struct MHD_OptionItem){ MHD_OPTION_END, 0, NULL };
    const enum MHD_OPTION priorities = files != NULL ? MHD_OPTION_HTTPS_PRIORITIES : MHD_OPTION_END;
    return MHD_start_daemon(flags, 0, NULL, NULL, exchange_access, &generation->exchanges,
                            MHD_OPTION_EXTERNAL_LOGGER, log_mhd, NULL, MHD_OPTION_ARRAY, items,
                            MHD_OPTION_NOTIFY_COMPLETED, exchange_completed, &generation->exchanges,
                            MHD_OPTION_NOTIFY_CONNECTION, count_connection, generation, priorities,
                            tls_priorities, MHD_OPTION_END);
}

/* GnuTLS has refused the certificate, or there is no room for another daemon. */
static int explain_no_daemon(const struct http_server *server, const struct tls_files *files,
                             struct error *err)
{
    if (server->tls_dir != NULL && tls_files_check(server->tls_dir, files, err) < 0)
        return -1;
    return error_set(err, ERR_UNAVAILABLE,
                     "cannot start the HTTP server on %s: too few threads, descriptors or memory, "
                     "or a certificate that GnuTLS cannot read",
                     server->options.listen);
}

static int generation_start(struct http_server *server, struct generation **out, struct error *err)
{
    AUTO(tls_files) struct tls_files files = { .key_pem = NULL };
    if (server->tls_dir != NULL) {
        server->stamp = tls_files_stamp(server->tls_dir);
        if (tls_files_load(server->tls_dir, false, &files, err) < 0)
            return -1;
    }
    struct generation *generation = mem_new(struct generation);
    generation->exchanges.routes = server->options.routes;
    generation->exchanges.route_count = server->options.route_count;
    generation->exchanges.body_bytes_max = server->options.body_bytes_max;
    generation->exchanges.idle_timeout_s = server->options.idle_timeout_s;
    generation->daemon = start_daemon(server, generation, server->tls_dir != NULL ? &files : NULL);
    if (generation->daemon == NULL) {
        free(generation);
        return explain_no_daemon(server, &files, err);
    }
    *out = generation;
    return 0;
}

static void generation_stop(struct generation *generation)
{
    MHD_stop_daemon(generation->daemon);
    free(generation);
}

/* ------------------------------------------------------------------ accepting */

/* Takes one connection; false when none waits. */
static bool accept_one(struct http_server *server)
{
    struct sockaddr_storage peer;
    socklen_t bytes = sizeof(peer);
    int fd = accept4(server->fd, (struct sockaddr *)&peer, &bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        bool transient = errno == ECONNABORTED || errno == EINTR;
        if (!transient && errno != EAGAIN)
            stop_wait(&server->stop, ACCEPT_PAUSE_MS); /* no descriptors: others must end first */
        return transient;
    }
    /* Held over the hand-over, which does not block, so that the daemon cannot be retired
     * meanwhile. MHD closes what it cannot take. */
    mutex_lock(&server->mutex);
    MHD_add_connection(server->current->daemon, fd, (const struct sockaddr *)&peer, bytes);
    mutex_unlock(&server->mutex);
    return true;
}

static void *accept_all(void *context)
{
    struct http_server *server = context;
    struct pollfd wait[] = { { .fd = server->fd, .events = POLLIN },
                             { .fd = server->stop.fd, .events = POLLIN } };
    while (!stop_raised(&server->stop)) {
        poll(wait, ARRAY_LEN(wait), -1);
        while (accept_one(server))
            ;
    }
    return NULL;
}

/* ------------------------------------------------------------------ life cycle */

/* Nothing here waits in select(2), so the hard limit is as good as any. */
static void allow_descriptors(rlim_t wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* fewer connections at a time, then */
}

static void server_free(struct http_server *server)
{
    if (server->fd >= 0)
        close(server->fd);
    stop_fini(&server->stop);
    mutex_fini(&server->mutex);
    free(server->tls_dir);
    free(server);
}

static int start(struct http_server *server, struct error *err)
{
    const struct http_server_options *options = &server->options;
    if (listen_open(options->listen, options->flag, &server->fd, &server->port, err) < 0 ||
        generation_start(server, &server->current, err) < 0)
        return -1;
    int result = pthread_create(&server->acceptor, NULL, accept_all, server);
    if (result != 0) {
        generation_stop(server->current);
        return error_set(err, ERR_UNAVAILABLE, "cannot start a thread: %s", strerror(result));
    }
    pthread_setname_np(server->acceptor, "http-accept");
    return 0;
}

int http_server_start(const struct http_server_options *options, struct http_server **out,
                      struct error *err)
{
    struct http_server *server = mem_new(struct http_server);
    server->options = *options;
    server->tls_dir = options->tls_dir != NULL ? mem_strdup(options->tls_dir) : NULL;
    server->fd = -1;
    stop_init(&server->stop);
    mutex_init(&server->mutex);
    allow_descriptors((rlim_t)options->connections_max + DESCRIPTORS_OTHER);
    if (start(server, err) < 0) {
        server_free(server);
        return -1;
    }
    *out = server;
    return 0;
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port;
}

static bool is_over(const struct generation *generation, int64_t now_ms)
{
    int64_t age_ms = now_ms - generation->retired_ms;
    if (age_ms >= RETIRE_MAX_MS)
        return true;
    /* a connection handed over just before is counted a moment later */
    return age_ms >= RETIRE_MIN_MS && atomic_load(&generation->connections) == 0;
}

static void stop_retired(struct http_server *server)
{
    int64_t now_ms = clock_monotonic(clock_system());
    for (struct generation **link = &server->retired; *link != NULL;) {
        struct generation *generation = *link;
        if (!is_over(generation, now_ms)) {
            link = &generation->next;
            continue;
        }
        *link = generation->next;
        generation_stop(generation);
    }
}

/* What thousands of TLS sessions took lies scattered in the heap when they have ended. */
static void give_memory_back(struct http_server *server)
{
    unsigned connections = atomic_load(&server->current->connections);
    for (const struct generation *old = server->retired; old != NULL; old = old->next)
        connections += atomic_load(&old->connections);
    if (connections > server->crowd)
        server->crowd = connections;
    if (server->crowd < CROWD || connections > server->crowd / 2)
        return;
    malloc_trim(0);
    server->crowd = connections;
}

int http_server_reload(struct http_server *server, struct error *err)
{
    stop_retired(server);
    give_memory_back(server);
    if (server->tls_dir == NULL || tls_files_stamp(server->tls_dir) == server->stamp)
        return 0;
    struct generation *next = NULL;
    if (generation_start(server, &next, err) < 0)
        return -1;
    mutex_lock(&server->mutex);
    struct generation *old = server->current;
    server->current = next;
    mutex_unlock(&server->mutex);
    old->retired_ms = clock_monotonic(clock_system());
    old->next = server->retired;
    server->retired = old;
    atomic_store(&old->exchanges.draining, true);
    return 1;
}

static unsigned active_requests(const struct generation *generation)
{
    unsigned active = 0;
    for (; generation != NULL; generation = generation->next)
        active += atomic_load(&generation->exchanges.active);
    return active;
}

void http_server_stop(struct http_server *server, int64_t grace_ms)
{
    if (server == NULL)
        return;
    stop_raise(&server->stop);
    pthread_join(server->acceptor, NULL);
    close(server->fd);
    server->fd = -1;

    struct generation *all = server->current;
    all->next = server->retired;
    atomic_store(&all->exchanges.draining, true);
    int64_t deadline_ms = clock_monotonic(clock_system()) + grace_ms;
    while (active_requests(all) > 0 && clock_monotonic(clock_system()) < deadline_ms)
        usleep(STOP_LOOK_MS * 1000);
    while (all != NULL) {
        struct generation *next = all->next;
        generation_stop(all);
        all = next;
    }
    server_free(server);
}
