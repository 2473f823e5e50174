#include "common/k8s/transport.h"

void transport_free(struct transport *transport)
{
    if (transport != NULL)
        transport->destroy(transport);
}
