/* Closes a `.def` table; see codec.h. */
#undef REQUIRED
#undef STRUCT
#undef F_PLAIN
#undef F_LINK
#undef F_STRING
#undef F_INTEGER
#undef F_BOOL
#undef F_STRINGS
#undef F_MAP
#undef F_RAW
#undef F_OBJECT
#undef F_OBJECTS
#undef END
#undef CODEC_DECLARE
#undef CODEC_DEFINE
