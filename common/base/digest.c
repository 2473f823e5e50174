#include "common/base/digest.h"

#include <assert.h>
#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"

void sha256(const void *bytes, size_t count, unsigned char out[SHA256_BYTES])
{
    int done = EVP_Digest(bytes, count, out, NULL, EVP_sha256(), NULL);
    assert(done == 1);
    (void)done;
}

void sha256_hex(const void *bytes, size_t count, char out[SHA256_HEX_BYTES])
{
    unsigned char digest[SHA256_BYTES];
    sha256(bytes, count, digest);
    for (size_t i = 0; i < SHA256_BYTES; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

char *base64_encode(const void *bytes, size_t count)
{
    char *text = mem_alloc(4 * ((count + 2) / 3) + 1);
    int length = EVP_EncodeBlock((unsigned char *)text, bytes, (int)count);
    text[length] = '\0';
    return text;
}

int base64_decode(const char *text, unsigned char **bytes_out, size_t *count_out)
{
    size_t length = 0, padding = 0;
    AUTO_FREE char *packed = mem_alloc(strlen(text) + 1);
    for (const char *p = text; *p != '\0'; p++) {
        if (isspace((unsigned char)*p))
            continue;
        if (*p == '=')
            padding++;
        else if (padding != 0)
            return -1;
        packed[length++] = *p;
    }
    packed[length] = '\0';
    if (length % 4 != 0 || padding > 2)
        return -1;
    AUTO_FREE unsigned char *bytes = mem_alloc(length / 4 * 3 + 1);
    int decoded = EVP_DecodeBlock(bytes, (const unsigned char *)packed, (int)length);
    if (decoded < 0 || (size_t)decoded < padding)
        return -1;
    size_t count = (size_t)decoded - padding;
    AUTO_FREE char *again = base64_encode(bytes, count); /* OpenSSL reads more than it writes */
    if (strcmp(again, packed) != 0)
        return -1;
    bytes[count] = '\0';
    *count_out = count;
    *bytes_out = STEAL(bytes);
    return 0;
}

uint64_t fnv1a64(const void *bytes, size_t count)
{
    uint64_t hash = 0xcbf29ce484222325ULL;
    for (const unsigned char *p = bytes; count-- > 0; p++)
        hash = (hash ^ *p) * 0x100000001b3ULL;
    return hash;
}
