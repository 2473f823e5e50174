/* What one entry of the catalogue must keep to, whatever file it comes from. */
#pragma once

#include "common/catalogue/catalogue.h"

/* Checks each entry by itself and fills in what follows from the rest of it (memoryClass). The
 * error (INVALID) names the entry and the member. */
MUST_CHECK int entries_check(struct catalogue_data *data, struct error *err);
