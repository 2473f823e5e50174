/* What the server's engine can load (architectures.def) and what follows from a model's name
 * (name_rules.def). Pure look-ups in compiled-in tables. */
#pragma once

#include <stdbool.h>

/* Models of one class take about the same memory for activations; see common/plan/estimate.h. */
enum memory_class { MEMORY_DENSE, MEMORY_MOE, MEMORY_MULTIMODAL };

enum {
    ARCHITECTURE_NO_OFFLOAD = 1 << 0, /* the cache cannot be kept in main memory */
    ARCHITECTURE_DEEP_GEMM = 1 << 1,
};

struct architecture {
    const char *name;
    enum memory_class memory_class;
    const char *reasoning_parser, *tool_call_parser; /* NULL: none is known */
    unsigned flags;
};

enum name_rule {
    NAME_REASONING_PARSER,
    NAME_TOOL_CALL_PARSER,
    NAME_CHAT_TEMPLATE,
    NAME_TOKENIZER_MODE,
    NAME_KV_CACHE_DTYPE,
    NAME_GDN_PREFILL_BACKEND,
    NAME_EXPERT_PARALLEL,
    NAME_FLASHINFER_AUTOTUNE,
    NAME_NO_REASONING,
    NAME_CUDA_TOOLKIT,
};

const struct architecture *architecture_find(const char *name); /* exact case; NULL: unknown */
const char *architecture_nearest(const char *name);             /* NULL: none is near */

/* The value of the longest prefix of `short_name` among the rows of this kind, NULL when none is.
 */
const char *name_rule_value(enum name_rule rule, const char *short_name);

/* One of the rows of this kind is the whole name. */
bool name_rule_names(enum name_rule rule, const char *short_name);

const char *memory_class_name(enum memory_class class); /* dense, mixture-of-experts, multimodal */
bool memory_class_parse(const char *text, enum memory_class *out);
