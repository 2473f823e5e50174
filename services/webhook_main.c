#include "webhook/webhook.h"

#include "services/service.h"

DEFINE_SERVICE(webhook)

int main(int argc, char **argv)
{
    static const struct service services[] = { SERVICE(webhook) };
    static const struct program program = { .name = "ckaito-webhook",
                                            .summary = "Defaults and validates Workspaces for the "
                                                       "API server, and says what they will buy.",
                                            .services = services,
                                            .service_count = ARRAY_LEN(services) };
    return service_main(&program, argc, argv);
}
