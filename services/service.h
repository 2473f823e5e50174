/* What every program does around its services: flags, signals, health endpoints, start and stop. A
 * main is a table of services and one call. */
#pragma once

#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/config.h"
#include "common/base/error.h"
#include "common/base/stop.h"

struct service {
    const char *name;
    const struct config_option *options;
    const size_t *option_count;
    void *config; /* filled from the flags before start() */
    int (*start)(struct stop *stop, void **out, struct error *err);
    void (*probe)(void *instance, struct buf *reasons);
    void (*stop)(void *instance);
};

/* A default of this program that differs from the services' own. */
struct service_default {
    const char *option, *value;
};

enum { SERVICES_MAX = 4 };

struct program {
    const char *name, *summary;
    const struct service *services; /* started in this order, stopped in the opposite one */
    size_t service_count;
    const struct service_default *defaults;
    size_t default_count;
};

/* The flags that every program has besides those of its services. */
extern const struct config_option service_options[];
extern const size_t service_option_count;

/* Runs until SIGTERM or SIGINT; a second one ends the process at once. Returns the exit status: 0,
 * 1 when a service could not start, 2 for wrong flags; the reason is then one line on stderr. */
int service_main(const struct program *program, int argc, char **argv);

/* DEFINE_SERVICE(webhook) and SERVICE(webhook) make a table row from webhook_options,
 * webhook_start, webhook_probe and webhook_stop. */
#define DEFINE_SERVICE(type)                                                          \
    static struct type##_config type##_service_config;                                \
    static int type##_service_start(struct stop *stop, void **out, struct error *err) \
    {                                                                                 \
        struct type *instance = NULL;                                                 \
        int result = type##_start(&type##_service_config, stop, &instance, err);      \
        *out = instance;                                                              \
        return result;                                                                \
    }                                                                                 \
    static void type##_service_probe(void *instance, struct buf *reasons)             \
    {                                                                                 \
        type##_probe(instance, reasons);                                              \
    }                                                                                 \
    static void type##_service_stop(void *instance)                                   \
    {                                                                                 \
        type##_stop(instance);                                                        \
    }

#define SERVICE(type)                                                                   \
    {                                                                                   \
        .name = #type, .options = type##_options, .option_count = &type##_option_count, \
        .config = &type##_service_config, .start = type##_service_start,                \
        .probe = type##_service_probe, .stop = type##_service_stop                      \
    }
