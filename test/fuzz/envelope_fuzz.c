/* Messages: what is accepted, sent on, is accepted with the same head and body. */
#include "common/msg/envelope.h"
#include "test/fuzz/fuzz.h"

static const char *shown(const char *text)
{
    return text != NULL ? text : "(none)";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = ERROR_INIT;
    AUTO(envelope) struct envelope first = { .tree = NULL };
    AUTO(envelope) struct envelope second = { .tree = NULL };
    if (envelope_decode((const char *)data, size, &first, &err) < 0) {
        HOLDS(err.code == ERR_INVALID || err.code == ERR_TOO_LARGE);
        return 0;
    }
    AUTO_FREE char *text = envelope_encode(first.type, first.id, first.traceparent, first.body);
    size_t length = strlen(text);
    if (length > MESSAGE_BYTES_MAX)
        return 0; /* \u escapes and numbers can print longer than they came */
    HOLDS(envelope_decode(text, length, &second, &err) == 0);
    HOLDS(strcmp(first.type, second.type) == 0);
    HOLDS(strcmp(first.id, second.id) == 0);
    HOLDS(strcmp(shown(first.traceparent), shown(second.traceparent)) == 0);
    fuzz_same_canonical(first.body, second.body);
    return 0;
}
