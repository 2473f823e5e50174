#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "common/k8s/credential.h"
#include "test/lib/tls_dir.h"

struct fixture {
    struct clock_fake clock;
    struct error err;
    char *dir;
    char *path;
};

static int set_up(void **state)
{
    struct fixture *f = mem_new(struct fixture);
    clock_fake_init(&f->clock, 1000 * 1000);
    f->dir = test_dir_new();
    f->path = test_file_path(f->dir, "token");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    test_dir_remove(f->dir);
    free(f->dir);
    free(f->path);
    free(f);
    return 0;
}

static void expect_token(struct fixture *f, struct credential *credential, bool force,
                         const char *expected)
{
    AUTO_FREE char *token = NULL;
    if (credential_token(credential, force, &token, &f->err) < 0)
        fail_msg("%s", f->err.message);
    assert_string_equal(token, expected);
}

static void test_credential_fixed_token(void **state)
{
    struct fixture *f = *state;
    struct credential *credential;
    assert_int_equal(credential_new_token("abc", &credential, &f->err), 0);
    expect_token(f, credential, false, "abc");
    expect_token(f, credential, true, "abc");
    credential_free(credential);
}

static void test_credential_refuses_what_no_header_can_hold(void **state)
{
    struct fixture *f = *state;
    static const char *const tokens[] = { "", "a b", "a\r\nX-Evil: 1", "\x7f" };
    for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
        struct credential *credential;
        assert_int_equal(credential_new_token(tokens[i], &credential, &f->err), -1);
        test_file_write(f->dir, "token", tokens[i]);
        assert_int_equal(credential_new_file(f->path, &f->clock.clock, &credential, &f->err), -1);
        assert_int_equal(f->err.code, ERR_INVALID);
    }
}

static struct credential *from_file(struct fixture *f, const char *text)
{
    struct credential *credential;
    test_file_write(f->dir, "token", text);
    if (credential_new_file(f->path, &f->clock.clock, &credential, &f->err) < 0)
        fail_msg("%s", f->err.message);
    return credential;
}

static void test_credential_file_is_read_again_after_a_minute(void **state)
{
    struct fixture *f = *state;
    struct credential *credential = from_file(f, "first\n");
    test_file_write(f->dir, "token", "second\n");
    f->clock.now_ms += TOKEN_FILE_PERIOD_MS - 1;
    expect_token(f, credential, false, "first");
    f->clock.now_ms += 1;
    expect_token(f, credential, false, "second");
    credential_free(credential);
}

static void test_credential_file_is_read_when_forced(void **state)
{
    struct fixture *f = *state;
    struct credential *credential = from_file(f, "first\n");
    test_file_write(f->dir, "token", "second\n");
    expect_token(f, credential, true, "second");
    credential_free(credential);
}

static void test_credential_file_survives_a_bad_moment(void **state)
{
    struct fixture *f = *state;
    struct credential *credential = from_file(f, "first\n");
    assert_int_equal(unlink(f->path), 0);
    f->clock.now_ms += TOKEN_FILE_PERIOD_MS;
    expect_token(f, credential, false, "first");
    test_file_write(f->dir, "token", "second\n");
    f->clock.now_ms += TOKEN_FILE_PERIOD_MS;
    expect_token(f, credential, false, "second");
    credential_free(credential);
}

static void test_credential_missing_file(void **state)
{
    struct fixture *f = *state;
    struct credential *credential;
    assert_int_equal(credential_new_file(f->path, &f->clock.clock, &credential, &f->err), -1);
    assert_int_equal(f->err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(f->err.message, f->path));
}

/* A plug-in that gives t1, t2, ...; each is good until `expires`. */
static struct credential *from_plugin(struct fixture *f, const char *expires)
{
    AUTO_FREE char *script = mem_printf(
        "echo x >> '%s/runs'; printf '{\"apiVersion\":\"client.authentication.k8s.io/v1\""
        ",\"kind\":\"ExecCredential\",\"status\":{\"token\":\"t%%d\","
        "\"expirationTimestamp\":\"%s\"}}' $(wc -l < '%s/runs')",
        f->dir, expires, f->dir);
    AUTO(json)
    cJSON *exec = JOBJ(JS("apiVersion", "client.authentication.k8s.io/v1"), JS("command", "sh"),
                       JV("args", JARR(JSTR("-c"), JSTR(script))));
    struct exec_plugin *plugin;
    if (exec_plugin_new(exec, f->dir, NULL, &plugin, &f->err) < 0)
        fail_msg("%s", f->err.message);
    return credential_new_exec(plugin, &f->clock.clock);
}

static void test_credential_plugin_runs_again_when_its_token_expires(void **state)
{
    struct fixture *f = *state;
    struct credential *credential = from_plugin(f, "1970-01-01T00:20:00Z"); /* 1,200,000 ms */
    expect_token(f, credential, false, "t1");
    expect_token(f, credential, false, "t1");
    f->clock.now_ms = 1200 * 1000;
    expect_token(f, credential, false, "t2");
    credential_free(credential);
}

static void test_credential_plugin_runs_again_when_forced(void **state)
{
    struct fixture *f = *state;
    struct credential *credential = from_plugin(f, "2970-01-01T00:00:00Z");
    expect_token(f, credential, false, "t1");
    expect_token(f, credential, true, "t2");
    credential_free(credential);
}

static void *want_token(void *context)
{
    AUTO_FREE char *token = NULL;
    struct error err;
    assert_int_equal(credential_token(context, false, &token, &err), 0);
    return NULL;
}

static void test_credential_plugin_runs_once_for_all_threads(void **state)
{
    struct fixture *f = *state;
    struct credential *credential = from_plugin(f, "2970-01-01T00:00:00Z");
    pthread_t threads[4];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, want_token, credential), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    expect_token(f, credential, false, "t1");
    credential_free(credential);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_credential_fixed_token),
        TEST(test_credential_refuses_what_no_header_can_hold),
        TEST(test_credential_file_is_read_again_after_a_minute),
        TEST(test_credential_file_is_read_when_forced),
        TEST(test_credential_file_survives_a_bad_moment),
        TEST(test_credential_missing_file),
        TEST(test_credential_plugin_runs_again_when_its_token_expires),
        TEST(test_credential_plugin_runs_again_when_forced),
        TEST(test_credential_plugin_runs_once_for_all_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
