#include "common/catalogue/nearest.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

enum {
    EDITS_MIN = 2,        /* allowed for short names too */
    PREFIX_BYTES_MIN = 3, /* less says nothing */
    COST_LONGER = 1000,   /* more than any number of edits */
    COST_SHORTER = 2000,
    COST_NONE = 3000,
};

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static bool same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Optimal string alignment distance of two names of at most NEAREST_BYTES_MAX bytes. */
static size_t edits(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t rows[3][NEAREST_BYTES_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];

    for (size_t k = 0; k <= b_length; k++)
        last[k] = k;
    for (size_t i = 1; i <= a_length; i++) {
        row[0] = i;
        for (size_t k = 1; k <= b_length; k++) {
            size_t cost = last[k - 1] + (same(a[i - 1], b[k - 1]) ? 0 : 1);
            cost = least(cost, least(last[k], row[k - 1]) + 1);
            if (i > 1 && k > 1 && same(a[i - 1], b[k - 2]) && same(a[i - 2], b[k - 1]))
                cost = least(cost, before[k - 2] + 1);
            row[k] = cost;
        }
        size_t *free_row = before;
        before = last;
        last = row;
        row = free_row;
    }
    return last[b_length];
}

static size_t cost_of(const char *wanted, const char *candidate)
{
    size_t length = strlen(wanted), other = strlen(candidate);
    if (length > NEAREST_BYTES_MAX || other > NEAREST_BYTES_MAX)
        return COST_NONE;
    size_t allowed = length / 3 > EDITS_MIN ? length / 3 : EDITS_MIN;
    size_t apart = length > other ? length - other : other - length;
    if (apart <= allowed) {
        size_t distance = edits(wanted, length, candidate, other);
        /* As many edits as there are characters is another name. */
        if (distance <= allowed && distance < least(length, other))
            return distance;
    }
    if (least(length, other) < PREFIX_BYTES_MIN ||
        strncasecmp(wanted, candidate, least(length, other)) != 0)
        return COST_NONE;
    return other > length ? COST_LONGER + other : COST_SHORTER - other;
}

void nearest_consider(struct nearest *nearest, const char *candidate, const char *answer)
{
    size_t cost = cost_of(nearest->wanted, candidate);
    if (cost == COST_NONE || (nearest->best != NULL && cost >= nearest->cost))
        return;
    nearest->best = answer;
    nearest->cost = cost;
}
