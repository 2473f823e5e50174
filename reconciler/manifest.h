/* What the manifests of all workloads share: owner, selectors, node affinity, tolerations, command
 * lines; and the question whether the object in the cluster already is what we want. Pure. */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/api/workspace.h"
#include "common/base/arena.h"
#include "common/k8s/object.h"
#include "common/plan/plan.h"

#define ANNOTATION_APPLIED_HASH "kaito.sh/applied-hash" /* of the manifest we applied last */
/* On a StatefulSet of KAITO's: revision and hash of the manifest we would have made instead. */
#define ANNOTATION_ADOPTED_HASH "kaito.sh/adopted-hash"
#define BASE_IMAGE_TAG          "0.5.0"
#define LOCAL_NVME_CLASS        "kaito-local-nvme-disk"
#define WEIGHTS_VOLUME          "model-weights-volume"

enum { INFERENCE_PORT = 5000, RAY_PORT = 6379, RAY_DASHBOARD_PORT = 8265, KV_EVENTS_PORT = 5557 };

struct manifest_context {
    const struct workspace *ws;
    const struct plan *plan;
    const char *cloud;
    const char *preset_registry;
    int64_t revision;
    const struct object *live; /* the workload in the cluster; NULL: none */
    bool local_nvme_class;     /* the StorageClass for weights on local disks exists */
    const char *config_name;   /* ConfigMap to mount; NULL: none */
    const char *output_dir;    /* of the training configuration; NULL: not set */
    struct arena *arena;
};

/* metadata of an owned object: name, namespace, controller reference; more is set by the caller. */
cJSON *manifest_metadata(const struct manifest_context *ctx, const char *name);

/* Labels that select the pods: kaito.sh/workspace and what ties the Workspace to a set. */
cJSON *manifest_selector(const struct manifest_context *ctx);

/* Required node affinity for the user's matchLabels, and for the Workspace's own nodes when
 * `own_nodes`. NULL when there is nothing to require. */
cJSON *manifest_affinity(const struct manifest_context *ctx, bool own_nodes);

/* Appends the toleration of spot nodes where the cloud has them. */
void manifest_tolerate_spot(const struct manifest_context *ctx, cJSON *tolerations);

cJSON *manifest_gpu_resources(const struct manifest_context *ctx);
cJSON *manifest_mount(const char *volume, const char *path, bool read_only);
cJSON *manifest_env(const char *name, const char *value);
cJSON *manifest_shell(const char *script); /* ["/bin/sh", "-c", script] */
cJSON *manifest_secret_names(const struct string_list *names, cJSON *array); /* appends {name} */

/* Projected volume of registry credentials: each Secret's .dockerconfigjson as <secret>.json. */
cJSON *manifest_credentials_volume(const char *name, const struct string_list *secrets);

/* An init container that unpacks the /data of an image into `target`. */
cJSON *manifest_puller(struct arena *arena, const char *name, const char *image, const char *target,
                       cJSON *mounts);

/* One command line: `base`, then --name=value or --name, by name; values quoted where the shell
 * would read them. Sorts `parameters`. */
const char *manifest_command(struct arena *arena, const char *base, struct string_map *parameters);

/* Sets or replaces one parameter of a map that has room for it. */
void manifest_parameter(struct string_map *parameters, const char *name, const char *value);

/* docker.io/library/ and :latest made explicit; of tag and digest the digest stays. */
const char *manifest_image(const char *reference, struct arena *arena);

/* Text of a user that the kubelet shall not expand: $(NAME) means nothing in it. */
const char *manifest_literal(const char *text, struct arena *arena);

/* Whether two values are the same quantity: 1, "1", "1000m". */
bool manifest_same_quantity(const cJSON *a, const cJSON *b);

/* Records the content's hash in the annotation. Last step of making a manifest. */
void manifest_seal(cJSON *manifest);

/* True when `live` was made from this manifest and still says what it says: what the API server
 * defaulted or others added does not matter, a changed or removed member does. */
bool manifest_is_applied(const cJSON *live, const cJSON *manifest);
