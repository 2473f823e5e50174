/* Paths of the Kubernetes API, with every variable part percent-encoded. The appends share the
 * sticky failure of struct buf: check buf_failed() once, at the end. Pure functions. */
#pragma once

#include "common/base/buf.h"
#include "common/k8s/object.h"

enum { URL_BYTES_MAX = 16 * 1024 }; /* selectors and continue tokens are the long parts */

/* "/apis/apps/v1/namespaces/x/statefulsets"; `namespace_` NULL or "": all namespaces. */
void url_append_collection(struct buf *url, const struct gvr *gvr, const char *namespace_);
/* The collection and "/name". */
void url_append_object(struct buf *url, const struct gvr *gvr, struct object_key key);
/* "?name=value" or "&name=value"; a value that is NULL or "" is left out. */
void url_append_query(struct buf *url, const char *name, const char *value);
