#include "proto/messages.h"

#define CODEC_DEFINE
#include "common/json/codec_begin.h"
#include "proto/messages.def"
#include "common/json/codec_end.h"
