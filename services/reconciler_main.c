#include "reconciler/reconciler.h"

#include "services/service.h"

DEFINE_SERVICE(reconciler)

int main(int argc, char **argv)
{
    static const struct service services[] = { SERVICE(reconciler) };
    static const struct program program = { .name = "ckaito-reconciler",
                                            .summary = "Turns Workspaces into node demands, "
                                                       "workloads, status and events.",
                                            .services = services,
                                            .service_count = ARRAY_LEN(services) };
    return service_main(&program, argc, argv);
}
