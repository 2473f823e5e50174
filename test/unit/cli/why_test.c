/* kubectl ckaito why: from saved objects, and from a kubectl that answers from a folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/why.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/causes/causes.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "test/lib/literals.h"
#include "test/unit/cli/run.h"

#define NOW "2026-11-24T12:00:00Z"
#define WORKSPACE(ready)                                                                       \
    "{\"apiVersion\":\"kaito.sh/v1beta1\",\"kind\":\"Workspace\",\"metadata\":{\"name\":"      \
    "\"phi\",\"namespace\":\"team-a\",\"generation\":1},\"status\":{\"observedGeneration\":1," \
    "\"plan\":{\"startupBudgetSeconds\":1800,\"gpusPerNode\":1},\"conditions\":[{\"type\":"    \
    "\"Ready\",\"status\":\"" ready "\",\"reason\":\"r\",\"message\":\"said by another\"}],"   \
    "\"timeline\":[{\"phase\":\"Planned\",\"start\":\"2026-11-24T11:30:00Z\",\"end\":"         \
    "\"2026-11-24T11:30:02Z\"},{\"phase\":\"NodesReady\",\"start\":\"2026-11-24T11:30:02Z\","  \
    "\"cause\":\"NodeClaimNotReady\"}]}}"

static char *report_of(const cJSON *workspace, const cJSON *objects, int *status)
{
    AUTO(arena) struct arena arena = ARENA_INIT;
    int64_t now_ms;
    char *text;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    assert_int_equal(rfc3339_parse(NOW, &now_ms), 0);
    *status = why_report(workspace, objects, now_ms, &arena, out);
    fclose(out);
    return text;
}

static void test_why_first_line(void **state)
{
    (void)state;
    for (size_t id = 0; id < CAUSE_COUNT; id++) {
        AUTO(arena) struct arena arena = ARENA_INIT;
        const char *code = cause_of((enum cause_id)id)->code;
        cJSON *object =
            json_from_file(arena_printf(&arena, "test/unit/causes/fixtures/%s.json", code));
        bool is_workspace = strcmp(json_string_at(object, "kind"), "Workspace") == 0;
        AUTO(json)
        cJSON *workspace = is_workspace ? json_copy(object) : json_literal(WORKSPACE("False"));
        AUTO(json) cJSON *objects = JARR(json_copy(workspace), object);
        int status;
        AUTO_FREE char *text = report_of(workspace, objects, &status);
        const char *begin = arena_printf(&arena, "%s: ", code);
        assert_int_equal(status, CLI_REFUSED);
        if (strncmp(text, begin, strlen(begin)) != 0)
            fail_msg("%s does not come first in: %s", code, text);
        *strchr(text, '\n') = '\0';
        assert_says(text, "; next: ");
    }
}

static void test_why_order_and_timeline(void **state)
{
    (void)state;
    AUTO(json) cJSON *workspace = json_literal(WORKSPACE("False"));
    AUTO(json)
    cJSON *objects =
        JARR(json_from_file("test/unit/causes/fixtures/WorkloadStarting.json"),
             json_from_file("test/unit/causes/fixtures/ContainerCrashLoopBackOff.json"),
             json_from_file("test/unit/causes/fixtures/SecretMissing.json"),
             json_from_file("test/unit/causes/fixtures/SecretMissing.json"));
    int status;
    AUTO_FREE char *text = report_of(workspace, objects, &status);
    assert_int_equal(strncmp(text, "SecretMissing: Pod/phi-0", 24), 0);
    assert_says(text, "\nalso:\n  ContainerCrashLoopBackOff: ");
    assert_null(strstr(text, "WorkloadStarting")); /* no news */
    assert_null(strstr(strstr(text, "SecretMissing") + 1, "SecretMissing"));
    assert_says(text, "PHASE        START                  TOOK     CAUSE");
    assert_says(text, "NodesReady   2026-11-24T11:30:02Z   29m58s   NodeClaimNotReady");
}

static void test_why_ready_and_unknown(void **state)
{
    (void)state;
    static const struct {
        const char *workspace, *says;
        int status;
    } rows[] = {
        { WORKSPACE("True"), "Workspace/phi is ready\n", CLI_OK },
        { WORKSPACE("False"), "Workspace/phi: said by another\n", CLI_REFUSED },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(outcome) struct outcome outcome = RUN(rows[i].workspace, "why", "phi", "-f", "-");
        assert_int_equal(outcome.status, rows[i].status);
        assert_int_equal(strncmp(outcome.out, rows[i].says, strlen(rows[i].says)), 0);
    }
}

static void test_why_bad_input(void **state)
{
    (void)state;
    static const struct {
        const char *input, *says;
    } rows[] = {
        { "{}", "there is no Workspace \"phi\"" },
        { "[1,\"x\",{\"kind\":\"Workspace\",\"metadata\":7}]", "there is no Workspace" },
        { "nonsense", "-: " },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(outcome) struct outcome outcome = RUN(rows[i].input, "why", "phi", "-f", "-");
        assert_int_equal(outcome.status, CLI_FAILED);
        assert_says(outcome.err, rows[i].says);
    }
}

/* ------------------------------------------------------------------ a kubectl of ours */

static void write_text(const char *folder, const char *name, mode_t mode, const char *text)
{
    AUTO_FREE char *path = mem_printf("%s/%s", folder, name);
    struct error err = ERROR_INIT;
    assert_int_equal(file_write(path, mode, text, strlen(text), &err), 0);
}

#define SCRIPT                                                                \
    "#!/bin/sh\n"                                                             \
    "cd \"$(dirname \"$0\")\" || exit 1\n"                                    \
    "echo \"$*\" >>calls\n"                                                   \
    "case \"$1 $2\" in\n"                                                     \
    "'get workspaces.kaito.sh/phi') cat workspace ;;\n"                       \
    "'get pods,persistentvolumeclaims') cat pods ;;\n"                        \
    "'get events') cat events ;;\n"                                           \
    "'get nodeclaims.karpenter.sh') echo 'no such resource' >&2; exit 1 ;;\n" \
    "'logs phi-0') echo 'x: 401 Client Error: gated' ;;\n"                    \
    "esac\n"

static void test_why_asks_kubectl(void **state)
{
    (void)state;
    char folder[] = "/tmp/why-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    AUTO_FREE char *path = mem_strdup(getenv("PATH"));
    AUTO_FREE char *mine = mem_printf("%s:%s", folder, path);
    write_text(folder, "kubectl", 0755, SCRIPT);
    write_text(folder, "workspace", 0644, "{\"kind\":\"List\",\"items\":[" WORKSPACE("False") "]}");
    AUTO(json)
    cJSON *pod = json_from_file("test/unit/causes/fixtures/ContainerCrashLoopBackOff.json");
    AUTO_FREE char *pod_text = json_print(pod);
    write_text(folder, "pods", 0644, pod_text);
    /* of another Workspace */
    AUTO(json) cJSON *event = json_from_file("test/unit/causes/fixtures/AdmissionDenied.json");
    AUTO_FREE char *event_text = json_print(event);
    write_text(folder, "events", 0644, event_text);

    setenv("PATH", mine, 1);
    AUTO(outcome) struct outcome found = RUN("", "why", "phi", "-n", "team-a", "--context", "c");
    AUTO(outcome) struct outcome absent = RUN("", "why", "other");
    setenv("PATH", folder, 1);
    AUTO_FREE char *script = mem_printf("%s/kubectl", folder);
    assert_int_equal(unlink(script), 0);
    AUTO(outcome) struct outcome none = RUN("", "why", "phi");
    setenv("PATH", path, 1);

    assert_int_equal(found.status, CLI_REFUSED);
    assert_int_equal(strncmp(found.out, "ModelGated: Pod/phi-0", 21), 0);
    assert_null(strstr(found.out, "AdmissionDenied"));
    assert_int_equal(absent.status, CLI_FAILED);
    assert_says(absent.err, "there is no Workspace \"other\"");
    assert_int_equal(none.status, CLI_FAILED);
    assert_says(none.err, "cannot run kubectl");

    AUTO(buf) struct buf calls = BUF_INIT(64 * 1024);
    AUTO_FREE char *calls_path = mem_printf("%s/calls", folder);
    struct error err = ERROR_INIT;
    assert_int_equal(file_read(calls_path, &calls, &err), 0);
    assert_says(buf_text(&calls), "--namespace=team-a --context=c\n");
    assert_says(buf_text(&calls),
                "logs phi-0 --container=phi --namespace=team-a --tail=50 --previous --context=c");
    static const char *const names[] = { "workspace", "pods", "events", "calls" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        AUTO_FREE char *name = mem_printf("%s/%s", folder, names[i]);
        assert_int_equal(unlink(name), 0);
    }
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_why_first_line),        cmocka_unit_test(test_why_order_and_timeline),
        cmocka_unit_test(test_why_ready_and_unknown), cmocka_unit_test(test_why_bad_input),
        cmocka_unit_test(test_why_asks_kubectl),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
