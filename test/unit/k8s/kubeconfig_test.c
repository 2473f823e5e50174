#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/k8s/kubeconfig.h"
#include "test/lib/tls_dir.h"

#define PEM      "-----BEGIN CERTIFICATE-----\nQQ==\n-----END CERTIFICATE-----\n"
#define PEM_DATA "LS0tLS1CRUdJTiBYLS0tLS0K" /* -----BEGIN X----- */

/* A kubeconfig of one context with these members of its cluster and its user. */
#define CONFIG(cluster, user)                                                     \
    "{current-context: c, contexts: [{name: c, context: {cluster: k, user: u}}]," \
    " clusters: [{name: k, cluster: {" cluster "}}], users: [{name: u, user: {" user "}}]}"
#define SERVER "server: \"https://h:6443\""

struct fixture {
    struct clock_fake clock;
    struct error err;
    char *dir, *path;
    struct kubeconfig *config;
};

static int set_up(void **state)
{
    struct fixture *f = mem_new(struct fixture);
    clock_fake_init(&f->clock, 1000);
    f->dir = test_dir_new();
    f->path = test_file_path(f->dir, "config");
    unsetenv("KUBECONFIG");
    unsetenv("KUBERNETES_SERVICE_HOST");
    setenv("HOME", f->dir, 1);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    kubeconfig_free(f->config);
    test_dir_remove(f->dir);
    free(f->dir);
    free(f->path);
    free(f);
    return 0;
}

static int load(struct fixture *f, const char *text)
{
    test_file_write(f->dir, "config", text);
    return kubeconfig_load(f->path, &f->clock.clock, &f->config, &f->err);
}

static void must_load(struct fixture *f, const char *text)
{
    if (load(f, text) < 0)
        fail_msg("%s", f->err.message);
}

static void expect_token(struct fixture *f, const char *expected)
{
    AUTO_FREE char *token = NULL;
    assert_int_equal(kubeconfig_token(f->config, false, &token, &f->err), 0);
    if (expected == NULL)
        assert_null(token);
    else
        assert_string_equal(token, expected);
}

static void test_kubeconfig_yaml_as_kubectl_writes_it(void **state)
{
    struct fixture *f = *state;
    must_load(f, "apiVersion: v1\nkind: Config\ncurrent-context: b\npreferences: {}\n"
                 "contexts:\n- name: a\n  context: {cluster: x, user: x}\n"
                 "- name: b\n  context:\n    cluster: k\n    user: u\n    namespace: team\n"
                 "clusters:\n- name: k\n  cluster:\n    server: https://h:6443/prefix/\n"
                 "    certificate-authority-data: " PEM_DATA "\n    tls-server-name: api\n"
                 "users:\n- name: u\n  user:\n    token: abc\n");
    assert_string_equal(f->config->server, "https://h:6443/prefix");
    assert_string_equal(f->config->ca_pem, "-----BEGIN X-----\n");
    assert_string_equal(f->config->tls_server_name, "api");
    assert_string_equal(f->config->namespace_, "team");
    assert_false(f->config->insecure_skip_verify);
    assert_null(f->config->client_cert_pem);
    expect_token(f, "abc");
}

static void test_kubeconfig_files_are_relative_to_it(void **state)
{
    struct fixture *f = *state;
    test_file_write(f->dir, "ca.crt", PEM);
    test_file_write(f->dir, "u.crt", PEM "crt");
    test_file_write(f->dir, "u.key", PEM "key");
    test_file_write(f->dir, "t", "from-file\n");
    must_load(f, CONFIG(SERVER ", certificate-authority: ca.crt, insecure-skip-tls-verify: true",
                        "client-certificate: u.crt, client-key: u.key, tokenFile: t, token: x"));
    assert_string_equal(f->config->ca_pem, PEM);
    assert_string_equal(f->config->client_cert_pem, PEM "crt");
    assert_string_equal(f->config->client_key_pem, PEM "key");
    assert_string_equal(f->config->namespace_, "default");
    assert_true(f->config->insecure_skip_verify);
    expect_token(f, "from-file");
}

static void test_kubeconfig_without_credentials_is_anonymous(void **state)
{
    struct fixture *f = *state;
    must_load(f, CONFIG("server: \"http://127.0.0.1:8080\"", ""));
    assert_string_equal(f->config->server, "http://127.0.0.1:8080");
    expect_token(f, NULL);
}

static void test_kubeconfig_exec_is_told_the_cluster(void **state)
{
    struct fixture *f = *state;
    must_load(f, CONFIG(SERVER, "exec: {apiVersion: client.authentication.k8s.io/v1beta1, "
                                "command: ./plugin.sh, provideClusterInfo: true}"));
    test_file_write(
        f->dir, "plugin.sh",
        "#!/bin/sh\n"
        "case $KUBERNETES_EXEC_INFO in *'\"server\":\"https://h:6443\"'*) t=yes;; esac\n"
        "echo '{\"apiVersion\":\"client.authentication.k8s.io/v1beta1\",'\n"
        "echo '\"kind\":\"ExecCredential\",\"status\":{\"token\":\"told-'$t'\"}}'\n");
    AUTO_FREE char *plugin = test_file_path(f->dir, "plugin.sh");
    assert_int_equal(chmod(plugin, 0700), 0);
    expect_token(f, "told-yes");
}

/* ------------------------------------------------------------------ errors */

static void test_kubeconfig_errors_name_the_thing(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text;
        const char *message; /* after "kubeconfig <path>: " */
    } cases[] = {
        { "{}", "no current-context; choose one with `kubectl config use-context`" },
        { "{current-context: x}", "context \"x\" is not defined" },
        { "{current-context: x, contexts: [{name: x, context: {user: u}}]}",
          "context \"x\" names no cluster" },
        { "{current-context: x, contexts: [{name: x, context: {cluster: k}}]}",
          "context \"x\": cluster \"k\" is not defined" },
        { "{current-context: x, contexts: [{name: x, context: {cluster: k, user: v}}],"
          " clusters: [{name: k, cluster: {" SERVER "}}]}",
          "context \"x\": user \"v\" is not defined" },
        { CONFIG("", ""), "context \"c\": cluster \"k\": server: missing" },
        { CONFIG("server: h", ""),
          "context \"c\": cluster \"k\": server: h: must begin with https:// or http://" },
        { CONFIG(SERVER ", proxy-url: \"http://p\"", ""),
          "context \"c\": cluster \"k\": proxy-url: proxies are not supported" },
        { CONFIG(SERVER ", certificate-authority-data: \"%\"", ""),
          "context \"c\": cluster \"k\": certificate-authority-data: not base64" },
        { CONFIG(SERVER ", certificate-authority-data: QQ==", ""),
          "context \"c\": cluster \"k\": certificate-authority: not PEM text" },
        { CONFIG(SERVER, "client-certificate-data: " PEM_DATA),
          "context \"c\": user \"u\": client-certificate and client-key come together" },
        { CONFIG(SERVER, "token: \"a b\""),
          "context \"c\": user \"u\": token: empty, or holds blanks or control characters" },
        { CONFIG(SERVER, "username: x"),
          "context \"c\": user \"u\": username: not supported; use a client certificate, token, "
          "tokenFile or exec" },
        { CONFIG(SERVER, "exec: {command: x}"),
          "context \"c\": user \"u\": exec.apiVersion: (none) is not supported; use "
          "client.authentication.k8s.io/v1" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(load(f, cases[i].text), -1);
        AUTO_FREE char *expected = mem_printf("kubeconfig %s: %s", f->path, cases[i].message);
        assert_string_equal(f->err.message, expected);
        assert_int_equal(f->err.code, ERR_INVALID);
        assert_null(f->config);
    }
}

static void test_kubeconfig_that_is_not_yaml(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load(f, "a: [b"), -1);
    assert_int_equal(f->err.code, ERR_INVALID);
    assert_non_null(strstr(f->err.message, f->path));
}

static void test_kubeconfig_unreadable_files(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *missing = test_file_path(f->dir, "none");
    assert_int_equal(kubeconfig_load(missing, &f->clock.clock, &f->config, &f->err), -1);
    assert_int_equal(f->err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(f->err.message, missing));
    assert_int_equal(load(f, CONFIG(SERVER ", certificate-authority: none", "")), -1);
    assert_int_equal(f->err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(f->err.message, missing));
    assert_int_equal(load(f, CONFIG(SERVER, "tokenFile: none")), -1);
    assert_non_null(strstr(f->err.message, missing));
}

/* ------------------------------------------------------------------ where it comes from */

static void test_kubeconfig_variable_names_several(void **state)
{
    struct fixture *f = *state;
    test_file_write(f->dir, "config", CONFIG(SERVER, ""));
    AUTO_FREE char *list = mem_printf(":%s/none:%s:/also/none", f->dir, f->path);
    setenv("KUBECONFIG", list, 1);
    assert_int_equal(kubeconfig_load("", &f->clock.clock, &f->config, &f->err), 0);
    assert_string_equal(f->config->server, "https://h:6443");
}

static void test_kubeconfig_variable_names_nothing_that_exists(void **state)
{
    struct fixture *f = *state;
    setenv("KUBECONFIG", "/none/a:/none/b", 1);
    assert_int_equal(kubeconfig_load(NULL, &f->clock.clock, &f->config, &f->err), -1);
    assert_string_equal(f->err.message, "no file that $KUBECONFIG names exists: /none/a:/none/b");
}

static void test_kubeconfig_none_anywhere(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(kubeconfig_load(NULL, &f->clock.clock, &f->config, &f->err), -1);
    assert_int_equal(f->err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(f->err.message, "--kubeconfig"));
}

static int load_account(struct fixture *f, const char *host)
{
    return kubeconfig_load_service_account(f->dir, host, "443", &f->clock.clock, &f->config,
                                           &f->err);
}

static void test_kubeconfig_service_account(void **state)
{
    struct fixture *f = *state;
    test_file_write(f->dir, "ca.crt", PEM);
    test_file_write(f->dir, "token", "first");
    test_file_write(f->dir, "namespace", "system\n");
    assert_int_equal(load_account(f, "10.0.0.1"), 0);
    assert_string_equal(f->config->server, "https://10.0.0.1:443");
    assert_string_equal(f->config->ca_pem, PEM);
    assert_string_equal(f->config->namespace_, "system");
    expect_token(f, "first");
    test_file_write(f->dir, "token", "second");
    f->clock.now_ms += 60 * 1000;
    expect_token(f, "second");
}

static void test_kubeconfig_service_account_on_ipv6(void **state)
{
    struct fixture *f = *state;
    test_file_write(f->dir, "ca.crt", PEM);
    test_file_write(f->dir, "token", "t");
    assert_int_equal(load_account(f, "fd00::1"), 0);
    assert_string_equal(f->config->server, "https://[fd00::1]:443");
    assert_string_equal(f->config->namespace_, "default");
}

static void test_kubeconfig_service_account_not_mounted(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load_account(f, "10.0.0.1"), -1);
    assert_non_null(strstr(f->err.message, "automountServiceAccountToken"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_kubeconfig_yaml_as_kubectl_writes_it),
        TEST(test_kubeconfig_files_are_relative_to_it),
        TEST(test_kubeconfig_without_credentials_is_anonymous),
        TEST(test_kubeconfig_exec_is_told_the_cluster),
        TEST(test_kubeconfig_errors_name_the_thing),
        TEST(test_kubeconfig_that_is_not_yaml),
        TEST(test_kubeconfig_unreadable_files),
        TEST(test_kubeconfig_variable_names_several),
        TEST(test_kubeconfig_variable_names_nothing_that_exists),
        TEST(test_kubeconfig_none_anywhere),
        TEST(test_kubeconfig_service_account),
        TEST(test_kubeconfig_service_account_on_ipv6),
        TEST(test_kubeconfig_service_account_not_mounted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
