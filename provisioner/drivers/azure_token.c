#include "provisioner/drivers/azure_token.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/base/mutex.h"
#include "common/json/json.h"

enum {
    ASSERTION_BYTES_MAX = 64 * 1024,
    REQUEST_BYTES_MAX = 256 * 1024,
    EARLY_MS = 5 * 60 * 1000, /* a new token is fetched so long before the old one ends */
    LIFE_MS_MAX = 24 * 60 * 60 * 1000,
};

struct azure_token {
    struct azure_token_options options;
    struct mutex lock;
    struct cond obtained;
    bool obtaining; /* guarded by lock, as are those that follow */
    char *value;    /* NULL: none yet */
    int64_t valid_until_ms;
};

struct azure_token *azure_token_new(const struct azure_token_options *options)
{
    struct azure_token *token = mem_new(struct azure_token);
    token->options = *options;
    mutex_init(&token->lock);
    cond_init(&token->obtained);
    return token;
}

void azure_token_free(struct azure_token *token)
{
    if (token == NULL)
        return;
    mutex_fini(&token->lock);
    cond_fini(&token->obtained);
    free(token->value);
    free(token);
}

/* ------------------------------------------------------------------ the two ways */

static void put_escaped(struct buf *out, const char *name, const char *value)
{
    if (out->length > 0 && out->data[out->length - 1] != '?')
        buf_putc(out, '&');
    buf_printf(out, "%s=", name);
    for (const char *p = value; *p != '\0'; p++) {
        if (isalnum((unsigned char)*p) || strchr("-._~", *p) != NULL)
            buf_putc(out, *p);
        else
            buf_printf(out, "%%%02X", (unsigned)(unsigned char)*p);
    }
}

static int exchange_assertion(const struct azure_token *token, struct stop *stop,
                              struct http_client_answer *answer, struct error *err)
{
    static const char *const headers[] = { "Content-Type: application/x-www-form-urlencoded",
                                           "Accept: application/json", NULL };
    const struct azure_token_options *o = &token->options;
    AUTO(buf) struct buf assertion = BUF_INIT(ASSERTION_BYTES_MAX);
    if (file_read(o->federated_file, &assertion, err) < 0)
        return -1;
    while (assertion.length > 0 && isspace((unsigned char)assertion.data[assertion.length - 1]))
        assertion.data[--assertion.length] = '\0';

    AUTO(buf) struct buf form = BUF_INIT(REQUEST_BYTES_MAX);
    AUTO_FREE char *scope = mem_printf("%s/.default", o->resource);
    put_escaped(&form, "grant_type", "client_credentials");
    put_escaped(&form, "client_id", o->client_id);
    put_escaped(&form, "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    put_escaped(&form, "client_assertion", buf_text(&assertion));
    put_escaped(&form, "scope", scope);
    size_t length = strlen(o->authority);
    bool slash = length > 0 && o->authority[length - 1] == '/';
    AUTO_FREE char *url =
        mem_printf("%s%s%s/oauth2/v2.0/token", o->authority, slash ? "" : "/", o->tenant_id);
    const struct http_client_request request = {
        .method = "POST", .url = url, .headers = headers, .body = buf_text(&form)
    };
    return o->http->exchange(o->http, &request, stop, answer, err);
}

static int ask_metadata(const struct azure_token *token, struct stop *stop,
                        struct http_client_answer *answer, struct error *err)
{
    static const char *const headers[] = { "Metadata: true", "Accept: application/json", NULL };
    const struct azure_token_options *o = &token->options;
    AUTO(buf) struct buf url = BUF_INIT(REQUEST_BYTES_MAX);
    buf_printf(&url, "%s/metadata/identity/oauth2/token?", o->metadata_endpoint);
    put_escaped(&url, "api-version", "2018-02-01");
    put_escaped(&url, "resource", o->resource);
    if (o->client_id[0] != '\0')
        put_escaped(&url, "client_id", o->client_id);
    const struct http_client_request request = {
        .method = "GET", .url = buf_text(&url), .headers = headers, .direct = true
    };
    return o->http->exchange(o->http, &request, stop, answer, err);
}

/* ------------------------------------------------------------------ the answer */

static int refuse(const struct http_client_answer *answer, struct error *err)
{
    AUTO(json) cJSON *body = NULL;
    struct error ignored = ERROR_INIT;
    const char *said = NULL;
    if (json_parse(buf_text(&answer->body), answer->body.length, HTTP_CLIENT_ANSWER_BYTES_MAX,
                   &body, &ignored) == 0)
        said = json_string_at(body, "error_description");
    if (said == NULL)
        said = json_string_at(body, "error");
    int status = answer->status;
    enum error_code code = status == 429                   ? ERR_THROTTLED
                           : status >= 400 && status < 500 ? ERR_FORBIDDEN
                                                           : ERR_UNAVAILABLE;
    error_set(err, code, "no token from Azure: %d %.300s", status, said != NULL ? said : "");
    err->http_status = status;
    err->retry_after_ms = answer->retry_after_ms;
    return -1;
}

static bool is_sane(const char *token)
{
    if (token == NULL || token[0] == '\0')
        return false;
    for (const char *p = token; *p != '\0'; p++) {
        if (!isgraph((unsigned char)*p))
            return false;
    }
    return true;
}

/* expires_in is a number from the authority and text from the metadata service. */
static int64_t life_ms(const cJSON *body)
{
    const char *text = json_string_at(body, "expires_in");
    int64_t seconds =
        text != NULL ? strtoll(text, NULL, 10) : json_integer_at(body, "expires_in", 0);
    if (seconds <= 0)
        return 0;
    return seconds > LIFE_MS_MAX / 1000 ? LIFE_MS_MAX : seconds * 1000;
}

static int read_token(const struct http_client_answer *answer, char **value, int64_t *lives_ms,
                      struct error *err)
{
    if (answer->status != 200)
        return refuse(answer, err);
    AUTO(json) cJSON *body = NULL;
    if (json_parse(buf_text(&answer->body), answer->body.length, HTTP_CLIENT_ANSWER_BYTES_MAX,
                   &body, err) < 0)
        return error_set(err, ERR_UNAVAILABLE, "Azure's token service did not answer with JSON");
    const char *text = json_string_at(body, "access_token");
    if (!is_sane(text))
        return error_set(err, ERR_UNAVAILABLE, "Azure's token service answered without a token");
    *value = mem_strdup(text);
    *lives_ms = life_ms(body);
    return 0;
}

static int obtain(const struct azure_token *token, struct stop *stop, char **value,
                  int64_t *lives_ms, struct error *err)
{
    AUTO(http_client_answer) struct http_client_answer answer = { 0 };
    int result = token->options.federated_file[0] != '\0'
                     ? exchange_assertion(token, stop, &answer, err)
                     : ask_metadata(token, stop, &answer, err);
    if (result < 0)
        return error_wrap(err, "no token from Azure");
    return read_token(&answer, value, lives_ms, err);
}

/* ------------------------------------------------------------------ sharing it */

/* Gives the lock up while obtaining. */
static int renew(struct azure_token *token, struct stop *stop, struct error *err)
    THREAD_ANNOTATION(requires_capability(token->lock));

static int renew(struct azure_token *token, struct stop *stop, struct error *err)
{
    char *value = NULL;
    int64_t lives_ms = 0;

    token->obtaining = true;
    mutex_unlock(&token->lock);
    int result = obtain(token, stop, &value, &lives_ms, err);
    mutex_lock(&token->lock);
    token->obtaining = false;
    if (result == 0) {
        free(token->value);
        token->value = value;
        token->valid_until_ms = clock_monotonic(token->options.clock) + lives_ms;
    }
    cond_broadcast(&token->obtained);
    return result;
}

static bool is_good(const struct azure_token *token, const char *refused)
{
    int64_t now = clock_monotonic(token->options.clock);
    int64_t left_ms = token->valid_until_ms - now;
    return token->value != NULL && left_ms > 0 &&
           (refused == NULL || strcmp(refused, token->value) != 0);
}

int azure_token_get(struct azure_token *token, const char *refused, struct stop *stop, char **out,
                    struct error *err)
{
    int result = 0;
    mutex_lock(&token->lock);
    while (token->obtaining)
        cond_wait(&token->obtained, &token->lock);
    bool good = is_good(token, refused);
    bool ageing = token->valid_until_ms - clock_monotonic(token->options.clock) < EARLY_MS;
    if (!good || ageing)
        result = renew(token, stop, err);
    /* The old one still serves while no new one can be had. */
    if (result < 0 && good)
        result = 0;
    if (result == 0)
        *out = mem_strdup(token->value);
    mutex_unlock(&token->lock);
    return result;
}
