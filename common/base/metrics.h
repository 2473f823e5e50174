/* Counters, gauges and histograms from one table (metrics.def), exposed as Prometheus text. One
 * global registry: a process is one service (or all of them, which then share it). Thread-safe.
 * Series appear on first use; at most METRIC_SERIES_MAX a metric, what comes beyond is counted
 * under "other". */
#pragma once

#include <stdint.h>

#include "common/base/buf.h"

enum metric_id {
#define METRIC(kind, id, name, help, labels) METRIC_##id,
#include "common/base/metrics.def"
#undef METRIC
    METRIC_COUNT
};

enum { METRIC_SERIES_MAX = 256 };

/* `label_values`: one for each label of the row, in its order, then NULL. */
void metric_add(enum metric_id id, double delta, const char *const *label_values);
void metric_set(enum metric_id id, double value, const char *const *label_values);
void metric_observe(enum metric_id id, double seconds, const char *const *label_values);

/* The first element only stands before the comma, for metrics without labels. */
#define METRIC_LABELS(...)             ((const char *const[]){ "", ##__VA_ARGS__, NULL } + 1)
#define METRIC_INC(id, ...)            metric_add(id, 1, METRIC_LABELS(__VA_ARGS__))
#define METRIC_SET(id, value, ...)     metric_set(id, value, METRIC_LABELS(__VA_ARGS__))
#define METRIC_OBSERVE(id, value, ...) metric_observe(id, value, METRIC_LABELS(__VA_ARGS__))

/* Reads one series back, 0 when it does not exist. For tests. */
double metric_value(enum metric_id id, const char *const *label_values);
void metrics_expose(struct buf *out);   /* text/plain; version=0.0.4 */
void metrics_document(struct buf *out); /* docs/metrics.md */
void metrics_reset(void);               /* for tests */
