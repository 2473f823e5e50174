#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/base/metrics.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "common/k8s/events.h"
#include "test/lib/fake_apiserver.h"
#include "test/lib/scripted_transport.h"

struct fixture {
    struct clock_fake
        clock; /* moved only while no event is being recorded; the thread never reads it */
    struct fake_apiserver *server;
    struct stop stop;
    struct k8s_client client;
    struct event_recorder *recorder;
};

static int set_up(void **state)
{
    struct fixture *f = mem_new(struct fixture);
    metrics_reset();
    clock_fake_init(&f->clock, 1000 * 1000);
    f->server = fake_apiserver_new(clock_system());
    stop_init(&f->stop);
    f->client =
        (struct k8s_client){ .transport = fake_apiserver_transport(f->server), .stop = &f->stop };
    f->recorder = event_recorder_new(&f->client, "ckaito-test", &f->clock.clock);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    event_recorder_free(f->recorder);
    fake_apiserver_free(f->server);
    stop_fini(&f->stop);
    free(f);
    return 0;
}

static struct event_target target(const char *name)
{
    return (struct event_target){ .api_version = "kaito.sh/v1beta1",
                                  .kind = "Workspace",
                                  .namespace_ = "team",
                                  .name = name,
                                  .uid = "uid-1" };
}

/* Everything recorded until now is written; recording goes on with a new recorder. */
static void flush(struct fixture *f)
{
    event_recorder_free(f->recorder);
    f->recorder = event_recorder_new(&f->client, "ckaito-test", &f->clock.clock);
}

static void keep_last(void *context, const struct object *object)
{
    const struct object **last = context;
    object_unref(*last);
    *last = object_ref(object);
}

/* The only Event, or the last of several; a reference of the caller's. */
static const struct object *last_event(struct fixture *f)
{
    const struct object *last = NULL;
    struct error err = ERROR_INIT;
    struct list_options options = { 0 };
    AUTO_FREE char *version = NULL;
    if (k8s_list(&f->client, &GVR_EVENT, &options, keep_last, &last, &version, &err) < 0)
        fail_msg("%s", err.message);
    assert_non_null(last);
    return last;
}

static void test_events_say_who_what_and_when(void **state)
{
    struct fixture *f = *state;
    struct event_target t = target("w");
    event_record(f->recorder, &t, EVENT_WARNING, "NodeMissing", "no node");
    flush(f);
    AUTO(object) const struct object *event = last_event(f);
    static const char *const expected[][2] = {
        { "metadata.namespace", "team" },
        { "involvedObject.apiVersion", "kaito.sh/v1beta1" },
        { "involvedObject.kind", "Workspace" },
        { "involvedObject.namespace", "team" },
        { "involvedObject.name", "w" },
        { "involvedObject.uid", "uid-1" },
        { "type", "Warning" },
        { "reason", "NodeMissing" },
        { "message", "no node" },
        { "firstTimestamp", "1970-01-01T00:16:40Z" },
        { "lastTimestamp", "1970-01-01T00:16:40Z" },
        { "source.component", "ckaito-test" },
        { "reportingComponent", "ckaito-test" },
    };
    for (size_t i = 0; i < ARRAY_LEN(expected); i++)
        assert_string_equal(json_string_at(event->json, expected[i][0]), expected[i][1]);
    assert_non_null(json_string_at(event->json, "reportingInstance"));
    assert_int_equal(json_integer_at(event->json, "count", 0), 1);
    assert_int_equal(strlen(event->key.name), strlen("w.") + 16);
}

static void test_events_of_cluster_scope_go_to_default(void **state)
{
    struct fixture *f = *state;
    struct event_target t = target("n");
    t.namespace_ = "";
    event_record(f->recorder, &t, EVENT_NORMAL, "R", "m");
    flush(f);
    AUTO(object) const struct object *event = last_event(f);
    assert_string_equal(event->key.namespace_, "default");
    assert_null(json_at(event->json, "involvedObject.namespace"));
}

static void test_events_differ_by_reason_and_message(void **state)
{
    struct fixture *f = *state;
    struct event_target t = target("w");
    event_record(f->recorder, &t, EVENT_NORMAL, "A", "m");
    event_record(f->recorder, &t, EVENT_NORMAL, "B", "m");
    event_record(f->recorder, &t, EVENT_NORMAL, "A", "n");
    event_record(f->recorder, &t, EVENT_WARNING, "A", "m");
    flush(f);
    assert_int_equal(fake_apiserver_object_count(f->server, &GVR_EVENT), 4);
}

static void test_events_without_uid_differ_by_namespace_and_name(void **state)
{
    struct fixture *f = *state;
    struct event_target here = target("w"), there = target("w"), other = target("v");
    here.uid = there.uid = other.uid = "";
    there.namespace_ = "elsewhere";
    event_record(f->recorder, &here, EVENT_WARNING, "Rejected", "m");
    event_record(f->recorder, &there, EVENT_WARNING, "Rejected", "m");
    event_record(f->recorder, &other, EVENT_WARNING, "Rejected", "m");
    event_record(f->recorder, &here, EVENT_WARNING, "Rejected", "m");
    flush(f);
    assert_int_equal(fake_apiserver_object_count(f->server, &GVR_EVENT), 3);
    AUTO(object) const struct object *event = last_event(f);
    assert_null(json_at(event->json, "involvedObject.uid"));
}

static void test_events_repeated_within_a_minute_are_only_counted(void **state)
{
    struct fixture *f = *state;
    struct event_target t = target("w");
    event_record(f->recorder, &t, EVENT_NORMAL, "A", "m");
    f->clock.now_ms += 59 * 1000;
    event_record(f->recorder, &t, EVENT_NORMAL, "A", "m");
    event_record(f->recorder, &t, EVENT_NORMAL, "A", "m");
    f->clock.now_ms += 1000;
    event_record(f->recorder, &t, EVENT_NORMAL, "A", "m");
    flush(f);
    AUTO(object) const struct object *event = last_event(f);
    assert_int_equal(fake_apiserver_requests(f->server, "create", "events"), 2);
    assert_int_equal(json_integer_at(event->json, "count", 0), 4);
    assert_string_equal(json_string_at(event->json, "firstTimestamp"), "1970-01-01T00:16:40Z");
    assert_string_equal(json_string_at(event->json, "lastTimestamp"), "1970-01-01T00:17:40Z");
}

static void test_events_of_an_earlier_life_are_counted_up(void **state)
{
    struct fixture *f = *state;
    struct event_target t = target("w");
    for (unsigned i = 0; i < 3; i++) {
        event_record(f->recorder, &t, EVENT_NORMAL, "A", "m");
        flush(f); /* as after a restart: nothing is remembered */
    }
    AUTO(object) const struct object *event = last_event(f);
    assert_int_equal(fake_apiserver_object_count(f->server, &GVR_EVENT), 1);
    assert_int_equal(json_integer_at(event->json, "count", 0), 3);
}

static void test_events_bound_name_and_message(void **state)
{
    struct fixture *f = *state;
    char name[254], message[2000];
    memset(name, 'a', sizeof(name) - 1);
    name[253] = '\0';
    name[235] = '.'; /* the last character that stays */
    memset(message, 'x', sizeof(message) - 1);
    memcpy(message + 1023, "\xc3\xa9", 2); /* the bound falls into this character */
    message[1999] = '\0';
    struct event_target t = target(name);
    event_record(f->recorder, &t, EVENT_NORMAL, "A", message);
    flush(f);
    AUTO(object) const struct object *event = last_event(f);
    assert_int_equal(strlen(event->key.name), 235 + 1 + 16);
    assert_int_equal(strlen(json_string_at(event->json, "message")), 1023);
}

static void test_events_wait_for_the_server(void **state)
{
    struct fixture *f = *state;
    struct event_target t = target("w");
    fake_apiserver_fail_next(f->server, 1, FAKE_REFUSED);
    event_record(f->recorder, &t, EVENT_NORMAL, "A", "m");
    while (fake_apiserver_object_count(f->server, &GVR_EVENT) == 0)
        stop_wait(&f->stop, 1);
    assert_int_equal(metric_value(METRIC_EVENTS_DROPPED_TOTAL, (const char *const[]){ NULL }), 0);
}

static void test_events_lost_answer_makes_no_second_event(void **state)
{
    struct fixture *f = *state;
    struct event_target t = target("w");
    fake_apiserver_fail_next(f->server, 1, FAKE_ANSWER_LOST);
    event_record(f->recorder, &t, EVENT_NORMAL, "A", "m");
    while (fake_apiserver_requests(f->server, "patch", "events") == 0)
        stop_wait(&f->stop, 1);
    assert_int_equal(fake_apiserver_object_count(f->server, &GVR_EVENT), 1);
}

static void test_events_that_are_refused_are_dropped(void **state)
{
    struct fixture *f = *state;
    struct scripted_transport script;
    scripted_transport_init(&script);
    scripted_transport_add(&script, (struct scripted_answer){ .status = 403, .body = "{}" });
    struct k8s_client client = { .transport = &script.transport, .stop = &f->stop };
    struct event_recorder *recorder = event_recorder_new(&client, "x", &f->clock.clock);
    struct event_target t = target("w");
    event_record(recorder, &t, EVENT_NORMAL, "A", "m");
    event_recorder_free(recorder);
    assert_int_equal(script.request_count, 1);
    assert_int_equal(metric_value(METRIC_EVENTS_DROPPED_TOTAL, (const char *const[]){ NULL }), 1);
    scripted_transport_fini(&script);
}

static void test_events_beyond_the_queue_are_dropped(void **state)
{
    struct fixture *f = *state;
    struct event_target t = target("w");
    fake_apiserver_set_down(f->server, true);
    /* One more may be with the thread. */
    for (int i = 0; i < EVENT_QUEUE_MAX + 11; i++) {
        AUTO_FREE char *message = mem_printf("%d", i);
        event_record(f->recorder, &t, EVENT_NORMAL, "A", message);
    }
    double dropped = metric_value(METRIC_EVENTS_DROPPED_TOTAL, (const char *const[]){ NULL });
    assert_true(dropped == 10 || dropped == 11);
    flush(f); /* ends although nothing can be written */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_events_say_who_what_and_when),
        TEST(test_events_of_cluster_scope_go_to_default),
        TEST(test_events_differ_by_reason_and_message),
        TEST(test_events_without_uid_differ_by_namespace_and_name),
        TEST(test_events_repeated_within_a_minute_are_only_counted),
        TEST(test_events_of_an_earlier_life_are_counted_up),
        TEST(test_events_bound_name_and_message),
        TEST(test_events_wait_for_the_server),
        TEST(test_events_lost_answer_makes_no_second_event),
        TEST(test_events_that_are_refused_are_dropped),
        TEST(test_events_beyond_the_queue_are_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
