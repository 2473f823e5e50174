#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/json/json.h"
#include "reconciler/manifest.h"
#include "reconciler/scripts.h"
#include "test/lib/literals.h"

static void test_manifest_is_applied(void **state)
{
    (void)state;
    static const struct {
        const char *live, *wanted;
        bool applied;
    } rows[] = {
        { "{\"a\":1,\"b\":{\"c\":\"x\",\"d\":2}}", "{\"b\":{\"c\":\"x\"}}", true },
        { "{\"b\":{\"c\":\"y\"}}", "{\"b\":{\"c\":\"x\"}}", false },
        { "{}", "{\"b\":{\"c\":\"x\"}}", false },
        { "{\"metadata\":{}}", "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{}}",
          true },
        /* what the API server leaves out */
        { "{\"s\":{}}", "{\"s\":{\"a\":null,\"b\":{},\"c\":[],\"d\":\"\",\"e\":false}}", true },
        { "{\"s\":{}}", "{\"s\":{\"a\":0}}", false },
        /* defaulted members of list items, items of others */
        { "{\"l\":[{\"n\":\"a\",\"v\":1},{\"n\":\"b\",\"v\":2}]}", "{\"l\":[{\"n\":\"b\"}]}",
          true },
        { "{\"l\":[{\"n\":\"a\"},{\"n\":\"x\"},{\"n\":\"b\"}]}",
          "{\"l\":[{\"n\":\"a\"},{\"n\":\"b\"}]}", true },
        { "{\"l\":[{\"n\":\"a\"}]}", "{\"l\":[{\"n\":\"a\"},{\"n\":\"b\"}]}", false },
        { "{\"l\":[{\"n\":\"b\"},{\"n\":\"a\"}]}", "{\"l\":[{\"n\":\"a\"},{\"n\":\"b\"}]}", false },
        /* quantities in another spelling */
        { "{\"cpu\":\"1\"}", "{\"cpu\":\"1000m\"}", true },
        { "{\"gpu\":\"1\"}", "{\"gpu\":1}", true },
        { "{\"s\":\"1Ti\"}", "{\"s\":\"1024Gi\"}", true },
        { "{\"s\":\"1Ti\"}", "{\"s\":\"1023Gi\"}", false },
        { "{\"s\":\"one\"}", "{\"s\":1}", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(json) cJSON *live = json_literal(rows[i].live);
        AUTO(json) cJSON *wanted = json_literal(rows[i].wanted);
        if (manifest_is_applied(live, wanted) != rows[i].applied)
            fail_msg("%s in %s", rows[i].wanted, rows[i].live);
    }
}

static void test_manifest_seal(void **state)
{
    (void)state;
    const char *path = "metadata.annotations[\"" ANNOTATION_APPLIED_HASH "\"]";
    AUTO(json) cJSON *a = json_literal("{\"metadata\":{\"name\":\"x\"},\"spec\":{\"a\":1}}");
    AUTO(json) cJSON *b = json_literal("{\"spec\":{\"a\":1},\"metadata\":{\"name\":\"x\"}}");
    AUTO(json) cJSON *c = json_literal("{\"metadata\":{\"name\":\"x\"},\"spec\":{\"a\":2}}");
    manifest_seal(a);
    manifest_seal(b);
    manifest_seal(c);
    assert_string_equal(json_string_at(a, path), json_string_at(b, path));
    assert_string_not_equal(json_string_at(a, path), json_string_at(c, path));
    assert_string_equal(json_string_at(a, "metadata.name"), "x");
}

static void test_manifest_image(void **state)
{
    (void)state;
    static const struct {
        const char *given, *made;
    } rows[] = {
        { "ubuntu", "docker.io/library/ubuntu:latest" },
        { "a/b", "docker.io/a/b:latest" },
        { "a/b:1", "docker.io/a/b:1" },
        { "localhost/b", "localhost/b:latest" },
        { "host:5000/a/b", "host:5000/a/b:latest" },
        { "host:5000/a/b:2", "host:5000/a/b:2" },
        { "r.io/a/b@sha256:ab", "r.io/a/b@sha256:ab" },
        { "r.io/a/b:1@sha256:ab", "r.io/a/b@sha256:ab" },
    };
    AUTO(arena) struct arena arena = ARENA_INIT;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(manifest_image(rows[i].given, &arena), rows[i].made);
}

static void test_manifest_command(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    struct string_pair items[8] = { { "zeta", "1" }, { "flag", "" } };
    struct string_map map = { .items = items, .count = 2 };
    manifest_parameter(&map, "json", "{\"a\":true}");
    manifest_parameter(&map, "quote", "it's; rm -rf $HOME");
    manifest_parameter(&map, "zeta", "2");
    assert_string_equal(manifest_command(&arena, "run", &map),
                        "run --flag --json='{\"a\":true}' --quote='it'\\''s; rm -rf $HOME' "
                        "--zeta=2");
}

static void test_manifest_literal(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    assert_string_equal(manifest_literal("a$(HOME)$$b", &arena), "a$$(HOME)$$$$b");
}

/* The kubelet would make one '$' of two. */
static void test_scripts_have_no_double_dollar(void **state)
{
    (void)state;
    assert_null(strstr(script_download, "$$"));
    assert_null(strstr(script_pull, "$$"));
    assert_null(strstr(script_push, "$$"));
}

static int shell(const char *script, const char *mode)
{
    setenv("SCRIPT", script, 1);
    AUTO(arena) struct arena arena = ARENA_INIT;
    return system(arena_printf(&arena, "printf %%s \"$SCRIPT\" | sh %s", mode));
}

static void test_scripts_parse(void **state)
{
    (void)state;
    assert_int_equal(shell(script_download, "-n"), 0);
    assert_int_equal(shell(script_pull, "-n"), 0);
    assert_int_equal(shell(script_push, "-n"), 0);
}

/* Two URLs of one name, one answer that is not 200 at first: the program with a curl of ours. */
static void test_script_download(void **state)
{
    (void)state;
    setenv("SCRIPT", script_download, 1);
    int result = system(
        "set -e; d=$(mktemp -d); mkdir $d/bin $d/out\n"
        "cat >$d/bin/curl <<'EOF'\n"
        "#!/bin/sh\n"
        "while [ $# -gt 0 ]; do case $1 in --output) out=$2;; --url) url=$2;; esac; shift; done\n"
        "case $url in *broken*) [ -e $0.tried ] || { touch $0.tried; printf 503; exit 0; };; esac\n"
        "echo \"$url\" >\"$out\"; printf 200\n"
        "EOF\n"
        "printf '#!/bin/sh\\n' >$d/bin/sleep; chmod +x $d/bin/*\n"
        "PATH=$d/bin:$PATH DATA_URLS='http://a/x.csv?k=1 http://b/x.csv http://c/broken#f' "
        "DATA_VOLUME_PATH=$d/out sh -c \"$SCRIPT\" >/dev/null 2>&1\n"
        "[ \"$(cat $d/out/x.csv)\" = 'http://a/x.csv?k=1' ]\n"
        "[ \"$(cat $d/out/2-x.csv)\" = 'http://b/x.csv' ]\n"
        "[ \"$(cat $d/out/broken)\" = 'http://c/broken#f' ]\n"
        "! DATA_URLS= sh -c \"$SCRIPT\" >/dev/null 2>&1\n"
        "rm -r $d");
    assert_int_equal(result, 0);
}

/* The programs around script_push: a folder $d with an oras of ours that keeps what is pushed, and
 * a /proc of ours, so that nobody else's processes are looked at. */
#define PUSH_SCENE                                                                                 \
    "set -e; d=$(mktemp -d); mkdir -p $d/bin $d/results $d/proc\n"                                 \
    "cat >$d/bin/oras <<'EOF'\n"                                                                   \
    "#!/bin/sh\n"                                                                                  \
    "cp layer.tar.gz config.json annotations.json \"$(dirname $0)\"; echo \"$@\" >$0.args\n"       \
    "EOF\n"                                                                                        \
    "cat >$d/bin/sleep <<EOF\n"                                                                    \
    "#!/bin/sh\n"                                                                                  \
    "rm -f $d/proc/77/cmdline\n"                                                                   \
    "EOF\n"                                                                                        \
    "chmod +x $d/bin/*; export PATH=$d/bin:$PATH\n"                                                \
    "echo c >$d/results/adapter_config.json; echo m >$d/results/adapter_model.safetensors\n"       \
    "/bin/sleep 60 & pause=$!\n"                                                                   \
    "mkdir $d/proc/1 $d/proc/77 $d/proc/$pause\n"                                                  \
    "echo pause >$d/proc/1/comm; echo pause >$d/proc/$pause/comm; echo python3 >$d/proc/77/comm\n" \
    "printf 'python3\\0/workspace/tfs/fine_tuning.py\\0' >$d/proc/77/cmdline\n"                    \
    "SCRIPT=$(printf %s \"$SCRIPT\" | sed \"s#/proc/#$d/proc/#g\")\n"                              \
    "push() { sh -c \"$SCRIPT\" pusher $d/results r.io/a/b:1 '{\"x\":1}' $d/results/done; }\n"

static void test_script_push(void **state)
{
    (void)state;
    setenv("SCRIPT", script_push, 1);
    int result =
        system(PUSH_SCENE "touch $d/results/done; push >/dev/null\n"
                          "! wait $pause\n" /* it was ended */
                          "tar -tzf $d/bin/layer.tar.gz | grep -q '^data/adapter_config.json$'\n"
                          "digest=$(gzip -dc $d/bin/layer.tar.gz | sha256sum | cut -d' ' -f1)\n"
                          "grep -q \"sha256:$digest\" $d/bin/config.json\n"
                          "[ \"$(cat $d/bin/annotations.json)\" = '{\"x\":1}' ]\n"
                          "grep -q ' r.io/a/b:1 ' $d/bin/oras.args\n"
                          "rm -r $d");
    assert_int_equal(result, 0);
}

/* The training is seen, goes away, and has left no sentinel. */
static void test_script_push_after_failed_training(void **state)
{
    (void)state;
    setenv("SCRIPT", script_push, 1);
    int result = system(PUSH_SCENE "! push 2>$d/err\n"
                                   "grep -q 'ended without a result' $d/err\n"
                                   "! wait $pause\n"
                                   "[ ! -e $d/bin/oras.args ]\n"
                                   "rm -r $d");
    assert_int_equal(result, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_manifest_is_applied),
        cmocka_unit_test(test_manifest_seal),
        cmocka_unit_test(test_manifest_image),
        cmocka_unit_test(test_manifest_command),
        cmocka_unit_test(test_manifest_literal),
        cmocka_unit_test(test_scripts_have_no_double_dollar),
        cmocka_unit_test(test_scripts_parse),
        cmocka_unit_test(test_script_download),
        cmocka_unit_test(test_script_push),
        cmocka_unit_test(test_script_push_after_failed_training),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
