#include <nng/nng.h>
#include <nng/protocol/pipeline0/push.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/base/metrics.h"
#include "common/base/mutex.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "common/msg/socket.h"
#include "test/lib/tls_dir.h"

enum { LONG_MS = 10000, LOOK_MS = 20, TRIES = 500, MANY = 20, FLOOD = 2000 };

static void check(int result, const struct error *err)
{
    if (result < 0)
        fail_msg("%s: %s", error_code_name(err->code), err->message);
}

/* Where received messages go: their number and the last body's n. */
struct inbox {
    struct mutex mutex;
    struct cond changed;
    int count;
    int64_t last, sum;
};

static int inbox_setup(void **state)
{
    struct inbox *inbox = mem_new(struct inbox);
    mutex_init(&inbox->mutex);
    cond_init(&inbox->changed);
    *state = inbox;
    return 0;
}

static int inbox_teardown(void **state)
{
    struct inbox *inbox = *state;
    mutex_fini(&inbox->mutex);
    cond_fini(&inbox->changed);
    free(inbox);
    return 0;
}

static void inbox_add(void *context, const struct envelope *message)
{
    struct inbox *inbox = context;
    mutex_lock(&inbox->mutex);
    inbox->count++;
    inbox->last = json_integer_at(message->body, "n", -1);
    inbox->sum += inbox->last;
    cond_broadcast(&inbox->changed);
    mutex_unlock(&inbox->mutex);
}

/* Waits for `count` messages; returns whether they came. */
static bool inbox_wait(struct inbox *inbox, int count, int64_t timeout_ms)
{
    mutex_lock(&inbox->mutex);
    bool in_time = true;
    while (inbox->count < count && in_time)
        in_time = cond_wait_for(&inbox->changed, &inbox->mutex, timeout_ms);
    bool arrived = inbox->count >= count;
    mutex_unlock(&inbox->mutex);
    return arrived;
}

static int send_number(struct msg_sender *sender, int64_t number)
{
    AUTO(json) cJSON *body = JOBJ(JI("n", number));
    return msg_send(sender, "Number", body, NULL);
}

static struct msg_sender *publisher(const struct socket_options *options)
{
    struct msg_sender *sender = NULL;
    struct error err = ERROR_INIT;
    check(msg_publisher_open(options, &sender, &err), &err);
    return sender;
}

static struct msg_receiver *subscriber(const struct socket_options *options, struct inbox *inbox)
{
    struct msg_receiver *receiver = NULL;
    struct error err = ERROR_INIT;
    check(msg_subscribe(options, inbox_add, inbox, &receiver, &err), &err);
    return receiver;
}

/* A publisher does not know its subscribers: what is sent before they are there is lost. */
static void publish_until_received(struct msg_sender *sender, struct inbox *inbox)
{
    mutex_lock(&inbox->mutex);
    int before = inbox->count;
    mutex_unlock(&inbox->mutex);
    bool received = false;
    for (int i = 0; i < TRIES && !received; i++) {
        assert_int_equal(send_number(sender, 1), 0);
        received = inbox_wait(inbox, before + 1, LOOK_MS);
    }
    assert_true(received);
}

static void test_oneway_subscriber_may_come_first(void **state)
{
    AUTO_FREE char *dir = test_dir_new();
    AUTO_FREE char *url = mem_printf("ipc://%s/state.ipc", dir);
    struct socket_options options = { .url = url };
    struct msg_receiver *receiver = subscriber(&options, *state);
    struct msg_sender *sender = publisher(&options);
    publish_until_received(sender, *state);
    msg_receiver_stop(receiver);
    msg_sender_close(sender);
    test_dir_remove(dir);
}

static void test_oneway_subscriber_outlives_the_publisher(void **state)
{
    static const struct socket_options options = { .url = "inproc://oneway-state" };
    struct msg_receiver *receiver = subscriber(&options, *state);
    for (int i = 0; i < 3; i++) {
        struct msg_sender *sender = publisher(&options);
        publish_until_received(sender, *state);
        msg_sender_close(sender);
    }
    msg_receiver_stop(receiver);
}

static void test_oneway_publishing_to_nobody_is_fine(void **state)
{
    (void)state;
    static const struct socket_options options = { .url = "inproc://oneway-nobody" };
    struct msg_sender *sender = publisher(&options);
    assert_int_equal(send_number(sender, 1), 0);
    msg_sender_close(sender);
}

static struct msg_sender *pusher(const struct socket_options *options)
{
    struct msg_sender *sender = NULL;
    struct error err = ERROR_INIT;
    check(msg_pusher_open(options, &sender, &err), &err);
    return sender;
}

static struct msg_receiver *puller(const struct socket_options *options, struct inbox *inbox)
{
    struct msg_receiver *receiver = NULL;
    struct error err = ERROR_INIT;
    check(msg_pull(options, inbox_add, inbox, &receiver, &err), &err);
    return receiver;
}

static void test_oneway_pushed_messages_wait_for_the_puller(void **state)
{
    static const struct socket_options options = { .url = "inproc://oneway-push" };
    struct inbox *inbox = *state;
    struct msg_sender *sender = pusher(&options);
    for (int i = 1; i <= MANY; i++)
        assert_int_equal(send_number(sender, i), 0);
    struct msg_receiver *receiver = puller(&options, inbox);
    assert_true(inbox_wait(inbox, MANY, LONG_MS));
    msg_receiver_stop(receiver);
    msg_sender_close(sender);
    assert_int_equal(inbox->count, MANY);
    assert_int_equal(inbox->last, MANY);
    assert_int_equal(inbox->sum, MANY * (MANY + 1) / 2);
}

static void test_oneway_full_queue_loses_and_says_so(void **state)
{
    (void)state;
    static const struct socket_options options = { .url = "inproc://oneway-full" };
    struct msg_sender *sender = pusher(&options);
    metrics_reset();
    int lost = 0;
    for (int i = 0; i < FLOOD; i++)
        lost += send_number(sender, i) < 0;
    assert_in_range(lost, 1, FLOOD - 1);
    assert_int_equal(
        (int)metric_value(METRIC_MESSAGES_TOTAL, (const char *const[]){ "Number", "error", NULL }),
        lost);
    msg_sender_close(sender);
}

static void test_oneway_too_large_is_not_sent(void **state)
{
    (void)state;
    static const struct socket_options options = { .url = "inproc://oneway-large" };
    struct msg_sender *sender = publisher(&options);
    AUTO_FREE char *text = mem_calloc(1, MESSAGE_BYTES_MAX + 1);
    memset(text, 'x', MESSAGE_BYTES_MAX);
    AUTO(json) cJSON *body = JOBJ(JS("text", text));
    assert_int_equal(msg_send(sender, "Number", body, NULL), -1);
    msg_sender_close(sender);
}

static void test_oneway_malformed_message_is_dropped(void **state)
{
    static const struct socket_options options = { .url = "inproc://oneway-malformed" };
    struct inbox *inbox = *state;
    metrics_reset();
    struct msg_receiver *receiver = puller(&options, inbox);
    nng_socket raw;
    char garbage[] = "garbage", good[] = "{\"v\":1,\"type\":\"Number\",\"body\":{\"n\":5}}";
    assert_int_equal(nng_push0_open(&raw), 0);
    assert_int_equal(nng_dial(raw, options.url, NULL, 0), 0);
    assert_int_equal(nng_send(raw, garbage, strlen(garbage), 0), 0);
    assert_int_equal(nng_send(raw, good, strlen(good), 0), 0);
    assert_true(inbox_wait(inbox, 1, LONG_MS));
    nng_close(raw);
    msg_receiver_stop(receiver);
    assert_int_equal(inbox->count, 1);
    assert_int_equal(inbox->last, 5);
    assert_int_equal(
        (int)metric_value(METRIC_MESSAGES_TOTAL, (const char *const[]){ "other", "invalid", NULL }),
        1);
}

#define INBOX_TEST(name) cmocka_unit_test_setup_teardown(name, inbox_setup, inbox_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        INBOX_TEST(test_oneway_subscriber_may_come_first),
        INBOX_TEST(test_oneway_subscriber_outlives_the_publisher),
        INBOX_TEST(test_oneway_publishing_to_nobody_is_fine),
        INBOX_TEST(test_oneway_pushed_messages_wait_for_the_puller),
        INBOX_TEST(test_oneway_full_queue_loses_and_says_so),
        INBOX_TEST(test_oneway_too_large_is_not_sent),
        INBOX_TEST(test_oneway_malformed_message_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
