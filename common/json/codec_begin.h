/* Opens a `.def` table; see codec.h. No include guard: included once for each use.
 * The members of one struct know its type only as `struct self`, hence the wrapping function. */
#define REQUIRED CODEC_REQUIRED

#if defined(CODEC_DECLARE)
#    define STRUCT(T)                            \
        struct T;                                \
        struct T##_list {                        \
            struct T *items;                     \
            size_t count;                        \
        };                                       \
        const struct codec_type *T##_type(void); \
        struct T {                               \
            const cJSON *node;
#    define F_STRING(member, name, flags)     const char *member;
#    define F_INTEGER(member, name, flags)    struct opt_integer member;
#    define F_BOOL(member, name, flags)       struct opt_bool member;
#    define F_STRINGS(member, name, flags)    struct string_list member;
#    define F_MAP(member, name, flags)        struct string_map member;
#    define F_RAW(member, name, flags)        const cJSON *member;
#    define F_OBJECT(T, member, name, flags)  struct T *member;
#    define F_OBJECTS(T, member, name, flags) struct T##_list member;
#    define END(T) \
        }          \
        ;
#elif defined(CODEC_DEFINE)
#    define STRUCT(T)                           \
        const struct codec_type *T##_type(void) \
        {                                       \
            typedef struct T self;              \
            static const struct codec_field fields[] = {
#    define F_PLAIN(kind_, member, name_, flags_) \
        { .name = (name_), .kind = (kind_), .flags = (flags_), .offset = offsetof(self, member) },
#    define F_STRING(member, name, flags)  F_PLAIN(CODEC_STRING, member, name, flags)
#    define F_INTEGER(member, name, flags) F_PLAIN(CODEC_INTEGER, member, name, flags)
#    define F_BOOL(member, name, flags)    F_PLAIN(CODEC_BOOL, member, name, flags)
#    define F_STRINGS(member, name, flags) F_PLAIN(CODEC_STRINGS, member, name, flags)
#    define F_MAP(member, name, flags)     F_PLAIN(CODEC_MAP, member, name, flags)
#    define F_RAW(member, name, flags)     F_PLAIN(CODEC_RAW, member, name, flags)
#    define F_LINK(kind_, T, member, name_, flags_) \
        { .name = (name_),                          \
          .kind = (kind_),                          \
          .flags = (flags_),                        \
          .offset = offsetof(self, member),         \
          .type = T##_type },
#    define F_OBJECT(T, member, name, flags)  F_LINK(CODEC_OBJECT, T, member, name, flags)
#    define F_OBJECTS(T, member, name, flags) F_LINK(CODEC_OBJECTS, T, member, name, flags)
#    define END(T)                                                                               \
        }                                                                                        \
        ;                                                                                        \
        static const struct codec_type type = {                                                  \
            .name = #T, .size = sizeof(self), .fields = fields, .field_count = ARRAY_LEN(fields) \
        };                                                                                       \
        return &type;                                                                            \
        }
#else
#    error "define CODEC_DECLARE or CODEC_DEFINE before including codec_begin.h"
#endif
