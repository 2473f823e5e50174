#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/k8s/client.h"
#include "common/k8s/watch_stream.h"
#include "test/lib/scripted_transport.h"

#define OBJECT(name, version)                                                                      \
    "{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"d\",\"resourceVersion\":\"" version "\"" \
    "}}"
#define EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"
#define BOOKMARK(version)   EVENT("BOOKMARK", "{\"metadata\":{\"resourceVersion\":\"" version "\"}}")

/* What was handed out, as text: "ADDED a 1, BOOKMARK - 2". */
struct log {
    struct buf text;
};

static void note(void *context, enum watch_event_type type, const struct object *object,
                 const char *version)
{
    static const char *const names[] = { "ADDED", "MODIFIED", "DELETED", "BOOKMARK" };
    struct log *log = context;
    buf_printf(&log->text, "%s%s %s %s", log->text.length > 0 ? ", " : "", names[type],
               object != NULL ? object->key.name : "-", version);
}

struct fixture {
    struct scripted_transport script;
    struct k8s_client client;
    struct stop stop;
    struct log log;
    struct error err;
};

static int set_up(void **state)
{
    struct fixture *f = mem_new(struct fixture);
    scripted_transport_init(&f->script);
    stop_init(&f->stop);
    f->client = (struct k8s_client){ .transport = &f->script.transport, .stop = &f->stop };
    f->log.text = (struct buf)BUF_INIT(4096);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    scripted_transport_fini(&f->script);
    stop_fini(&f->stop);
    buf_fini(&f->log.text);
    free(f);
    return 0;
}

static int watch(struct fixture *f, struct scripted_answer answer)
{
    struct list_options options = { .namespace_ = "d", .label_selector = "a=b" };
    scripted_transport_add(&f->script, answer);
    return k8s_watch(&f->client, &GVR_POD, &options, "7", note, &f->log, &f->err);
}

static void test_watch_asks_for_bookmarks_and_an_end(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(watch(f, (struct scripted_answer){ .status = 200 }), 0);
    assert_string_equal(f->script.requests[0].path,
                        "/api/v1/namespaces/d/pods?watch=true&allowWatchBookmarks=true&"
                        "timeoutSeconds=10&resourceVersion=7&labelSelector=a%3Db");
    assert_int_equal(f->script.requests[0].timeout_ms, WATCH_SILENCE_MS);
}

static void test_watch_events_do_not_depend_on_the_pieces(void **state)
{
    (void)state;
    static const char body[] =
        EVENT("ADDED", OBJECT("a", "1")) "\r\n" EVENT("MODIFIED", OBJECT("b", "2"))
            EVENT("DELETED", OBJECT("a", "3")) BOOKMARK("4");
    for (size_t piece = 1; piece < sizeof(body); piece++) {
        struct log log = { .text = BUF_INIT(4096) };
        AUTO(watch_stream) struct watch_stream stream;
        watch_stream_init(&stream, &GVR_POD, note, &log);
        for (size_t at = 0; at < sizeof(body) - 1; at += piece) {
            size_t left = sizeof(body) - 1 - at;
            assert_true(watch_stream_feed(&stream, body + at, piece < left ? piece : left));
        }
        assert_string_equal(buf_text(&log.text), "ADDED a 1, MODIFIED b 2, DELETED a 3, "
                                                 "BOOKMARK - 4");
        buf_fini(&log.text);
    }
}

static void test_watch_drops_a_last_line_without_end(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        watch(f,
              (struct scripted_answer){
                  .status = 200, .body = EVENT("ADDED", OBJECT("a", "1")) "{\"type\":\"ADDED\"," }),
        0);
    assert_string_equal(buf_text(&f->log.text), "ADDED a 1");
}

static void test_watch_error_events(void **state)
{
    (void)state;
    static const struct {
        const char *status;
        enum error_code expected;
        int64_t retry_after_ms;
    } cases[] = {
        { "{\"code\":410,\"reason\":\"Expired\",\"message\":\"too old\"}", ERR_EXPIRED, 0 },
        { "{\"code\":429,\"message\":\"m\",\"details\":{\"retryAfterSeconds\":2}}", ERR_THROTTLED,
          2000 },
        { "{\"code\":500,\"message\":\"m\"}", ERR_UNAVAILABLE, 0 },
        { "{\"message\":\"m\"}", ERR_UNAVAILABLE, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        void *fresh;
        set_up(&fresh);
        struct fixture *f = fresh;
        AUTO_FREE char *body =
            mem_printf("%s{\"type\":\"ERROR\",\"object\":%s}\n%s", EVENT("ADDED", OBJECT("a", "1")),
                       cases[i].status, EVENT("ADDED", OBJECT("b", "2")));
        assert_int_equal(watch(f, (struct scripted_answer){ .status = 200, .body = body }), -1);
        assert_string_equal(error_code_name(f->err.code), error_code_name(cases[i].expected));
        assert_int_equal(f->err.retry_after_ms, cases[i].retry_after_ms);
        assert_string_equal(buf_text(&f->log.text), "ADDED a 1");
        tear_down(&fresh);
    }
}

static void test_watch_bad_lines_are_invalid(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "not json\n",
        "[]\n",
        "{\"object\":{}}\n",
        EVENT("RENAMED", OBJECT("a", "1")),
        EVENT("ADDED", "{\"metadata\":{\"resourceVersion\":\"1\"}}"),
        EVENT("ADDED", "{\"metadata\":{\"name\":\"a\"}}"),
        EVENT("BOOKMARK", "{}"),
        EVENT("ADDED", "null"),
    };
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        void *fresh;
        set_up(&fresh);
        struct fixture *f = fresh;
        assert_int_equal(watch(f, (struct scripted_answer){ .status = 200, .body = bodies[i] }),
                         -1);
        assert_string_equal(error_code_name(f->err.code), "INVALID");
        assert_string_equal(buf_text(&f->log.text), "");
        tear_down(&fresh);
    }
}

static void test_watch_line_is_bounded(void **state)
{
    (void)state;
    struct log log = { .text = BUF_INIT(4096) };
    AUTO(watch_stream) struct watch_stream stream;
    enum { PIECE = 64 * 1024 };
    AUTO_FREE char *spaces = mem_alloc(PIECE);
    memset(spaces, ' ', PIECE);

    watch_stream_init(&stream, &GVR_POD, note, &log);
    for (size_t fed = 0; fed < WATCH_LINE_BYTES_MAX; fed += PIECE)
        assert_true(watch_stream_feed(&stream, spaces, PIECE));
    assert_false(watch_stream_feed(&stream, spaces, 1));
    assert_int_equal(stream.err.code, ERR_INVALID);
    assert_false(watch_stream_feed(&stream, "\n", 1));
}

static void test_watch_refused_by_status(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        watch(f, (struct scripted_answer){ .status = 410, .body = "{\"message\":\"too old\"}" }),
        -1);
    assert_int_equal(f->err.code, ERR_EXPIRED);
    assert_string_equal(f->err.message, "watch pods: too old");
}

static void test_watch_cut_after_events(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(watch(f, (struct scripted_answer){ .status = 200,
                                                        .error = ERR_UNAVAILABLE,
                                                        .body = EVENT("ADDED", OBJECT("a", "1")) }),
                     -1);
    assert_int_equal(f->err.code, ERR_UNAVAILABLE);
    assert_string_equal(buf_text(&f->log.text), "ADDED a 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_watch_asks_for_bookmarks_and_an_end, set_up,
                                        tear_down),
        cmocka_unit_test(test_watch_events_do_not_depend_on_the_pieces),
        cmocka_unit_test_setup_teardown(test_watch_drops_a_last_line_without_end, set_up,
                                        tear_down),
        cmocka_unit_test(test_watch_error_events),
        cmocka_unit_test(test_watch_bad_lines_are_invalid),
        cmocka_unit_test(test_watch_line_is_bounded),
        cmocka_unit_test_setup_teardown(test_watch_refused_by_status, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_watch_cut_after_events, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
