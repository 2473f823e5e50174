/* The aks driver's settings, from flags and from the environment of whatever it replaces. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/compiler.h"
#include "provisioner/drivers/aks.h"

static const char *or_environment(const char *value, const char *variable)
{
    if (value[0] != '\0')
        return value;
    const char *other = getenv(variable);
    return other != NULL ? other : "";
}

/* Goes into a URL as it is. */
static bool is_plain(const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (!isalnum((unsigned char)*p) && strchr("-._()", *p) == NULL)
            return false;
    }
    return text[0] != '\0';
}

/* scheme://host[:port], the way it is compared with what Azure answers. The webhook of workload
 * identity writes the authority with a slash at its end. */
static int check_origin(const char *flag, const char *url, bool plain_allowed, bool slash_allowed,
                        struct error *err)
{
    static const char https[] = "https://", http[] = "http://";
    const char *host = strncmp(url, https, strlen(https)) == 0 ? url + strlen(https) : NULL;
    if (host == NULL && plain_allowed && strncmp(url, http, strlen(http)) == 0)
        host = url + strlen(http);
    size_t length = host != NULL ? strcspn(host, "/?#@ ") : 0;
    bool ends =
        length > 0 && (host[length] == '\0' || (slash_allowed && strcmp(host + length, "/") == 0));
    if (!ends)
        return error_set(err, ERR_INVALID, "--%s=%.200s: write %s://HOST[:PORT], no path", flag,
                         url, plain_allowed ? "http" : "https");
    return 0;
}

int aks_config_complete(struct aks_config *config, struct error *err)
{
    config->authority = or_environment(config->authority, "AZURE_AUTHORITY_HOST");
    if (config->authority[0] == '\0')
        config->authority = "https://login.microsoftonline.com";
    config->subscription_id = or_environment(config->subscription_id, "ARM_SUBSCRIPTION_ID");
    config->resource_group = or_environment(config->resource_group, "ARM_RESOURCE_GROUP");
    config->cluster_name = or_environment(config->cluster_name, "AZURE_CLUSTER_NAME");
    config->tenant_id = or_environment(config->tenant_id, "AZURE_TENANT_ID");
    config->client_id = or_environment(config->client_id, "AZURE_CLIENT_ID");
    config->federated_token_file =
        or_environment(config->federated_token_file, "AZURE_FEDERATED_TOKEN_FILE");

    bool workload = config->federated_token_file[0] != '\0';
    const struct {
        const char *flag, *value;
        bool needed;
    } names[] = {
        { "subscription-id", config->subscription_id, true },
        { "resource-group", config->resource_group, true },
        { "cluster-name", config->cluster_name, true },
        { "tenant-id", config->tenant_id, workload },
        { "client-id", config->client_id, workload },
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (names[i].value[0] == '\0' && !names[i].needed)
            continue;
        if (!is_plain(names[i].value))
            return error_set(err, ERR_INVALID, "--%s=%.100s: the aks driver needs one%s",
                             names[i].flag, names[i].value,
                             names[i].value[0] != '\0' ? " of letters, digits, -._()" : "");
    }
    if (check_origin("arm-endpoint", config->arm_endpoint, false, false, err) < 0 ||
        check_origin("authority", config->authority, false, true, err) < 0)
        return -1;
    return check_origin("metadata-endpoint", config->metadata_endpoint, true, false, err);
}
