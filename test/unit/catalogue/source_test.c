#include <dirent.h>
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
#include "common/base/metrics.h"
#include "common/catalogue/source.h"

#define MACHINE(name, gib) \
    "machines: [{ name: " name ", cloud: azure, gpus: 1, gpuMemoryMiB: " gib " }]\n"

struct folder {
    char path[64];
};

static void folder_make(struct folder *folder)
{
    snprintf(folder->path, sizeof(folder->path), "/tmp/catalogue-XXXXXX");
    assert_non_null(mkdtemp(folder->path));
}

static void remove_all(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        AUTO_FREE char *child = mem_printf("%s/%s", path, entry->d_name);
        struct stat status;
        assert_int_equal(lstat(child, &status), 0);
        if (S_ISDIR(status.st_mode))
            remove_all(child);
        else
            unlink(child);
    }
    if (dir != NULL)
        closedir(dir);
    rmdir(path);
}

static void folder_fini(struct folder *folder)
{
    remove_all(folder->path);
}

DEFINE_CLEANUP(folder, struct folder, folder_fini)
DEFINE_CLEANUP_P(source, struct catalogue_source, catalogue_source_free)

static void put(const struct folder *folder, const char *name, const char *text)
{
    struct error err = ERROR_INIT;
    AUTO_FREE char *path = mem_printf("%s/%s", folder->path, name);
    assert_int_equal(file_write(path, 0600, text, strlen(text), &err), 0);
}

static void take_away(const struct folder *folder, const char *name)
{
    AUTO_FREE char *path = mem_printf("%s/%s", folder->path, name);
    assert_int_equal(unlink(path), 0);
}

/* MiB of the machine as it is in force; 0: unknown. */
static int64_t memory_of(struct catalogue_source *source, const char *machine)
{
    AUTO(catalogue) const struct catalogue *catalogue = catalogue_source_acquire(source);
    const struct machine *found = catalogue_machine(catalogue, "azure", machine);
    return found != NULL ? found->memory_mib.value : 0;
}

static double invalid_files(void)
{
    return metric_value(METRIC_CATALOGUE_INVALID_FILES, METRIC_LABELS());
}

static void test_source_without_a_folder_is_the_compiled_in(void **state)
{
    (void)state;
    AUTO(source) struct catalogue_source *source = catalogue_source_new("");
    AUTO(catalogue) const struct catalogue *one = catalogue_source_acquire(source);
    AUTO(catalogue) const struct catalogue *other = catalogue_source_acquire(NULL);
    assert_ptr_equal(one, catalogue_builtin());
    assert_ptr_equal(other, catalogue_builtin());
}

static void test_source_adds_and_overrides(void **state)
{
    (void)state;
    AUTO(folder) struct folder folder;
    folder_make(&folder);
    put(&folder, "a.yaml", MACHINE("Standard_Mine", "1000"));
    put(&folder, "b.yml", MACHINE("standard_nc24ads_a100_V4", "2000"));
    put(&folder, "c.txt", "not looked at");
    put(&folder, ".d.yaml", "not: [looked at");
    AUTO(source) struct catalogue_source *source = catalogue_source_new(folder.path);
    assert_int_equal(memory_of(source, "Standard_Mine"), 1000);
    assert_int_equal(memory_of(source, "Standard_NC24ads_A100_v4"), 2000);
    assert_int_equal(memory_of(source, "Standard_NC48ads_A100_v4"), 163840);
    assert_true(invalid_files() == 0);
}

static void test_source_later_names_win(void **state)
{
    (void)state;
    AUTO(folder) struct folder folder;
    folder_make(&folder);
    put(&folder, "2.yaml", MACHINE("m", "2"));
    put(&folder, "1.yaml", MACHINE("M", "1"));
    AUTO(source) struct catalogue_source *source = catalogue_source_new(folder.path);
    assert_int_equal(memory_of(source, "m"), 2);
}

static void test_source_sees_changes(void **state)
{
    (void)state;
    AUTO(folder) struct folder folder;
    folder_make(&folder);
    AUTO(source) struct catalogue_source *source = catalogue_source_new(folder.path);
    assert_false(catalogue_source_look(source));
    put(&folder, "a.yaml", MACHINE("m", "1"));
    assert_true(catalogue_source_look(source));
    assert_false(catalogue_source_look(source));
    assert_int_equal(memory_of(source, "m"), 1);
    put(&folder, "a.yaml", MACHINE("m", "2"));
    assert_true(catalogue_source_look(source));
    assert_int_equal(memory_of(source, "m"), 2);
    take_away(&folder, "a.yaml");
    assert_true(catalogue_source_look(source));
    assert_int_equal(memory_of(source, "m"), 0);
}

/* What is held stays as it was. */
static void test_source_references_outlive_a_change(void **state)
{
    (void)state;
    AUTO(folder) struct folder folder;
    folder_make(&folder);
    put(&folder, "a.yaml", MACHINE("m", "1"));
    AUTO(source) struct catalogue_source *source = catalogue_source_new(folder.path);
    AUTO(catalogue) const struct catalogue *held = catalogue_source_acquire(source);
    put(&folder, "a.yaml", MACHINE("m", "2"));
    assert_true(catalogue_source_look(source));
    assert_int_equal(catalogue_machine(held, "azure", "m")->memory_mib.value, 1);
}

static void test_source_invalid_file_keeps_its_old_entries(void **state)
{
    (void)state;
    AUTO(folder) struct folder folder;
    folder_make(&folder);
    put(&folder, "a.yaml", MACHINE("m", "1"));
    put(&folder, "b.yaml", MACHINE("n", "1"));
    AUTO(source) struct catalogue_source *source = catalogue_source_new(folder.path);
    put(&folder, "a.yaml", MACHINE("m", "-1"));
    put(&folder, "b.yaml", MACHINE("n", "2"));
    assert_true(catalogue_source_look(source));
    assert_int_equal(memory_of(source, "m"), 1);
    assert_int_equal(memory_of(source, "n"), 2);
    assert_true(invalid_files() == 1);
    put(&folder, "b.yaml", MACHINE("n", "3"));
    assert_true(catalogue_source_look(source));
    assert_int_equal(memory_of(source, "m"), 1);
    put(&folder, "a.yaml", MACHINE("m", "4"));
    assert_true(catalogue_source_look(source));
    assert_int_equal(memory_of(source, "m"), 4);
    assert_true(invalid_files() == 0);
}

static void test_source_invalid_from_the_start(void **state)
{
    (void)state;
    static const char *const texts[] = { "machines: [", "machines: {}", "- a", "models: [{}]",
                                         MACHINE("m", "x") };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        AUTO(folder) struct folder folder;
        folder_make(&folder);
        put(&folder, "a.yaml", texts[i]);
        put(&folder, "b.yaml", MACHINE("n", "1"));
        AUTO(source) struct catalogue_source *source = catalogue_source_new(folder.path);
        assert_int_equal(memory_of(source, "m"), 0);
        assert_int_equal(memory_of(source, "n"), 1);
        assert_true(invalid_files() == 1);
    }
}

static void test_source_folder_may_come_and_go(void **state)
{
    (void)state;
    AUTO(folder) struct folder folder;
    folder_make(&folder);
    AUTO_FREE char *path = mem_printf("%s/later", folder.path);
    AUTO(source) struct catalogue_source *source = catalogue_source_new(path);
    assert_false(catalogue_source_look(source));
    assert_int_equal(mkdir(path, 0700), 0);
    put(&folder, "later/a.yaml", MACHINE("m", "1"));
    assert_true(catalogue_source_look(source));
    assert_int_equal(memory_of(source, "m"), 1);
    remove_all(path);
    assert_false(catalogue_source_look(source));
    assert_int_equal(memory_of(source, "m"), 1);
}

static void put_link(const struct folder *folder, const char *target, const char *name)
{
    AUTO_FREE char *path = mem_printf("%s/%s", folder->path, name);
    AUTO_FREE char *fresh = mem_printf("%s/..fresh", folder->path);
    assert_int_equal(symlink(target, fresh), 0);
    assert_int_equal(rename(fresh, path), 0);
}

static void make_version(const struct folder *folder, const char *version, const char *text)
{
    AUTO_FREE char *path = mem_printf("%s/%s", folder->path, version);
    AUTO_FREE char *file = mem_printf("%s/a.yaml", version);
    assert_int_equal(mkdir(path, 0700), 0);
    put(folder, file, text);
}

/* As the kubelet mounts a ConfigMap: a.yaml -> ..data/a.yaml, ..data -> ..version. */
static void test_source_sees_a_config_map_swapped(void **state)
{
    (void)state;
    AUTO(folder) struct folder folder;
    folder_make(&folder);
    make_version(&folder, "..1", MACHINE("m", "1"));
    make_version(&folder, "..2", MACHINE("m", "2"));
    put_link(&folder, "..1", "..data");
    put_link(&folder, "..data/a.yaml", "a.yaml");
    AUTO(source) struct catalogue_source *source = catalogue_source_new(folder.path);
    assert_int_equal(memory_of(source, "m"), 1);
    assert_false(catalogue_source_look(source));
    put_link(&folder, "..2", "..data");
    assert_true(catalogue_source_look(source));
    assert_int_equal(memory_of(source, "m"), 2);
}

static void test_source_watches(void **state)
{
    (void)state;
    AUTO(folder) struct folder folder;
    folder_make(&folder);
    AUTO(source) struct catalogue_source *source = catalogue_source_new(folder.path);
    catalogue_source_watch(source);
    put(&folder, "a.yaml", MACHINE("m", "1"));
    for (int tries = 0; tries < 1000 && memory_of(source, "m") == 0; tries++)
        usleep(10 * 1000);
    assert_int_equal(memory_of(source, "m"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_source_without_a_folder_is_the_compiled_in),
        cmocka_unit_test(test_source_adds_and_overrides),
        cmocka_unit_test(test_source_later_names_win),
        cmocka_unit_test(test_source_sees_changes),
        cmocka_unit_test(test_source_references_outlive_a_change),
        cmocka_unit_test(test_source_invalid_file_keeps_its_old_entries),
        cmocka_unit_test(test_source_invalid_from_the_start),
        cmocka_unit_test(test_source_folder_may_come_and_go),
        cmocka_unit_test(test_source_sees_a_config_map_swapped),
        cmocka_unit_test(test_source_watches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
