/* The rules of admission as a table: rules.def holds one row a rule, the rules_*.c files one
 * function a row. Checks are pure: they read the Workspace, the catalogue and the old object, and
 * report. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/api/workspace.h"
#include "common/catalogue/catalogue.h"
#include "common/json/field_errors.h"

enum rule_outcome {
    RULE_REQUIRED = FIELD_REQUIRED,
    RULE_INVALID = FIELD_INVALID,
    RULE_FORBIDDEN = FIELD_FORBIDDEN,
    RULE_UNSUPPORTED = FIELD_UNSUPPORTED,
    RULE_WARNS,
};

enum rule_version { RULE_V1ALPHA1 = 1, RULE_V1BETA1 = 2, RULE_ALL = RULE_V1ALPHA1 | RULE_V1BETA1 };
enum rule_operation { RULE_CREATE = 1, RULE_UPDATE = 2 };

/* One pass of the table over one Workspace. */
struct rule_pass {
    const struct workspace *ws;
    const struct workspace *old; /* NULL unless rules of UPDATE alone are to run */
    const struct catalogue *catalogue;
    struct field_errors *errors;   /* what refuses; may hold problems of decoding already */
    struct field_errors *warnings; /* what lets pass */
    const struct rule *rule;       /* the row that is running */
};

typedef void rule_check(struct rule_pass *pass);

struct rule {
    const char *id;
    enum rule_outcome outcome;
    unsigned versions;
    unsigned operations;
    const char *path;
    const char *detail;
    const char *fix; /* NULL: nothing to write */
    rule_check *check;
};

extern const struct rule rules[];
extern const size_t rule_count;

/* Every rule of the table that applies: to the version of pass->ws, and to updates only with
 * pass->old. */
void rules_run(struct rule_pass *pass);

/* ------------------------------------------------------------------ for the checks */

/* Reports the running rule at `path`. `value` NULL: there is none (INVALID then reads as REQUIRED).
 * Nothing is added where decoding found the same field malformed already. */
void rule_report(struct rule_pass *pass, const char *path, const char *value);
/* The same in other words than the row's; `detail` or `fix` NULL: the row's. */
void rule_report_as(struct rule_pass *pass, const char *path, const char *value, const char *detail,
                    const char *fix);

static inline bool is_given(const char *text)
{
    return text != NULL && *text != '\0';
}

#define RULE(name, ...) rule_check rule_##name;
#include "webhook/rules.def"
#undef RULE
