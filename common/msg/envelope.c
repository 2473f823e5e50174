#include "common/msg/envelope.h"

#include <string.h>

#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"

char *envelope_encode(const char *type, const char *id, const char *traceparent, const cJSON *body)
{
    AUTO(json)
    cJSON *head = JOBJ(JI("v", MESSAGE_VERSION), JS("type", type), JS("id", id),
                       JS("traceparent", traceparent));
    AUTO_FREE char *head_text = json_print(head);
    AUTO_FREE char *body_text = body != NULL ? json_print(body) : mem_strdup("{}");
    /* The body is put in as text, before the last brace: a copy of its tree would only be printed.
     */
    return mem_printf("%.*s,\"body\":%s}", (int)strlen(head_text) - 1, head_text, body_text);
}

/* The text of an optional member in *out, which stays as it was when the member is absent. */
static int text_member(const cJSON *tree, const char *name, const char **out, struct error *err)
{
    const cJSON *member = json_get(tree, name);
    if (member == NULL)
        return 0;
    if (!cJSON_IsString(member))
        return error_set(err, ERR_INVALID, "message: %s must be a string", name);
    *out = member->valuestring;
    return 0;
}

static int check_version(const cJSON *tree, struct error *err)
{
    int64_t version;
    if (!json_to_integer(json_get(tree, "v"), &version))
        return error_set(err, ERR_INVALID, "message: v must be an integer");
    if (version != MESSAGE_VERSION)
        return error_set(err, ERR_INVALID, "message of version %lld: this side speaks version %d",
                         (long long)version, MESSAGE_VERSION);
    return 0;
}

int envelope_decode(const char *bytes, size_t count, struct envelope *out, struct error *err)
{
    AUTO(json) cJSON *tree = NULL;
    struct envelope envelope = { .type = "", .id = "" };
    if (json_parse(bytes, count, MESSAGE_BYTES_MAX, &tree, err) < 0)
        return error_wrap(err, "message");
    if (check_version(tree, err) < 0 || text_member(tree, "type", &envelope.type, err) < 0 ||
        text_member(tree, "id", &envelope.id, err) < 0 ||
        text_member(tree, "traceparent", &envelope.traceparent, err) < 0)
        return -1;
    if (envelope.type[0] == '\0')
        return error_set(err, ERR_INVALID, "message without a type");
    envelope.body = json_get(tree, "body");
    if (!cJSON_IsObject(envelope.body))
        return error_set(err, ERR_INVALID, "message: body must be an object");
    envelope.tree = STEAL(tree);
    *out = envelope;
    return 0;
}

void envelope_fini(struct envelope *envelope)
{
    json_free(envelope->tree);
    *envelope = (struct envelope){ .tree = NULL };
}
