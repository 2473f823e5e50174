/* All services as threads of one process: for a laptop, an edge machine, tests. */
#include "provisioner/provisioner.h"
#include "reconciler/reconciler.h"
#include "webhook/webhook.h"

#include "services/service.h"

DEFINE_SERVICE(provisioner)
DEFINE_SERVICE(reconciler)
DEFINE_SERVICE(webhook)

int main(int argc, char **argv)
{
    /* whoever answers before whoever asks */
    static const struct service services[] = { SERVICE(provisioner), SERVICE(reconciler),
                                               SERVICE(webhook) };
    static const struct service_default defaults[] = {
        { "demand-url", "inproc://demand" },
        { "state-url", "inproc://state" },
        { "config-check-url", "inproc://config-check" },
        { "rejection-url", "inproc://rejection" },
    };
    static const struct program program = { .name = "ckaito",
                                            .summary = "Webhook, reconciler and provisioner in one "
                                                       "process.",
                                            .services = services,
                                            .service_count = ARRAY_LEN(services),
                                            .defaults = defaults,
                                            .default_count = ARRAY_LEN(defaults) };
    return service_main(&program, argc, argv);
}
