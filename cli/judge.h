/* What admission would answer for one Workspace on its creation, by the same code as the webhook's:
 * the defaults of the schema, the rules, the plan, and the content of its ConfigMap where that is
 * among the manifests. */
#pragma once

#include "cli/manifests.h"
#include "common/plan/plan.h"
#include "webhook/workspace_validate.h"

struct judgement {
    const struct manifest *manifest;
    cJSON *object; /* with the schema's defaults; the validation borrows from it */
    struct validation validation;
    bool refused;
};

void judge(const struct manifests *manifests, const struct manifest *manifest,
           const struct plan_settings *settings, struct arena *arena, struct judgement *out);
void judgement_fini(struct judgement *judgement);

DEFINE_CLEANUP(judgement, struct judgement, judgement_fini)
