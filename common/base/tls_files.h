/* A folder as cert-manager and `kubectl create secret tls` fill it: tls.crt, tls.key and, where
 * peers prove themselves too, ca.crt. Used by whoever listens or dials with TLS. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/compiler.h"
#include "common/base/error.h"

enum { TLS_FILE_BYTES_MAX = 256 * 1024 };

struct tls_files {
    char *certificate_pem;
    char *key_pem;
    char *authority_pem; /* NULL unless asked for */
};

/* Reads the files and sees that certificate and key (and authority) fit together. NOT_FOUND,
 * FORBIDDEN or TOO_LARGE naming the file, INVALID naming the folder and what does not fit. */
MUST_CHECK int tls_files_read(const char *dir, bool with_authority, struct tls_files *out,
                              struct error *err);

/* The two halves of it, for who has another library look at the files first and asks what is wrong
 * with them only when it refuses them: OpenSSL's part in that is 2.5 MiB of its code. */
MUST_CHECK int tls_files_load(const char *dir, bool with_authority, struct tls_files *out,
                              struct error *err);
MUST_CHECK int tls_files_check(const char *dir, const struct tls_files *files, struct error *err);

void tls_files_fini(struct tls_files *files);
DEFINE_CLEANUP(tls_files, struct tls_files, tls_files_fini)

/* Changes when one of the files is replaced, written, removed or made readable; three stat(2). Take
 * it before reading: what changes in between then shows at the next look. */
uint64_t tls_files_stamp(const char *dir);
