#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/metrics.h"
#include "common/base/mutex.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "common/k8s/informer.h"
#include "test/lib/fake_apiserver.h"

enum { PATIENCE_MS = 20 * 1000 };

/* What handlers were told, as text: "+x/a ~x/a -x/a " for added, changed, deleted. */
struct record {
    struct mutex lock;
    struct cond changed;
    char text[4096];
};

struct fixture {
    struct fake_apiserver *server;
    struct k8s_client client;
    struct stop stop;
    struct informer *informer;
    struct record record;
};

static void on_change(void *context, const struct object *before, const struct object *after)
{
    struct record *record = context;
    char key[OBJECT_KEY_BYTES];
    const char *sign = before == NULL ? "+" : after == NULL ? "-" : "~";
    object_key_format(after != NULL ? after->key : before->key, key);
    mutex_lock(&record->lock);
    size_t used = strlen(record->text);
    snprintf(record->text + used, sizeof(record->text) - used, "%s%s ", sign, key);
    cond_broadcast(&record->changed);
    mutex_unlock(&record->lock);
}

/* Waits until as much was told as `expected` says, and compares; then starts anew. */
static void expect(struct fixture *fixture, const char *expected)
{
    struct record *record = &fixture->record;
    char text[sizeof(record->text)];
    bool in_time = true;
    mutex_lock(&record->lock);
    while (strlen(record->text) < strlen(expected) && in_time)
        in_time = cond_wait_for(&record->changed, &record->lock, PATIENCE_MS);
    snprintf(text, sizeof(text), "%s", record->text);
    record->text[0] = '\0';
    mutex_unlock(&record->lock);
    assert_string_equal(text, expected);
}

/* ------------------------------------------------------------------ the world */

static struct object_key key_of(const char *name)
{
    return (struct object_key){ .namespace_ = "x", .name = name };
}

static void create(struct fixture *fixture, const char *name)
{
    fake_apiserver_create(fixture->server, &GVR_CONFIGMAP,
                          JOBJ(JV("metadata", JOBJ(JS("namespace", "x"), JS("name", name),
                                                   JV("labels", JOBJ(JS("app", "ours"))))),
                               JV("data", JOBJ(JS("k", "v")))));
}

static void change(struct fixture *fixture, const char *name, const char *value)
{
    fake_apiserver_merge(fixture->server, &GVR_CONFIGMAP, key_of(name),
                         JOBJ(JV("data", JOBJ(JS("k", value)))));
}

static void remove_object(struct fixture *fixture, const char *name)
{
    fake_apiserver_delete(fixture->server, &GVR_CONFIGMAP, key_of(name));
}

static void start_with(struct fixture *fixture, const struct informer_options *options)
{
    fixture->informer = informer_new(&fixture->client, options, &fixture->stop, clock_system());
    informer_add_handler(fixture->informer, on_change, &fixture->record);
    informer_start(fixture->informer);
}

static void wait_until_synced(struct fixture *fixture)
{
    struct error err = ERROR_INIT;
    if (informers_wait(&fixture->informer, 1, &fixture->stop, PATIENCE_MS, &err) < 0)
        fail_msg("%s", err.message);
}

static void start(struct fixture *fixture)
{
    start_with(fixture, &(struct informer_options){ .gvr = &GVR_CONFIGMAP });
    wait_until_synced(fixture);
}

/* Waits for a problem that contains `words`; "" waits for health. */
static void expect_problem(struct fixture *fixture, const char *words)
{
    char problem[700] = "";
    for (int i = 0; i < PATIENCE_MS / 5; i++) {
        informer_problem(fixture->informer, problem, sizeof(problem));
        if (words[0] == '\0' ? problem[0] == '\0' : strstr(problem, words) != NULL)
            return;
        stop_wait(&fixture->stop, 5);
    }
    fail_msg("the problem is \"%s\", not \"%s\"", problem, words);
}

static unsigned lists(struct fixture *fixture)
{
    return fake_apiserver_requests(fixture->server, "list", "configmaps");
}

/* Returns when the informer has begun its nth watch. */
static void wait_for_watch(struct fixture *fixture, unsigned nth)
{
    for (int i = 0; i < PATIENCE_MS; i++) {
        if (fake_apiserver_requests(fixture->server, "watch", NULL) >= nth)
            return;
        stop_wait(&fixture->stop, 1);
    }
    fail_msg("no watch number %u", nth);
}

static int set_up(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){ .server = fake_apiserver_new(clock_system()) };
    metrics_reset();
    mutex_init(&fixture.record.lock);
    cond_init(&fixture.record.changed);
    stop_init(&fixture.stop);
    fixture.client = (struct k8s_client){ .transport = fake_apiserver_transport(fixture.server),
                                          .stop = &fixture.stop };
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    stop_raise(&fixture->stop);
    informer_free(fixture->informer);
    fake_apiserver_free(fixture->server);
    stop_fini(&fixture->stop);
    cond_fini(&fixture->record.changed);
    mutex_fini(&fixture->record.lock);
    return 0;
}

/* ------------------------------------------------------------------ list and watch */

static void test_informer_first_list(void **state)
{
    struct fixture *fixture = *state;
    create(fixture, "b");
    create(fixture, "a");
    start(fixture);
    expect(fixture, "+x/a +x/b ");
    assert_int_equal(store_count(informer_store(fixture->informer)), 2);
    expect_problem(fixture, "");
}

static void test_informer_is_synced_only_after_the_handlers(void **state)
{
    struct fixture *fixture = *state;
    create(fixture, "a");
    start(fixture);
    assert_string_equal(fixture->record.text, "+x/a "); /* without waiting */
}

static void test_informer_watch(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    create(fixture, "a");
    create(fixture, "b");
    change(fixture, "a", "2");
    remove_object(fixture, "b");
    expect(fixture, "+x/a +x/b ~x/a -x/b ");
    AUTO(object)
    const struct object *held = store_get(informer_store(fixture->informer), key_of("a"));
    assert_string_equal(json_string_at(held->json, "data.k"), "2");
    assert_int_equal(lists(fixture), 1);
}

static void test_informer_object_replaced_under_its_name(void **state)
{
    struct fixture *fixture = *state;
    create(fixture, "a");
    start(fixture);
    expect(fixture, "+x/a ");
    fake_apiserver_set_down(fixture->server, true);
    expect_problem(fixture, "connection");
    remove_object(fixture, "a");
    create(fixture, "a");
    fake_apiserver_end_watches(fixture->server, FAKE_WATCH_EXPIRED);
    fake_apiserver_set_down(fixture->server, false);
    expect(fixture, "-x/a +x/a ");
}

/* ------------------------------------------------------------------ ends of a watch */

static void test_informer_watch_is_resumed(void **state)
{
    static const enum fake_watch_end ends[] = { FAKE_WATCH_DONE, FAKE_WATCH_CUT,
                                                FAKE_WATCH_SILENT };
    struct fixture *fixture = *state;
    start(fixture);
    unsigned watches = 1;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        char name[] = { (char)('a' + i), '\0' };
        char expected[] = { '+', 'x', '/', name[0], ' ', '\0' };
        wait_for_watch(fixture, watches++);
        create(fixture, name); /* so that none of these watches ends without an event */
        expect(fixture, expected);
        fake_apiserver_end_watches(fixture->server, ends[i]);
    }
    wait_for_watch(fixture, watches);
    create(fixture, "z");
    expect(fixture, "+x/z ");
    assert_int_equal(lists(fixture), 1);
}

static void test_informer_misses_nothing_while_away(void **state)
{
    struct fixture *fixture = *state;
    create(fixture, "a");
    start(fixture);
    expect(fixture, "+x/a ");
    fake_apiserver_set_down(fixture->server, true);
    expect_problem(fixture, "configmaps: ");
    change(fixture, "a", "2");
    create(fixture, "b");
    remove_object(fixture, "a");
    fake_apiserver_set_down(fixture->server, false);
    expect(fixture, "~x/a +x/b -x/a ");
    expect_problem(fixture, "");
    assert_int_equal(lists(fixture), 1);
}

static void test_informer_bookmarks_move_the_version(void **state)
{
    struct fixture *fixture = *state;
    char problem[200];
    fake_apiserver_set_watch_ms(fixture->server, 30);
    start(fixture);
    for (int i = 0; i < 3; i++) /* the versions move, but nothing of this kind changes */
        fake_apiserver_create(fixture->server, &GVR_NODE,
                              JOBJ(JV("metadata", JOBJ(JF("name", "n%d", i)))));
    wait_for_watch(fixture, 3);
    informer_problem(fixture->informer, problem, sizeof(problem));
    assert_string_equal(problem, ""); /* a bookmark is an event: no watch was too short */
    create(fixture, "a");
    expect(fixture, "+x/a ");
    assert_int_equal(lists(fixture), 1);
}

static void test_informer_relists_and_hands_out_differences(void **state)
{
    static const enum fake_watch_end ends[] = { FAKE_WATCH_EXPIRED, FAKE_WATCH_GARBAGE };
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        struct fixture *fixture = *state;
        create(fixture, "changed");
        create(fixture, "gone");
        create(fixture, "same");
        create(fixture, "the-last");
        start(fixture);
        expect(fixture, "+x/changed +x/gone +x/same +x/the-last ");
        if (ends[i] == FAKE_WATCH_EXPIRED) {
            fake_apiserver_set_down(fixture->server, true);
            expect_problem(fixture, "connection");
            remove_object(fixture, "gone");
            remove_object(fixture, "the-last");
            change(fixture, "changed", "2");
            create(fixture, "new");
        }
        wait_for_watch(fixture, 1);
        fake_apiserver_end_watches(fixture->server, ends[i]);
        fake_apiserver_set_down(fixture->server, false);
        if (ends[i] == FAKE_WATCH_EXPIRED)
            expect(fixture, "-x/gone -x/the-last ~x/changed +x/new ");
        wait_for_watch(fixture, 2);
        create(fixture, "z"); /* and nothing else was told before it */
        expect(fixture, "+x/z ");
        assert_int_equal(lists(fixture), 2);
        tear_down(state);
        set_up(state);
    }
}

static void test_informer_does_not_spin_on_short_watches(void **state)
{
    struct fixture *fixture = *state;
    fake_apiserver_set_watch_ms(fixture->server, 0);
    start(fixture);
    expect_problem(fixture, "ended the watch at once");
    stop_wait(&fixture->stop, 100);
    assert_true(fake_apiserver_requests(fixture->server, "watch", NULL) <= 4);
    fake_apiserver_set_watch_ms(fixture->server, -1);
    create(fixture, "a");
    expect(fixture, "+x/a ");
    expect_problem(fixture, "");
    assert_int_equal(lists(fixture), 1);
}

/* ------------------------------------------------------------------ problems */

static void test_informer_names_a_missing_crd(void **state)
{
    struct fixture *fixture = *state;
    struct error err = ERROR_INIT;
    fake_apiserver_hide(fixture->server, &GVR_NODECLAIM, true);
    start_with(fixture, &(struct informer_options){ .gvr = &GVR_NODECLAIM });
    expect_problem(fixture, "nodeclaims.karpenter.sh: the server does not know this resource; "
                            "install Karpenter's CRDs");
    assert_int_equal(informers_wait(&fixture->informer, 1, &fixture->stop, 0, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_non_null(strstr(err.message, "install Karpenter's CRDs"));
    fake_apiserver_hide(fixture->server, &GVR_NODECLAIM, false);
    expect_problem(fixture, "");
    wait_until_synced(fixture);
}

static void test_informer_says_what_it_waits_for(void **state)
{
    struct fixture *fixture = *state;
    fake_apiserver_set_down(fixture->server, true);
    start_with(fixture, &(struct informer_options){ .gvr = &GVR_CONFIGMAP });
    expect_problem(fixture, "configmaps: list configmaps: cannot reach the API server");
    assert_false(informer_synced(fixture->informer));
    fake_apiserver_set_down(fixture->server, false);
    wait_until_synced(fixture);
    expect_problem(fixture, "");
}

static void test_informer_not_started_is_a_problem(void **state)
{
    struct fixture *fixture = *state;
    char problem[200];
    fixture->informer =
        informer_new(&fixture->client, &(struct informer_options){ .gvr = &GVR_WORKSPACE },
                     &fixture->stop, clock_system());
    informer_problem(fixture->informer, problem, sizeof(problem));
    assert_string_equal(problem, "workspaces.kaito.sh: not listed yet");
}

static void test_informers_wait_is_cancelled(void **state)
{
    struct fixture *fixture = *state;
    struct error err = ERROR_INIT;
    fake_apiserver_set_down(fixture->server, true);
    start_with(fixture, &(struct informer_options){ .gvr = &GVR_CONFIGMAP });
    stop_raise(&fixture->stop);
    assert_int_equal(informers_wait(&fixture->informer, 1, &fixture->stop, PATIENCE_MS, &err), -1);
    assert_int_equal(err.code, ERR_CANCELLED);
}

/* ------------------------------------------------------------------ options */

static void drop_data(cJSON *json)
{
    json_remove(json, "data");
}

static void test_informer_trims(void **state)
{
    struct fixture *fixture = *state;
    create(fixture, "a");
    start_with(fixture, &(struct informer_options){ .gvr = &GVR_CONFIGMAP, .trim = drop_data });
    wait_until_synced(fixture);
    create(fixture, "b");
    expect(fixture, "+x/a +x/b ");
    static const char *const names[] = { "a", "b" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        AUTO(object)
        const struct object *held = store_get(informer_store(fixture->informer), key_of(names[i]));
        assert_null(json_get(held->json, "data"));
        assert_non_null(json_at(held->json, "metadata.labels"));
    }
}

static void test_informer_selector(void **state)
{
    struct fixture *fixture = *state;
    create(fixture, "a");
    start_with(fixture, &(struct informer_options){ .gvr = &GVR_CONFIGMAP,
                                                    .list = { .label_selector = "app=ours" } });
    wait_until_synced(fixture);
    wait_for_watch(fixture, 1);
    fake_apiserver_merge(fixture->server, &GVR_CONFIGMAP, key_of("a"),
                         JOBJ(JV("metadata", JOBJ(JV("labels", JOBJ(JS("app", "theirs")))))));
    expect(fixture, "+x/a -x/a ");
}

static const char *by_app(const struct object *object, char out[OBJECT_KEY_BYTES])
{
    snprintf(out, OBJECT_KEY_BYTES, "%s", object_label(object, "app"));
    return out;
}

static void test_informer_indexes(void **state)
{
    struct fixture *fixture = *state;
    store_index *const indexes[] = { by_app };
    create(fixture, "a");
    start_with(fixture, &(struct informer_options){
                            .gvr = &GVR_CONFIGMAP, .indexes = indexes, .index_count = 1 });
    wait_until_synced(fixture);
    AUTO(object_list)
    struct object_list ours = store_by_index(informer_store(fixture->informer), 0, "ours");
    assert_int_equal(ours.count, 1);
}

static void test_informer_lists_in_pages(void **state)
{
    struct fixture *fixture = *state;
    enum { OBJECTS = 2 * K8S_LIST_PAGE + 1 };
    for (int i = 0; i < OBJECTS; i++)
        fake_apiserver_create(fixture->server, &GVR_NODE,
                              JOBJ(JV("metadata", JOBJ(JF("name", "node-%d", i)))));
    fixture->informer =
        informer_new(&fixture->client, &(struct informer_options){ .gvr = &GVR_NODE },
                     &fixture->stop, clock_system());
    informer_start(fixture->informer);
    wait_until_synced(fixture);
    assert_int_equal(store_count(informer_store(fixture->informer)), OBJECTS);
    assert_int_equal(fake_apiserver_requests(fixture->server, "list", "nodes"), 3);
}

static void test_informer_calls_handlers_in_order(void **state)
{
    struct fixture *fixture = *state;
    create(fixture, "a");
    fixture->informer =
        informer_new(&fixture->client, &(struct informer_options){ .gvr = &GVR_CONFIGMAP },
                     &fixture->stop, clock_system());
    for (int i = 0; i < 2; i++)
        informer_add_handler(fixture->informer, on_change, &fixture->record);
    informer_start(fixture->informer);
    expect(fixture, "+x/a +x/a ");
}

static void test_informer_metrics(void **state)
{
    struct fixture *fixture = *state;
    const char *const labels[] = { "configmaps", NULL };
    create(fixture, "a");
    create(fixture, "b");
    start(fixture);
    assert_int_equal((int)metric_value(METRIC_INFORMER_LISTS_TOTAL, labels), 1);
    assert_int_equal((int)metric_value(METRIC_INFORMER_OBJECTS, labels), 2);
}

static void test_informer_writes_nothing(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    create(fixture, "a");
    expect(fixture, "+x/a ");
    assert_int_equal(fake_apiserver_requests(fixture->server, NULL, NULL), 0);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_informer_first_list),
        WITH_FIXTURE(test_informer_is_synced_only_after_the_handlers),
        WITH_FIXTURE(test_informer_watch),
        WITH_FIXTURE(test_informer_object_replaced_under_its_name),
        WITH_FIXTURE(test_informer_watch_is_resumed),
        WITH_FIXTURE(test_informer_misses_nothing_while_away),
        WITH_FIXTURE(test_informer_bookmarks_move_the_version),
        WITH_FIXTURE(test_informer_relists_and_hands_out_differences),
        WITH_FIXTURE(test_informer_does_not_spin_on_short_watches),
        WITH_FIXTURE(test_informer_names_a_missing_crd),
        WITH_FIXTURE(test_informer_says_what_it_waits_for),
        WITH_FIXTURE(test_informer_not_started_is_a_problem),
        WITH_FIXTURE(test_informers_wait_is_cancelled),
        WITH_FIXTURE(test_informer_trims),
        WITH_FIXTURE(test_informer_selector),
        WITH_FIXTURE(test_informer_indexes),
        WITH_FIXTURE(test_informer_lists_in_pages),
        WITH_FIXTURE(test_informer_calls_handlers_in_order),
        WITH_FIXTURE(test_informer_metrics),
        WITH_FIXTURE(test_informer_writes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
