/* A listening TCP socket from a text like "0.0.0.0:9443". Only for common/http. */
#pragma once

#include <stdint.h>

#include "common/base/error.h"

/* Non-blocking. `flag` names in errors what chose the address; NULL: not named. INVALID for what is
 * no address of this machine, FORBIDDEN for a port that needs privileges, UNAVAILABLE when it is
 * busy. */
MUST_CHECK int listen_open(const char *address, const char *flag, int *fd_out, uint16_t *port_out,
                           struct error *err);
