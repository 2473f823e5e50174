#include "common/msg/endpoint.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <nng/transport/ipc/ipc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/metrics.h"
#include "common/base/tls_files.h"

enum {
    RECONNECT_MIN_MS = 50,
    RECONNECT_MAX_MS = 1000,
    LOOK_MS = 1000,        /* how often the watching thread looks */
    LONELY_LOOKS_MAX = 3,  /* so many looks without a peer: dial anew */
    HEADER_BYTES_MAX = 64, /* what nng's protocols put before the text */
    TYPE_BYTES_MAX = 32,
    IPC_PATH_BYTES_MAX = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1,
};

enum error_code endpoint_error_code(int nng_result)
{
    switch (nng_result) {
    case NNG_ETIMEDOUT:
        return ERR_TIMEOUT;
    case NNG_ECANCELED:
    case NNG_ECLOSED:
        return ERR_CANCELLED;
    case NNG_EPERM:
    case NNG_EPEERAUTH:
        return ERR_FORBIDDEN;
    case NNG_EADDRINVAL:
    case NNG_EINVAL:
        return ERR_INVALID;
    default:
        return ERR_UNAVAILABLE;
    }
}

static int fail(int result, const struct endpoint *endpoint, struct error *err)
{
    return error_set(err, endpoint_error_code(result), "cannot %s %s: %s",
                     endpoint->role->listens ? "listen on" : "dial", endpoint->url,
                     nng_strerror(result));
}

void endpoint_count(const char *type, const char *outcome)
{
    size_t length = 0;
    while (isalpha((unsigned char)type[length]))
        length++;
    bool plain = type[length] == '\0' && length > 0 && length <= TYPE_BYTES_MAX;
    METRIC_INC(METRIC_MESSAGES_TOTAL, plain ? type : "other", outcome);
}

nng_msg *endpoint_message(const char *text, struct error *err)
{
    size_t length = strlen(text);
    nng_msg *message = NULL;
    if (length > MESSAGE_BYTES_MAX) {
        error_set(err, ERR_TOO_LARGE, "message of %zu bytes; at most %d are sent", length,
                  MESSAGE_BYTES_MAX);
        return NULL;
    }
    if (nng_msg_alloc(&message, length) != 0)
        mem_exhausted();
    memcpy(nng_msg_body(message), text, length);
    return message;
}

void endpoint_probe(struct endpoint *endpoint, struct buf *reasons)
{
    char problem[sizeof(endpoint->problem)];
    mutex_lock(&endpoint->mutex);
    memcpy(problem, endpoint->problem, sizeof(problem));
    mutex_unlock(&endpoint->mutex);
    if (problem[0] != '\0')
        buf_printf(reasons, "%s: %s\n", endpoint->url, problem);
}

/* ------------------------------------------------------------------ URLs */

static bool has_scheme(const char *url, const char *scheme)
{
    return strncmp(url, scheme, strlen(scheme)) == 0;
}

static bool is_tls(const char *url)
{
    return has_scheme(url, "tls+tcp://");
}

/* The name that the peer's certificate must carry: the host of the URL. */
static int server_name(const char *url, char **out, struct error *err)
{
    const char *host = strstr(url, "://") + 3;
    size_t length = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/");
    AUTO_FREE char *name = mem_strndup(host, length);
    struct in_addr address;
    if (name[0] == '[' || inet_pton(AF_INET, name, &address) == 1)
        return error_set(err, ERR_INVALID,
                         "%s: write the peer's DNS name; an address cannot be compared with a "
                         "certificate here",
                         url);
    *out = STEAL(name);
    return 0;
}

static int check_tls_url(const struct endpoint_role *role, const struct socket_options *options,
                         struct error *err)
{
    if (options->tls_dir == NULL || options->tls_dir[0] == '\0')
        return error_set(err, ERR_INVALID, "%s: needs a folder with ca.crt, tls.crt and tls.key",
                         options->url);
    AUTO_FREE char *name = NULL;
    return role->listens ? 0 : server_name(options->url, &name, err);
}

static int check_url(const struct endpoint_role *role, const struct socket_options *options,
                     struct error *err)
{
    const char *url = options->url;
    if (has_scheme(url, "inproc://"))
        return 0;
    if (has_scheme(url, "ipc://")) {
        size_t length = strlen(url) - strlen("ipc://");
        if (length == 0 || length > IPC_PATH_BYTES_MAX)
            return error_set(err, ERR_INVALID,
                             "%s: the path has %zu bytes; 1 to %zu are possible for a socket", url,
                             length, (size_t)IPC_PATH_BYTES_MAX);
        return 0;
    }
    if (is_tls(url))
        return check_tls_url(role, options, err);
    if (has_scheme(url, "tcp://"))
        return error_set(err, ERR_INVALID,
                         "%s: plain TCP is refused, because anybody could join; write tls+tcp://",
                         url);
    return error_set(err, ERR_INVALID,
                     "\"%s\" is no message URL; write inproc://NAME, ipc:///PATH or "
                     "tls+tcp://HOST:PORT",
                     url);
}

/* ------------------------------------------------------------------ tls+tcp */

static int make_config(const struct endpoint *endpoint, nng_tls_config **out, struct error *err)
{
    AUTO(tls_files) struct tls_files files = { .key_pem = NULL };
    AUTO_FREE char *name = NULL;
    nng_tls_config *config = NULL;
    bool listens = endpoint->role->listens;
    if (tls_files_read(endpoint->tls_dir, true, &files, err) < 0 ||
        (!listens && server_name(endpoint->url, &name, err) < 0))
        return -1;
    int result = nng_tls_config_alloc(&config, listens ? NNG_TLS_MODE_SERVER : NNG_TLS_MODE_CLIENT);
    if (result != 0)
        return fail(result, endpoint, err);
    if ((result = nng_tls_config_auth_mode(config, NNG_TLS_AUTH_MODE_REQUIRED)) != 0 ||
        (result = nng_tls_config_ca_chain(config, files.authority_pem, NULL)) != 0 ||
        (result = nng_tls_config_own_cert(config, files.certificate_pem, files.key_pem, NULL)) !=
            0 ||
        (!listens && (result = nng_tls_config_server_name(config, name)) != 0)) {
        nng_tls_config_free(config);
        return fail(result, endpoint, err);
    }
    *out = config;
    return 0;
}

static int start_listener(struct endpoint *endpoint, nng_tls_config *config)
{
    nng_listener listener;
    int result = nng_listener_create(&listener, endpoint->socket, endpoint->url);
    if (result != 0)
        return result;
    if ((result = nng_listener_set_ptr(listener, NNG_OPT_TLS_CONFIG, config)) != 0 ||
        (result = nng_listener_start(listener, 0)) != 0) {
        nng_listener_close(listener);
        return result;
    }
    endpoint->listener = listener;
    return 0;
}

static int start_dialer(struct endpoint *endpoint, nng_tls_config *config)
{
    nng_dialer dialer;
    int result = nng_dialer_create(&dialer, endpoint->socket, endpoint->url);
    if (result != 0)
        return result;
    if ((result = nng_dialer_set_ptr(dialer, NNG_OPT_TLS_CONFIG, config)) != 0 ||
        (result = nng_dialer_start(dialer, NNG_FLAG_NONBLOCK)) != 0) {
        nng_dialer_close(dialer);
        return result;
    }
    endpoint->dialer = dialer;
    return 0;
}

static int apply_config(struct endpoint *endpoint, nng_tls_config *config)
{
    bool listens = endpoint->role->listens;
    if (endpoint->attached)
        return listens ? nng_listener_set_ptr(endpoint->listener, NNG_OPT_TLS_CONFIG, config)
                       : nng_dialer_set_ptr(endpoint->dialer, NNG_OPT_TLS_CONFIG, config);
    return listens ? start_listener(endpoint, config) : start_dialer(endpoint, config);
}

/* nng 1.5 reads the configuration of a new connection without a lock and takes its reference a
 * moment later; so the one before is kept until the next change. */
static void keep_config(struct endpoint *endpoint, nng_tls_config *config)
{
    if (endpoint->previous != NULL)
        nng_tls_config_free(endpoint->previous);
    endpoint->previous = endpoint->config;
    endpoint->config = config;
}

/* `config` is consumed. */
static int attach_tls(struct endpoint *endpoint, nng_tls_config *config, struct error *err)
{
    int result = apply_config(endpoint, config);
    if (result != 0) {
        nng_tls_config_free(config);
        return fail(result, endpoint, err);
    }
    endpoint->attached = true;
    keep_config(endpoint, config);
    return 0;
}

static void set_problem(struct endpoint *endpoint, const char *problem)
{
    mutex_lock(&endpoint->mutex);
    snprintf(endpoint->problem, sizeof(endpoint->problem), "%s", problem);
    mutex_unlock(&endpoint->mutex);
}

static void refresh_tls(struct endpoint *endpoint)
{
    struct error err = ERROR_INIT;
    nng_tls_config *config = NULL;
    endpoint->stamp = tls_files_stamp(endpoint->tls_dir);
    if (make_config(endpoint, &config, &err) < 0 || attach_tls(endpoint, config, &err) < 0) {
        set_problem(endpoint, err.message);
        log_debug("msg", "certificate not usable", KV("url", endpoint->url), KVERR(&err));
        return;
    }
    set_problem(endpoint, "");
    log_debug("msg", "certificate taken", KV("url", endpoint->url));
}

/* ------------------------------------------------------------------ watching */

int endpoint_start_thread(pthread_t *out, const char *name, void *(*run)(void *), void *context,
                          struct error *err)
{
    int result = pthread_create(out, NULL, run, context);
    if (result != 0)
        return error_set(err, ERR_UNAVAILABLE, "cannot start thread %s: %s", name,
                         strerror(result));
    pthread_setname_np(*out, name);
    return 0;
}

/* nng 1.5 gives a dialer up for good, in silence, when the peer dies in the middle of the handshake
 * (its "closed" is taken for ours). So one that has been without a peer for a while is replaced. */
static void dial_anew(struct endpoint *endpoint)
{
    endpoint->lonely_looks = 0;
    nng_dialer_close(endpoint->dialer);
    int result = endpoint->tls_dir != NULL ? start_dialer(endpoint, endpoint->config)
                                           : nng_dial(endpoint->socket, endpoint->url,
                                                      &endpoint->dialer, NNG_FLAG_NONBLOCK);
    if (result != 0)
        log_debug("msg", "cannot dial", KV("url", endpoint->url),
                  KV("error", nng_strerror(result)));
}

static void *watch(void *context)
{
    struct endpoint *endpoint = context;
    while (!stop_wait(&endpoint->stop, LOOK_MS)) {
        bool tls = endpoint->tls_dir != NULL;
        if (tls && (!endpoint->attached || tls_files_stamp(endpoint->tls_dir) != endpoint->stamp))
            refresh_tls(endpoint);
        if (endpoint->role->listens || (tls && !endpoint->attached))
            continue;
        if (atomic_load(&endpoint->peers) > 0)
            endpoint->lonely_looks = 0;
        else if (++endpoint->lonely_looks >= LONELY_LOOKS_MAX)
            dial_anew(endpoint);
    }
    return NULL;
}

static int start_watching(struct endpoint *endpoint, struct error *err)
{
    if (endpoint_start_thread(&endpoint->watcher, "msg-watch", watch, endpoint, err) < 0)
        return -1;
    endpoint->watching = true;
    return 0;
}

/* ------------------------------------------------------------------ attaching */

/* A certificate that is not there (yet) is waited for; an address that cannot be used is an error.
 */
static int open_tls(struct endpoint *endpoint, struct error *err)
{
    struct error problem = ERROR_INIT;
    nng_tls_config *config = NULL;
    endpoint->stamp = tls_files_stamp(endpoint->tls_dir);
    if (make_config(endpoint, &config, &problem) < 0) {
        set_problem(endpoint, problem.message);
        log_debug("msg", "waiting for a certificate", KV("url", endpoint->url), KVERR(&problem));
    } else if (attach_tls(endpoint, config, err) < 0) {
        return -1;
    }
    return start_watching(endpoint, err);
}

static int make_socket_directory(const char *url, struct error *err)
{
    const char *path = url + strlen("ipc://");
    const char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path)
        return 0;
    AUTO_FREE char *directory = mem_strndup(path, (size_t)(slash - path));
    return file_make_directory(directory, 0750, err);
}

/* The library takes over the path of a listener that is gone, and refuses one that still answers.
 */
static int attach_plain(struct endpoint *endpoint, struct error *err)
{
    int result;
    if (!endpoint->role->listens) {
        result = nng_dial(endpoint->socket, endpoint->url, &endpoint->dialer, NNG_FLAG_NONBLOCK);
        return result == 0 ? start_watching(endpoint, err) : fail(result, endpoint, err);
    }
    bool ipc = has_scheme(endpoint->url, "ipc://");
    if (ipc && make_socket_directory(endpoint->url, err) < 0)
        return error_wrap(err, "%s", endpoint->url);
    nng_listener listener;
    if ((result = nng_listener_create(&listener, endpoint->socket, endpoint->url)) != 0 ||
        (ipc && (result = nng_listener_set_int(listener, NNG_OPT_IPC_PERMISSIONS, 0600)) != 0) ||
        (result = nng_listener_start(listener, 0)) != 0)
        return fail(result, endpoint, err);
    return 0;
}

/* ------------------------------------------------------------------ life cycle */

static void peer_changed(nng_pipe pipe, nng_pipe_ev event, void *context)
{
    (void)pipe;
    struct endpoint *endpoint = context;
    atomic_fetch_add(&endpoint->peers, event == NNG_PIPE_EV_ADD_PRE ? 1 : -1);
}

static int open_socket(struct endpoint *endpoint, struct error *err)
{
    nng_socket socket;
    int result = endpoint->role->open(&socket);
    if (result != 0)
        return fail(result, endpoint, err);
    if ((result = nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ,
                                      MESSAGE_BYTES_MAX + HEADER_BYTES_MAX)) != 0 ||
        (result = nng_socket_set_ms(socket, NNG_OPT_RECONNMINT, RECONNECT_MIN_MS)) != 0 ||
        (result = nng_socket_set_ms(socket, NNG_OPT_RECONNMAXT, RECONNECT_MAX_MS)) != 0 ||
        (result = nng_pipe_notify(socket, NNG_PIPE_EV_ADD_PRE, peer_changed, endpoint)) != 0 ||
        (result = nng_pipe_notify(socket, NNG_PIPE_EV_REM_POST, peer_changed, endpoint)) != 0 ||
        (endpoint->role->configure != NULL && (result = endpoint->role->configure(socket)) != 0)) {
        nng_close(socket);
        return fail(result, endpoint, err);
    }
    endpoint->socket = socket;
    return 0;
}

int endpoint_open(struct endpoint *endpoint, const struct endpoint_role *role,
                  const struct socket_options *options, struct error *err)
{
    if (check_url(role, options, err) < 0)
        return -1;
    *endpoint = (struct endpoint){ .role = role, .url = mem_strdup(options->url) };
    if (open_socket(endpoint, err) < 0) {
        free(endpoint->url);
        return -1;
    }
    mutex_init(&endpoint->mutex);
    stop_init(&endpoint->stop);
    int result;
    if (is_tls(options->url)) {
        endpoint->tls_dir = mem_strdup(options->tls_dir);
        result = open_tls(endpoint, err);
    } else {
        result = attach_plain(endpoint, err);
    }
    if (result < 0)
        endpoint_close(endpoint);
    return result;
}

void endpoint_close(struct endpoint *endpoint)
{
    stop_raise(&endpoint->stop);
    if (endpoint->watching)
        pthread_join(endpoint->watcher, NULL);
    nng_close(endpoint->socket);
    if (endpoint->config != NULL)
        nng_tls_config_free(endpoint->config);
    if (endpoint->previous != NULL)
        nng_tls_config_free(endpoint->previous);
    stop_fini(&endpoint->stop);
    mutex_fini(&endpoint->mutex);
    free(endpoint->tls_dir);
    free(endpoint->url);
}
