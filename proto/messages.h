/* The messages between services, typed; their members are in messages.def. Encode with
 * codec_encode(node_demand_type(), &demand), decode with codec_decode_strict. */
#pragma once

#include "common/json/codec.h"

#define CODEC_DECLARE
#include "common/json/codec_begin.h"
#include "proto/messages.def"
#include "common/json/codec_end.h"

#define MESSAGE_NODE_DEMAND     "NodeDemand"
#define MESSAGE_NODE_STATE      "NodeState"
#define MESSAGE_NODE_RELEASE    "NodeRelease"
#define MESSAGE_NODE_RELEASED   "NodeReleased"
#define MESSAGE_CONFIG_CHECK    "ConfigCheck"
#define MESSAGE_CONFIG_FINDINGS "ConfigFindings"
#define MESSAGE_REJECTION       "Rejection"

/* Deadlines of the calls. */
enum {
    NODE_DEMAND_TIMEOUT_MS = 5000,
    NODE_RELEASE_TIMEOUT_MS = 5000,
    CONFIG_CHECK_TIMEOUT_MS = 300,
};

/* Phases of claim_state. */
#define CLAIM_PENDING    "Pending"
#define CLAIM_LAUNCHED   "Launched"
#define CLAIM_REGISTERED "Registered"
#define CLAIM_READY      "Ready"
#define CLAIM_FAILED     "Failed"
#define CLAIM_DELETING   "Deleting"
