#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "common/k8s/exec_plugin.h"
#include "test/lib/literals.h"

#define V1 "client.authentication.k8s.io/v1"

enum { TIMEOUT_MS = 20 * 1000 };

static cJSON *shell(const char *script)
{
    return JOBJ(JS("apiVersion", V1), JS("command", "sh"),
                JV("args", JARR(JSTR("-c"), JSTR(script))),
                JV("env", JARR(JOBJ(JS("name", "GREETING"), JS("value", "hello")))),
                JB("provideClusterInfo", true));
}

/* Runs a shell script as the plug-in. */
static int run(const char *script, int64_t timeout_ms, char **token, int64_t *expires_ms,
               struct error *err)
{
    AUTO(json) cJSON *exec = shell(script);
    AUTO(json) cJSON *cluster = JOBJ(JS("server", "https://example:6443"));
    struct exec_plugin *plugin;
    assert_int_equal(exec_plugin_new(exec, "/nowhere", cluster, &plugin, err), 0);
    int result = exec_plugin_run(plugin, timeout_ms, token, expires_ms, err);
    exec_plugin_free(plugin);
    return result;
}

static void test_exec_plugin_token_and_expiry(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    AUTO_FREE char *token = NULL;
    int64_t expires_ms = 0;
    assert_int_equal(run("echo '{\"apiVersion\":\"" V1 "\",\"kind\":\"ExecCredential\",\"status\":"
                         "{\"token\":\"t\",\"expirationTimestamp\":\"1970-01-01T00:01:00Z\"}}'",
                         TIMEOUT_MS, &token, &expires_ms, &err),
                     0);
    assert_string_equal(token, "t");
    assert_int_equal(expires_ms, 60 * 1000);
}

static void test_exec_plugin_without_expiry_is_good_for_ever(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    AUTO_FREE char *token = NULL;
    int64_t expires_ms = 0;
    assert_int_equal(run("echo '{\"apiVersion\":\"" V1 "\",\"kind\":\"ExecCredential\","
                         "\"status\":{\"token\":\"t\"}}'",
                         TIMEOUT_MS, &token, &expires_ms, &err),
                     0);
    assert_true(expires_ms == INT64_MAX);
}

/* The token is what the plug-in sees, so that one assertion shows it. */
static void expect_seen(const char *expression, const char *expected)
{
    struct error err = ERROR_INIT;
    AUTO_FREE char *token = NULL;
    int64_t expires_ms = 0;
    AUTO_FREE char *script =
        mem_printf("printf '{\"apiVersion\":\"" V1 "\",\"kind\":\"ExecCredential\","
                   "\"status\":{\"token\":\"%%s\"}}' \"%s\"",
                   expression);
    if (run(script, TIMEOUT_MS, &token, &expires_ms, &err) < 0)
        fail_msg("%s", err.message);
    assert_string_equal(token, expected);
}

static void test_exec_plugin_environment(void **state)
{
    (void)state;
    setenv("GREETING", "overridden by the kubeconfig", 1);
    setenv("INHERITED", "yes", 1);
    expect_seen("$GREETING", "hello");
    expect_seen("$INHERITED", "yes");
    expect_seen("$(echo $KUBERNETES_EXEC_INFO | tr -d '\\\"')",
                "{kind:ExecCredential,apiVersion:" V1
                ",spec:{interactive:false,cluster:{server:https://example:6443}}}");
}

static void test_exec_plugin_has_no_terminal(void **state)
{
    (void)state;
    expect_seen("$(cat)", ""); /* standard input ends at once */
}

static void test_exec_plugin_is_killed_with_its_children(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    char *token = NULL, byte;
    int64_t expires_ms = 0;
    int held[2]; /* inherited by all of them: end of file comes when the last has gone */
    assert_int_equal(pipe(held), 0);
    assert_int_equal(run("sleep 600 & sleep 600", 100, &token, &expires_ms, &err), -1);
    close(held[1]);
    assert_int_equal(read(held[0], &byte, 1), 0);
    close(held[0]);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_string_equal(err.message, "exec plug-in sh: no answer within 100 ms");
}

static void test_exec_plugin_may_leave_children_behind(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    AUTO_FREE char *token = NULL;
    int64_t expires_ms = 0;
    /* The child holds our pipes open; its parent's end is what counts. */
    assert_int_equal(run("sleep 3 & echo '{\"apiVersion\":\"" V1 "\",\"kind\":\"ExecCredential\","
                         "\"status\":{\"token\":\"t\"}}'",
                         TIMEOUT_MS, &token, &expires_ms, &err),
                     0);
    assert_string_equal(token, "t");
}

static void test_exec_plugin_failures(void **state)
{
    (void)state;
    static const struct {
        const char *script;
        enum error_code code;
        const char *message;
    } cases[] = {
        { "echo log in first >&2; exit 3", ERR_FORBIDDEN,
          "exec plug-in sh: exit status 3: log in first" },
        { "kill -9 $$", ERR_FORBIDDEN, "exec plug-in sh: ended by signal 9" },
        { "cat /dev/zero", ERR_TOO_LARGE, "exec plug-in sh: prints more than 1048576 bytes" },
        { "echo '{}'", ERR_FORBIDDEN, "exec plug-in sh: its output is no ExecCredential" },
        { "true", ERR_FORBIDDEN,
          "exec plug-in sh: its output is no ExecCredential: invalid JSON at byte 0" },
        { "echo '{\"kind\":\"ExecCredential\",\"apiVersion\":\"x/v9\"}'", ERR_FORBIDDEN,
          "exec plug-in sh: it answers in x/v9; the kubeconfig asks for " V1 },
        { "echo '{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1 "\"}'", ERR_FORBIDDEN,
          "exec plug-in sh: it gives no token" },
        { "echo '{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1
          "\",\"status\":{\"clientCertificateData\":\"x\"}}'",
          ERR_FORBIDDEN, "exec plug-in sh: it gives a client certificate; only tokens work" },
        { "echo '{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1
          "\",\"status\":{\"token\":\"t\",\"expirationTimestamp\":\"soon\"}}'",
          ERR_FORBIDDEN, "exec plug-in sh: expirationTimestamp soon is no RFC 3339 time" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = ERROR_INIT;
        char *token = NULL;
        int64_t expires_ms = 0;
        assert_int_equal(run(cases[i].script, TIMEOUT_MS, &token, &expires_ms, &err), -1);
        assert_string_equal(err.message, cases[i].message);
        assert_string_equal(error_code_name(err.code), error_code_name(cases[i].code));
        assert_null(token);
    }
}

static void test_exec_plugin_missing_program_shows_the_hint(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    AUTO(json)
    cJSON *exec = JOBJ(JS("apiVersion", V1), JS("command", "./no-such-plugin"),
                       JS("installHint", "install it"));
    struct exec_plugin *plugin;
    char *token = NULL;
    int64_t expires_ms = 0;
    assert_int_equal(exec_plugin_new(exec, "/nowhere", NULL, &plugin, &err), 0);
    assert_int_equal(exec_plugin_run(plugin, TIMEOUT_MS, &token, &expires_ms, &err), -1);
    assert_string_equal(err.message, "exec plug-in /nowhere/./no-such-plugin: cannot run it: No "
                                     "such file or directory: install it");
    exec_plugin_free(plugin);
}

static void test_exec_plugin_refuses_bad_settings(void **state)
{
    (void)state;
    static const struct {
        const char *exec;
        const char *message;
    } cases[] = {
        { "{}", "exec.command: missing" },
        { "{\"command\":\"x\"}", "exec.apiVersion: (none) is not supported; use " V1 },
        { "{\"command\":\"x\",\"apiVersion\":\"client.authentication.k8s.io/v1alpha1\"}",
          "exec.apiVersion: client.authentication.k8s.io/v1alpha1 is not supported; use " V1 },
        { "{\"command\":\"x\",\"apiVersion\":\"" V1 "\",\"interactiveMode\":\"Always\"}",
          "exec.interactiveMode: Always: x needs a terminal, a service has none" },
        { "{\"command\":\"x\",\"apiVersion\":\"" V1 "\",\"args\":[1]}",
          "exec.args: must be a list of strings" },
        { "{\"command\":\"x\",\"apiVersion\":\"" V1
          "\",\"env\":[{\"name\":\"a=b\",\"value\":\"\"}]}",
          "exec.env: each entry needs a name and a value" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(json) cJSON *exec = json_literal(cases[i].exec);
        struct error err = ERROR_INIT;
        struct exec_plugin *plugin = NULL;
        assert_int_equal(exec_plugin_new(exec, "/nowhere", NULL, &plugin, &err), -1);
        assert_string_equal(err.message, cases[i].message);
        assert_null(plugin);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exec_plugin_token_and_expiry),
        cmocka_unit_test(test_exec_plugin_without_expiry_is_good_for_ever),
        cmocka_unit_test(test_exec_plugin_environment),
        cmocka_unit_test(test_exec_plugin_has_no_terminal),
        cmocka_unit_test(test_exec_plugin_is_killed_with_its_children),
        cmocka_unit_test(test_exec_plugin_may_leave_children_behind),
        cmocka_unit_test(test_exec_plugin_failures),
        cmocka_unit_test(test_exec_plugin_missing_program_shows_the_hint),
        cmocka_unit_test(test_exec_plugin_refuses_bad_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
