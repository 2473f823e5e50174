/* Compiler attributes and scope-bound cleanup. Nothing here allocates or does I/O. */
#pragma once

#include <stddef.h>

#define MUST_CHECK               __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))
#define NORETURN                 __attribute__((noreturn))

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

/* Hands a pointer over to the caller: reads it and leaves NULL behind. */
#define STEAL(pointer)                           \
    ({                                           \
        __typeof__(pointer) stolen_ = (pointer); \
        (pointer) = NULL;                        \
        stolen_;                                 \
    })

/* DEFINE_CLEANUP(arena, arena_fini) lets `AUTO(arena) struct arena a = ...` call arena_fini(&a) at
 * the end of the scope. DEFINE_CLEANUP_P(object, struct object, object_unref) is the same for a
 * pointer variable: `AUTO(object) struct object *o = NULL` calls object_unref(o). */
#define AUTO(name) __attribute__((cleanup(cleanup_##name)))
#define DEFINE_CLEANUP(name, type, function)       \
    static inline void cleanup_##name(type *value) \
    {                                              \
        function(value);                           \
    }
#define DEFINE_CLEANUP_P(name, type, function)      \
    static inline void cleanup_##name(type **value) \
    {                                               \
        function(*value);                           \
    }
