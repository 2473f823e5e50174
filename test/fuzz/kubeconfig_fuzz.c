/* Kubeconfigs: loading is total; what is accepted has a server without a trailing slash and a
 * namespace, and an error says something. Credentials are not asked for: that would run what the
 * file names. */
#include <sys/mman.h>
#include <unistd.h>

#include "common/k8s/kubeconfig.h"
#include "test/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Files that the input names are read: not those of the machine. */
    if (memmem(data, size, "/dev", 4) != NULL || memmem(data, size, "/proc", 5) != NULL)
        return 0;
    int fd = memfd_create("kubeconfig", MFD_CLOEXEC);
    HOLDS(fd >= 0);
    HOLDS(size == 0 || write(fd, data, size) == (ssize_t)size);
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);

    struct error err = ERROR_INIT;
    AUTO(kubeconfig) struct kubeconfig *config = NULL;
    if (kubeconfig_load(path, clock_system(), &config, &err) < 0) {
        HOLDS(config == NULL);
        HOLDS(err.message[0] != '\0');
    } else {
        size_t length = strlen(config->server);
        HOLDS(length > 7 && config->server[length - 1] != '/');
        HOLDS(config->namespace_ != NULL);
    }
    close(fd);
    return 0;
}
