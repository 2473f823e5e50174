#include "common/http/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/memory.h"

enum { BACKLOG = 512, PORT_MAX = 65535 };

static int parse_port(const char *text)
{
    char *end = NULL;
    long port = strtol(text, &end, 10);
    bool digits = text[0] >= '0' && text[0] <= '9' && *end == '\0';
    return digits && port <= PORT_MAX ? (int)port : -1;
}

/* "host:port" or "[v6]:port" taken apart; an empty host is every address. */
static int split(const char *address, char **host_out, const char **port_out)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || parse_port(colon + 1) < 0)
        return -1;
    size_t length = (size_t)(colon - address);
    bool bracketed = length >= 2 && address[0] == '[' && colon[-1] == ']';
    if (!bracketed && memchr(address, ':', length) != NULL)
        return -1;
    *host_out = bracketed ? mem_strndup(address + 1, length - 2) : mem_strndup(address, length);
    *port_out = colon + 1;
    return 0;
}

static int resolve(const char *address, struct addrinfo **out)
{
    AUTO_FREE char *host = NULL;
    const char *port = NULL;
    const struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
                                    .ai_socktype = SOCK_STREAM };
    if (split(address, &host, &port) < 0)
        return -1;
    return getaddrinfo(host[0] != '\0' ? host : NULL, port, &hints, out) == 0 ? 0 : -1;
}

static int bind_and_listen(int fd, const struct addrinfo *where)
{
    const int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(fd, where->ai_addr, where->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
        return -1;
    return 0;
}

static uint16_t bound_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = { .any = { .sa_family = AF_UNSPEC } };
    socklen_t bytes = sizeof(address);
    getsockname(fd, &address.any, &bytes); /* cannot fail on a bound socket */
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

static int fail(const char *address, const char *flag, int number, struct error *err)
{
    const char *before = flag != NULL ? flag : "";
    const char *space = flag != NULL ? ": " : "";
    switch (number) {
    case EADDRINUSE:
        return error_set(err, ERR_UNAVAILABLE,
                         "%s%scannot listen on %s: address in use; choose another", before, space,
                         address);
    case EACCES:
        return error_set(err, ERR_FORBIDDEN,
                         "%s%scannot listen on %s: no permission; choose a port from 1024 up",
                         before, space, address);
    case EADDRNOTAVAIL:
        return error_set(err, ERR_INVALID,
                         "%s%scannot listen on %s: not an address of this machine", before, space,
                         address);
    default:
        return error_set(err, ERR_UNAVAILABLE, "%s%scannot listen on %s: %s", before, space,
                         address, strerror(number));
    }
}

int listen_open(const char *address, const char *flag, int *fd_out, uint16_t *port_out,
                struct error *err)
{
    struct addrinfo *where = NULL;
    if (resolve(address, &where) < 0)
        return error_set(err, ERR_INVALID,
                         "%s%s\"%s\" is no address to listen on; write HOST:PORT, for example "
                         "0.0.0.0:9443",
                         flag != NULL ? flag : "", flag != NULL ? ": " : "", address);
    int fd = socket(where->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int result = fd < 0 ? -1 : bind_and_listen(fd, where);
    int number = errno;
    freeaddrinfo(where);
    if (result < 0) {
        if (fd >= 0)
            close(fd);
        return fail(address, flag, number, err);
    }
    *fd_out = fd;
    *port_out = bound_port(fd);
    return 0;
}
