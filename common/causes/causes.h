/* Why something is not ready: a catalogue of causes (causes.def), and functions that find them in
 * objects as the API server gives them. Status, events, metrics and the command line speak its
 * codes. Pure. */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/buf.h"

enum cause_id {
#define CAUSE(id, weight, code, seen, title, next_step) CAUSE_##id,
#include "common/causes/causes.def"
#undef CAUSE
    CAUSE_COUNT
};

enum cause_weight { CAUSE_BLOCKS, CAUSE_VAGUE, CAUSE_WAITS };

struct cause {
    enum cause_id id;
    enum cause_weight weight;
    const char *code;
    const char *seen;      /* where */
    const char *title;     /* what it means, as a clause */
    const char *next_step; /* with placeholders */
};

enum { CAUSE_DETAIL_BYTES_MAX = 1024, CAUSE_CLAIM_STUCK_MS = 10 * 60 * 1000 };

const struct cause *cause_of(enum cause_id id);
const struct cause *cause_by_code(const char *code); /* NULL: none has it */

/* One cause, found. All texts live in the arena or in the table. */
struct cause_hit {
    const struct cause *cause;
    const char *object;    /* "Pod/w-0" */
    const char *message;   /* one line: object, what it means, what was seen, what to do */
    const char *next_step; /* as in the message */
    const char *container; /* of a pod; NULL: none */
    bool from_event;       /* not from an object's own state: may be of the past */
};

/* Where a cause was seen; `name` must be set, the others may be NULL. */
struct cause_place {
    const char *kind, *namespace_, *name, *container;
};

struct cause_hit cause_hit_make(enum cause_id id, const struct cause_place *place,
                                const char *detail, struct arena *arena);

/* What else has to be known to judge an object; zero: not known, and not judged. */
struct cause_context {
    int64_t now_ms;           /* real time */
    int64_t startup_budget_s; /* of the workload's containers */
    bool gpus_expected;       /* on nodes */
};

/* The most telling cause in one object of a kind (NULL: as it says itself): Workspace, NodeClaim,
 * Node, StatefulSet, Job, Pod, PersistentVolumeClaim or Event. False: none. */
bool causes_in(const char *kind, const cJSON *object, const struct cause_context *ctx,
               struct arena *arena, struct cause_hit *out);

/* A NodeClaim that is known by its reason and message only; CAUSE_NODES_PENDING when they say
 * nothing, or CAUSE_LAUNCH_FAILED when it `failed`. */
struct cause_hit causes_in_claim(const char *name, const char *reason, const char *message,
                                 bool failed, struct arena *arena);
/* An answer of the API server to a write. */
enum cause_id causes_in_refusal(const char *message);
/* The end of a container's log; CAUSE_COUNT: it says nothing. `line_out`: the line that does. */
enum cause_id causes_in_log(const char *text, struct arena *arena, const char **line_out);

/* Whether `a` is to be told rather than `b`. */
bool cause_hit_outranks(const struct cause_hit *a, const struct cause_hit *b);

void causes_document(struct buf *out); /* docs/causes.md */
