#include <string.h>

#include "cli/cli.h"
#include "cli/table.h"
#include "cli/why.h"
#include "common/base/clock.h"
#include "common/causes/causes.h"
#include "common/json/json.h"

enum { CAUSES_SHOWN = 8, TIME_OF_DAY = 11 };

struct hits {
    struct cause_hit items[CAUSES_SHOWN]; /* the most telling first */
    size_t count;
};

static bool is_same(const struct cause_hit *a, const struct cause_hit *b)
{
    return a->cause == b->cause && strcmp(a->object, b->object) == 0;
}

static void insert(struct hits *hits, const struct cause_hit *hit)
{
    size_t i = 0;
    for (size_t j = 0; j < hits->count; j++) {
        if (is_same(&hits->items[j], hit))
            return;
    }
    while (i < hits->count && !cause_hit_outranks(hit, &hits->items[i]))
        i++;
    if (i == CAUSES_SHOWN)
        return;
    size_t kept = hits->count < CAUSES_SHOWN ? hits->count : CAUSES_SHOWN - 1;
    memmove(&hits->items[i + 1], &hits->items[i], (kept - i) * sizeof(*hit));
    hits->items[i] = *hit;
    hits->count = kept + 1;
}

static struct hits find(const cJSON *workspace, const cJSON *objects, int64_t now_ms,
                        struct arena *arena)
{
    const struct cause_context ctx = {
        .now_ms = now_ms,
        .startup_budget_s = json_integer_at(workspace, "status.plan.startupBudgetSeconds", 0),
        .gpus_expected = json_integer_at(workspace, "status.plan.gpusPerNode", 0) > 0,
    };
    struct hits hits = { .count = 0 };
    struct cause_hit hit;
    const cJSON *object;
    cJSON_ArrayForEach(object, objects) {
        if (object != workspace && causes_in(NULL, object, &ctx, arena, &hit))
            insert(&hits, &hit);
    }
    /* At the end: it repeats what it has seen of the others, maybe a while ago. */
    if (causes_in(NULL, workspace, &ctx, arena, &hit))
        insert(&hits, &hit);
    return hits;
}

/* ------------------------------------------------------------------ texts */

static const char *span(const char *start, const char *end, int64_t now_ms, struct arena *arena)
{
    int64_t from_ms, to_ms = now_ms;
    if (start == NULL || rfc3339_parse(start, &from_ms) < 0)
        return "";
    if (end != NULL && rfc3339_parse(end, &to_ms) < 0)
        return "";
    long long s = to_ms > from_ms ? (long long)(to_ms - from_ms) / 1000 : 0;
    if (end == NULL && now_ms == 0)
        return "";
    return s < 60 ? arena_printf(arena, "%llds", s)
                  : arena_printf(arena, "%lldm%02llds", s / 60, s % 60);
}

static void print_timeline(const cJSON *workspace, int64_t now_ms, struct arena *arena, FILE *out)
{
    struct table table = { .arena = arena };
    const cJSON *entry;
    cJSON_ArrayForEach(entry, json_at(workspace, "status.timeline")) {
        const char *phase = json_string_at(entry, "phase"), *end = json_string_at(entry, "end");
        const char *start = json_string_at(entry, "start");
        const char *cause = json_string_at(entry, "cause");
        if (phase == NULL || start == NULL)
            continue;
        if (table.count == 0)
            TABLE_ROW(&table, "PHASE", "START", "TOOK", "CAUSE");
        TABLE_ROW(&table, phase, start, span(start, end, now_ms, arena),
                  end != NULL     ? "done"
                  : cause != NULL ? cause
                                  : "");
    }
    if (table.count > 0) {
        fputc('\n', out);
        table_print(&table, 0, out);
    }
}

static bool is_ready(const cJSON *workspace)
{
    const char *ready = json_string_at(workspace, "status.conditions[type=Ready].status");
    return ready != NULL && strcmp(ready, "True") == 0 &&
           json_at(workspace, "metadata.deletionTimestamp") == NULL &&
           json_integer_at(workspace, "status.observedGeneration", 0) ==
               json_integer_at(workspace, "metadata.generation", 0);
}

static void print_causes(const cJSON *workspace, const struct hits *hits, FILE *out)
{
    const char *message = json_string_at(workspace, "status.conditions[type=Ready].message");
    if (hits->count == 0) {
        fprintf(out, "Workspace/%s: %s\n", json_string_at(workspace, "metadata.name"),
                message != NULL ? message : "nothing is known of it yet");
        return;
    }
    fprintf(out, "%s: %s\n", hits->items[0].cause->code, hits->items[0].message);
    for (size_t i = 1; i < hits->count; i++) {
        if (hits->items[i].cause->weight == CAUSE_WAITS)
            break;
        fprintf(out, "%s%s: %s\n", i == 1 ? "\nalso:\n  " : "  ", hits->items[i].cause->code,
                hits->items[i].message);
    }
}

int why_report(const cJSON *workspace, const cJSON *objects, int64_t now_ms, struct arena *arena,
               FILE *out)
{
    if (is_ready(workspace)) {
        fprintf(out, "Workspace/%s is ready\n", json_string_at(workspace, "metadata.name"));
        print_timeline(workspace, now_ms, arena, out);
        return CLI_OK;
    }
    struct hits hits = find(workspace, objects, now_ms, arena);
    print_causes(workspace, &hits, out);
    print_timeline(workspace, now_ms, arena, out);
    return CLI_REFUSED;
}
