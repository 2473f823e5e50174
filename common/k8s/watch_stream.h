/* The body of a watch, split into events: one JSON document a line, in pieces of any size. Kept
 * apart from the connection so that tests and fuzzers feed it directly. Single-threaded. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/k8s/client.h"

struct watch_stream {
    const struct gvr *gvr;
    k8s_watch_event *event;
    void *context;
    struct buf line; /* the begun line, without its end */
    bool failed;
    struct error err; /* when failed: EXPIRED, THROTTLED, ... from an ERROR event, or INVALID */
};

void watch_stream_init(struct watch_stream *stream, const struct gvr *gvr, k8s_watch_event *event,
                       void *context);
/* A transport_sink. False once the stream has failed; nothing is handed out after that. */
bool watch_stream_feed(void *stream, const char *bytes, size_t count);
/* What is left of a begun line is dropped: its end never came. */
void watch_stream_fini(struct watch_stream *stream);

DEFINE_CLEANUP(watch_stream, struct watch_stream, watch_stream_fini)
