#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/file.h"

static char home[64];

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof(path), "%s/%s", home, name);
    return path;
}

static int set_up(void **state)
{
    (void)state;
    snprintf(home, sizeof(home), "/tmp/file_test.XXXXXX");
    return mkdtemp(home) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", home);
    return system(command);
}

static void write_text(const char *name, const char *text)
{
    struct error err = ERROR_INIT;
    if (file_write(path_of(name), 0640, text, strlen(text), &err) < 0)
        fail_msg("%s", err.message);
}

static void expect_text(const char *name, const char *text)
{
    struct error err = ERROR_INIT;
    AUTO(buf) struct buf out = BUF_INIT(100000);
    if (file_read(path_of(name), &out, &err) < 0)
        fail_msg("%s", err.message);
    assert_string_equal(buf_text(&out), text);
}

static void test_file_write_then_read(void **state)
{
    (void)state;
    struct stat found;
    write_text("a", "hello");
    expect_text("a", "hello");
    assert_int_equal(stat(path_of("a"), &found), 0);
    assert_int_equal(found.st_mode & 0777, 0640);
    write_text("a", "");
    expect_text("a", "");
}

static void test_file_write_leaves_nothing_else_behind(void **state)
{
    (void)state;
    size_t entries = 0;
    write_text("a", "1");
    write_text("a", "2");
    DIR *directory = opendir(home);
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;)
        entries += entry->d_name[0] != '.';
    closedir(directory);
    assert_int_equal(entries, 1);
}

static void test_file_write_keeps_the_old_file_on_failure(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    assert_int_equal(mkdir(path_of("taken"), 0755), 0);
    assert_int_equal(file_write(path_of("taken"), 0600, "x", 1, &err), -1);
    assert_non_null(strstr(err.message, "/taken"));
    assert_int_equal(file_write(path_of("no/where"), 0600, "x", 1, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void test_file_read_errors(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    AUTO(buf) struct buf out = BUF_INIT(5);
    assert_int_equal(file_read(path_of("missing"), &out, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "/missing: No such file"));
    assert_int_equal(file_read(home, &out, &err), -1);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    write_text("big", "123456");
    assert_int_equal(file_read(path_of("big"), &out, &err), -1);
    assert_int_equal(err.code, ERR_TOO_LARGE);
}

static void test_file_read_of_the_largest_allowed(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    AUTO(buf) struct buf out = BUF_INIT(10000);
    static char text[10001];
    memset(text, 'x', 10000);
    write_text("a", text);
    assert_int_equal(file_read(path_of("a"), &out, &err), 0);
    assert_int_equal(out.length, 10000);
}

static void test_file_make_directory(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct stat found;
    for (int i = 0; i < 2; i++) /* the second time they exist */
        assert_int_equal(file_make_directory(path_of("a/b/c"), 0755, &err), 0);
    assert_int_equal(stat(path_of("a/b/c"), &found), 0);
    assert_true(S_ISDIR(found.st_mode));
    assert_int_equal(file_make_directory(path_of("d/"), 0755, &err), 0);
}

static void test_file_make_directory_refuses(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    write_text("file", "");
    assert_int_equal(file_make_directory(path_of("file"), 0755, &err), -1);
    assert_int_equal(file_make_directory(path_of("file/a"), 0755, &err), -1);
    assert_int_equal(file_make_directory("", 0755, &err), -1);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_file_write_then_read),
        WITH_FIXTURE(test_file_write_leaves_nothing_else_behind),
        WITH_FIXTURE(test_file_write_keeps_the_old_file_on_failure),
        WITH_FIXTURE(test_file_read_errors),
        WITH_FIXTURE(test_file_read_of_the_largest_allowed),
        WITH_FIXTURE(test_file_make_directory),
        WITH_FIXTURE(test_file_make_directory_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
