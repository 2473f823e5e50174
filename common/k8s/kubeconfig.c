#include "common/k8s/kubeconfig.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "common/json/yaml.h"
#include "common/k8s/credential.h"
#include "common/k8s/exec_plugin.h"

#define SERVICE_ACCOUNT_DIRECTORY "/var/run/secrets/kubernetes.io/serviceaccount"

void kubeconfig_free(struct kubeconfig *config)
{
    if (config == NULL)
        return;
    credential_free(config->credential);
    free(config->server);
    free(config->tls_server_name);
    free(config->ca_pem);
    free(config->client_cert_pem);
    if (config->client_key_pem != NULL)
        explicit_bzero(config->client_key_pem, strlen(config->client_key_pem));
    free(config->client_key_pem);
    free(config->namespace_);
    free(config);
}

int kubeconfig_token(struct kubeconfig *config, bool force, char **out, struct error *err)
{
    if (config->credential == NULL) {
        *out = NULL;
        return 0;
    }
    return credential_token(config->credential, force, out, err);
}

/* ------------------------------------------------------------------ members of a file */

/* One of the named lists: clusters, users, contexts; each entry holds `member` beside its name. */
static const cJSON *find_named(const cJSON *root, const char *list, const char *name,
                               const char *member)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, json_get(root, list)) {
        const char *item_name = json_string_at(item, "name");
        if (item_name != NULL && strcmp(item_name, name) == 0)
            return json_get(item, member);
    }
    return NULL;
}

/* Relative paths are relative to the kubeconfig's folder. */
static char *resolve_path(const char *directory, const char *path)
{
    return path[0] == '/' ? mem_strdup(path) : mem_printf("%s/%s", directory, path);
}

static int read_pem_data(const char *data, const char *name, char **out, struct error *err)
{
    AUTO_FREE unsigned char *bytes = NULL;
    size_t count;
    if (base64_decode(data, &bytes, &count) < 0)
        return error_set(err, ERR_INVALID, "%s-data: not base64", name);
    *out = mem_strndup((const char *)bytes, count);
    return 0;
}

static int read_pem_file(const char *directory, const char *path, const char *name, char **out,
                         struct error *err)
{
    AUTO(buf) struct buf text = BUF_INIT(KUBECONFIG_BYTES_MAX);
    AUTO_FREE char *resolved = resolve_path(directory, path);
    if (file_read(resolved, &text, err) < 0)
        return error_wrap(err, "%s", name);
    *out = buf_take(&text);
    return 0;
}

/* `name` or `name`-data, which wins. NULL when neither is there. */
static int read_pem(const cJSON *section, const char *name, const char *directory, char **out,
                    struct error *err)
{
    AUTO_FREE char *data_name = mem_printf("%s-data", name);
    const cJSON *data = json_get(section, data_name), *path = json_get(section, name);
    AUTO_FREE char *pem = NULL;
    int result = 0;

    if (cJSON_IsString(data) && data->valuestring[0] != '\0')
        result = read_pem_data(data->valuestring, name, &pem, err);
    else if (cJSON_IsString(path) && path->valuestring[0] != '\0')
        result = read_pem_file(directory, path->valuestring, name, &pem, err);
    if (result < 0)
        return -1;
    if (pem != NULL && strstr(pem, "-----BEGIN ") == NULL)
        return error_set(err, ERR_INVALID, "%s: not PEM text", name);
    *out = STEAL(pem);
    return 0;
}

static int read_server(const char *server, char **out, struct error *err)
{
    if (server == NULL || server[0] == '\0')
        return error_set(err, ERR_INVALID, "server: missing");
    if (strncmp(server, "https://", 8) != 0 && strncmp(server, "http://", 7) != 0)
        return error_set(err, ERR_INVALID, "server: %s: must begin with https:// or http://",
                         server);
    size_t length = strlen(server);
    while (server[length - 1] == '/')
        length--;
    *out = mem_strndup(server, length);
    return 0;
}

static int read_cluster(struct kubeconfig *config, const cJSON *cluster, const char *directory,
                        struct error *err)
{
    const char *tls_name = json_string_at(cluster, "tls-server-name");
    const char *proxy = json_string_at(cluster, "proxy-url");

    if (proxy != NULL && proxy[0] != '\0')
        return error_set(err, ERR_INVALID, "proxy-url: proxies are not supported");
    config->insecure_skip_verify = json_bool_at(cluster, "insecure-skip-tls-verify", false);
    if (tls_name != NULL && tls_name[0] != '\0')
        config->tls_server_name = mem_strdup(tls_name);
    if (read_server(json_string_at(cluster, "server"), &config->server, err) < 0)
        return -1;
    return read_pem(cluster, "certificate-authority", directory, &config->ca_pem, err);
}

/* What a plug-in with provideClusterInfo is told. */
static cJSON *cluster_info(const struct kubeconfig *config)
{
    AUTO_FREE char *ca =
        config->ca_pem != NULL ? base64_encode(config->ca_pem, strlen(config->ca_pem)) : NULL;
    return JOBJ(JS("server", config->server), JS("tls-server-name", config->tls_server_name),
                JB("insecure-skip-tls-verify", config->insecure_skip_verify),
                JS("certificate-authority-data", ca));
}

static int read_exec(struct kubeconfig *config, const cJSON *exec, const char *directory,
                     const struct clock *clock, struct error *err)
{
    AUTO(json) cJSON *info = cluster_info(config);
    struct exec_plugin *plugin;
    if (exec_plugin_new(exec, directory, info, &plugin, err) < 0)
        return -1;
    config->credential = credential_new_exec(plugin, clock);
    return 0;
}

/* Means of authentication that we do not have: saying so beats being someone else. */
static int refuse_unsupported(const cJSON *user, struct error *err)
{
    static const char *const names[] = { "username", "password",  "auth-provider", "as",
                                         "as-uid",   "as-groups", "as-user-extra" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (json_get(user, names[i]) != NULL)
            return error_set(
                err, ERR_INVALID,
                "%s: not supported; use a client certificate, token, tokenFile or exec", names[i]);
    }
    return 0;
}

static int read_user(struct kubeconfig *config, const cJSON *user, const char *directory,
                     const struct clock *clock, struct error *err)
{
    const char *token = json_string_at(user, "token");
    const char *token_file = json_string_at(user, "tokenFile");
    const cJSON *exec = json_get(user, "exec");

    if (refuse_unsupported(user, err) < 0 ||
        read_pem(user, "client-certificate", directory, &config->client_cert_pem, err) < 0 ||
        read_pem(user, "client-key", directory, &config->client_key_pem, err) < 0)
        return -1;
    if ((config->client_cert_pem == NULL) != (config->client_key_pem == NULL))
        return error_set(err, ERR_INVALID, "client-certificate and client-key come together");

    if (token_file != NULL && token_file[0] != '\0') {
        AUTO_FREE char *path = resolve_path(directory, token_file);
        return credential_new_file(path, clock, &config->credential, err);
    }
    if (token != NULL && token[0] != '\0')
        return credential_new_token(token, &config->credential, err);
    if (cJSON_IsObject(exec))
        return read_exec(config, exec, directory, clock, err);
    return 0;
}

/* ------------------------------------------------------------------ one file */

static int read_context(struct kubeconfig *config, const cJSON *root, const char *directory,
                        const struct clock *clock, struct error *err)
{
    const char *name = json_string_at(root, "current-context");
    if (name == NULL || name[0] == '\0')
        return error_set(err, ERR_INVALID,
                         "no current-context; choose one with `kubectl config use-context`");
    const cJSON *context = find_named(root, "contexts", name, "context");
    if (context == NULL)
        return error_set(err, ERR_INVALID, "context \"%s\" is not defined", name);

    const char *cluster_name = json_string_at(context, "cluster");
    const char *user_name = json_string_at(context, "user");
    const char *namespace_ = json_string_at(context, "namespace");
    if (cluster_name == NULL)
        return error_set(err, ERR_INVALID, "context \"%s\" names no cluster", name);
    const cJSON *cluster = find_named(root, "clusters", cluster_name, "cluster");
    if (cluster == NULL)
        return error_set(err, ERR_INVALID, "context \"%s\": cluster \"%s\" is not defined", name,
                         cluster_name);
    config->namespace_ =
        mem_strdup(namespace_ != NULL && namespace_[0] != '\0' ? namespace_ : "default");
    if (read_cluster(config, cluster, directory, err) < 0)
        return error_wrap(err, "context \"%s\": cluster \"%s\"", name, cluster_name);

    if (user_name == NULL || user_name[0] == '\0')
        return 0; /* anonymous */
    const cJSON *user = find_named(root, "users", user_name, "user");
    if (user == NULL)
        return error_set(err, ERR_INVALID, "context \"%s\": user \"%s\" is not defined", name,
                         user_name);
    if (read_user(config, user, directory, clock, err) < 0)
        return error_wrap(err, "context \"%s\": user \"%s\"", name, user_name);
    return 0;
}

static int load_file(const char *path, const struct clock *clock, struct kubeconfig **out,
                     struct error *err)
{
    AUTO(buf) struct buf text = BUF_INIT(KUBECONFIG_BYTES_MAX);
    AUTO(json) cJSON *root = NULL;
    AUTO(kubeconfig) struct kubeconfig *config = mem_new(struct kubeconfig);
    const char *slash = strrchr(path, '/');
    AUTO_FREE char *directory =
        slash != NULL ? mem_strndup(path, (size_t)(slash - path)) : mem_strdup(".");

    if (file_read(path, &text, err) < 0)
        return error_wrap(err, "kubeconfig");
    if (yaml_to_json(buf_text(&text), text.length, &root, err) < 0 ||
        read_context(config, root, directory, clock, err) < 0)
        return error_wrap(err, "kubeconfig %s", path);
    *out = STEAL(config);
    return 0;
}

/* The first entry of $KUBECONFIG that exists. */
static int load_first(const char *paths, const struct clock *clock, struct kubeconfig **out,
                      struct error *err)
{
    for (const char *p = paths; *p != '\0';) {
        size_t length = strcspn(p, ":");
        AUTO_FREE char *path = mem_strndup(p, length);
        if (length > 0 && access(path, F_OK) == 0)
            return load_file(path, clock, out, err);
        p += length + (p[length] == ':');
    }
    return error_set(err, ERR_NOT_FOUND, "no file that $KUBECONFIG names exists: %s", paths);
}

/* ------------------------------------------------------------------ in the cluster */

static int read_service_account(struct kubeconfig *config, const char *directory,
                                const struct clock *clock, struct error *err)
{
    AUTO(buf) struct buf namespace_ = BUF_INIT(256);
    AUTO_FREE char *namespace_path = mem_printf("%s/namespace", directory);
    AUTO_FREE char *token_path = mem_printf("%s/token", directory);
    struct error ignored;

    if (read_pem_file(directory, "ca.crt", "ca.crt", &config->ca_pem, err) < 0 ||
        credential_new_file(token_path, clock, &config->credential, err) < 0)
        return -1;
    bool known = file_read(namespace_path, &namespace_, &ignored) == 0 && namespace_.length > 0;
    config->namespace_ = known ? mem_strndup(namespace_.data, strcspn(namespace_.data, " \r\n"))
                               : mem_strdup("default");
    return 0;
}

int kubeconfig_load_service_account(const char *directory, const char *host, const char *port,
                                    const struct clock *clock, struct kubeconfig **out,
                                    struct error *err)
{
    AUTO(kubeconfig) struct kubeconfig *config = mem_new(struct kubeconfig);
    bool is_v6 = strchr(host, ':') != NULL;

    config->server =
        mem_printf("https://%s%s%s:%s", is_v6 ? "[" : "", host, is_v6 ? "]" : "", port);
    if (read_service_account(config, directory, clock, err) < 0)
        return error_wrap(err, "in-cluster service account (is automountServiceAccountToken off?)");
    *out = STEAL(config);
    return 0;
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

int kubeconfig_load(const char *path, const struct clock *clock, struct kubeconfig **out,
                    struct error *err)
{
    if (path != NULL && path[0] != '\0')
        return load_file(path, clock, out, err);
    if (variable("KUBECONFIG") != NULL)
        return load_first(variable("KUBECONFIG"), clock, out, err);

    const char *host = variable("KUBERNETES_SERVICE_HOST");
    const char *port = variable("KUBERNETES_SERVICE_PORT");
    if (host != NULL)
        return kubeconfig_load_service_account(SERVICE_ACCOUNT_DIRECTORY, host,
                                               port != NULL ? port : "443", clock, out, err);

    AUTO_FREE char *home =
        mem_printf("%s/.kube/config", variable("HOME") != NULL ? getenv("HOME") : "");
    if (access(home, F_OK) == 0)
        return load_file(home, clock, out, err);
    return error_set(err, ERR_NOT_FOUND,
                     "no kubeconfig: give --kubeconfig, set $KUBECONFIG or make %s", home);
}
