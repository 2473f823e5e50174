#include "webhook/rules.h"

#include <string.h>

#include "common/base/compiler.h"

#define RULE(name_, id_, outcome_, versions_, operations_, path_, detail_, fix_) \
    { .id = (id_),                                                               \
      .outcome = RULE_##outcome_,                                                \
      .versions = RULE_##versions_,                                              \
      .operations = (operations_),                                               \
      .path = (path_),                                                           \
      .detail = (detail_),                                                       \
      .fix = (fix_),                                                             \
      .check = rule_##name_ },

const struct rule rules[] = {
#define CREATE RULE_CREATE
#define UPDATE RULE_UPDATE
#include "webhook/rules.def"
#undef CREATE
#undef UPDATE
};
#undef RULE

const size_t rule_count = ARRAY_LEN(rules);

static unsigned version_of(const struct workspace *ws)
{
    bool alpha = ws->api_version != NULL && strcmp(ws->api_version, "kaito.sh/v1alpha1") == 0;
    return alpha ? RULE_V1ALPHA1 : RULE_V1BETA1;
}

void rules_run(struct rule_pass *pass)
{
    unsigned version = version_of(pass->ws);
    unsigned operations = pass->old != NULL ? RULE_CREATE | RULE_UPDATE : RULE_CREATE;

    for (size_t i = 0; i < rule_count; i++) {
        pass->rule = &rules[i];
        if ((rules[i].versions & version) != 0 && (rules[i].operations & operations) != 0)
            rules[i].check(pass);
    }
    pass->rule = NULL;
}

/* The codec names no rule. */
static bool is_malformed(const struct field_errors *errors, const char *path)
{
    for (size_t i = 0; i < errors->count; i++) {
        if (errors->items[i].rule[0] == '\0' && strcmp(errors->items[i].path, path) == 0)
            return true;
    }
    return false;
}

void rule_report_as(struct rule_pass *pass, const char *path, const char *value, const char *detail,
                    const char *fix)
{
    const struct rule *rule = pass->rule;
    if (is_malformed(pass->errors, path))
        return;
    struct field_error error = {
        .path = path,
        .kind = value == NULL && rule->outcome != RULE_FORBIDDEN
                    ? FIELD_REQUIRED
                    : (enum field_error_kind)rule->outcome,
        .value = value,
        .detail = detail != NULL ? detail : rule->detail,
        .fix = fix != NULL ? fix : rule->fix,
        .rule = rule->id,
    };
    if (rule->outcome == RULE_WARNS)
        error.kind = FIELD_INVALID;
    field_errors_add(rule->outcome == RULE_WARNS ? pass->warnings : pass->errors, &error);
}

void rule_report(struct rule_pass *pass, const char *path, const char *value)
{
    rule_report_as(pass, path, value, NULL, NULL);
}
