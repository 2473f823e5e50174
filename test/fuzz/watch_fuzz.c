/* Watch streams: what is seen does not depend on where the network cut the bytes. The first byte of
 * the input seeds the cuts, the rest is the stream. */
#include "common/base/rng.h"
#include "common/k8s/watch_stream.h"
#include "test/fuzz/fuzz.h"

enum { RECORD_BYTES_MAX = 16 * 1024 * 1024, CUT_MAX = 40 };

static void record(void *context, enum watch_event_type type, const struct object *object,
                   const char *version)
{
    struct buf *out = context;
    buf_printf(out, "%d %s %s/%s\n", (int)type, version,
               object != NULL ? object->key.namespace_ : "",
               object != NULL ? object->key.name : "");
}

static void feed(const char *bytes, size_t count, struct rng *cuts, struct buf *out)
{
    AUTO(watch_stream) struct watch_stream stream;
    watch_stream_init(&stream, &GVR_WORKSPACE, record, out);
    bool more = true;
    while (count > 0 && more) {
        size_t piece = cuts != NULL ? (size_t)rng_between(cuts, 1, CUT_MAX) : count;
        if (piece > count)
            piece = count;
        more = watch_stream_feed(&stream, bytes, piece);
        HOLDS(more == !stream.failed);
        bytes += piece;
        count -= piece;
    }
    if (stream.failed)
        buf_printf(out, "failed %s %s\n", error_code_name(stream.err.code), stream.err.message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct rng cuts;
    rng_seed(&cuts, data[0]);
    const char *bytes = (const char *)data + 1;
    AUTO(buf) struct buf whole = BUF_INIT(RECORD_BYTES_MAX);
    AUTO(buf) struct buf pieces = BUF_INIT(RECORD_BYTES_MAX);
    feed(bytes, size - 1, NULL, &whole);
    feed(bytes, size - 1, &cuts, &pieces);
    if (strcmp(buf_text(&whole), buf_text(&pieces)) != 0) {
        fprintf(stderr, "whole:\n%s\npieces:\n%s\n", buf_text(&whole), buf_text(&pieces));
        abort();
    }
    return 0;
}
