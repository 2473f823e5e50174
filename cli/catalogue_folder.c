#include "cli/catalogue_folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/catalogue/source.h"

static int is_catalogue_file(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return entry->d_name[0] != '.' && dot != NULL &&
           (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

/* *catalogue is replaced by one that has the file too. */
static int extend(const struct catalogue **catalogue, const char *path, struct error *err)
{
    AUTO(buf) struct buf text = BUF_INIT(CATALOGUE_FILE_BYTES_MAX);
    const struct catalogue *next = NULL;
    if (file_read(path, &text, err) < 0)
        return -1;
    if (catalogue_extend(*catalogue, buf_text(&text), &next, err) < 0)
        return error_wrap(err, "%s", path);
    catalogue_unref(*catalogue);
    *catalogue = next;
    return 0;
}

int catalogue_folder_read(const char *directory, const struct catalogue **out, struct error *err)
{
    AUTO(catalogue) const struct catalogue *catalogue = catalogue_ref(catalogue_builtin());
    struct dirent **entries = NULL;
    int count = directory != NULL ? scandir(directory, &entries, is_catalogue_file, alphasort) : 0;
    int result = 0;
    if (count < 0)
        return error_set(err, ERR_NOT_FOUND, "--catalogue-dir: cannot read %s: %s", directory,
                         strerror(errno));
    for (int i = 0; i < count; i++) {
        AUTO_FREE char *path = mem_printf("%s/%s", directory, entries[i]->d_name);
        if (result == 0)
            result = extend(&catalogue, path, err);
        free(entries[i]);
    }
    free(entries);
    if (result == 0)
        *out = STEAL(catalogue);
    return result;
}
