#include "provisioner/drivers/arm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"

static char *pools_url(const struct arm *arm, const char *name)
{
    const struct arm_options *o = &arm->options;
    return mem_printf("%s/subscriptions/%s/resourceGroups/%s/providers/"
                      "Microsoft.ContainerService/managedClusters/%s/agentPools%s%s"
                      "?api-version=" ARM_API_VERSION,
                      o->endpoint, o->subscription_id, o->resource_group, o->cluster_name,
                      name != NULL ? "/" : "", name != NULL ? name : "");
}

/* ------------------------------------------------------------------ errors */

static int fail_without_answer(struct arm_error *err)
{
    bool identity = err->error.code == ERR_FORBIDDEN || err->error.code == ERR_NOT_FOUND;
    err->cause = identity ? AKS_FORBIDDEN : AKS_UNAVAILABLE;
    return -1;
}

static enum error_code code_of(enum aks_cause cause)
{
    switch (cause) {
    case AKS_THROTTLED:
        return ERR_THROTTLED;
    case AKS_CONFLICT:
        return ERR_CONFLICT;
    case AKS_FORBIDDEN:
        return ERR_FORBIDDEN;
    case AKS_UNAVAILABLE:
        return ERR_UNAVAILABLE;
    default:
        return ERR_INTERNAL; /* tried again, whatever the cause: the pool may cost money */
    }
}

/* NULL where it is not JSON. */
static cJSON *parse(const struct http_client_answer *answer)
{
    cJSON *body = NULL;
    struct error ignored = ERROR_INIT;
    if (json_parse(buf_text(&answer->body), answer->body.length, HTTP_CLIENT_ANSWER_BYTES_MAX,
                   &body, &ignored) < 0)
        return NULL;
    return body;
}

static int refuse(const struct http_client_answer *answer, const cJSON *body, struct arm_error *err)
{
    struct azure_error said = azure_error_read(body);
    err->cause = aks_cause_of(answer->status, &said);
    error_set(&err->error, code_of(err->cause), "Azure: %d %s%s%s", answer->status, said.code,
              said.message[0] != '\0' ? ": " : "", said.message);
    err->error.http_status = answer->status;
    err->error.retry_after_ms = answer->retry_after_ms;
    return -1;
}

/* ------------------------------------------------------------------ one request */

static int send_with(struct arm *arm, const char *token, const char *method, const char *url,
                     const char *body, struct http_client_answer *out, struct error *err)
{
    AUTO_FREE char *bearer = mem_printf("Authorization: Bearer %s", token);
    const char *headers[] = { "Accept: application/json", bearer,
                              body != NULL ? "Content-Type: application/json" : NULL, NULL };
    const struct http_client_request request = {
        .method = method, .url = url, .headers = headers, .body = body
    };
    return arm->options.http->exchange(arm->options.http, &request, arm->options.stop, out, err);
}

static int exchange(struct arm *arm, const char *method, const char *url, const char *body,
                    struct http_client_answer *out, struct arm_error *err)
{
    struct stop *stop = arm->options.stop;
    AUTO_FREE char *token = NULL, *refused = NULL;
    for (int attempt = 0; attempt < 2; attempt++) {
        if (azure_token_get(arm->options.token, refused, stop, &token, &err->error) < 0 ||
            send_with(arm, token, method, url, body, out, &err->error) < 0)
            return fail_without_answer(err);
        if (out->status != 401 || attempt > 0)
            break;
        http_client_answer_fini(out);
        *out = (struct http_client_answer){ 0 };
        refused = STEAL(token);
    }
    return 0;
}

/* A 404 that speaks of the pool. One about the cluster or its group must not pass for it: every
 * machine would be taken for lost. */
static bool says_no_pool(const struct http_client_answer *answer, const cJSON *body)
{
    struct azure_error said = azure_error_read(body);
    return answer->status == 404 &&
           (strcmp(said.code, "NotFound") == 0 || strcasestr(said.message, "agent pool") != NULL ||
            strcasestr(said.message, "/agentPools/") != NULL);
}

/* A body that is an object: most answers. 1: no such pool. */
static int call(struct arm *arm, const char *method, const char *url, const char *body,
                cJSON **json_out, char **operation_out, struct arm_error *err)
{
    AUTO(http_client_answer) struct http_client_answer answer = { 0 };
    if (exchange(arm, method, url, body, &answer, err) < 0)
        return -1;
    AUTO(json) cJSON *json = parse(&answer);
    if (says_no_pool(&answer, json))
        return 1;
    if (answer.status < 200 || answer.status > 299)
        return refuse(&answer, json, err);
    if (json_out != NULL && !cJSON_IsObject(json)) {
        err->cause = AKS_UNAVAILABLE;
        return error_set(&err->error, ERR_UNAVAILABLE, "Azure: %d without a JSON object",
                         answer.status);
    }
    if (json_out != NULL)
        *json_out = STEAL(json);
    if (operation_out != NULL)
        *operation_out = STEAL(answer.operation);
    return 0;
}

/* ------------------------------------------------------------------ the calls */

int arm_pool_get(struct arm *arm, const char *name, cJSON **out, struct arm_error *err)
{
    AUTO_FREE char *url = pools_url(arm, name);
    return call(arm, "GET", url, NULL, out, NULL, err);
}

int arm_pool_put(struct arm *arm, const char *name, const cJSON *body, char **operation,
                 struct arm_error *err)
{
    AUTO_FREE char *url = pools_url(arm, name);
    AUTO_FREE char *text = json_print(body);
    int result = call(arm, "PUT", url, text, NULL, operation, err);
    if (result <= 0)
        return result;
    err->cause = AKS_NO_CLUSTER;
    return error_set(&err->error, ERR_NOT_FOUND, "Azure: 404 to the request for a new agent pool");
}

int arm_pool_delete(struct arm *arm, const char *name, struct arm_error *err)
{
    AUTO_FREE char *url = pools_url(arm, name);
    return call(arm, "DELETE", url, NULL, NULL, NULL, err);
}

static int check_origin(const struct arm *arm, const char *url, struct arm_error *err)
{
    size_t length = strlen(arm->options.endpoint);
    if (strncmp(url, arm->options.endpoint, length) == 0 && url[length] == '/')
        return 0;
    err->cause = AKS_OTHER;
    return error_set(&err->error, ERR_INVALID, "%.200s is not at %s", url, arm->options.endpoint);
}

static void move_items(cJSON *all, const cJSON *page)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, json_get(page, "value"))
        json_append(all, json_copy(item));
}

int arm_pool_list(struct arm *arm, cJSON **out, struct arm_error *err)
{
    AUTO(json) cJSON *all = json_new_array();
    AUTO_FREE char *url = pools_url(arm, NULL);
    for (int page_count = 0; page_count < ARM_PAGES_MAX; page_count++) {
        AUTO(json) cJSON *page = NULL;
        int result = call(arm, "GET", url, NULL, &page, NULL, err);
        if (result > 0) {
            err->cause = AKS_NO_CLUSTER;
            return error_set(&err->error, ERR_NOT_FOUND, "Azure: 404 to the list of agent pools");
        }
        if (result < 0)
            return -1;
        move_items(all, page);
        const char *next = json_string_at(page, "nextLink");
        if (next == NULL || next[0] == '\0') {
            *out = STEAL(all);
            return 0;
        }
        if (check_origin(arm, next, err) < 0)
            return -1;
        free(url);
        url = mem_strdup(next);
    }
    err->cause = AKS_OTHER;
    return error_set(&err->error, ERR_TOO_LARGE, "more than %d pages of agent pools",
                     ARM_PAGES_MAX);
}

int arm_operation_get(struct arm *arm, const char *url, cJSON **out, struct arm_error *err)
{
    if (check_origin(arm, url, err) < 0)
        return -1;
    int result = call(arm, "GET", url, NULL, out, NULL, err);
    if (result <= 0)
        return result;
    err->cause = AKS_OTHER;
    return error_set(&err->error, ERR_NOT_FOUND, "Azure no longer knows the operation");
}
