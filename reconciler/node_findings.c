#include "reconciler/node_findings.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/clock.h"

enum { NAMES_SHOWN = 5, NAMES_BYTES_MAX = 4096 };

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

static struct finding failed_finding(const struct claim_state *claim, struct arena *arena)
{
    struct cause_hit hit = causes_in_claim(claim->name, claim->reason, claim->message, true, arena);
    return finding_from(&hit, reason_sanitise(claim->reason, "NodeClaimFailed", arena));
}

static struct cause_hit slow_claim(const struct claim_state *claim, struct arena *arena)
{
    const char *message = claim->message;
    if (in_phase(claim, CLAIM_DELETING)) {
        const struct cause_place place = { .kind = "NodeClaim", .name = claim->name };
        return cause_hit_make(CAUSE_CLAIM_DELETING, &place, NULL, arena);
    }
    if (message == NULL && in_phase(claim, CLAIM_REGISTERED))
        message = arena_printf(arena, "node %s has joined, waiting for its GPUs",
                               claim->node_name != NULL ? claim->node_name : "?");
    return causes_in_claim(claim->name, claim->reason,
                           message != NULL ? message : "waiting for its machine", false, arena);
}

static struct finding claim_finding(const struct snapshot *snapshot, const struct plan *plan,
                                    bool quiet)
{
    struct arena *arena = snapshot->arena;
    const struct claim_state *claim = first_unready(&snapshot->nodes.claims);
    if (claim != NULL && in_phase(claim, CLAIM_FAILED))
        return failed_finding(claim, arena);
    struct cause_hit hit;
    if (claim != NULL)
        hit = slow_claim(claim, arena);
    if (claim == NULL || (quiet && hit.cause->weight != CAUSE_BLOCKS)) {
        const struct cause_place place = { .kind = WORKSPACE_KIND,
                                           .namespace_ = snapshot->workspace->key.namespace_,
                                           .name = snapshot->workspace->key.name };
        hit = cause_hit_make(
            CAUSE_NODES_PENDING, &place,
            arena_printf(arena, "waiting for %lld NodeClaims", (long long)plan->node_count), arena);
    }
    return finding_from(&hit, "NodeClaimNotReady");
}

/* The wait for the nodes has begun only just now, or begins with this status. */
static bool is_quiet(const struct snapshot *snapshot, int64_t now_ms)
{
    const struct workspace_status *status = snapshot->ws.status;
    for (size_t i = 0; status != NULL && i < status->timeline.count; i++) {
        const struct timeline_entry *entry = &status->timeline.items[i];
        int64_t start_ms;
        if (strcmp(entry->phase, PHASE_NODES) == 0 && entry->end == NULL &&
            rfc3339_parse(entry->start, &start_ms) == 0)
            return now_ms - start_ms < NODES_QUIET_MS;
    }
    return true;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static struct string_list node_names(const struct claim_state_list *claims, struct arena *arena)
{
    struct string_list out = { 0 };
    for (size_t i = 0; i < claims->count; i++) {
        const struct claim_state *claim = &claims->items[i];
        if (claim->node_name == NULL || claim->node_name[0] == '\0')
            continue;
        if (out.items == NULL)
            out.items = arena_array(arena, const char *, claims->count);
        out.items[out.count++] = claim->node_name;
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
        if (out.cause == NULL)
            out.cause = cause_of(CAUSE_NODE_NOT_READY);
        return out;
    }
    return (struct finding){ .ok = true,
                             .reason = "workspaceResourceStatusSuccess",
                             .message = "all nodes are ready" };
}

struct cause_hit provisioner_problem(const struct snapshot *snapshot)
{
    const struct cause *cause = cause_by_code(snapshot->nodes.reason);
    const struct cause_place place = { .kind = "Service", .name = "ckaito-provisioner" };
    return cause_hit_make(cause != NULL ? cause->id : CAUSE_PROVISIONER_FAILED, &place,
                          snapshot->nodes.problem, snapshot->arena);
}

static struct finding unanswered(const struct snapshot *snapshot)
{
    const struct workspace_status *status = snapshot->ws.status;
    const struct condition *known = status_condition(status, CONDITION_RESOURCE_READY);
    if (status_is_true(status, CONDITION_RESOURCE_READY) &&
        known->observed_generation.value == snapshot->workspace->generation)
        return (struct finding){ .ok = true, .reason = known->reason, .message = known->message };
    struct cause_hit hit = provisioner_problem(snapshot);
    return finding_from(&hit, NULL);
}

void node_findings(const struct snapshot *snapshot, const struct plan *plan, int64_t now_ms,
                   struct findings *out)
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
    /* Nodes that exist without a claim of ours (byo) need none. */
    bool claims_ready =
        ready_claims >= plan->node_count || (nodes_ready && nodes->claims.count == 0);
    bool quiet = !(claims_ready && nodes_ready) && is_quiet(snapshot, now_ms);

    out->nodes_known = true;
    if (!quiet)
        out->worker_nodes = node_names(&nodes->claims, arena);
    else if (snapshot->ws.status != NULL)
        out->worker_nodes = snapshot->ws.status->worker_nodes;
    out->claims = claims_ready ? (struct finding){ .ok = true,
                                                   .reason = "NodeClaimsReady",
                                                   .message = "all NodeClaims are ready" }
                               : claim_finding(snapshot, plan, quiet);
    out->nodes = (struct finding){
        .ok = nodes_ready,
        .reason = nodes_ready ? "NodesReady" : "NodeNotReady",
        .message = quiet
                       ? arena_printf(arena, "waiting for %lld nodes", (long long)plan->node_count)
                       : arena_printf(arena, "%lld of %lld nodes are ready",
                                      (long long)nodes->ready_count, (long long)plan->node_count),
    };
    out->resource = resource_finding(out);
}
