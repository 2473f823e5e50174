/* Names as Kubernetes and container registries spell them. Pure, total on any text, no allocation.
 */
#pragma once

#include <stdbool.h>

bool name_is_dns1123_label(const char *text);     /* at most 63: [a-z0-9]([-a-z0-9]*[a-z0-9])? */
bool name_is_dns1123_subdomain(const char *text); /* labels joined by '.', at most 253 */
bool name_is_label_key(const char *text);         /* [prefix/]name */
bool name_is_label_value(const char *text);       /* at most 63, may be empty */
bool name_is_env(const char *text);               /* [-._a-zA-Z][-._a-zA-Z0-9]* */

/* A container image reference as the distribution project defines it:
 * [host[:port]/]path[:tag][@digest], the path in lower case. */
bool name_is_image_reference(const char *text);
