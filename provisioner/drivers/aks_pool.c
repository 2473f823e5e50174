#include "provisioner/drivers/aks_pool.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/api/workspace.h"
#include "common/base/compiler.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "provisioner/claim.h"

enum { DISK_GIB_MAX = 2048 }; /* of an OS disk */

bool aks_pool_name_is_valid(const char *name)
{
    size_t length = strlen(name);
    if (length == 0 || length > AKS_POOL_NAME_MAX || !islower((unsigned char)name[0]))
        return false;
    for (const char *p = name; *p != '\0'; p++) {
        if (!islower((unsigned char)*p) && !isdigit((unsigned char)*p))
            return false;
    }
    return true;
}

/* ------------------------------------------------------------------ from the claim */

static double unit_of(const char *suffix)
{
    static const struct {
        const char *suffix;
        double bytes;
    } units[] = { { "", 1 },        { "k", 1e3 },     { "M", 1e6 },
                  { "G", 1e9 },     { "T", 1e12 },    { "Ki", 0x1p10 },
                  { "Mi", 0x1p20 }, { "Gi", 0x1p30 }, { "Ti", 0x1p40 } };
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (strcmp(suffix, units[i].suffix) == 0)
            return units[i].bytes;
    }
    return 0;
}

/* Whole GiB, rounded up: never a smaller disk than was asked for. */
static int disk_gib(const struct object *claim, int64_t *out, struct error *err)
{
    const char *text = json_string_at(claim->json, "spec.resources.requests.storage");
    if (text == NULL)
        return error_set(err, ERR_INVALID, "spec.resources.requests.storage is not set");
    char *end = NULL;
    double gib = isdigit((unsigned char)text[0]) ? strtod(text, &end) : 0;
    gib *= end != NULL ? unit_of(end) / 0x1p30 : 0;
    if (!(gib > 0) || gib > DISK_GIB_MAX)
        return error_set(err, ERR_INVALID,
                         "spec.resources.requests.storage is %.40s: an OS disk has 1Gi to %dGi",
                         text, DISK_GIB_MAX);
    int64_t whole = (int64_t)gib;
    *out = (double)whole < gib ? whole + 1 : whole;
    return 0;
}

/* As a label may hold it: 2026-11-24T03-29-01Z. */
static void creation_label(const struct object *claim, char out[AKS_CREATION_BYTES])
{
    const char *text = json_string_at(claim->json, "metadata.creationTimestamp");
    snprintf(out, AKS_CREATION_BYTES, "%s", text != NULL ? text : "");
    for (char *p = out; *p != '\0'; p++) {
        if (*p == ':')
            *p = '-';
    }
}

static cJSON *node_labels(const struct object *claim, const char *size)
{
    char created[AKS_CREATION_BYTES];
    creation_label(claim, created);
    cJSON *labels = JOBJ(JS(LABEL_NODEPOOL, CLAIM_NODEPOOL));
    const cJSON *item;
    cJSON_ArrayForEach(item, json_at(claim->json, "metadata.labels"))
        json_set(labels, item->string, json_copy(item));
    json_set(labels, LABEL_MACHINE_TYPE, JSTR(strstr(size, "Standard_N") != NULL ? "gpu" : "cpu"));
    json_set(labels, LABEL_CREATION_TIMESTAMP, JSTR(created));
    return labels;
}

static cJSON *node_taints(const struct object *claim)
{
    cJSON *list = json_new_array();
    const cJSON *taint;
    cJSON_ArrayForEach(taint, json_at(claim->json, "spec.taints")) {
        const char *key = json_string_at(taint, "key"), *value = json_string_at(taint, "value");
        const char *effect = json_string_at(taint, "effect");
        if (key != NULL && effect != NULL)
            json_append(list, json_new_printf("%s=%s:%s", key, value != NULL ? value : "", effect));
    }
    return list;
}

static const char *os_sku(const struct object *claim)
{
    const char *family = object_annotation(claim, ANNOTATION_IMAGE_FAMILY);
    return family != NULL && strcasecmp(family, "azurelinux") == 0 ? "AzureLinux" : "Ubuntu";
}

int aks_pool_manifest(const struct object *claim, cJSON **out, struct error *err)
{
    if (!aks_pool_name_is_valid(claim->key.name))
        return error_set(err, ERR_INVALID,
                         "the name %.64s cannot be that of an agent pool: at most %d lower-case "
                         "letters and digits, a letter first",
                         claim->key.name, AKS_POOL_NAME_MAX);
    const char *size = json_string_at(
        claim->json, "spec.requirements[key=node.kubernetes.io/instance-type].values[0]");
    if (size == NULL)
        return error_set(err, ERR_INVALID,
                         "spec.requirements has none for node.kubernetes.io/instance-type");
    int64_t disk = 0;
    if (disk_gib(claim, &disk, err) < 0)
        return -1;
    *out = JOBJ(
        JV("properties",
           JOBJ(JI("count", 1), JS("type", "VirtualMachineScaleSets"), JS("vmSize", size),
                JS("osType", "Linux"), JS("osSKU", os_sku(claim)), JI("osDiskSizeGB", disk),
                JV("nodeLabels", node_labels(claim, size)), JV("nodeTaints", node_taints(claim)))));
    return 0;
}

/* ------------------------------------------------------------------ the pool */

const char *aks_pool_state_text(const cJSON *pool)
{
    const char *state = json_string_at(pool, "properties.provisioningState");
    return state != NULL ? state : "Unknown";
}

enum aks_pool_state aks_pool_state(const cJSON *pool)
{
    const char *state = aks_pool_state_text(pool);
    if (strcasecmp(state, "Succeeded") == 0)
        return AKS_POOL_READY;
    if (strcasecmp(state, "Failed") == 0 || strcasecmp(state, "Canceled") == 0)
        return AKS_POOL_FAILED;
    return strcasecmp(state, "Deleting") == 0 ? AKS_POOL_GOING : AKS_POOL_COMING;
}

const char *aks_pool_name(const cJSON *pool)
{
    const char *name = json_string_at(pool, "name");
    return name != NULL ? name : "";
}

static const char *label(const cJSON *pool, const char *key)
{
    const cJSON *item = json_get(json_at(pool, "properties.nodeLabels"), key);
    return cJSON_IsString(item) ? item->valuestring : NULL;
}

bool aks_pool_is_ours(const cJSON *pool)
{
    return label(pool, LABEL_NODEPOOL) != NULL && label(pool, LABEL_CREATION_TIMESTAMP) != NULL;
}

bool aks_pool_is_of(const cJSON *pool, const struct object *claim)
{
    char created[AKS_CREATION_BYTES];
    creation_label(claim, created);
    const char *actual = label(pool, LABEL_CREATION_TIMESTAMP);
    return aks_pool_is_ours(pool) && strcmp(actual, created) == 0;
}
