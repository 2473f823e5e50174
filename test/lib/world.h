/* A reconciler for unit tests: the controller, its informers and an API server in memory; the test
 * plays the provisioner, the StatefulSet and Job controllers, and the garbage collector. */
#pragma once

#include "common/k8s/informer.h"
#include "reconciler/workspace_controller.h"
#include "test/lib/fake_apiserver.h"

enum { WORLD_INFORMERS = 6, WORLD_PATIENCE_MS = 10 * 1000 };

struct world {
    struct fake_apiserver *server;
    struct stop stop;
    struct k8s_client client;
    struct informer *informers[WORLD_INFORMERS];
    struct listers listers;
    struct node_port port;
    struct workspace_controller controller;
    /* the provisioner */
    bool unreachable;
    unsigned demands, releases;
    int64_t ready;      /* nodes */
    bool claims_remain; /* after a release */
    cJSON *last_demand;
    bool stale_caches; /* world_settle() does not wait for them */
};

/* Setup and teardown of a test; *state is the world. */
int world_open(void **state);
int world_close(void **state);
void world_start_informers(struct world *world);
void world_stop_informers(struct world *world);

/* Works off what is due until nothing has come for a while. Each reconcile sees the latest state,
 * unless the test wants them to run into stale caches. */
void world_settle(struct world *world);
void world_touch(struct world *world, const char *name); /* a reconcile without a reason */
void world_pause_ms(long ms);

/* Objects in the namespace default; trees returned are the caller's. */
cJSON *world_get(const struct world *world, const struct gvr *gvr, const char *name);
void world_change(const struct world *world, const struct gvr *gvr, const char *name,
                  const char *patch);
void world_erase(const struct world *world, const struct gvr *gvr, const char *name);
/* The first Workspace of a golden file, without its uid. */
void world_create_from(const struct world *world, const char *file);

void assert_condition(const struct world *world, const char *name, const char *type,
                      const char *status, const char *reason); /* reason NULL: any */
void assert_gone(const struct world *world, const struct gvr *gvr, const char *name);

#define LIFE(test) cmocka_unit_test_setup_teardown(test, world_open, world_close)
