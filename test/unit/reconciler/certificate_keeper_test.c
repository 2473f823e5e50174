#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/json/json.h"
#include "reconciler/certificate_keeper.h"
#include "reconciler/certificate_set.h"
#include "test/lib/fake_apiserver.h"
#include "test/lib/literals.h"

static const int64_t start_ms = INT64_C(1800000000000);

struct world {
    struct fake_apiserver *server;
    struct stop stop;
    struct k8s_client client;
    struct certificate_keeper_options options;
};

static void create_configuration(struct world *world, const struct gvr *gvr)
{
    cJSON *json = json_literal(
        "{\"metadata\":{\"name\":\"ckaito\"},\"webhooks\":[{\"name\":\"a\",\"timeoutSeconds\":5,"
        "\"clientConfig\":{\"service\":{\"name\":\"hook\"}}},{\"name\":\"b\","
        "\"clientConfig\":{\"service\":{\"name\":\"hook\"}}}]}");
    fake_apiserver_create(world->server, gvr, json);
}

static int world_open(void **state)
{
    struct world *world = mem_new(struct world);
    world->server = fake_apiserver_new(clock_system());
    stop_init(&world->stop);
    world->client = (struct k8s_client){ .transport = fake_apiserver_transport(world->server),
                                         .stop = &world->stop };
    world->options = (struct certificate_keeper_options){ .namespace_ = "ns",
                                                          .webhook_configuration = "ckaito",
                                                          .webhook_service = "hook",
                                                          .webhook_hosts = "",
                                                          .directory = "" };
    create_configuration(world, &GVR_MUTATING_WEBHOOK);
    create_configuration(world, &GVR_VALIDATING_WEBHOOK);
    *state = world;
    return 0;
}

static int world_close(void **state)
{
    struct world *world = *state;
    fake_apiserver_free(world->server);
    stop_fini(&world->stop);
    free(world);
    return 0;
}

static int pass_at(struct world *world, int64_t now_ms)
{
    struct error err = ERROR_INIT;
    int result = certificate_pass(&world->options, &world->client, now_ms, &err);
    if (result < 0)
        print_message("%s\n", err.message);
    return result;
}

static cJSON *secret(struct world *world, const char *name)
{
    return fake_apiserver_get(world->server, &GVR_SECRET,
                              (struct object_key){ .namespace_ = "ns", .name = name });
}

static void test_certificate_pass_first(void **state)
{
    struct world *world = *state;
    assert_int_equal(pass_at(world, start_ms), 0);
    AUTO(json) cJSON *webhook = secret(world, "ckaito-webhook-tls");
    AUTO(json) cJSON *bus = secret(world, "ckaito-bus-tls");
    AUTO(json)
    cJSON *configuration =
        fake_apiserver_get(world->server, &GVR_VALIDATING_WEBHOOK,
                           (struct object_key){ .namespace_ = "", .name = "ckaito" });
    assert_string_equal(json_string_at(webhook, "type"), "kubernetes.io/tls");
    assert_non_null(json_string_at(bus, "data[\"tls.key\"]"));
    const char *bundle = json_string_at(webhook, "data[\"ca.crt\"]");
    assert_string_equal(json_string_at(configuration, "webhooks[0].clientConfig.caBundle"), bundle);
    assert_string_equal(json_string_at(configuration, "webhooks[1].clientConfig.caBundle"), bundle);
    assert_string_equal(json_string_at(configuration, "webhooks[1].clientConfig.service.name"),
                        "hook");
    assert_int_equal(json_integer_at(configuration, "webhooks[0].timeoutSeconds", 0), 5);
}

static void test_certificate_pass_idle_writes_nothing(void **state)
{
    struct world *world = *state;
    assert_int_equal(pass_at(world, start_ms), 0);
    fake_apiserver_reset_requests(world->server);
    assert_int_equal(pass_at(world, start_ms + 1000), 0);
    assert_int_equal(fake_apiserver_requests(world->server, NULL, NULL), 0);
}

static void test_certificate_pass_replicas_agree(void **state)
{
    struct world *world = *state;
    assert_int_equal(pass_at(world, start_ms), 0);
    AUTO(json) cJSON *before = secret(world, "ckaito-certificates");
    assert_int_equal(pass_at(world, start_ms), 0);
    AUTO(json) cJSON *after = secret(world, "ckaito-certificates");
    assert_true(json_equal(json_get(before, "data"), json_get(after, "data")));
}

static void test_certificate_pass_each_lost_write_heals(void **state)
{
    struct world *world = *state;
    static const enum fake_fault faults[] = { FAKE_REFUSED, FAKE_ANSWER_LOST, FAKE_CONFLICT };
    for (unsigned nth = 1; nth <= 5; nth++) {
        fake_apiserver_fail_next(world->server, nth, faults[nth % ARRAY_LEN(faults)]);
        int64_t now_ms = start_ms + (int64_t)nth * 61 * CERTIFICATE_DAY_MS; /* leaves are due */
        (void)pass_at(world, now_ms); /* may fail: that is the point */
        assert_int_equal(pass_at(world, now_ms), 0);
        fake_apiserver_reset_requests(world->server);
        assert_int_equal(pass_at(world, now_ms), 0);
        assert_int_equal(fake_apiserver_requests(world->server, NULL, NULL), 0);
    }
}

static void test_certificate_pass_without_configuration(void **state)
{
    struct world *world = *state;
    fake_apiserver_delete(world->server, &GVR_MUTATING_WEBHOOK,
                          (struct object_key){ .namespace_ = "", .name = "ckaito" });
    assert_int_equal(pass_at(world, start_ms), CERTIFICATE_PASS_PARTIAL);
    world->options.webhook_configuration = "";
    assert_int_equal(pass_at(world, start_ms), 0);
}

static void test_certificate_pass_files(void **state)
{
    struct world *world = *state;
    char directory[] = "/tmp/certificate_keeper_XXXXXX";
    assert_non_null(mkdtemp(directory));
    world->options.directory = directory;
    assert_int_equal(pass_at(world, start_ms), 0);

    static const char *const files[] = { "webhook/ca.crt", "webhook/tls.crt", "webhook/tls.key",
                                         "bus/ca.crt",     "bus/tls.crt",     "bus/tls.key" };
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        AUTO_FREE char *path = mem_printf("%s/%s", directory, files[i]);
        struct stat info;
        assert_int_equal(stat(path, &info), 0);
        assert_int_equal(info.st_mode & 0777, strstr(files[i], ".key") != NULL ? 0600 : 0644);
        unlink(path);
    }
    static const char *const folders[] = { "webhook", "bus" };
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        AUTO_FREE char *path = mem_printf("%s/%s", directory, folders[i]);
        rmdir(path);
    }
    rmdir(directory);
}

#define KEEPER(test) cmocka_unit_test_setup_teardown(test, world_open, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KEEPER(test_certificate_pass_first),
        KEEPER(test_certificate_pass_idle_writes_nothing),
        KEEPER(test_certificate_pass_replicas_agree),
        KEEPER(test_certificate_pass_each_lost_write_heals),
        KEEPER(test_certificate_pass_without_configuration),
        KEEPER(test_certificate_pass_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
