/* The problems found in one object: where, what is wrong, what to write instead. Filled by the
 * codec and by validation, printed as the answer to the author. Texts live in the arena given at
 * init. */
#pragma once

#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/compiler.h"

enum { FIELD_ERRORS_MAX = 64 }; /* what comes after is counted, not kept */

enum field_error_kind { FIELD_REQUIRED, FIELD_INVALID, FIELD_FORBIDDEN, FIELD_UNSUPPORTED };

struct field_error {
    const char *path; /* JSON path as a user would write it: tuning.input.urls[0] */
    enum field_error_kind kind;
    const char *value;  /* the offending value as text, NULL where there is none */
    const char *detail; /* what is wrong */
    const char *fix;    /* what to write instead; may be NULL */
    const char *rule;   /* stable rule id, "" for decoding */
};

struct field_errors {
    struct arena *arena; /* borrowed */
    struct field_error items[FIELD_ERRORS_MAX];
    size_t count;   /* kept */
    size_t dropped; /* found beyond FIELD_ERRORS_MAX */
};

void field_errors_init(struct field_errors *errors, struct arena *arena);

/* `path`, `value`, `detail`, `fix` and `rule` are copied into the arena, the first four cut to a
 * bounded length and then ending in "...". */
void field_errors_add(struct field_errors *errors, const struct field_error *error);

/* "tuning.output.image: Invalid value: \"...\": must be ...; write ..." one problem a line, in the
 * order found, in the words apimachinery uses. The text lives in the arena. */
const char *field_errors_text(const struct field_errors *errors);
const char *field_error_text(const struct field_error *error, struct arena *arena);
