/* What to do about a Workspace: pure functions from a snapshot to a list of actions, the status to
 * show and the events that tell of it. Nothing here reads a clock, a cache or the network. */
#pragma once

#include <cjson/cJSON.h>
#include <stdint.h>

#include "common/plan/plan.h"
#include "reconciler/observe.h"
#include "reconciler/status.h"

enum {
    DECISION_ACTIONS_MAX = 8,
    DECISION_EVENTS_MAX = 8,
    REQUEUE_DELETING_MS = 2 * 1000,
    REQUEUE_UNREACHABLE_MS = 3 * 1000,
    REQUEUE_WAITING_MS = 15 * 1000, /* for nodes: heals a lost NodeState */
    REQUEUE_CONFIG_MS = 10 * 1000,  /* ConfigMaps are not watched */
};

struct decide_settings {
    struct plan_settings plan; /* context_length is set from the snapshot */
    const char *preset_registry;
};

enum action_kind {
    ACTION_CREATE,   /* already there: fine, unless `exclusive` and not ours */
    ACTION_APPLY,    /* server-side */
    ACTION_DELETE,   /* in the background, with the UID as precondition */
    ACTION_METADATA, /* merge patch of the Workspace with its resourceVersion */
};

struct note {
    const char *type, *reason, *message;
};

struct action {
    enum action_kind kind;
    const struct gvr *gvr;
    struct object_key key;
    cJSON *body;     /* owned by the decision */
    const char *uid; /* DELETE: the object's; CREATE, exclusive: the owner's */
    bool exclusive;
    bool orphan;      /* DELETE: what it owns lives on */
    struct note done; /* event when it succeeded; reason NULL: none */
};

struct decision {
    struct action actions[DECISION_ACTIONS_MAX];
    size_t action_count;
    bool has_status;
    struct workspace_status status;
    struct findings findings;                /* what the status was made from */
    struct note events[DECISION_EVENTS_MAX]; /* after the status was written */
    size_t event_count;
    int64_t requeue_after_ms; /* 0: the usual resync */
};

/* The plan, or why there is none (`why.cause` not NULL) and what the user can do about it. */
struct planning {
    struct plan plan;
    struct cause_hit why;
    int64_t requeue_after_ms; /* when nothing will tell us that it was put right */
};
void planning_make(const struct snapshot *snapshot, const struct decide_settings *settings,
                   struct planning *out);

/* What comes before the provisioner is spoken to: revision, finalizer and annotations; or, when the
 * Workspace is being deleted, the end of its workload. */
void decide_prepare(const struct snapshot *snapshot, struct decision *out);

/* Everything else. */
void decide(const struct snapshot *snapshot, const struct planning *planning,
            const struct decide_settings *settings, int64_t now_ms, struct decision *out);

/* Makes the decision's status say that the API server refused an action for good, and how. */
void decision_stall(struct decision *decision, const struct snapshot *snapshot,
                    const char *message);

void decision_fini(struct decision *decision);
DEFINE_CLEANUP(decision, struct decision, decision_fini)
