/* Certificates and keys, by OpenSSL: ECDSA P-256, SHA-256. Everything in and out is PEM text. Pure
 * but for the random numbers; times are passed in. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/compiler.h"
#include "common/base/error.h"

struct key_pair {
    char *certificate_pem;
    char *key_pem;
};

struct certificate_request {
    const char *common_name;
    const char *const *hosts; /* DNS names and IP addresses for the SAN; ends with NULL */
    bool server_auth, client_auth;
    int64_t not_before_ms; /* real time */
    int64_t lifetime_ms;
};

struct certificate_info {
    int64_t not_before_ms, not_after_ms;
    char common_name[128];
};

MUST_CHECK int certificate_make_authority(const char *common_name, int64_t not_before_ms,
                                          int64_t lifetime_ms, struct key_pair *out,
                                          struct error *err);
MUST_CHECK int certificate_issue(const struct key_pair *authority,
                                 const struct certificate_request *request, struct key_pair *out,
                                 struct error *err);
/* The first certificate of a PEM text. */
MUST_CHECK int certificate_inspect(const char *pem, struct certificate_info *out,
                                   struct error *err);
/* 0 when the leaf was issued by one of the authorities in `bundle_pem`, covers every host and its
 * key is `key_pem`; else -1 with what does not fit. A NULL `bundle_pem` or `hosts` is not looked
 * at. Says nothing about time. */
MUST_CHECK int certificate_check(const char *pem, const char *key_pem, const char *bundle_pem,
                                 const char *const *hosts, struct error *err);

/* Two thirds of the life are over (or it has not begun, or ended). */
bool certificate_is_due(const struct certificate_info *info, int64_t now_ms);

void key_pair_fini(struct key_pair *pair);
DEFINE_CLEANUP(key_pair, struct key_pair, key_pair_fini)
