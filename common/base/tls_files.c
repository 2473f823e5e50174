#include "common/base/tls_files.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/buf.h"
#include "common/base/certificate.h"
#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/memory.h"

static int read_text(const char *dir, const char *name, char **out, struct error *err)
{
    AUTO_FREE char *path = mem_printf("%s/%s", dir, name);
    AUTO(buf) struct buf text = BUF_INIT(TLS_FILE_BYTES_MAX);
    if (file_read(path, &text, err) < 0)
        return -1;
    *out = buf_take(&text);
    return 0;
}

int tls_files_load(const char *dir, bool with_authority, struct tls_files *out, struct error *err)
{
    AUTO(tls_files) struct tls_files files = { .certificate_pem = NULL };
    if (read_text(dir, "tls.crt", &files.certificate_pem, err) < 0 ||
        read_text(dir, "tls.key", &files.key_pem, err) < 0 ||
        (with_authority && read_text(dir, "ca.crt", &files.authority_pem, err) < 0))
        return -1;
    *out = files;
    files = (struct tls_files){ .certificate_pem = NULL };
    return 0;
}

int tls_files_check(const char *dir, const struct tls_files *files, struct error *err)
{
    if (certificate_check(files->certificate_pem, files->key_pem, files->authority_pem, NULL, err) <
        0)
        return error_wrap(err, "certificate in %s", dir);
    return 0;
}

int tls_files_read(const char *dir, bool with_authority, struct tls_files *out, struct error *err)
{
    AUTO(tls_files) struct tls_files files = { .certificate_pem = NULL };
    if (tls_files_load(dir, with_authority, &files, err) < 0 ||
        tls_files_check(dir, &files, err) < 0)
        return -1;
    *out = files;
    files = (struct tls_files){ .certificate_pem = NULL };
    return 0;
}

void tls_files_fini(struct tls_files *files)
{
    if (files->key_pem != NULL)
        explicit_bzero(files->key_pem, strlen(files->key_pem));
    free(files->key_pem);
    free(files->certificate_pem);
    free(files->authority_pem);
    *files = (struct tls_files){ .certificate_pem = NULL };
}

uint64_t tls_files_stamp(const char *dir)
{
    static const char *const names[] = { "tls.crt", "tls.key", "ca.crt" };
    int64_t facts[ARRAY_LEN(names)][5] = { { 0 } };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        AUTO_FREE char *path = mem_printf("%s/%s", dir, names[i]);
        struct stat status;
        if (stat(path, &status) < 0)
            continue;
        facts[i][0] = (int64_t)status.st_ino;
        facts[i][1] = status.st_size;
        facts[i][2] = status.st_mtim.tv_sec;
        facts[i][3] = status.st_mtim.tv_nsec;
        facts[i][4] = status.st_ctim.tv_sec * INT64_C(1000000000) + status.st_ctim.tv_nsec;
    }
    return fnv1a64(facts, sizeof(facts));
}
