#include "provisioner/provisioner.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/http/client.h"
#include "common/json/json.h"
#include "common/k8s/events.h"
#include "common/k8s/informer.h"
#include "common/k8s/kubeconfig.h"
#include "common/msg/socket.h"
#include "provisioner/claim.h"
#include "provisioner/claims.h"
#include "provisioner/driver.h"
#include "provisioner/fulfil.h"

#define GROUP_NAME "ckaito-provisioner"

enum { REQUEST_THREADS = 4, WORKERS_MAX = 64 };

const struct config_option provisioner_options[] = {
    CONFIG_TEXT(struct provisioner_config, kubeconfig, "kubeconfig", "", "FILE",
                "how to reach the API server; else $KUBECONFIG, the Pod's service account, "
                "~/.kube/config"),
    CONFIG_TEXT(struct provisioner_config, namespace_, "namespace", "ckaito-system", "NAME",
                "where the Leases of replicas are"),
    CONFIG_BOOL(struct provisioner_config, replicas_lease, "replicas-lease", "false",
                "hold a Lease and share the NodeClaims with the other replicas that do"),
    CONFIG_CHOICE(struct provisioner_config, cloud, "cloud", "azure", "azure|aws|arc",
                  "whose instance types and node classes are meant"),
    CONFIG_CHOICE(
        struct provisioner_config, driver, "driver", "none", "none|aks|rehearsal",
        "who turns NodeClaims into nodes: none leaves them to Karpenter or gpu-provisioner, aks "
        "makes agent pools, rehearsal simulates machines with kwok"),
    CONFIG_DURATION(struct provisioner_config, rehearsal_delay_ms, "rehearsal-delay", "60s", 0,
                    3600 * 1000, "rehearsal: how long a machine takes to join the cluster"),
    CONFIG_INTEGER(struct provisioner_config, workers, "workers", "5", 1, WORKERS_MAX,
                   "NodeClaims worked on at a time"),
    CONFIG_TEXT(struct provisioner_config, demand_url, "demand-url", "ipc:///run/ckaito/demand.ipc",
                "URL", "where node demands are answered"),
    CONFIG_TEXT(struct provisioner_config, state_url, "state-url", "ipc:///run/ckaito/state.ipc",
                "URL", "where node states are published"),
    CONFIG_TEXT(struct provisioner_config, bus_tls_dir, "bus-tls-dir", "", "DIR",
                "ca.crt, tls.crt and tls.key for tls+tcp:// URLs"),
    CONFIG_TEXT(struct provisioner_config, catalogue_dir, "catalogue-dir", "", "DIR",
                "*.yaml files that add models and machines to the catalogue or change them; read "
                "again when they change"),
    CONFIG_TEXT(struct provisioner_config, aks.subscription_id, "subscription-id", "", "ID",
                "aks: of the cluster; else $ARM_SUBSCRIPTION_ID"),
    CONFIG_TEXT(struct provisioner_config, aks.resource_group, "resource-group", "", "NAME",
                "aks: that holds the cluster; else $ARM_RESOURCE_GROUP"),
    CONFIG_TEXT(struct provisioner_config, aks.cluster_name, "cluster-name", "", "NAME",
                "aks: whose agent pools are made; else $AZURE_CLUSTER_NAME"),
    CONFIG_TEXT(struct provisioner_config, aks.tenant_id, "tenant-id", "", "ID",
                "aks: else $AZURE_TENANT_ID"),
    CONFIG_TEXT(struct provisioner_config, aks.client_id, "client-id", "", "ID",
                "aks: the managed identity to be; else $AZURE_CLIENT_ID"),
    CONFIG_TEXT(struct provisioner_config, aks.federated_token_file, "federated-token-file", "",
                "FILE",
                "aks: the service account's token that is exchanged (workload identity); else "
                "$AZURE_FEDERATED_TOKEN_FILE; without one the machine's metadata service is asked"),
    CONFIG_TEXT(struct provisioner_config, aks.arm_endpoint, "arm-endpoint",
                "https://management.azure.com", "URL",
                "aks: Azure Resource Manager, another one in other clouds"),
    CONFIG_TEXT(struct provisioner_config, aks.authority, "authority", "", "URL",
                "aks: who exchanges the token; else $AZURE_AUTHORITY_HOST, else "
                "https://login.microsoftonline.com"),
    CONFIG_TEXT(struct provisioner_config, aks.metadata_endpoint, "metadata-endpoint",
                "http://169.254.169.254", "URL", "aks: who gives tokens of managed identities"),
    CONFIG_TEXT(struct provisioner_config, aks.ca_file, "azure-ca-file", "", "FILE",
                "aks: authorities that vouch for these endpoints, instead of the system's"),
    CONFIG_DURATION(struct provisioner_config, aks.launch_deadline_ms, "launch-deadline", "30m",
                    1000, 24 * 3600 * 1000,
                    "aks: a machine that has not joined by then is deleted and asked for again"),
    CONFIG_DURATION(struct provisioner_config, aks.poll_ms, "azure-poll", "15s", 100, 600 * 1000,
                    "aks: how often an agent pool is looked at while it comes or goes"),
    CONFIG_DURATION(struct provisioner_config, aks.drain_timeout_ms, "drain-timeout", "5m", 0,
                    24 * 3600 * 1000, "aks: how long pods may take to leave a node before it goes"),
};
const size_t provisioner_option_count = ARRAY_LEN(provisioner_options);

enum { CLAIMS, NODES, WORKSPACES, INFORMERS };

struct provisioner {
    struct stop *stop;
    struct stop never; /* for events: what is queued at the end is still written */
    struct kubeconfig *kubeconfig;
    struct transport *transport;
    struct k8s_client client, event_client;
    struct event_recorder *events;
    struct informer *informers[INFORMERS];
    struct catalogue_source *catalogue;
    struct aks_config aks; /* completed */
    struct driver *driver;
    struct fulfil *fulfil;
    struct claims *claims;
    struct membership *members; /* NULL: alone */
    struct msg_sender *publisher;
    struct msg_server *server;
};

/* Only the metadata of a Workspace is read here. */
static void trim_workspace(cJSON *json)
{
    static const char *const unread[] = { "resource", "inference", "tuning", "status" };
    for (size_t i = 0; i < ARRAY_LEN(unread); i++)
        cJSON_DeleteItemFromObjectCaseSensitive(json, unread[i]);
}

static void trim_node(cJSON *json)
{
    cJSON *status = cJSON_GetObjectItemCaseSensitive(json, "status");
    cJSON_DeleteItemFromObjectCaseSensitive(status, "images");
    cJSON_DeleteItemFromObjectCaseSensitive(status, "nodeInfo");
}

static void make_informers(struct provisioner *provisioner)
{
    static store_index *const by_workspace[] = { claim_workspace_index };
    static store_index *const by_provider[] = { node_provider_index };
    const struct informer_options options[INFORMERS] = {
        [CLAIMS] = { .gvr = &GVR_NODECLAIM, .indexes = by_workspace, .index_count = 1 },
        [NODES] = { .gvr = &GVR_NODE, .indexes = by_provider, .index_count = 1, .trim = trim_node },
        [WORKSPACES] = { .gvr = &GVR_WORKSPACE, .trim = trim_workspace },
    };
    for (size_t i = 0; i < INFORMERS; i++)
        provisioner->informers[i] =
            informer_new(&provisioner->client, &options[i], provisioner->stop, clock_system());
}

static void replicas_changed(void *context)
{
    struct provisioner *provisioner = context;
    claims_enqueue_all(provisioner->claims);
    if (provisioner->fulfil != NULL)
        fulfil_enqueue_all(provisioner->fulfil);
}

static void make_membership(struct provisioner *provisioner,
                            const struct provisioner_config *config)
{
    if (!config->replicas_lease)
        return;
    AUTO_FREE char *identity = membership_identity();
    provisioner->members =
        membership_new(&provisioner->client, config->namespace_, GROUP_NAME, identity,
                       provisioner->stop, clock_system(), replicas_changed, provisioner);
}

static void make_roles(struct provisioner *provisioner, const struct provisioner_config *config)
{
    provisioner->catalogue = catalogue_source_new(config->catalogue_dir);
    catalogue_source_watch(provisioner->catalogue);
    const struct claims_options claims = {
        .client = &provisioner->client,
        .claims = provisioner->informers[CLAIMS],
        .nodes = provisioner->informers[NODES],
        .workspaces = provisioner->informers[WORKSPACES],
        .events = provisioner->events,
        .catalogue = provisioner->catalogue,
        .cloud = config->cloud,
        .members = provisioner->members,
        .clock = clock_system(),
    };
    provisioner->claims = claims_new(&claims);
    if (strcmp(config->driver, "none") == 0)
        return;

    const struct driver_options driver = {
        .client = &provisioner->client,
        .catalogue = provisioner->catalogue,
        .cloud = config->cloud,
        .clock = clock_system(),
        .delay_ms = config->rehearsal_delay_ms,
    };
    provisioner->driver =
        strcmp(config->driver, "aks") == 0
            ? driver_aks_new(&driver, &provisioner->aks,
                             http_client_curl_new(provisioner->aks.ca_file,
                                                  "ckaito-provisioner/" CKAITO_VERSION))
            : driver_rehearsal_new(&driver);
    const struct fulfil_options fulfil = {
        .client = &provisioner->client,
        .claims = provisioner->informers[CLAIMS],
        .nodes = provisioner->informers[NODES],
        .driver = provisioner->driver,
        .members = provisioner->members,
        .clock = clock_system(),
        .workers = (unsigned)config->workers,
    };
    provisioner->fulfil = fulfil_new(&fulfil);
}

static int connect_cluster(struct provisioner *provisioner, const struct provisioner_config *config,
                           struct error *err)
{
    if (kubeconfig_load(config->kubeconfig, clock_system(), &provisioner->kubeconfig, err) < 0 ||
        transport_curl_new(provisioner->kubeconfig, "ckaito-provisioner/" CKAITO_VERSION,
                           &provisioner->transport, err) < 0)
        return -1;
    provisioner->client =
        (struct k8s_client){ .transport = provisioner->transport, .stop = provisioner->stop };
    provisioner->event_client =
        (struct k8s_client){ .transport = provisioner->transport, .stop = &provisioner->never };
    provisioner->events =
        event_recorder_new(&provisioner->event_client, "ckaito-provisioner", clock_system());
    return 0;
}

static int open_messages(struct provisioner *provisioner, const struct provisioner_config *config,
                         struct error *err)
{
    const struct socket_options state = { .url = config->state_url,
                                          .tls_dir = config->bus_tls_dir };
    const struct socket_options demand = { .url = config->demand_url,
                                           .tls_dir = config->bus_tls_dir };
    if (msg_publisher_open(&state, &provisioner->publisher, err) < 0)
        return error_wrap(err, "--state-url");
    if (msg_server_start(&demand, REQUEST_THREADS, claims_handle, provisioner->claims,
                         &provisioner->server, err) < 0)
        return error_wrap(err, "--demand-url");
    return 0;
}

int provisioner_start(const struct provisioner_config *config, struct stop *stop,
                      struct provisioner **out, struct error *err)
{
    struct provisioner *provisioner = mem_new(struct provisioner);
    provisioner->stop = stop;
    stop_init(&provisioner->never);

    provisioner->aks = config->aks;
    if ((strcmp(config->driver, "aks") == 0 && aks_config_complete(&provisioner->aks, err) < 0) ||
        connect_cluster(provisioner, config, err) < 0) {
        provisioner_stop(provisioner);
        return -1;
    }
    make_informers(provisioner);
    make_membership(provisioner, config);
    make_roles(provisioner, config);
    if (open_messages(provisioner, config, err) < 0) {
        provisioner_stop(provisioner);
        return -1;
    }
    claims_start(provisioner->claims, provisioner->publisher);
    if (provisioner->fulfil != NULL)
        fulfil_start(provisioner->fulfil);
    for (size_t i = 0; i < INFORMERS; i++)
        informer_start(provisioner->informers[i]);
    if (provisioner->members != NULL)
        membership_start(provisioner->members);
    *out = provisioner;
    return 0;
}

void provisioner_probe(struct provisioner *provisioner, struct buf *reasons)
{
    for (size_t i = 0; i < INFORMERS; i++) {
        char problem[512];
        informer_problem(provisioner->informers[i], problem, sizeof(problem));
        if (problem[0] != '\0')
            buf_printf(reasons, "%s\n", problem);
        else if (!informer_synced(provisioner->informers[i]))
            buf_puts(reasons, "still reading objects from the API server\n");
    }
    msg_server_probe(provisioner->server, reasons);
    msg_sender_probe(provisioner->publisher, reasons);
}

void provisioner_stop(struct provisioner *provisioner)
{
    if (provisioner == NULL)
        return;
    stop_raise(provisioner->stop);
    membership_stop(provisioner->members); /* calls into the roles until then */
    msg_server_stop(provisioner->server);
    fulfil_stop(provisioner->fulfil);
    claims_stop(provisioner->claims);
    for (size_t i = 0; i < INFORMERS; i++)
        informer_free(provisioner->informers[i]);
    fulfil_free(provisioner->fulfil);
    claims_free(provisioner->claims);
    membership_free(provisioner->members);
    msg_sender_close(provisioner->publisher);
    if (provisioner->driver != NULL)
        provisioner->driver->destroy(provisioner->driver);
    catalogue_source_free(provisioner->catalogue);
    event_recorder_free(provisioner->events);
    transport_free(provisioner->transport);
    kubeconfig_free(provisioner->kubeconfig);
    stop_fini(&provisioner->never);
    free(provisioner);
}
