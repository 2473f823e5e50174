/* Several URLs in one flag, by ','. */
#pragma once

#include <stddef.h>

#include "common/base/compiler.h"
#include "common/base/error.h"

enum { URL_LIST_MAX = 16 };

struct url_list {
    char *items[URL_LIST_MAX];
    size_t count;
};

/* INVALID for an empty item and for more than URL_LIST_MAX; an empty text is an empty list. The
 * caller runs url_list_fini. */
MUST_CHECK int url_list_parse(const char *text, struct url_list *out, struct error *err);
void url_list_fini(struct url_list *list);

DEFINE_CLEANUP(url_list, struct url_list, url_list_fini)
