#include "test/lib/tls_dir.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/memory.h"

enum { HOUR_MS = 3600 * 1000 };

static void check(int result, const struct error *err)
{
    if (result < 0)
        fail_msg("%s: %s", error_code_name(err->code), err->message);
}

char *test_dir_new(void)
{
    const char *parent = getenv("TMPDIR");
    char *dir = mem_printf("%s/ckaito-test-XXXXXX", parent != NULL ? parent : "/tmp");
    assert_non_null(mkdtemp(dir));
    return dir;
}

void test_dir_remove(const char *dir)
{
    DIR *entries = opendir(dir);
    assert_non_null(entries);
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(entries), entry->d_name, 0);
    }
    closedir(entries);
    assert_int_equal(rmdir(dir), 0);
}

char *test_file_path(const char *dir, const char *name)
{
    return mem_printf("%s/%s", dir, name);
}

void test_file_write(const char *dir, const char *name, const char *text)
{
    struct error err = ERROR_INIT;
    AUTO_FREE char *path = test_file_path(dir, name);
    check(file_write(path, 0600, text, strlen(text), &err), &err);
}

void test_authority(const char *common_name, struct key_pair *out)
{
    struct error err = ERROR_INIT;
    int64_t now_ms = clock_realtime(clock_system());
    check(certificate_make_authority(common_name, now_ms - HOUR_MS, 24 * HOUR_MS, out, &err), &err);
}

void test_tls_dir_fill(const char *dir, const struct key_pair *authority, const char *common_name)
{
    static const char *const hosts[] = { "localhost", "127.0.0.1", NULL };
    struct error err = ERROR_INIT;
    AUTO(key_pair) struct key_pair leaf = { .key_pem = NULL };
    struct certificate_request request = { .common_name = common_name,
                                           .hosts = hosts,
                                           .server_auth = true,
                                           .client_auth = true,
                                           .not_before_ms =
                                               clock_realtime(clock_system()) - HOUR_MS,
                                           .lifetime_ms = 2 * HOUR_MS };
    check(certificate_issue(authority, &request, &leaf, &err), &err);
    test_file_write(dir, "ca.crt", authority->certificate_pem);
    test_file_write(dir, "tls.key", leaf.key_pem);
    test_file_write(dir, "tls.crt", leaf.certificate_pem);
}
