#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/memory.h"
#include "provisioner/drivers/azure_token.h"
#include "test/lib/scripted_client.h"

#define ANSWER(token) "{\"access_token\":\"" token "\",\"expires_in\":3600}"

struct world {
    struct scripted_client client;
    struct clock_fake clock;
    struct stop stop;
    char file[64];
    struct azure_token *token;
    struct error err;
};

static int set_up_with(void **state, bool workload)
{
    struct world *world = mem_new(struct world);
    scripted_client_init(&world->client);
    clock_fake_init(&world->clock, 1000);
    stop_init(&world->stop);
    snprintf(world->file, sizeof(world->file), "/tmp/azure-token-XXXXXX");
    int fd = mkstemp(world->file);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "a.b+c\n", 6), 6);
    close(fd);
    const struct azure_token_options options = {
        .http = &world->client.client,
        .clock = &world->clock.clock,
        .resource = "https://arm.test",
        .authority = "https://login.test/",
        .tenant_id = "tenant",
        .client_id = "client",
        .federated_file = workload ? world->file : "",
        .metadata_endpoint = "http://metadata.test",
    };
    world->token = azure_token_new(&options);
    *state = world;
    return 0;
}

static int set_up_workload(void **state)
{
    return set_up_with(state, true);
}

static int set_up_managed(void **state)
{
    return set_up_with(state, false);
}

static int tear_down(void **state)
{
    struct world *world = *state;
    assert_int_equal(world->client.request_count, world->client.answer_count);
    azure_token_free(world->token);
    scripted_client_fini(&world->client);
    unlink(world->file);
    stop_fini(&world->stop);
    free(world);
    return 0;
}

static void say(struct world *world, int status, const char *body)
{
    scripted_client_add(&world->client,
                        (struct scripted_client_answer){ .status = status, .body = body });
}

static void expect(struct world *world, const char *refused, const char *expected)
{
    AUTO_FREE char *value = NULL;
    if (azure_token_get(world->token, refused, &world->stop, &value, &world->err) < 0)
        fail_msg("%s", world->err.message);
    assert_string_equal(value, expected);
}

static void test_workload_identity_exchanges_the_assertion(void **state)
{
    struct world *world = *state;
    say(world, 200, ANSWER("one"));
    expect(world, NULL, "one");
    const struct scripted_client_request *request = &world->client.requests[0];
    assert_string_equal(request->method, "POST");
    assert_string_equal(request->url, "https://login.test/tenant/oauth2/v2.0/token");
    assert_string_equal(request->body,
                        "grant_type=client_credentials&client_id=client&client_assertion_type="
                        "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&"
                        "client_assertion=a.b%2Bc&scope=https%3A%2F%2Farm.test%2F.default");
    assert_false(request->direct);
}

static void test_managed_identity_asks_the_metadata_service(void **state)
{
    struct world *world = *state;
    say(world, 200, "{\"access_token\":\"one\",\"expires_in\":\"3600\"}");
    expect(world, NULL, "one");
    const struct scripted_client_request *request = &world->client.requests[0];
    assert_string_equal(request->url,
                        "http://metadata.test/metadata/identity/oauth2/token?api-version="
                        "2018-02-01&resource=https%3A%2F%2Farm.test&client_id=client");
    assert_non_null(strstr(request->headers, "Metadata: true\n"));
    assert_true(request->direct);
    expect(world, NULL, "one"); /* "3600" was understood: not asked again */
}

static void test_token_is_kept_until_it_ages(void **state)
{
    struct world *world = *state;
    say(world, 200, ANSWER("one"));
    expect(world, NULL, "one");
    world->clock.now_ms += 54 * 60 * 1000;
    expect(world, NULL, "one");
    world->clock.now_ms += 2 * 60 * 1000;
    say(world, 200, ANSWER("two"));
    expect(world, NULL, "two");
}

static void test_ageing_token_serves_while_no_other_can_be_had(void **state)
{
    struct world *world = *state;
    say(world, 200, ANSWER("one"));
    expect(world, NULL, "one");
    world->clock.now_ms += 58 * 60 * 1000;
    say(world, 503, NULL);
    expect(world, NULL, "one");
    world->clock.now_ms += 3 * 60 * 1000;
    say(world, 503, NULL);
    AUTO_FREE char *value = NULL;
    assert_int_equal(azure_token_get(world->token, NULL, &world->stop, &value, &world->err), -1);
    assert_int_equal(world->err.code, ERR_UNAVAILABLE);
}

static void test_refused_token_is_replaced_once(void **state)
{
    struct world *world = *state;
    say(world, 200, ANSWER("one"));
    expect(world, NULL, "one");
    say(world, 200, ANSWER("two"));
    expect(world, "one", "two");
    expect(world, "one", "two"); /* another thread was refused the same one */
}

static void test_refusal_tells_what_azure_said(void **state)
{
    struct world *world = *state;
    say(world, 401, "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS700213: no\"}");
    AUTO_FREE char *value = NULL;
    assert_int_equal(azure_token_get(world->token, NULL, &world->stop, &value, &world->err), -1);
    assert_int_equal(world->err.code, ERR_FORBIDDEN);
    assert_non_null(strstr(world->err.message, "AADSTS700213: no"));
}

static void test_answers_that_are_no_token(void **state)
{
    struct world *world = *state;
    static const char *const bad[] = { "", "[]", "{}", "{\"access_token\":\"\"}",
                                       "{\"access_token\":\"a\\r\\nX: y\",\"expires_in\":1}" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        AUTO_FREE char *value = NULL;
        say(world, 200, bad[i]);
        if (azure_token_get(world->token, NULL, &world->stop, &value, &world->err) == 0)
            fail_msg("%s passed", bad[i]);
    }
}

static void test_missing_assertion_names_the_file(void **state)
{
    struct world *world = *state;
    unlink(world->file);
    AUTO_FREE char *value = NULL;
    assert_int_equal(azure_token_get(world->token, NULL, &world->stop, &value, &world->err), -1);
    assert_non_null(strstr(world->err.message, world->file));
}

int main(void)
{
#define WITH(set_up, test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH(set_up_workload, test_workload_identity_exchanges_the_assertion),
        WITH(set_up_managed, test_managed_identity_asks_the_metadata_service),
        WITH(set_up_workload, test_token_is_kept_until_it_ages),
        WITH(set_up_workload, test_ageing_token_serves_while_no_other_can_be_had),
        WITH(set_up_workload, test_refused_token_is_replaced_once),
        WITH(set_up_workload, test_refusal_tells_what_azure_said),
        WITH(set_up_workload, test_answers_that_are_no_token),
        WITH(set_up_workload, test_missing_assertion_names_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
