#include "common/k8s/credential.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/base/mutex.h"

struct credential {
    char *path;                 /* of a token file, else NULL */
    struct exec_plugin *plugin; /* or NULL */
    const struct clock *clock;  /* borrowed; NULL for a fixed token */
    struct mutex lock;
    struct cond obtained;
    bool obtaining;         /* guarded by lock, as are all that follow */
    char *token;            /* NULL until the first was obtained */
    int64_t valid_until_ms; /* by the clock of the source: monotonic for files, real for plug-ins */
    unsigned generation;    /* counts tokens, so that waiters see that theirs was replaced */
};

static struct credential *credential_new(const struct clock *clock)
{
    struct credential *credential = mem_new(struct credential);
    credential->clock = clock;
    credential->valid_until_ms = INT64_MAX;
    mutex_init(&credential->lock);
    cond_init(&credential->obtained);
    return credential;
}

/* Printable ASCII without blanks: anything else has no place in a header. */
static bool token_is_sane(const char *token)
{
    if (token[0] == '\0')
        return false;
    for (const char *p = token; *p != '\0'; p++) {
        if (!isgraph((unsigned char)*p))
            return false;
    }
    return true;
}

int credential_new_token(const char *token, struct credential **out, struct error *err)
{
    if (!token_is_sane(token))
        return error_set(err, ERR_INVALID, "token: empty, or holds blanks or control characters");
    struct credential *credential = credential_new(NULL);
    credential->token = mem_strdup(token);
    *out = credential;
    return 0;
}

static int read_token_file(const char *path, char **out, struct error *err)
{
    AUTO(buf) struct buf text = BUF_INIT(TOKEN_BYTES_MAX);
    if (file_read(path, &text, err) < 0)
        return -1;
    while (text.length > 0 && isspace((unsigned char)text.data[text.length - 1]))
        text.data[--text.length] = '\0';
    if (strlen(buf_text(&text)) != text.length || !token_is_sane(buf_text(&text)))
        return error_set(err, ERR_INVALID, "%s holds no token: %s", path,
                         text.length == 0 ? "it is empty" : "blanks or control characters in it");
    *out = buf_take(&text);
    return 0;
}

int credential_new_file(const char *path, const struct clock *clock, struct credential **out,
                        struct error *err)
{
    char *token;
    if (read_token_file(path, &token, err) < 0)
        return -1;
    struct credential *credential = credential_new(clock);
    credential->path = mem_strdup(path);
    credential->token = token;
    credential->valid_until_ms = clock_monotonic(clock) + TOKEN_FILE_PERIOD_MS;
    *out = credential;
    return 0;
}

struct credential *credential_new_exec(struct exec_plugin *plugin, const struct clock *clock)
{
    struct credential *credential = credential_new(clock);
    credential->plugin = plugin;
    return credential;
}

void credential_free(struct credential *credential)
{
    if (credential == NULL)
        return;
    exec_plugin_free(credential->plugin);
    mutex_fini(&credential->lock);
    cond_fini(&credential->obtained);
    free(credential->path);
    free(credential->token);
    free(credential);
}

static int64_t now_of(const struct credential *credential)
{
    if (credential->path != NULL)
        return clock_monotonic(credential->clock);
    return credential->plugin != NULL ? clock_realtime(credential->clock) : 0;
}

/* Without the lock: this is where files are read and programs run. */
static int obtain(const struct credential *credential, char **token, int64_t *valid_until_ms,
                  struct error *err)
{
    if (credential->path != NULL) {
        *valid_until_ms = now_of(credential) + TOKEN_FILE_PERIOD_MS;
        return read_token_file(credential->path, token, err);
    }
    AUTO_FREE char *fresh = NULL;
    if (exec_plugin_run(credential->plugin, EXEC_PLUGIN_TIMEOUT_MS, &fresh, valid_until_ms, err) <
        0)
        return -1;
    if (!token_is_sane(fresh))
        return error_set(err, ERR_FORBIDDEN,
                         "the exec plug-in's token is empty or holds blanks or control characters");
    *token = STEAL(fresh);
    return 0;
}

/* Gives the lock up while obtaining. */
static int renew(struct credential *credential, struct error *err)
    THREAD_ANNOTATION(requires_capability(credential->lock));

static int renew(struct credential *credential, struct error *err)
{
    char *token = NULL;
    int64_t valid_until_ms = 0;

    credential->obtaining = true;
    mutex_unlock(&credential->lock);
    int result = obtain(credential, &token, &valid_until_ms, err);
    mutex_lock(&credential->lock);
    credential->obtaining = false;
    cond_broadcast(&credential->obtained);

    if (result == 0) {
        free(credential->token);
        credential->token = token;
        credential->valid_until_ms = valid_until_ms;
        credential->generation++;
    } else if (credential->path != NULL) {
        /* A token file is read early; the token we hold lives longer than one bad moment of the
         * disk. */
        credential->valid_until_ms = valid_until_ms;
        return 0;
    }
    return result;
}

int credential_token(struct credential *credential, bool force, char **out, struct error *err)
{
    int result = 0;

    mutex_lock(&credential->lock);
    unsigned generation = credential->generation;
    while (credential->obtaining)
        cond_wait(&credential->obtained, &credential->lock);
    bool renewable = credential->path != NULL || credential->plugin != NULL;
    bool refused = force && generation == credential->generation;
    bool due =
        credential->token == NULL || now_of(credential) >= credential->valid_until_ms || refused;
    if (renewable && due)
        result = renew(credential, err);
    if (result == 0)
        *out = mem_strdup(credential->token);
    mutex_unlock(&credential->lock);
    return result;
}
