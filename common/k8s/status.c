#include "common/k8s/status.h"

#include <string.h>

#include "common/base/compiler.h"
#include "common/json/json.h"

enum { THROTTLE_DEFAULT_MS = 1000, RETRY_AFTER_MAX_S = 3600 };

static enum error_code code_of(int http_status, const char *reason)
{
    switch (http_status) {
    case 401:
    case 403:
        return ERR_FORBIDDEN;
    case 404:
        return ERR_NOT_FOUND;
    case 408:
    case 504:
        return ERR_TIMEOUT;
    case 409:
        return strcmp(reason, "AlreadyExists") == 0 ? ERR_ALREADY_EXISTS : ERR_CONFLICT;
    case 410:
        return ERR_EXPIRED;
    case 413:
        return ERR_TOO_LARGE;
    case 429:
        return ERR_THROTTLED;
    default:
        return http_status >= 400 && http_status < 500 ? ERR_INVALID : ERR_UNAVAILABLE;
    }
}

/* A 404 that names no object is about the kind itself. */
static bool kind_is_missing(int http_status, const cJSON *status)
{
    return http_status == 404 && json_string_at(status, "details.name") == NULL;
}

static int fill(const struct gvr *gvr, const cJSON *status, int http_status, int64_t retry_after_ms,
                const char *otherwise, struct error *err)
{
    const char *reason = json_string_at(status, "reason");
    const char *message = json_string_at(status, "message");
    enum error_code code = code_of(http_status, reason != NULL ? reason : "");

    if (kind_is_missing(http_status, status))
        error_set(err, code, "the API server has no %s in %s%s%s: is the CRD installed?",
                  gvr->resource, gvr->group, gvr->group[0] != '\0' ? "/" : "", gvr->version);
    else if (http_status == 401)
        error_set(err, code, "the API server does not accept our credentials (401 Unauthorized)");
    else if (message != NULL && message[0] != '\0')
        error_set(err, code, "%s", message);
    else
        error_set(err, code, "the API server answered HTTP %d%s%s", http_status,
                  otherwise[0] != '\0' ? ": " : "", otherwise);

    if (retry_after_ms <= 0) {
        int64_t seconds = json_integer_at(status, "details.retryAfterSeconds", 0);
        retry_after_ms = (seconds < RETRY_AFTER_MAX_S ? seconds : RETRY_AFTER_MAX_S) * 1000;
    }
    if (retry_after_ms <= 0)
        retry_after_ms = code == ERR_THROTTLED ? THROTTLE_DEFAULT_MS : 0;
    err->http_status = http_status;
    err->retry_after_ms = retry_after_ms;
    return -1;
}

int status_to_error(const struct gvr *gvr, const struct http_response *response, struct error *err)
{
    AUTO(json) cJSON *status = NULL;
    struct error ignored;
    char line[160] = "";

    if (json_parse(buf_text(&response->body), response->body.length, JSON_BYTES_MAX, &status,
                   &ignored) < 0) {
        size_t length = strcspn(buf_text(&response->body), "\r\n");
        if (length >= sizeof(line))
            length = sizeof(line) - 1;
        memcpy(line, buf_text(&response->body), length);
        line[length] = '\0';
    }
    return fill(gvr, status, response->status, response->retry_after_ms, line, err);
}

int status_object_to_error(const struct gvr *gvr, const cJSON *status, struct error *err)
{
    return fill(gvr, status, (int)json_integer_at(status, "code", 500), 0, "", err);
}
