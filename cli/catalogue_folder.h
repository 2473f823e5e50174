/* The catalogue extended by a folder, read once. Unlike the services, which go on with what was
 * last good, the command line says at once what is wrong with a file. */
#pragma once

#include "common/base/error.h"
#include "common/catalogue/catalogue.h"

/* The *.yaml and *.yml files of the folder in the order of their names; NULL is none. The caller
 * unrefs. */
MUST_CHECK int catalogue_folder_read(const char *directory, const struct catalogue **out,
                                     struct error *err);
