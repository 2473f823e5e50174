#include "common/catalogue/architecture.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/compiler.h"
#include "common/catalogue/nearest.h"

#define NO_OFFLOAD ARCHITECTURE_NO_OFFLOAD
#define DEEP_GEMM  ARCHITECTURE_DEEP_GEMM

static const struct architecture architectures[] = {
#define ARCHITECTURE(name_, class_, reasoning_, tool_call_, flags_) \
    { .name = (name_),                                              \
      .memory_class = MEMORY_##class_,                              \
      .reasoning_parser = (reasoning_),                             \
      .tool_call_parser = (tool_call_),                             \
      .flags = (flags_) },
#include "common/catalogue/architectures.def"
#undef ARCHITECTURE
};

static const struct {
    enum name_rule rule;
    const char *prefix, *value;
} name_rules[] = {
#define PREFIX(rule_, prefix_, value_) \
    { .rule = NAME_##rule_, .prefix = (prefix_), .value = (value_) },
#include "common/catalogue/name_rules.def"
#undef PREFIX
};

static const char *const class_names[] = {
    [MEMORY_DENSE] = "dense",
    [MEMORY_MOE] = "mixture-of-experts",
    [MEMORY_MULTIMODAL] = "multimodal",
};

static int by_name(const void *a, const void *b)
{
    const struct architecture *left = a, *right = b;
    return strcmp(left->name, right->name);
}

const struct architecture *architecture_find(const char *name)
{
    const struct architecture key = { .name = name };
    return bsearch(&key, architectures, ARRAY_LEN(architectures), sizeof(key), by_name);
}

const char *architecture_nearest(const char *name)
{
    struct nearest nearest = NEAREST_INIT(name);
    /* Backwards, so that of names that differ in case only the usual one comes first. */
    for (size_t i = ARRAY_LEN(architectures); i-- > 0;)
        nearest_consider(&nearest, architectures[i].name, architectures[i].name);
    return nearest.best;
}

const char *name_rule_value(enum name_rule rule, const char *short_name)
{
    const char *value = NULL;
    size_t longest = 0;
    for (size_t i = 0; i < ARRAY_LEN(name_rules); i++) {
        size_t length = strlen(name_rules[i].prefix);
        if (name_rules[i].rule != rule || length <= longest ||
            strncmp(short_name, name_rules[i].prefix, length) != 0)
            continue;
        longest = length;
        value = name_rules[i].value;
    }
    return value;
}

bool name_rule_names(enum name_rule rule, const char *short_name)
{
    for (size_t i = 0; i < ARRAY_LEN(name_rules); i++) {
        if (name_rules[i].rule == rule && strcmp(short_name, name_rules[i].prefix) == 0)
            return true;
    }
    return false;
}

const char *memory_class_name(enum memory_class class)
{
    return class_names[class];
}

bool memory_class_parse(const char *text, enum memory_class *out)
{
    for (size_t i = 0; i < ARRAY_LEN(class_names); i++) {
        if (strcmp(class_names[i], text) != 0)
            continue;
        *out = (enum memory_class)i;
        return true;
    }
    return false;
}
