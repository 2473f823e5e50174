/* YAML to JSON, so that one codec reads both: catalogue files, kubeconfigs, ConfigMap contents,
 * manifests.
 *
 * Plain scalars mean what they mean to the Kubernetes tools (YAML 1.1): true, false, yes, no, on
 * and off are booleans (`y` and `n` are text), ~, null and nothing are null; integers may be 0x1F,
 * 0o17, 017, 0b11 or 1_000; 1e3 is a number; dates are text. .inf and .nan are refused, JSON has no
 * such numbers. Quoted and block scalars and those tagged !!str are text. Scalar keys are text as
 * written.
 *
 * Refused: anchors and aliases (nothing of ours needs them and they are how a small file becomes a
 * large tree), merge keys, duplicate keys, keys that are no scalars, other tags, NUL bytes, nesting
 * deeper than JSON_DEPTH_MAX, more than YAML_BYTES_MAX bytes or YAML_NODES_MAX values. */
#pragma once

#include <cjson/cJSON.h>
#include <stddef.h>

#include "common/base/error.h"

enum { YAML_BYTES_MAX = 4 * 1024 * 1024, YAML_NODES_MAX = 200 * 1000 };

/* Reads one document; a second one is an error. Nothing at all gives JSON null. The error (INVALID)
 * carries line and column. */
MUST_CHECK int yaml_to_json(const char *bytes, size_t count, cJSON **out, struct error *err);
/* All documents of a stream, as a JSON array; empty documents are left out. */
MUST_CHECK int yaml_to_json_all(const char *bytes, size_t count, cJSON **out, struct error *err);
