#include "common/catalogue/source.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/buf.h"
#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/metrics.h"
#include "common/base/mutex.h"
#include "common/base/stop.h"

enum { LOOK_MS = 2000 };

struct source_file {
    char *name;
    char *text;     /* as read; NULL: it could not be */
    char *good;     /* the last text that was valid, NULL while there was none */
    char *reported; /* what was last said about it, NULL: nothing */
};

struct source_files {
    struct source_file *items;
    size_t count;
};

struct catalogue_source {
    char *directory;
    /* The thread's, once it runs. */
    uint64_t stamp;
    struct source_files files;
    char *reported; /* about the folder */

    pthread_t thread;
    bool watched;
    struct stop stop;

    struct mutex mutex;
    const struct catalogue *current; /* mutex */
};

/* ------------------------------------------------------------------ files */

static void file_fini(struct source_file *file)
{
    free(file->name);
    free(file->text);
    free(file->good);
    free(file->reported);
}

static void files_fini(struct source_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        file_fini(&files->items[i]);
    free(files->items);
    *files = (struct source_files){ .items = NULL };
}

DEFINE_CLEANUP(files, struct source_files, files_fini)

static int by_name(const void *a, const void *b)
{
    const struct source_file *left = a, *right = b;
    return strcmp(left->name, right->name);
}

static bool is_catalogue_file(const char *name)
{
    const char *dot = strrchr(name, '.');
    return name[0] != '.' && dot != NULL && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

/* The names in the folder, sorted. */
static int list(const char *directory, struct source_files *out, struct error *err)
{
    DIR *folder = opendir(directory);
    if (folder == NULL)
        return error_set(err, ERR_UNAVAILABLE, "%s: %s", directory, strerror(errno));
    out->items = mem_calloc(CATALOGUE_FILES_MAX, sizeof(*out->items));
    bool full = false;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (!is_catalogue_file(entry->d_name))
            continue;
        full = out->count == CATALOGUE_FILES_MAX;
        if (full)
            break;
        out->items[out->count++] = (struct source_file){ .name = mem_strdup(entry->d_name) };
    }
    closedir(folder);
    if (full)
        return error_set(err, ERR_TOO_LARGE, "%s: more than %d files", directory,
                         CATALOGUE_FILES_MAX);
    if (out->count > 1)
        qsort(out->items, out->count, sizeof(*out->items), by_name);
    return 0;
}

static uint64_t stamp_of(const char *path)
{
    struct stat status;
    if (stat(path, &status) < 0)
        return 0;
    const int64_t facts[] = {
        (int64_t)status.st_dev, (int64_t)status.st_ino, status.st_size,
        status.st_mtim.tv_sec,  status.st_mtim.tv_nsec, status.st_ctim.tv_sec,
        status.st_ctim.tv_nsec,
    };
    return fnv1a64(facts, sizeof(facts));
}

/* Changes with the folder, with each file, and when a mounted ConfigMap is swapped. */
static uint64_t stamp_files(const char *directory, const struct source_files *files)
{
    AUTO(buf) struct buf facts = BUF_INIT(CATALOGUE_FILES_MAX * 512);
    AUTO_FREE char *data = mem_printf("%s/..data", directory);
    buf_printf(&facts, "%llx %llx", (unsigned long long)stamp_of(directory),
               (unsigned long long)stamp_of(data));
    for (size_t i = 0; i < files->count; i++) {
        AUTO_FREE char *path = mem_printf("%s/%s", directory, files->items[i].name);
        buf_printf(&facts, " %s %llx", files->items[i].name, (unsigned long long)stamp_of(path));
    }
    return fnv1a64(buf_text(&facts), facts.length);
}

/* ------------------------------------------------------------------ reports */

/* Says it unless it was the last thing said. */
static void report(char **reported, const char *file, const struct error *err)
{
    if (*reported != NULL && strcmp(*reported, err->message) == 0)
        return;
    free(*reported);
    *reported = mem_strdup(err->message);
    log_warn("catalogue", "kept the old entries", KV("file", file), KVERR(err));
}

/* ------------------------------------------------------------------ reading */

static void read_file(struct catalogue_source *source, struct source_file *file)
{
    struct error err = ERROR_INIT;
    AUTO(buf) struct buf text = BUF_INIT(CATALOGUE_FILE_BYTES_MAX);
    AUTO_FREE char *path = mem_printf("%s/%s", source->directory, file->name);
    if (file_read(path, &text, &err) == 0 && strlen(buf_text(&text)) != text.length)
        (void)error_set(&err, ERR_INVALID, "it has NUL bytes");
    if (err.code == ERR_NONE)
        file->text = buf_take(&text);
    else
        report(&file->reported, file->name, &err);
}

/* What is known of each file from before. */
static void inherit(struct source_files *now, struct source_files *before)
{
    for (size_t i = 0; i < now->count; i++) {
        if (before->count == 0)
            return;
        struct source_file *old =
            bsearch(&now->items[i], before->items, before->count, sizeof(*before->items), by_name);
        if (old == NULL)
            continue;
        now->items[i].good = STEAL(old->good);
        now->items[i].reported = STEAL(old->reported);
    }
}

/* Puts the file's entries, or those that were last good, on `catalogue`; false when it is invalid.
 */
static bool extend(const struct catalogue **catalogue, struct source_file *file)
{
    const struct catalogue *more = NULL;
    struct error err = ERROR_INIT, ignored = ERROR_INIT;
    bool valid = false;
    if (file->text != NULL && catalogue_extend(*catalogue, file->text, &more, &err) == 0) {
        valid = true;
        free(file->good);
        file->good = STEAL(file->text);
        free(STEAL(file->reported));
    } else {
        if (file->text != NULL)
            report(&file->reported, file->name, &err);
        if (file->good == NULL || catalogue_extend(*catalogue, file->good, &more, &ignored) < 0)
            return false;
    }
    catalogue_unref(*catalogue);
    *catalogue = more;
    return valid;
}

static void put_in_force(struct catalogue_source *source, const struct catalogue *catalogue)
{
    mutex_lock(&source->mutex);
    const struct catalogue *old = source->current;
    source->current = catalogue;
    mutex_unlock(&source->mutex);
    catalogue_unref(old);
}

static void build(struct catalogue_source *source)
{
    const struct catalogue *catalogue = catalogue_ref(catalogue_builtin());
    size_t invalid = 0;
    for (size_t i = 0; i < source->files.count; i++)
        invalid += extend(&catalogue, &source->files.items[i]) ? 0 : 1;
    METRIC_SET(METRIC_CATALOGUE_INVALID_FILES, (double)invalid);
    METRIC_INC(METRIC_CATALOGUE_LOADS_TOTAL, invalid == 0 ? "ok" : "invalid");
    log_info("catalogue", "read the folder", KV("directory", source->directory),
             KVI("files", source->files.count), KVI("invalid", invalid),
             KVI("models", catalogue_all(catalogue)->models.count),
             KVI("machines", catalogue_all(catalogue)->machines.count));
    put_in_force(source, catalogue);
}

bool catalogue_source_look(struct catalogue_source *source)
{
    AUTO(files) struct source_files now = { .items = NULL };
    struct error err = ERROR_INIT;
    if (list(source->directory, &now, &err) < 0) {
        report(&source->reported, source->directory, &err);
        return false;
    }
    free(STEAL(source->reported));
    uint64_t stamp = stamp_files(source->directory, &now);
    if (stamp == source->stamp)
        return false;
    inherit(&now, &source->files);
    for (size_t i = 0; i < now.count; i++)
        read_file(source, &now.items[i]);
    /* What changed while it was read is old already: the next look finds it so. */
    source->stamp = stamp;
    files_fini(&source->files);
    source->files = now;
    now = (struct source_files){ .items = NULL };
    build(source);
    return true;
}

/* ------------------------------------------------------------------ life cycle */

struct catalogue_source *catalogue_source_new(const char *directory)
{
    struct catalogue_source *source = mem_new(struct catalogue_source);
    source->directory = mem_strdup(directory != NULL ? directory : "");
    source->current = catalogue_ref(catalogue_builtin());
    mutex_init(&source->mutex);
    stop_init(&source->stop);
    if (*source->directory != '\0')
        (void)catalogue_source_look(source); /* the caller sees what is in force */
    return source;
}

static void *watch(void *context)
{
    struct catalogue_source *source = context;
    while (!stop_wait(&source->stop, LOOK_MS))
        (void)catalogue_source_look(source);
    return NULL;
}

void catalogue_source_watch(struct catalogue_source *source)
{
    if (*source->directory == '\0' || source->watched)
        return;
    if (pthread_create(&source->thread, NULL, watch, source) != 0)
        mem_exhausted();
    pthread_setname_np(source->thread, "catalogue");
    source->watched = true;
}

void catalogue_source_free(struct catalogue_source *source)
{
    if (source == NULL)
        return;
    stop_raise(&source->stop);
    if (source->watched)
        pthread_join(source->thread, NULL);
    catalogue_unref(source->current);
    files_fini(&source->files);
    stop_fini(&source->stop);
    mutex_fini(&source->mutex);
    free(source->reported);
    free(source->directory);
    free(source);
}

const struct catalogue *catalogue_source_acquire(struct catalogue_source *source)
{
    if (source == NULL)
        return catalogue_ref(catalogue_builtin());
    mutex_lock(&source->mutex);
    const struct catalogue *current = catalogue_ref(source->current);
    mutex_unlock(&source->mutex);
    return current;
}
