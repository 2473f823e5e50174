/* Where a data-source URL leads. The pod that fetches it runs inside the cluster, so a URL must not
 * reach what only the cluster or the machine can see: it is judged on the address it stands for, in
 * every spelling that some resolver understands. Pure; names are not resolved. */
#pragma once

#include <stddef.h>

enum { URL_BYTES_MAX = 2048 };

/* Why `text` must not be fetched, as half a sentence ("leads to a loopback address"), or NULL when
 * it may be: an absolute http or https URL of a public host. */
const char *url_refusal(const char *text);
