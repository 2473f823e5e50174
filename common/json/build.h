/* Building JSON by compound literals:
 *
 *     cJSON *svc = JOBJ(JS("apiVersion", "v1"), JS("kind", "Service"),
 *                       JV("metadata", JOBJ(JS("name", name), JV("labels", labels))),
 *                       JV("ports", JARR(JOBJ(JI("port", 80)))));
 *
 * A NULL value is left out, as Go's omitempty does; an optional member is written with a
 * conditional value: JS("config", config_name). JV and JARR take ownership of the trees given to
 * them. Never fails (out of memory aborts). */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/compiler.h"

struct json_member {
    const char *name; /* NULL ends the list */
    cJSON *value;     /* NULL: left out */
};

cJSON *json_object(const struct json_member *members);
cJSON *json_array(cJSON *const *items, size_t count);

cJSON *json_new_string(const char *text); /* NULL gives NULL */
cJSON *json_new_integer(int64_t value);
cJSON *json_new_number(double value);
cJSON *json_new_bool(bool value);
cJSON *json_new_null(void);
cJSON *json_new_printf(const char *format, ...) PRINTF_LIKE(1, 2);
cJSON *json_new_object(void);
cJSON *json_new_array(void);

/* `value` is consumed; NULL is left out. Setting a member that exists replaces it. */
void json_set(cJSON *object, const char *name, cJSON *value);
void json_append(cJSON *array, cJSON *item);
/* The member itself, for the owner of the tree to change; NULL when absent or not an object. */
cJSON *json_member(cJSON *object, const char *name);
void json_remove(cJSON *object, const char *name); /* nothing happens when it is absent */

#define JS(name_, text_) ((struct json_member){ .name = (name_), .value = json_new_string(text_) })
#define JI(name_, number_) \
    ((struct json_member){ .name = (name_), .value = json_new_integer(number_) })
#define JB(name_, flag_)  ((struct json_member){ .name = (name_), .value = json_new_bool(flag_) })
#define JV(name_, value_) ((struct json_member){ .name = (name_), .value = (value_) })
#define JF(name_, ...) \
    ((struct json_member){ .name = (name_), .value = json_new_printf(__VA_ARGS__) })
#define JOBJ(...) json_object((const struct json_member[]){ __VA_ARGS__, { .name = NULL } })
#define JARR(...)                               \
    json_array((cJSON *const[]){ __VA_ARGS__ }, \
               sizeof((cJSON *const[]){ __VA_ARGS__ }) / sizeof(cJSON *))
#define JSTR(text_) json_new_string(text_)
