#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/memory.h"

static enum error_code code_of_errno(int number)
{
    switch (number) {
    case ENOENT:
    case ENOTDIR:
        return ERR_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_FORBIDDEN;
    default:
        return ERR_UNAVAILABLE;
    }
}

static int fail(struct error *err, const char *action, const char *path)
{
    int number = errno;
    return error_set(err, code_of_errno(number), "cannot %s %s: %s", action, path,
                     strerror(number));
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

int file_read(const char *path, struct buf *out, struct error *err)
{
    __attribute__((cleanup(close_fd))) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(err, "read", path);
    for (;;) {
        char chunk[4096];
        ssize_t count = read(fd, chunk, sizeof(chunk));
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return fail(err, "read", path);
        if (count == 0)
            return 0;
        if (buf_append(out, chunk, (size_t)count) < 0)
            return error_set(err, ERR_TOO_LARGE, "%s is larger than %zu bytes", path,
                             out->bytes_max);
    }
}

static int write_all(int fd, const char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t done = write(fd, bytes, count);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -1;
        bytes += done;
        count -= (size_t)done;
    }
    return 0;
}

int file_write(const char *path, mode_t mode, const void *bytes, size_t count, struct error *err)
{
    AUTO_FREE char *temporary = mem_printf("%s.XXXXXX", path);
    __attribute__((cleanup(close_fd))) int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return fail(err, "write", path);
    if (fchmod(fd, mode) < 0 || write_all(fd, bytes, count) < 0 || fsync(fd) < 0 ||
        rename(temporary, path) < 0) {
        fail(err, "write", path);
        unlink(temporary);
        return -1;
    }
    return 0;
}

int file_make_directory(const char *path, mode_t mode, struct error *err)
{
    AUTO_FREE char *partial = mem_strdup(path);
    char *slash = partial;
    for (;;) {
        slash = *slash != '\0' ? strchr(slash + 1, '/') : NULL;
        if (slash != NULL)
            *slash = '\0';
        struct stat found;
        if (mkdir(partial, mode) < 0 &&
            (errno != EEXIST || stat(partial, &found) < 0 || !S_ISDIR(found.st_mode)))
            return fail(err, "make directory", partial);
        if (slash == NULL)
            return 0;
        *slash = '/';
    }
}
