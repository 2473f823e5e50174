#include "common/base/stop.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

void stop_init(struct stop *stop)
{
    atomic_init(&stop->raised, false);
    stop->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert(stop->fd >= 0);
}

void stop_fini(struct stop *stop)
{
    if (stop->fd >= 0)
        close(stop->fd);
    stop->fd = -1;
}

void stop_raise(struct stop *stop)
{
    atomic_store_explicit(&stop->raised, true, memory_order_release);
    uint64_t one = 1;
    ssize_t ignored = write(stop->fd, &one, sizeof(one));
    (void)ignored; /* the counter can only be full, and then the descriptor is readable already */
}

bool stop_wait(struct stop *stop, int64_t ms)
{
    struct pollfd wait = { .fd = stop->fd, .events = POLLIN };
    int timeout = ms < 0 ? -1 : ms > INT_MAX ? INT_MAX : (int)ms;
    while (poll(&wait, 1, timeout) < 0 && errno == EINTR)
        ;
    return stop_raised(stop);
}
