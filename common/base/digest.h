/* SHA-256, base64 and hex, on OpenSSL. Pure functions. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/compiler.h"

enum { SHA256_BYTES = 32, SHA256_HEX_BYTES = 65 };

void sha256(const void *bytes, size_t count, unsigned char out[SHA256_BYTES]);
void sha256_hex(const void *bytes, size_t count, char out[SHA256_HEX_BYTES]);

/* Caller frees. Decoding returns -1 for anything that is not canonical base64 (white space
 * allowed). */
char *base64_encode(const void *bytes, size_t count);
MUST_CHECK int base64_decode(const char *text, unsigned char **bytes_out, size_t *count_out);

/* FNV-1a, for hash tables and shard scores; not for anything an adversary chooses to collide. */
uint64_t fnv1a64(const void *bytes, size_t count);
