/* Replicas that share work: each holds a Lease of its own, and a key belongs to the live replica
 * that wins the rendezvous hash (highest random weight). A moment of double ownership must be
 * harmless to the caller. With one replica this is not used at all, and then nothing is written
 * while nothing changes. Lease: 3 s, renewed every 0.75 s; a member is dead when its Lease has not
 * changed for 3 s by our clock (no trust in others' clocks). So the others have the keys of one
 * that was killed after 3.75 s at most, of one that left after 0.75 s. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/stop.h"
#include "common/k8s/client.h"

struct membership;

/* Called on the membership's thread after the set of live members changed: enqueue everything. */
typedef void membership_changed(void *context);

/* Leases are named "<group>-<identity>" in `namespace_` and labelled ckaito.sh/group=<group>. */
struct membership *membership_new(struct k8s_client *client, const char *namespace_,
                                  const char *group, const char *identity, struct stop *stop,
                                  const struct clock *clock, membership_changed *changed,
                                  void *context);
void membership_start(struct membership *membership);
/* False until our own Lease is held. True for NULL: who has no membership is alone. */
bool membership_owns(struct membership *membership, const char *key);
/* After stop_raise: deletes our Lease (0.5 s at most) and joins; membership_owns may be asked until
 * membership_free. NULL is fine for both. */
void membership_stop(struct membership *membership);
void membership_free(struct membership *membership);

/* A name for this start of this process: "<host>-<random>", good as a part of a Lease's name. The
 * caller frees. */
char *membership_identity(void);

/* Renews our Lease and looks at the others', as the thread does again and again. For tests. */
MUST_CHECK int membership_round(struct membership *membership, struct error *err);

/* The pure part: index of the winner for `key`; -1 for no members. */
int rendezvous_winner(const char *const *members, size_t count, const char *key);
