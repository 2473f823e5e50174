/* The certificates of an installation: an authority, a leaf for the webhook and one for the message
 * bus. Renewal is a pure function of the set and the time (but for random numbers), so replicas
 * that share a set agree on what is due.
 *
 * A new authority is announced before it is used: for CERTIFICATE_SETTLE_MS the bundle holds it
 * while the leaves stay as they are; then they are issued anew; and the old authority leaves the
 * bundle when the new leaves have been out for as long. Nobody ever sees a leaf whose authority it
 * does not know. */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/certificate.h"
#include "common/base/error.h"

#define CERTIFICATE_DAY_MS       INT64_C(86400000)
#define CERTIFICATE_AUTHORITY_MS (3650 * CERTIFICATE_DAY_MS)
#define CERTIFICATE_LEAF_MS      (90 * CERTIFICATE_DAY_MS)
#define CERTIFICATE_SKEW_MS      INT64_C(300000) /* for clocks that are behind ours */
#define CERTIFICATE_SETTLE_MS                                          \
    INT64_C(600000) /* a mounted Secret reaches every Pod in this time \
                     */

enum certificate_leaf { LEAF_WEBHOOK, LEAF_BUS, LEAF_COUNT };
enum { CERTIFICATE_HOSTS_MAX = 32 };

struct certificate_set {
    struct key_pair authority;
    char *previous_authority; /* certificate only; NULL: none */
    struct key_pair leaves[LEAF_COUNT];
};

/* The names and addresses of each leaf; each list ends with NULL. */
struct certificate_hosts {
    const char *of[LEAF_COUNT][CERTIFICATE_HOSTS_MAX + 1];
};

/* `more` is a list of names and addresses for the webhook, by ','. */
void certificate_hosts_make(const char *namespace_, const char *webhook_service, const char *more,
                            struct arena *arena, struct certificate_hosts *out);

/* Makes what is missing, damaged or due. 1: something changed, 0: nothing was due. */
MUST_CHECK int certificate_set_renew(struct certificate_set *set,
                                     const struct certificate_hosts *hosts, int64_t now_ms,
                                     struct error *err);

/* What verifies the leaves: the authority, and the previous one after it. Caller frees. */
char *certificate_set_bundle(const struct certificate_set *set);

/* As the `data` of a Secret, and back (what is not there or not base64 stays NULL, and is then made
 * anew). */
cJSON *certificate_set_encode(const struct certificate_set *set);
void certificate_set_decode(const cJSON *data, struct certificate_set *out);

/* The `data` of a Secret of type kubernetes.io/tls for one leaf. */
cJSON *certificate_leaf_data(const struct certificate_set *set, enum certificate_leaf leaf);

void certificate_set_fini(struct certificate_set *set);
DEFINE_CLEANUP(certificate_set, struct certificate_set, certificate_set_fini)
