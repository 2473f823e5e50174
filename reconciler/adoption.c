#include "reconciler/adoption.h"

#include <stdio.h>
#include <string.h>

#include "common/json/build.h"
#include "common/json/json.h"

bool adoption_has_revision(const struct object *object, int64_t revision)
{
    char text[24];
    snprintf(text, sizeof(text), "%lld", (long long)revision);
    const char *own = object_annotation(object, ANNOTATION_REVISION);
    return own != NULL && strcmp(own, text) == 0;
}

bool adoption_applies(const struct snapshot *snapshot)
{
    const struct object *set = snapshot->stateful_set;
    return snapshot->ws.inference != NULL && set != NULL && !set->deleting &&
           snapshot_owns(snapshot, set) && object_annotation(set, ANNOTATION_APPLIED_HASH) == NULL;
}

void adoption_keep_nodes(const struct snapshot *snapshot, struct plan *plan)
{
    if (!adoption_applies(snapshot))
        return;
    int64_t count = json_integer_at(snapshot->stateful_set->json, "spec.replicas", 1);
    if (count < 1 || count == plan->node_count)
        return;
    plan->node_count = count;
    plan->summary =
        arena_printf(snapshot->arena, "%lld x %s, as found in the cluster", (long long)count,
                     plan->instance_type != NULL ? plan->instance_type : "a node");
}

/* Nothing is noted for this revision, and it is what KAITO made of it. KAITO marks only what it
 * makes from presets, and never changes what it made from a template. */
static bool is_new_to_us(const struct manifest_context *ctx, const char *noted,
                         const char *revision)
{
    if (ctx->plan->workload == PLAN_INFERENCE_TEMPLATE)
        return noted == NULL;
    return adoption_has_revision(ctx->live, ctx->revision) &&
           (noted == NULL || strncmp(noted, revision, strlen(revision)) != 0);
}

static struct action note_it(const struct object *live, const char *note)
{
    cJSON *metadata =
        JOBJ(JS("name", live->key.name), JS("namespace", live->key.namespace_),
             JS("uid", live->uid), JV("annotations", JOBJ(JS(ANNOTATION_ADOPTED_HASH, note))));
    return (struct action){ .kind = ACTION_APPLY,
                            .gvr = &GVR_STATEFULSET,
                            .key = live->key,
                            .body = JOBJ(JS("apiVersion", "apps/v1"), JS("kind", "StatefulSet"),
                                         JV("metadata", metadata)) };
}

void adoption_ensure(const struct snapshot *snapshot, const struct manifest_context *ctx,
                     cJSON *take, struct decision *out)
{
    AUTO(json) cJSON *manifest = take;
    const struct object *live = snapshot->stateful_set;
    const char *noted = object_annotation(live, ANNOTATION_ADOPTED_HASH);
    const char *revision = arena_printf(snapshot->arena, "%lld/", (long long)ctx->revision);
    const char *hash =
        json_string_at(manifest, "metadata.annotations[\"" ANNOTATION_APPLIED_HASH "\"]");
    const char *note = arena_printf(snapshot->arena, "%s%s", revision, hash);

    if (noted != NULL && strcmp(noted, note) == 0)
        return;
    /* Apply cannot take out of a list what another manager put there; a StatefulSet that goes
     * without its pods, and comes again, can. */
    out->actions[out->action_count++] = is_new_to_us(ctx, noted, revision)
                                            ? note_it(live, note)
                                            : (struct action){ .kind = ACTION_DELETE,
                                                               .gvr = &GVR_STATEFULSET,
                                                               .key = live->key,
                                                               .uid = live->uid,
                                                               .orphan = true };
}
