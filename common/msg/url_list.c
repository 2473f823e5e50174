#include "common/msg/url_list.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"

void url_list_fini(struct url_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    *list = (struct url_list){ .count = 0 };
}

int url_list_parse(const char *text, struct url_list *out, struct error *err)
{
    AUTO(url_list) struct url_list list = { .count = 0 };
    for (const char *p = text; *text != '\0'; p++) {
        size_t length = strcspn(p, ",");
        if (length == 0)
            return error_set(err, ERR_INVALID, "\"%s\": nothing between two commas", text);
        if (list.count == URL_LIST_MAX)
            return error_set(err, ERR_INVALID, "more than %d URLs", URL_LIST_MAX);
        list.items[list.count++] = mem_strndup(p, length);
        p += length;
        if (*p == '\0')
            break;
    }
    *out = list;
    list = (struct url_list){ .count = 0 };
    return 0;
}
