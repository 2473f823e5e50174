#include "reconciler/reconciler.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/json/json.h"
#include "common/k8s/informer.h"
#include "common/k8s/kubeconfig.h"
#include "reconciler/certificate_keeper.h"
#include "reconciler/inbox.h"
#include "reconciler/inventory.h"
#include "reconciler/provisioner_client.h"
#include "reconciler/workspace_controller.h"

#define CONTROLLER_NAME "workspace"
#define GROUP_NAME      "ckaito-reconciler"

enum { WORKERS_MAX = 64, NODES_MAX = 1000, SYNC_MS = 10 * 1000, INVENTORY_MS = 15 * 1000 };

const struct config_option reconciler_options[] = {
    CONFIG_TEXT(struct reconciler_config, kubeconfig, "kubeconfig", "", "FILE",
                "how to reach the API server; else $KUBECONFIG, the Pod's service account, "
                "~/.kube/config"),
    CONFIG_TEXT(struct reconciler_config, namespace_, "namespace", "ckaito-system", "NAME",
                "where the certificates are kept as Secrets, and the Leases of replicas"),
    CONFIG_BOOL(struct reconciler_config, replicas_lease, "replicas-lease", "false",
                "hold a Lease and share the Workspaces with the other replicas that do"),
    CONFIG_CHOICE(struct reconciler_config, cloud, "cloud", "azure", "azure|aws|arc",
                  "whose instance types are meant"),
    CONFIG_TEXT(struct reconciler_config, preset_registry, "preset-registry",
                "mcr.microsoft.com/aks/kaito", "REGISTRY",
                "where the base image and the weights of presets come from"),
    CONFIG_INTEGER(struct reconciler_config, nodes_max, "max-nodes", "8", 1, NODES_MAX,
                   "a plan of more nodes is refused unless resource.count asks for them"),
    CONFIG_INTEGER(struct reconciler_config, workers, "workers", "5", 1, WORKERS_MAX,
                   "Workspaces worked on at a time"),
    CONFIG_DURATION(struct reconciler_config, resync_ms, "resync", "5m", 1000, INT64_C(86400000),
                    "how often each Workspace is looked at although nothing happened"),
    CONFIG_TEXT(struct reconciler_config, demand_url, "demand-url", "ipc:///run/ckaito/demand.ipc",
                "URLS", "where the provisioner answers node demands; one URL a replica, by ','"),
    CONFIG_TEXT(struct reconciler_config, state_url, "state-url", "ipc:///run/ckaito/state.ipc",
                "URLS", "where the provisioner publishes node states; one URL a replica, by ','"),
    CONFIG_TEXT(struct reconciler_config, config_check_url, "config-check-url",
                "ipc:///run/ckaito/config-check.ipc", "URL",
                "where the webhook's questions about ConfigMaps are answered"),
    CONFIG_TEXT(struct reconciler_config, rejection_url, "rejection-url",
                "ipc:///run/ckaito/rejection.ipc", "URL", "where the webhook reports refusals"),
    CONFIG_TEXT(struct reconciler_config, bus_tls_dir, "bus-tls-dir", "", "DIR",
                "ca.crt, tls.crt and tls.key for tls+tcp:// URLs"),
    CONFIG_TEXT(struct reconciler_config, catalogue_dir, "catalogue-dir", "", "DIR",
                "*.yaml files that add models and machines to the catalogue or change them; read "
                "again when they change"),
    CONFIG_TEXT(struct reconciler_config, certificate_dir, "certificate-dir", "", "DIR",
                "write the certificates here too, in webhook/ and bus/"),
    CONFIG_TEXT(struct reconciler_config, webhook_configuration, "webhook-configuration", "ckaito",
                "NAME", "the webhook configurations whose caBundle is kept; empty: none"),
    CONFIG_TEXT(struct reconciler_config, webhook_service, "webhook-service", "ckaito-webhook",
                "NAME", "the Service for which the webhook's certificate is made"),
    CONFIG_TEXT(struct reconciler_config, webhook_hosts, "webhook-hosts", "", "HOSTS",
                "more names and addresses in it, by ','"),
};
const size_t reconciler_option_count = ARRAY_LEN(reconciler_options);

enum { WORKSPACES, STATEFUL_SETS, JOBS, SERVICES, REVISIONS, PODS, INFORMERS };

struct reconciler {
    struct stop *stop;
    unsigned workers;
    struct kubeconfig *kubeconfig;
    struct transport *transport;
    struct k8s_client client;
    struct informer *informers[INFORMERS];
    struct listers listers;
    struct provisioner_client *provisioner;
    struct membership *members; /* NULL: alone */
    struct node_port nodes;
    struct workspace_controller controller;
    struct certificate_keeper_options certificate_options;
    struct certificate_keeper *certificates;
    struct inbox *inbox;
    pthread_t supervisor;
    bool supervised; /* the thread runs */
};

/* ------------------------------------------------------------------ caches */

static void drop(cJSON *json, const char *const *names)
{
    for (; *names != NULL; names++)
        cJSON_DeleteItemFromObjectCaseSensitive(json, *names);
}

/* Of other people's objects only the name and the owner matter. */
static void trim_foreign(cJSON *json)
{
    if (json_at(json, "metadata.ownerReferences[kind=" WORKSPACE_KIND "]") == NULL)
        drop(json, (const char *const[]){ "spec", "status", NULL });
}

static void trim_revision(cJSON *json)
{
    drop(json, (const char *const[]){ "data", NULL });
}

static void trim_pod(cJSON *json)
{
    drop(json, (const char *const[]){ "spec", NULL });
}

static void make_informers(struct reconciler *reconciler)
{
    static store_index *const by_revision[] = { revision_index_workspace };
    static store_index *const by_pod[] = { pod_index_workspace };
    const struct informer_options options[INFORMERS] = {
        [WORKSPACES] = { .gvr = &GVR_WORKSPACE },
        [STATEFUL_SETS] = { .gvr = &GVR_STATEFULSET, .trim = trim_foreign },
        [JOBS] = { .gvr = &GVR_JOB, .list = { .label_selector = LABEL_WORKSPACE } },
        [SERVICES] = { .gvr = &GVR_SERVICE, .trim = trim_foreign },
        [REVISIONS] = { .gvr = &GVR_CONTROLLERREVISION,
                        .list = { .label_selector = LABEL_REVISION_NAME },
                        .indexes = by_revision,
                        .index_count = 1,
                        .trim = trim_revision },
        [PODS] = { .gvr = &GVR_POD,
                   .list = { .label_selector = LABEL_WORKSPACE },
                   .indexes = by_pod,
                   .index_count = 1,
                   .trim = trim_pod },
    };
    struct listers *listers = &reconciler->listers;
    struct store **stores[INFORMERS] = {
        [WORKSPACES] = &listers->workspaces,
        [STATEFUL_SETS] = &listers->stateful_sets,
        [JOBS] = &listers->jobs,
        [SERVICES] = &listers->services,
        [REVISIONS] = &listers->revisions,
        [PODS] = &listers->pods,
    };
    for (size_t i = 0; i < INFORMERS; i++) {
        struct informer *informer =
            informer_new(&reconciler->client, &options[i], reconciler->stop, clock_system());
        informer_add_handler(informer, i == WORKSPACES ? workspace_changed : workspace_part_changed,
                             &reconciler->controller);
        *stores[i] = informer_store(informer);
        reconciler->informers[i] = informer;
    }
}

/* ------------------------------------------------------------------ supervisor */

/* What could not be planned may be plannable with another catalogue. */
static void notice_catalogue(struct reconciler *reconciler, const struct catalogue **seen)
{
    const struct catalogue *now = catalogue_source_acquire(reconciler->controller.catalogue);
    if (*seen != NULL && now != *seen)
        workspace_enqueue_restless(&reconciler->controller);
    catalogue_unref(*seen);
    *seen = now;
}

static void take_inventory(const struct reconciler *reconciler)
{
    struct inventory inventory = INVENTORY_INIT;
    AUTO(object_list) struct object_list list = store_list(reconciler->listers.workspaces);
    for (size_t i = 0; i < list.count; i++) {
        if (workspace_is_ours(&reconciler->controller, list.items[i]->key))
            inventory_add(&inventory, list.items[i]); /* else another replica counts it */
    }
    inventory_publish(&inventory);
}

/* Lets the workers begin when the caches are filled, and counts what there is. */
static void *supervise(void *argument)
{
    struct reconciler *reconciler = argument;
    struct error err = ERROR_INIT;
    while (informers_wait(reconciler->informers, INFORMERS, reconciler->stop, SYNC_MS, &err) < 0) {
        if (stop_raised(reconciler->stop))
            return NULL;
        log_warn("reconciler", "still waiting for the API server", KVERR(&err));
    }
    struct controller *controller =
        controller_start(CONTROLLER_NAME, reconciler->controller.queue, reconciler->workers,
                         workspace_reconcile, &reconciler->controller);
    AUTO(catalogue) const struct catalogue *seen = NULL;
    do {
        take_inventory(reconciler);
        notice_catalogue(reconciler, &seen);
    } while (!stop_wait(reconciler->stop, INVENTORY_MS));
    controller_stop(controller);
    return NULL;
}

/* ------------------------------------------------------------------ life */

static int connect_cluster(struct reconciler *reconciler, const struct reconciler_config *config,
                           struct error *err)
{
    if (kubeconfig_load(config->kubeconfig, clock_system(), &reconciler->kubeconfig, err) < 0 ||
        transport_curl_new(reconciler->kubeconfig, "ckaito-reconciler/" CKAITO_VERSION,
                           &reconciler->transport, err) < 0)
        return -1;
    reconciler->client =
        (struct k8s_client){ .transport = reconciler->transport, .stop = reconciler->stop };
    return 0;
}

static void make_controller(struct reconciler *reconciler, const struct reconciler_config *config)
{
    reconciler->nodes =
        (struct node_port){ .call = provisioner_client_call, .url = config->demand_url };
    reconciler->controller = (struct workspace_controller){
        .catalogue = catalogue_source_new(config->catalogue_dir),
        .observer = { .listers = &reconciler->listers,
                      .client = &reconciler->client,
                      .nodes = &reconciler->nodes,
                      .cloud = config->cloud },
        .actor = { .client = &reconciler->client,
                   .events = event_recorder_new(&reconciler->client, "ckaito-reconciler",
                                                clock_system()) },
        .settings = { .plan = { .cloud = config->cloud, .nodes_max = config->nodes_max },
                      .preset_registry = config->preset_registry },
        .clock = clock_system(),
        .queue = workqueue_new(CONTROLLER_NAME, clock_system()),
        .resync_ms = config->resync_ms,
    };
    catalogue_source_watch(reconciler->controller.catalogue);
    reconciler->workers = (unsigned)config->workers;
    reconciler->certificate_options = (struct certificate_keeper_options){
        .namespace_ = config->namespace_,
        .webhook_configuration = config->webhook_configuration,
        .webhook_service = config->webhook_service,
        .webhook_hosts = config->webhook_hosts,
        .directory = config->certificate_dir,
    };
}

static int open_messages(struct reconciler *reconciler, const struct reconciler_config *config,
                         struct error *err)
{
    const struct inbox_options inbox = { .state_url = config->state_url,
                                         .config_check_url = config->config_check_url,
                                         .rejection_url = config->rejection_url,
                                         .tls_dir = config->bus_tls_dir };
    if (provisioner_client_open(config->demand_url, config->bus_tls_dir, &reconciler->provisioner,
                                err) < 0)
        return error_wrap(err, "--demand-url");
    reconciler->nodes.context = reconciler->provisioner;
    return inbox_open(&inbox, &reconciler->controller, &reconciler->inbox, err);
}

static void join_replicas(struct reconciler *reconciler, const struct reconciler_config *config)
{
    if (!config->replicas_lease)
        return;
    AUTO_FREE char *identity = membership_identity();
    reconciler->members = membership_new(&reconciler->client, config->namespace_, GROUP_NAME,
                                         identity, reconciler->stop, clock_system(),
                                         workspace_enqueue_all, &reconciler->controller);
    reconciler->controller.members = reconciler->members;
}

/* The certificates come first: the webhook waits for them. */
static void start_threads(struct reconciler *reconciler)
{
    reconciler->certificates = certificate_keeper_start(
        &reconciler->certificate_options, &reconciler->client, reconciler->stop, clock_system());
    for (size_t i = 0; i < INFORMERS; i++)
        informer_start(reconciler->informers[i]);
    if (reconciler->members != NULL)
        membership_start(reconciler->members);
    if (pthread_create(&reconciler->supervisor, NULL, supervise, reconciler) != 0)
        mem_exhausted();
    reconciler->supervised = true;
}

int reconciler_start(const struct reconciler_config *config, struct stop *stop,
                     struct reconciler **out, struct error *err)
{
    struct reconciler *reconciler = mem_new(struct reconciler);
    reconciler->stop = stop;
    if (connect_cluster(reconciler, config, err) < 0) {
        reconciler_stop(reconciler);
        return -1;
    }
    make_controller(reconciler, config);
    make_informers(reconciler);
    if (open_messages(reconciler, config, err) < 0) {
        reconciler_stop(reconciler);
        return -1;
    }
    join_replicas(reconciler, config);
    start_threads(reconciler);
    *out = reconciler;
    return 0;
}

void reconciler_probe(struct reconciler *reconciler, struct buf *reasons)
{
    for (size_t i = 0; i < INFORMERS; i++) {
        char problem[512];
        informer_problem(reconciler->informers[i], problem, sizeof(problem));
        if (problem[0] != '\0')
            buf_printf(reasons, "%s\n", problem);
        else if (!informer_synced(reconciler->informers[i]))
            buf_puts(reasons, "still reading objects from the API server\n");
    }
    certificate_keeper_probe(reconciler->certificates, reasons);
    provisioner_client_probe(reconciler->provisioner, reasons);
    inbox_probe(reconciler->inbox, reasons);
}

void reconciler_stop(struct reconciler *reconciler)
{
    if (reconciler == NULL)
        return;
    stop_raise(reconciler->stop);
    provisioner_client_abort(reconciler->provisioner); /* workers may wait for an answer */
    if (reconciler->supervised)
        pthread_join(reconciler->supervisor, NULL);
    inbox_close(reconciler->inbox);
    certificate_keeper_free(reconciler->certificates);
    membership_free(reconciler->members);
    for (size_t i = 0; i < INFORMERS; i++)
        informer_free(reconciler->informers[i]);
    provisioner_client_close(reconciler->provisioner);
    event_recorder_free(reconciler->controller.actor.events);
    if (reconciler->controller.queue != NULL) {
        workqueue_shutdown(reconciler->controller.queue);
        workqueue_free(reconciler->controller.queue);
    }
    catalogue_source_free(reconciler->controller.catalogue);
    transport_free(reconciler->transport);
    kubeconfig_free(reconciler->kubeconfig);
    free(reconciler);
}
