#include "common/k8s/exec_plugin.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"

#define EXEC_GROUP "client.authentication.k8s.io/"

enum { COMPLAINT_BYTES_MAX = 4 * 1024 };

struct exec_plugin {
    char *command;
    char *api_version;
    char *install_hint; /* "" when the kubeconfig has none */
    char **arguments;   /* both end with NULL */
    char **environment;
};

/* ------------------------------------------------------------------ from the kubeconfig */

static void free_strings(char **strings)
{
    for (char **p = strings; p != NULL && *p != NULL; p++)
        free(*p);
    free(strings);
}

void exec_plugin_free(struct exec_plugin *plugin)
{
    if (plugin == NULL)
        return;
    free(plugin->command);
    free(plugin->api_version);
    free(plugin->install_hint);
    free_strings(plugin->arguments);
    free_strings(plugin->environment);
    free(plugin);
}

static int read_arguments(struct exec_plugin *plugin, const cJSON *args, struct error *err)
{
    size_t count = (size_t)cJSON_GetArraySize(args), i = 0;
    const cJSON *arg;

    plugin->arguments = mem_calloc(count + 2, sizeof(*plugin->arguments));
    plugin->arguments[i++] = mem_strdup(plugin->command);
    cJSON_ArrayForEach(arg, args) {
        if (!cJSON_IsString(arg))
            return error_set(err, ERR_INVALID, "exec.args: must be a list of strings");
        plugin->arguments[i++] = mem_strdup(arg->valuestring);
    }
    return 0;
}

static bool sets_variable(char *const *environment, const char *entry)
{
    size_t length = strcspn(entry, "=") + 1;
    for (; *environment != NULL; environment++) {
        if (strncmp(*environment, entry, length) == 0)
            return true;
    }
    return false;
}

/* What the plug-in is told, then what the kubeconfig sets, then the rest of ours. */
static int read_environment(struct exec_plugin *plugin, const cJSON *exec, const cJSON *cluster,
                            struct error *err)
{
    const cJSON *env = json_get(exec, "env"), *item;
    size_t count = (size_t)cJSON_GetArraySize(env) + 1, i = 0;
    for (char **p = environ; *p != NULL; p++)
        count++;
    plugin->environment = mem_calloc(count + 1, sizeof(*plugin->environment));

    bool show = json_bool_at(exec, "provideClusterInfo", false);
    AUTO(json)
    cJSON *info = JOBJ(JS("kind", "ExecCredential"), JS("apiVersion", plugin->api_version),
                       JV("spec", JOBJ(JB("interactive", false),
                                       JV("cluster", show ? json_copy(cluster) : NULL))));
    AUTO_FREE char *text = json_print(info);
    plugin->environment[i++] = mem_printf("KUBERNETES_EXEC_INFO=%s", text);

    cJSON_ArrayForEach(item, env) {
        const char *name = json_string_at(item, "name"), *value = json_string_at(item, "value");
        if (name == NULL || name[0] == '\0' || strchr(name, '=') != NULL || value == NULL)
            return error_set(err, ERR_INVALID, "exec.env: each entry needs a name and a value");
        plugin->environment[i++] = mem_printf("%s=%s", name, value);
    }
    for (char **p = environ; *p != NULL; p++) {
        if (!sets_variable(plugin->environment, *p))
            plugin->environment[i++] = mem_strdup(*p);
    }
    return 0;
}

static int read_plugin(struct exec_plugin *plugin, const cJSON *exec, const char *directory,
                       const cJSON *cluster, struct error *err)
{
    const char *command = json_string_at(exec, "command");
    const char *api_version = json_string_at(exec, "apiVersion");
    const char *hint = json_string_at(exec, "installHint");
    const char *mode = json_string_at(exec, "interactiveMode");

    if (command == NULL || command[0] == '\0')
        return error_set(err, ERR_INVALID, "exec.command: missing");
    if (api_version == NULL || (strcmp(api_version, EXEC_GROUP "v1") != 0 &&
                                strcmp(api_version, EXEC_GROUP "v1beta1") != 0))
        return error_set(err, ERR_INVALID,
                         "exec.apiVersion: %s is not supported; use " EXEC_GROUP "v1",
                         api_version != NULL ? api_version : "(none)");
    if (mode != NULL && strcmp(mode, "Always") == 0)
        return error_set(err, ERR_INVALID,
                         "exec.interactiveMode: Always: %s needs a terminal, a service has none",
                         command);

    bool relative = command[0] != '/' && strchr(command, '/') != NULL;
    plugin->command = relative ? mem_printf("%s/%s", directory, command) : mem_strdup(command);
    plugin->api_version = mem_strdup(api_version);
    plugin->install_hint = mem_strdup(hint != NULL ? hint : "");
    if (read_arguments(plugin, json_get(exec, "args"), err) < 0)
        return -1;
    return read_environment(plugin, exec, cluster, err);
}

int exec_plugin_new(const cJSON *exec, const char *directory, const cJSON *cluster,
                    struct exec_plugin **out, struct error *err)
{
    struct exec_plugin *plugin = mem_new(struct exec_plugin);
    if (read_plugin(plugin, exec, directory, cluster, err) < 0) {
        exec_plugin_free(plugin);
        return -1;
    }
    *out = plugin;
    return 0;
}

/* ------------------------------------------------------------------ the process */

struct child {
    pid_t pid;
    int exit_fd;   /* readable when it has ended */
    int output_fd; /* -1 at end of file */
    int complaint_fd;
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

#define AUTO_CLOSE __attribute__((cleanup(close_fd)))

/* No terminal, no blocked signals, a process group of its own so that a time-out ends it with all
 * of its children. */
static int spawn(const struct exec_plugin *plugin, int output, int complaint, pid_t *pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;

    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, complaint, STDERR_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    int number = posix_spawnp(pid, plugin->command, &files, &attributes, plugin->arguments,
                              plugin->environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return number;
}

static int child_start(const struct exec_plugin *plugin, struct child *child, struct error *err)
{
    int output[2], complaint[2];
    if (pipe2(output, O_CLOEXEC) < 0)
        return error_set(err, ERR_INTERNAL, "pipe: %s", strerror(errno));
    child->output_fd = output[0];
    AUTO_CLOSE int output_end = output[1];
    if (pipe2(complaint, O_CLOEXEC) < 0)
        return error_set(err, ERR_INTERNAL, "pipe: %s", strerror(errno));
    child->complaint_fd = complaint[0];
    AUTO_CLOSE int complaint_end = complaint[1];
    fcntl(child->output_fd, F_SETFL, O_NONBLOCK);
    fcntl(child->complaint_fd, F_SETFL, O_NONBLOCK);

    int number = spawn(plugin, output_end, complaint_end, &child->pid);
    if (number != 0) {
        child->pid = 0;
        return error_set(err, ERR_FORBIDDEN, "cannot run it: %s%s%s", strerror(number),
                         plugin->install_hint[0] != '\0' ? ": " : "", plugin->install_hint);
    }
    child->exit_fd = pidfd_open(child->pid, 0);
    if (child->exit_fd < 0)
        return error_set(err, ERR_INTERNAL, "pidfd_open: %s", strerror(errno));
    return 0;
}

/* Waits for its end, which `kill_it` brings about, and returns its wait status. */
static int child_finish(struct child *child, bool kill_it)
{
    int status = 0;
    if (child->pid > 0) {
        if (kill_it)
            kill(-child->pid, SIGKILL);
        while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
            ;
    }
    close_fd(&child->exit_fd);
    close_fd(&child->output_fd);
    close_fd(&child->complaint_fd);
    return status;
}

/* Takes what is there now; false when `out` is full. */
static bool drain(int *fd, struct buf *out)
{
    char chunk[4096];
    while (*fd >= 0) {
        ssize_t count = read(*fd, chunk, sizeof(chunk));
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && errno == EAGAIN)
            return true;
        if (count <= 0)
            close_fd(fd);
        else if (buf_append(out, chunk, (size_t)count) < 0)
            return false;
    }
    return true;
}

static int child_read(struct child *child, int64_t timeout_ms, struct buf *output,
                      struct buf *complaint, struct error *err)
{
    int64_t deadline_ms = clock_monotonic(clock_system()) + timeout_ms;

    for (;;) {
        int64_t left_ms = deadline_ms - clock_monotonic(clock_system());
        if (left_ms <= 0)
            return error_set(err, ERR_TIMEOUT, "no answer within %lld ms", (long long)timeout_ms);
        struct pollfd wait[] = {
            { .fd = child->output_fd, .events = POLLIN },
            { .fd = child->complaint_fd, .events = POLLIN },
            { .fd = child->exit_fd, .events = POLLIN },
        };
        poll(wait, 3, (int)left_ms);
        /* After the poll, so that what it wrote before it ended is seen. */
        if (!drain(&child->output_fd, output))
            return error_set(err, ERR_TOO_LARGE, "prints more than %d bytes",
                             EXEC_PLUGIN_OUTPUT_BYTES_MAX);
        if (!drain(&child->complaint_fd, complaint))
            buf_reset(complaint); /* only the last words are of use */
        if (wait[2].revents != 0)
            return 0;
    }
}

static int run(const struct exec_plugin *plugin, int64_t timeout_ms, struct buf *output,
               struct error *err)
{
    AUTO(buf) struct buf complaint = BUF_INIT(COMPLAINT_BYTES_MAX);
    struct child child = { .exit_fd = -1, .output_fd = -1, .complaint_fd = -1 };

    int result = child_start(plugin, &child, err);
    if (result == 0)
        result = child_read(&child, timeout_ms, output, &complaint, err);
    int status = child_finish(&child, result < 0);
    if (result < 0)
        return -1;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    while (complaint.length > 0 && complaint.data[complaint.length - 1] == '\n')
        complaint.data[--complaint.length] = '\0';
    return error_set(err, ERR_FORBIDDEN, "%s %d%s%s",
                     WIFSIGNALED(status) ? "ended by signal" : "exit status",
                     WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
                     complaint.length > 0 ? ": " : "", buf_text(&complaint));
}

/* ------------------------------------------------------------------ its answer */

static int read_answer(const struct exec_plugin *plugin, const struct buf *output, char **token_out,
                       int64_t *expires_ms_out, struct error *err)
{
    AUTO(json) cJSON *answer = NULL;
    int64_t expires_ms = INT64_MAX;

    if (json_parse(buf_text(output), output->length, EXEC_PLUGIN_OUTPUT_BYTES_MAX, &answer, err) <
        0) {
        error_wrap(err, "its output is no ExecCredential");
        err->code = ERR_FORBIDDEN;
        return -1;
    }
    const char *api_version = json_string_at(answer, "apiVersion");
    const char *kind = json_string_at(answer, "kind");
    const char *token = json_string_at(answer, "status.token");
    const char *expires = json_string_at(answer, "status.expirationTimestamp");
    if (kind == NULL || strcmp(kind, "ExecCredential") != 0)
        return error_set(err, ERR_FORBIDDEN, "its output is no ExecCredential");
    if (api_version == NULL || strcmp(api_version, plugin->api_version) != 0)
        return error_set(err, ERR_FORBIDDEN, "it answers in %s; the kubeconfig asks for %s",
                         api_version != NULL ? api_version : "no version", plugin->api_version);
    if (json_at(answer, "status.clientCertificateData") != NULL)
        return error_set(err, ERR_FORBIDDEN, "it gives a client certificate; only tokens work");
    if (token == NULL)
        return error_set(err, ERR_FORBIDDEN, "it gives no token");
    if (expires != NULL && rfc3339_parse(expires, &expires_ms) < 0)
        return error_set(err, ERR_FORBIDDEN, "expirationTimestamp %s is no RFC 3339 time", expires);
    *token_out = mem_strdup(token);
    *expires_ms_out = expires_ms;
    return 0;
}

int exec_plugin_run(const struct exec_plugin *plugin, int64_t timeout_ms, char **token_out,
                    int64_t *expires_ms_out, struct error *err)
{
    AUTO(buf) struct buf output = BUF_INIT(EXEC_PLUGIN_OUTPUT_BYTES_MAX);
    if (run(plugin, timeout_ms, &output, err) < 0 ||
        read_answer(plugin, &output, token_out, expires_ms_out, err) < 0)
        return error_wrap(err, "exec plug-in %s", plugin->command);
    return 0;
}
