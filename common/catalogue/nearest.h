/* Which of several names was meant by a mistyped one. Case is ignored. Pure; names longer than
 * NEAREST_BYTES_MAX are never near to anything. */
#pragma once

#include <stddef.h>

enum { NEAREST_BYTES_MAX = 96 };

struct nearest {
    const char *wanted; /* borrowed */
    const char *best;   /* NULL while nothing is near */
    size_t cost;
};

#define NEAREST_INIT(wanted_)             \
    {                                     \
        .wanted = (wanted_), .best = NULL \
    }

/* Makes `answer` the best when `candidate` is nearer than all before: by insertions, deletions,
 * changes and swaps of neighbours, up to a third of the length; else the shortest that begins with
 * what is wanted; else the longest that what is wanted begins with. */
void nearest_consider(struct nearest *nearest, const char *candidate, const char *answer);
