/* The catalogue that is in force now: the compiled-in one, extended by the *.yaml and *.yml files
 * of a folder, in the order of their names, and read again when they change (a mounted ConfigMap
 * too, which is changed by swapping the link ..data). A file that is invalid is reported, once for
 * each change, as a log line and in ckaito_catalogue_invalid_files, and what was last good of it
 * stays in force; the other files are not affected. Thread-safe but for new and free. */
#pragma once

#include <stdbool.h>

#include "common/catalogue/catalogue.h"

enum { CATALOGUE_FILES_MAX = 256, CATALOGUE_FILE_BYTES_MAX = 1024 * 1024 };

struct catalogue_source;

/* Reads the folder; "" and NULL are none. One that cannot be read is reported, and looked for
 * again. */
struct catalogue_source *catalogue_source_new(const char *directory);
/* Looks every other second from now on, in a thread of its own; nothing without a folder. */
void catalogue_source_watch(struct catalogue_source *source);
void catalogue_source_free(struct catalogue_source *source); /* NULL is fine */

/* The catalogue in force, for one request or reconcile; catalogue_unref() it. NULL gives the
 * compiled-in one. */
const struct catalogue *catalogue_source_acquire(struct catalogue_source *source);

/* What the thread does every other second; true when another catalogue is in force afterwards. Not
 * while it is watched. */
bool catalogue_source_look(struct catalogue_source *source);
