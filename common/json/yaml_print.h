/* JSON to YAML for people to read: block style, two spaces a level, members in their order. Text
 * that YAML could take for something else, or not at all, is put into double quotes, so that
 * yaml_to_json gives the same tree back. */
#pragma once

#include <cjson/cJSON.h>

#include "common/base/buf.h"

/* Appends one document that ends with a newline. Bytes that are no UTF-8 become U+FFFD. */
void yaml_print(const cJSON *json, struct buf *out);
