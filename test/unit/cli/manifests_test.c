#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/manifests.h"
#include "common/base/memory.h"
#include "common/json/json.h"
#include "test/lib/tls_dir.h"

struct fixture {
    struct arena arena;
    struct manifests manifests;
};

static void read_text(struct fixture *fixture, const char *text)
{
    const char *path = "-";
    FILE *in = tmpfile();
    fputs(text, in);
    rewind(in);
    *fixture = (struct fixture){ .arena = ARENA_INIT };
    manifests_read(&(struct string_list){ &path, 1 }, false, in, &fixture->arena,
                   &fixture->manifests);
    fclose(in);
}

static void read_path(struct fixture *fixture, const char *path, bool recursive)
{
    *fixture = (struct fixture){ .arena = ARENA_INIT };
    manifests_read(&(struct string_list){ &path, 1 }, recursive, stdin, &fixture->arena,
                   &fixture->manifests);
}

static void done(struct fixture *fixture)
{
    manifests_fini(&fixture->manifests);
    arena_fini(&fixture->arena);
}

static void assert_failure(const struct fixture *fixture, size_t index, const char *part)
{
    assert_true(fixture->manifests.failures.count > index);
    if (strstr(fixture->manifests.failures.items[index], part) == NULL)
        fail_msg("no \"%s\" in: %s", part, fixture->manifests.failures.items[index]);
}

static void test_manifests_number_documents(void **state)
{
    (void)state;
    struct fixture fixture;
    read_text(&fixture, "apiVersion: v1\nkind: A\nmetadata: {name: a, namespace: n}\n"
                        "---\napiVersion: v1\nkind: B\n");
    const struct manifests *manifests = &fixture.manifests;
    assert_int_equal(manifests->count, 2);
    assert_string_equal(manifest_place(&manifests->items[1], &fixture.arena),
                        "standard input, document 2");
    assert_string_equal(manifest_name(&manifests->items[0]), "a");
    assert_string_equal(manifest_namespace(&manifests->items[0]), "n");
    assert_string_equal(manifest_name(&manifests->items[1]), "");
    assert_string_equal(manifest_namespace(&manifests->items[1]), "default");
    assert_int_equal(manifests->failures.count, 0);
    done(&fixture);
}

static void test_manifests_lists_are_their_items(void **state)
{
    (void)state;
    struct fixture fixture;
    read_text(&fixture, "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":["
                        "{\"apiVersion\":\"v1\",\"kind\":\"A\",\"note\":\"\\ud83d\\ude00\"},"
                        "{\"apiVersion\":\"v1\",\"kind\":\"BList\",\"items\":["
                        "{\"apiVersion\":\"v1\",\"kind\":\"B\"}]},{\"kind\":\"C\"}]}");
    assert_int_equal(fixture.manifests.count, 2);
    assert_string_equal(fixture.manifests.items[0].kind, "A");
    assert_string_equal(fixture.manifests.items[1].kind, "B");
    assert_failure(&fixture, 0, "document 1: is no Kubernetes object");
    done(&fixture);
}

static void test_manifests_say_what_is_wrong_and_go_on(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        { "a: [\n", "standard input: invalid YAML at line" },
        { "just words\n", "standard input, document 1: is no Kubernetes object" },
        { "apiVersion: v1\nkind: A\n---\nx: 1\n", "standard input, document 2: is no Kubernetes" },
        { "{\"a\": ", "standard input: invalid YAML" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture fixture;
        read_text(&fixture, cases[i].text);
        assert_failure(&fixture, 0, cases[i].says);
        done(&fixture);
    }
}

static void test_manifests_of_folders(void **state)
{
    (void)state;
    struct fixture fixture;
    AUTO_FREE char *dir = test_dir_new();
    AUTO_FREE char *inner = test_file_path(dir, "inner");
    assert_int_equal(mkdir(inner, 0700), 0);
    test_file_write(dir, "b.yml", "apiVersion: v1\nkind: B\n");
    test_file_write(dir, "a.yaml", "apiVersion: v1\nkind: A\n");
    test_file_write(dir, "c.json", "{\"apiVersion\":\"v1\",\"kind\":\"C\"}");
    test_file_write(dir, "notes.txt", "no manifest");
    test_file_write(dir, ".hidden.yaml", "a: [");
    test_file_write(inner, "d.yaml", "apiVersion: v1\nkind: D\n");

    read_path(&fixture, dir, false);
    assert_int_equal(fixture.manifests.count, 3);
    assert_string_equal(fixture.manifests.items[0].kind, "A");
    assert_string_equal(fixture.manifests.items[2].kind, "C");
    assert_int_equal(fixture.manifests.failures.count, 0);
    done(&fixture);
    read_path(&fixture, dir, true);
    assert_int_equal(fixture.manifests.count, 4);
    assert_non_null(strstr(fixture.manifests.items[3].file, "/inner/d.yaml"));
    done(&fixture);
    test_dir_remove(inner);
    AUTO_FREE char *hidden = test_file_path(dir, ".hidden.yaml");
    assert_int_equal(unlink(hidden), 0);
    test_dir_remove(dir);
    read_path(&fixture, dir, false);
    assert_failure(&fixture, 0, "cannot read");
    done(&fixture);
}

static void test_manifests_find_config_maps(void **state)
{
    (void)state;
    struct fixture fixture;
    read_text(&fixture,
              "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {k: old}\n---\n"
              "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: n}\ndata: {}\n---\n"
              "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {k: new}\n");
    const cJSON *found = manifests_config_map(&fixture.manifests, "default", "c");
    assert_string_equal(json_string_at(found, "data.k"), "new"); /* as apply leaves it */
    assert_null(manifests_config_map(&fixture.manifests, "default", "d"));
    done(&fixture);
}

static void test_manifest_is_workspace(void **state)
{
    (void)state;
    struct fixture fixture;
    read_text(&fixture, "apiVersion: kaito.sh/v1beta1\nkind: Workspace\n---\n"
                        "apiVersion: other.io/v1\nkind: Workspace\n---\n"
                        "apiVersion: kaito.sh/v1beta1\nkind: RAGEngine\n");
    assert_true(manifest_is_workspace(&fixture.manifests.items[0]));
    assert_false(manifest_is_workspace(&fixture.manifests.items[1]));
    assert_false(manifest_is_workspace(&fixture.manifests.items[2]));
    done(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_manifests_number_documents),
        cmocka_unit_test(test_manifests_lists_are_their_items),
        cmocka_unit_test(test_manifests_say_what_is_wrong_and_go_on),
        cmocka_unit_test(test_manifests_of_folders),
        cmocka_unit_test(test_manifests_find_config_maps),
        cmocka_unit_test(test_manifest_is_workspace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
