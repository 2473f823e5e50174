/* Small files: certificates, tokens, kubeconfigs, catalogue data. Blocks on disk only. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "common/base/buf.h"
#include "common/base/error.h"

/* Reads a whole file into `out` (bounded by its bytes_max). Errors name the path:
 * NOT_FOUND, FORBIDDEN, TOO_LARGE, UNAVAILABLE. */
MUST_CHECK int file_read(const char *path, struct buf *out, struct error *err);

/* Replaces the file in one step (temporary file, fsync, rename), so that a reader or a crash sees
 * the old or the new content and nothing else. */
MUST_CHECK int file_write(const char *path, mode_t mode, const void *bytes, size_t count,
                          struct error *err);

/* mkdir -p. */
MUST_CHECK int file_make_directory(const char *path, mode_t mode, struct error *err);
