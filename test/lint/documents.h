/* Documents that are too long for documents.c. */
#pragma once

#include "common/base/buf.h"

void print_rules_document(struct buf *out);
