#include "provisioner/provisioner.h"

#include "services/service.h"

DEFINE_SERVICE(provisioner)

int main(int argc, char **argv)
{
    static const struct service services[] = { SERVICE(provisioner) };
    static const struct program program = { .name = "ckaito-provisioner",
                                            .summary = "Turns node demands into NodeClaims, and "
                                                       "NodeClaims into nodes.",
                                            .services = services,
                                            .service_count = ARRAY_LEN(services) };
    return service_main(&program, argc, argv);
}
