#include "cli/kubectl.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/json/build.h"
#include "common/json/json.h"

enum { ARGUMENTS_MAX = 64, ANSWER_BYTES_MAX = 64 * 1024 * 1024 };

extern char **environ;

static int start(const char *const *arguments, int output, pid_t *pid, struct error *err)
{
    const char *argv[ARGUMENTS_MAX + 2] = { "kubectl" };
    for (size_t i = 0; i < ARGUMENTS_MAX && arguments[i] != NULL; i++)
        argv[i + 1] = arguments[i];
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    /* argv is not written to, whatever its type says */
    int failed =
        posix_spawnp(pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    return failed == 0
               ? 0
               : error_set(err, ERR_UNAVAILABLE, "cannot run kubectl: %s", strerror(failed));
}

/* To the end, also when it is too much: the writer must not wait for us. */
static void drain(int input, struct buf *out)
{
    char chunk[64 * 1024];
    for (;;) {
        ssize_t count = read(input, chunk, sizeof(chunk));
        if (count > 0)
            (void)buf_append(out, chunk, (size_t)count); /* sticky; looked at once it has ended */
        else if (count == 0 || errno != EINTR)
            return;
    }
}

int kubectl_run(const char *const *arguments, struct buf *out, struct error *err)
{
    int ends[2], status = 0;
    pid_t pid;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_set(err, ERR_UNAVAILABLE, "cannot run kubectl: %s", strerror(errno));
    int started = start(arguments, ends[1], &pid, err);
    close(ends[1]);
    if (started == 0) {
        drain(ends[0], out);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            continue;
    }
    close(ends[0]);
    if (started < 0)
        return -1;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return error_set(err, ERR_UNAVAILABLE, "kubectl %s failed", arguments[0]);
    if (buf_failed(out))
        return error_set(err, ERR_TOO_LARGE, "kubectl %s prints more than %zu bytes", arguments[0],
                         out->bytes_max);
    return 0;
}

void objects_append(cJSON *objects, cJSON *take)
{
    AUTO(json) cJSON *tree = take;
    const cJSON *items = json_get(tree, "items");
    if (items == NULL) {
        json_append(objects, STEAL(tree));
        return;
    }
    const cJSON *item;
    cJSON_ArrayForEach(item, items)
        json_append(objects, json_copy(item));
}

int kubectl_get(const char *const *arguments, cJSON *objects, struct error *err)
{
    AUTO(buf) struct buf text = BUF_INIT(ANSWER_BYTES_MAX);
    cJSON *tree;
    if (kubectl_run(arguments, &text, err) < 0)
        return -1;
    if (text.length == 0) /* --ignore-not-found */
        return 0;
    if (json_parse(text.data, text.length, ANSWER_BYTES_MAX, &tree, err) < 0)
        return error_wrap(err, "what kubectl %s prints", arguments[0]);
    objects_append(objects, tree);
    return 0;
}
