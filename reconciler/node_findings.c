#include "reconciler/node_findings.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"

enum { NAMES_SHOWN = 5, NAMES_BYTES_MAX = 4096, CLAIM_MESSAGE_BYTES_MAX = 256 };

const char *claim_names(const struct claim_state_list *claims, struct arena *arena)
{
    AUTO(buf) struct buf text = BUF_INIT(NAMES_BYTES_MAX);
    for (size_t i = 0; i < claims->count && i < NAMES_SHOWN; i++)
        buf_printf(&text, "%s%s", i > 0 ? ", " : "", claims->items[i].name);
    if (claims->count > NAMES_SHOWN)
        buf_printf(&text, " and %zu more", claims->count - NAMES_SHOWN);
    return arena_strdup(arena, buf_text(&text));
}

static bool in_phase(const struct claim_state *claim, const char *phase)
{
    return strcmp(claim->phase, phase) == 0;
}

/* The claim to tell about: one that failed before one that is on its way. */
static const struct claim_state *first_unready(const struct claim_state_list *claims)
{
    const struct claim_state *unready = NULL;
    for (size_t i = 0; i < claims->count; i++) {
        const struct claim_state *claim = &claims->items[i];
        if (in_phase(claim, CLAIM_FAILED))
            return claim;
        if (unready == NULL && !in_phase(claim, CLAIM_READY))
            unready = claim;
    }
    return unready;
}

static struct finding claim_finding(const struct claim_state *claim, struct arena *arena)
{
    struct finding out = { .reason = "NodeClaimNotReady" };
    if (claim == NULL) {
        out.message = "NodeClaims are being made";
        return out;
    }
    out.object = arena_printf(arena, "NodeClaim/%s", claim->name);
    if (in_phase(claim, CLAIM_FAILED)) {
        out.reason = reason_sanitise(claim->reason, "NodeClaimFailed", arena);
        out.message = arena_printf(
            arena, "NodeClaim %s failed: %s", claim->name,
            arena_strndup(arena, claim->message != NULL ? claim->message : out.reason,
                          CLAIM_MESSAGE_BYTES_MAX));
        out.next_step = "check quota and capacity of the instance type, or choose another";
    } else if (in_phase(claim, CLAIM_REGISTERED)) {
        out.message = arena_printf(arena, "NodeClaim %s: node %s has joined, waiting for its GPUs",
                                   claim->name, claim->node_name != NULL ? claim->node_name : "?");
    } else if (in_phase(claim, CLAIM_DELETING)) {
        out.message = arena_printf(arena, "NodeClaim %s is being deleted", claim->name);
    } else {
        out.message = arena_printf(arena, "NodeClaim %s: waiting for its machine", claim->name);
    }
    return out;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static struct string_list node_names(const struct claim_state_list *claims, struct arena *arena)
{
    struct string_list out = { 0 };
    for (size_t i = 0; i < claims->count; i++) {
        if (claims->items[i].node_name == NULL || claims->items[i].node_name[0] == '\0')
            continue;
        if (out.items == NULL)
            out.items = arena_array(arena, const char *, claims->count);
        out.items[out.count++] = claims->items[i].node_name;
    }
    if (out.count > 0)
        qsort(out.items, out.count, sizeof(*out.items), by_text);
    return out;
}

static struct finding resource_finding(const struct findings *findings)
{
    if (!findings->claims.ok || !findings->nodes.ok) {
        struct finding out = !findings->claims.ok ? findings->claims : findings->nodes;
        out.ok = false;
        return out;
    }
    return (struct finding){ .ok = true,
                             .reason = "workspaceResourceStatusSuccess",
                             .message = "all nodes are ready" };
}

static struct finding unanswered(const struct snapshot *snapshot)
{
    const struct workspace_status *status = snapshot->ws.status;
    const struct condition *known = status_condition(status, CONDITION_RESOURCE_READY);
    if (status_is_true(status, CONDITION_RESOURCE_READY) &&
        known->observed_generation.value == snapshot->workspace->generation)
        return (struct finding){ .ok = true, .reason = known->reason, .message = known->message };
    return (struct finding){ .reason = snapshot->nodes.reason,
                             .message = snapshot->nodes.problem,
                             .object = "Service/ckaito-provisioner",
                             .next_step = "look at the provisioner: it must run and be reachable" };
}

void node_findings(const struct snapshot *snapshot, const struct plan *plan, struct findings *out)
{
    struct arena *arena = snapshot->arena;
    const struct nodes_view *nodes = &snapshot->nodes;
    if (nodes->state != NODES_ANSWERED) {
        out->nodes_known = false;
        out->resource = unanswered(snapshot);
        return;
    }
    int64_t ready_claims = 0;
    for (size_t i = 0; i < nodes->claims.count; i++)
        ready_claims += in_phase(&nodes->claims.items[i], CLAIM_READY);
    bool nodes_ready = nodes->ready_count >= plan->node_count;

    out->nodes_known = true;
    out->worker_nodes = node_names(&nodes->claims, arena);
    /* Nodes that exist without a claim of ours (byo) need none. */
    if (ready_claims >= plan->node_count || (nodes_ready && nodes->claims.count == 0))
        out->claims = (struct finding){ .ok = true,
                                        .reason = "NodeClaimsReady",
                                        .message = "all NodeClaims are ready" };
    else
        out->claims = claim_finding(first_unready(&nodes->claims), arena);
    out->nodes = (struct finding){
        .ok = nodes_ready,
        .reason = nodes_ready ? "NodesReady" : "NodeNotReady",
        .message = arena_printf(arena, "%lld of %lld nodes are ready",
                                (long long)nodes->ready_count, (long long)plan->node_count),
    };
    out->resource = resource_finding(out);
}
