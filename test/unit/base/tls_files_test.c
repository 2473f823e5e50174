#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/base/tls_files.h"
#include "test/lib/tls_dir.h"

struct fixture {
    char *dir;
    struct key_pair authority;
};

static int setup(void **state)
{
    struct fixture *fixture = mem_new(struct fixture);
    fixture->dir = test_dir_new();
    test_authority("test", &fixture->authority);
    test_tls_dir_fill(fixture->dir, &fixture->authority, "one");
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    test_dir_remove(fixture->dir);
    free(fixture->dir);
    key_pair_fini(&fixture->authority);
    free(fixture);
    return 0;
}

static void remove_file(const char *dir, const char *name)
{
    AUTO_FREE char *path = test_file_path(dir, name);
    assert_int_equal(unlink(path), 0);
}

static void test_tls_files_read(void **state)
{
    const struct fixture *fixture = *state;
    AUTO(tls_files) struct tls_files files = { .key_pem = NULL };
    struct error err = ERROR_INIT;
    assert_int_equal(tls_files_read(fixture->dir, true, &files, &err), 0);
    assert_string_equal(files.authority_pem, fixture->authority.certificate_pem);
    assert_non_null(strstr(files.certificate_pem, "BEGIN CERTIFICATE"));
    assert_non_null(strstr(files.key_pem, "BEGIN PRIVATE KEY"));
}

static void test_tls_files_read_without_authority(void **state)
{
    const struct fixture *fixture = *state;
    AUTO(tls_files) struct tls_files files = { .key_pem = NULL };
    struct error err = ERROR_INIT;
    remove_file(fixture->dir, "ca.crt");
    assert_int_equal(tls_files_read(fixture->dir, false, &files, &err), 0);
    assert_null(files.authority_pem);
}

static void test_tls_files_missing_is_named(void **state)
{
    const struct fixture *fixture = *state;
    static const char *const names[] = { "ca.crt", "tls.key", "tls.crt" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct tls_files files = { .key_pem = NULL };
        struct error err = ERROR_INIT;
        AUTO_FREE char *message =
            mem_printf("cannot read %s/%s: No such file or directory", fixture->dir, names[i]);
        remove_file(fixture->dir, names[i]);
        assert_int_equal(tls_files_read(fixture->dir, true, &files, &err), -1);
        assert_int_equal(err.code, ERR_NOT_FOUND);
        assert_string_equal(err.message, message);
        assert_null(files.key_pem);
    }
}

static void test_tls_files_must_fit_together(void **state)
{
    const struct fixture *fixture = *state;
    AUTO(key_pair) struct key_pair other = { .key_pem = NULL };
    AUTO_FREE char *message =
        mem_printf("certificate in %s: not issued by an authority of the bundle", fixture->dir);
    struct tls_files files = { .key_pem = NULL };
    struct error err = ERROR_INIT;
    test_authority("other", &other);
    test_file_write(fixture->dir, "ca.crt", other.certificate_pem);
    assert_int_equal(tls_files_read(fixture->dir, true, &files, &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
    assert_string_equal(err.message, message);
}

static void test_tls_files_stamp_sees_every_change(void **state)
{
    const struct fixture *fixture = *state;
    uint64_t before = tls_files_stamp(fixture->dir);
    assert_int_equal(tls_files_stamp(fixture->dir), before);
    test_tls_dir_fill(fixture->dir, &fixture->authority, "two");
    uint64_t replaced = tls_files_stamp(fixture->dir);
    assert_int_not_equal(replaced, before);
    remove_file(fixture->dir, "tls.key");
    assert_int_not_equal(tls_files_stamp(fixture->dir), replaced);
}

#define FIXTURE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_tls_files_read),
        FIXTURE_TEST(test_tls_files_read_without_authority),
        FIXTURE_TEST(test_tls_files_missing_is_named),
        FIXTURE_TEST(test_tls_files_must_fit_together),
        FIXTURE_TEST(test_tls_files_stamp_sees_every_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
