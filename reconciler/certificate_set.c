#include "reconciler/certificate_set.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/digest.h"
#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"

static const struct leaf {
    const char *name;
    const char *common_name;
    bool client_auth;
} leaves[LEAF_COUNT] = {
    [LEAF_WEBHOOK] = { "webhook", "ckaito webhook", false },
    [LEAF_BUS] = { "bus", "ckaito bus", true },
};

void certificate_set_fini(struct certificate_set *set)
{
    key_pair_fini(&set->authority);
    free(set->previous_authority);
    for (size_t i = 0; i < LEAF_COUNT; i++)
        key_pair_fini(&set->leaves[i]);
    *set = (struct certificate_set){ 0 };
}

/* ------------------------------------------------------------------ hosts */

void certificate_hosts_make(const char *namespace_, const char *webhook_service, const char *more,
                            struct arena *arena, struct certificate_hosts *out)
{
    const char **webhook = out->of[LEAF_WEBHOOK];
    size_t count = 0;
    *out = (struct certificate_hosts){ 0 };
    webhook[count++] = arena_strdup(arena, webhook_service);
    webhook[count++] = arena_printf(arena, "%s.%s", webhook_service, namespace_);
    webhook[count++] = arena_printf(arena, "%s.%s.svc", webhook_service, namespace_);
    for (const char *p = more; p != NULL && *p != '\0' && count < CERTIFICATE_HOSTS_MAX;) {
        size_t length = strcspn(p, ",");
        if (length > 0)
            webhook[count++] = arena_strndup(arena, p, length);
        p += length + (p[length] == ',');
    }
    const char **bus = out->of[LEAF_BUS];
    bus[0] = arena_printf(arena, "ckaito-reconciler.%s.svc", namespace_);
    bus[1] = arena_printf(arena, "ckaito-provisioner.%s.svc", namespace_);
    bus[2] = arena_printf(arena, "*.ckaito-provisioner.%s.svc", namespace_); /* its replicas */
    bus[3] = "localhost";
    bus[4] = "127.0.0.1";
}

/* ------------------------------------------------------------------ renewal */

static bool is_current(const char *certificate, int64_t now_ms)
{
    struct certificate_info info;
    struct error err = ERROR_INIT;
    return certificate != NULL && certificate_inspect(certificate, &info, &err) == 0 &&
           !certificate_is_due(&info, now_ms);
}

/* Long enough in use for everybody to know it. */
static bool is_settled(const char *certificate, int64_t now_ms)
{
    struct certificate_info info;
    struct error err = ERROR_INIT;
    return certificate_inspect(certificate, &info, &err) == 0 &&
           now_ms - info.not_before_ms >= CERTIFICATE_SKEW_MS + CERTIFICATE_SETTLE_MS;
}

static bool fits(const struct key_pair *pair, const char *bundle, const char *const *hosts)
{
    struct error err = ERROR_INIT;
    return pair->certificate_pem != NULL && pair->key_pem != NULL &&
           certificate_check(pair->certificate_pem, pair->key_pem, bundle, hosts, &err) == 0;
}

static int renew_authority(struct certificate_set *set, int64_t now_ms, struct error *err)
{
    struct key_pair *authority = &set->authority;
    bool usable = fits(authority, NULL, NULL);
    if (usable && is_current(authority->certificate_pem, now_ms))
        return 0;
    struct key_pair fresh = { 0 };
    if (certificate_make_authority("ckaito authority", now_ms - CERTIFICATE_SKEW_MS,
                                   CERTIFICATE_AUTHORITY_MS, &fresh, err) < 0)
        return -1;
    free(set->previous_authority);
    set->previous_authority = usable ? STEAL(authority->certificate_pem) : NULL;
    key_pair_fini(authority);
    *authority = fresh;
    return 1;
}

/* Whether the leaf serves on for now. */
static bool leaf_stays(const struct certificate_set *set, const struct key_pair *leaf,
                       const char *const *hosts, int64_t now_ms)
{
    AUTO_FREE char *bundle = certificate_set_bundle(set);
    if (!fits(leaf, bundle, hosts) || !is_current(leaf->certificate_pem, now_ms))
        return false;
    return fits(leaf, set->authority.certificate_pem, NULL) ||
           !is_settled(set->authority.certificate_pem, now_ms);
}

static int renew_leaf(struct certificate_set *set, enum certificate_leaf which,
                      const char *const *hosts, int64_t now_ms, struct error *err)
{
    struct key_pair *leaf = &set->leaves[which];
    if (leaf_stays(set, leaf, hosts, now_ms))
        return 0;
    const struct certificate_request request = {
        .common_name = leaves[which].common_name,
        .hosts = hosts,
        .server_auth = true,
        .client_auth = leaves[which].client_auth,
        .not_before_ms = now_ms - CERTIFICATE_SKEW_MS,
        .lifetime_ms = CERTIFICATE_LEAF_MS,
    };
    struct key_pair fresh = { 0 };
    if (certificate_issue(&set->authority, &request, &fresh, err) < 0)
        return -1;
    key_pair_fini(leaf);
    *leaf = fresh;
    return 1;
}

static int retire_previous(struct certificate_set *set, int64_t now_ms)
{
    if (set->previous_authority == NULL)
        return 0;
    for (size_t i = 0; i < LEAF_COUNT; i++) {
        if (!fits(&set->leaves[i], set->authority.certificate_pem, NULL) ||
            !is_settled(set->leaves[i].certificate_pem, now_ms))
            return 0;
    }
    free(STEAL(set->previous_authority));
    return 1;
}

int certificate_set_renew(struct certificate_set *set, const struct certificate_hosts *hosts,
                          int64_t now_ms, struct error *err)
{
    int changed = renew_authority(set, now_ms, err);
    if (changed < 0)
        return -1;
    for (enum certificate_leaf leaf = 0; leaf < LEAF_COUNT; leaf++) {
        int renewed = renew_leaf(set, leaf, hosts->of[leaf], now_ms, err);
        if (renewed < 0)
            return -1;
        changed |= renewed;
    }
    return changed | retire_previous(set, now_ms);
}

char *certificate_set_bundle(const struct certificate_set *set)
{
    const char *previous = set->previous_authority != NULL ? set->previous_authority : "";
    return mem_printf("%s%s", set->authority.certificate_pem, previous);
}

/* ------------------------------------------------------------------ Secrets */

static void put(cJSON *data, const char *name, const char *text)
{
    if (text == NULL)
        return;
    AUTO_FREE char *encoded = base64_encode(text, strlen(text));
    json_set(data, name, json_new_string(encoded));
}

static char *take(const cJSON *data, const char *name)
{
    const cJSON *encoded = json_get(data, name);
    unsigned char *bytes = NULL;
    size_t count = 0;
    if (!cJSON_IsString(encoded) || base64_decode(encoded->valuestring, &bytes, &count) < 0)
        return NULL;
    char *text = count > 0 ? mem_strndup((const char *)bytes, count) : NULL;
    free(bytes);
    return text;
}

cJSON *certificate_set_encode(const struct certificate_set *set)
{
    cJSON *data = json_new_object();
    put(data, "ca.crt", set->authority.certificate_pem);
    put(data, "ca.key", set->authority.key_pem);
    /* Always there, so that a merge patch also takes it away. */
    put(data, "previous-ca.crt", set->previous_authority != NULL ? set->previous_authority : "");
    for (size_t i = 0; i < LEAF_COUNT; i++) {
        AUTO_FREE char *certificate = mem_printf("%s.crt", leaves[i].name);
        AUTO_FREE char *key = mem_printf("%s.key", leaves[i].name);
        put(data, certificate, set->leaves[i].certificate_pem);
        put(data, key, set->leaves[i].key_pem);
    }
    return data;
}

void certificate_set_decode(const cJSON *data, struct certificate_set *out)
{
    *out = (struct certificate_set){
        .authority = { .certificate_pem = take(data, "ca.crt"), .key_pem = take(data, "ca.key") },
        .previous_authority = take(data, "previous-ca.crt"),
    };
    for (size_t i = 0; i < LEAF_COUNT; i++) {
        AUTO_FREE char *certificate = mem_printf("%s.crt", leaves[i].name);
        AUTO_FREE char *key = mem_printf("%s.key", leaves[i].name);
        out->leaves[i].certificate_pem = take(data, certificate);
        out->leaves[i].key_pem = take(data, key);
    }
}

cJSON *certificate_leaf_data(const struct certificate_set *set, enum certificate_leaf leaf)
{
    cJSON *data = json_new_object();
    AUTO_FREE char *bundle = certificate_set_bundle(set);
    put(data, "ca.crt", bundle);
    put(data, "tls.crt", set->leaves[leaf].certificate_pem);
    put(data, "tls.key", set->leaves[leaf].key_pem);
    return data;
}
