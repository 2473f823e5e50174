#include "common/base/metrics.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/base/compiler.h"
#include "common/base/memory.h"
#include "common/base/mutex.h"

enum { LABELS_MAX = 4, VALUE_BYTES_MAX = 128 };
enum metric_kind { COUNTER, GAUGE, HISTOGRAM };

static const struct metric {
    enum metric_kind kind;
    const char *name;
    const char *help;
    const char *labels; /* names joined by ',' */
} metrics[METRIC_COUNT] = {
#define METRIC(kind_, id, name_, help_, labels_) \
    [METRIC_##id] = { .kind = (kind_), .name = (name_), .help = (help_), .labels = (labels_) },
#include "common/base/metrics.def"
#undef METRIC
};

static const char *const kind_names[] = { "counter", "gauge", "histogram" };

/* Upper bounds of the histogram buckets; +Inf is the count itself. */
static const double bucket_seconds[] = { 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                         0.5,   1,      2.5,   5,    10,    30,   60 };

struct series {
    UT_hash_handle hh;
    double value;      /* of a histogram: the sum */
    uint64_t *buckets; /* of a histogram: not cumulative; the last one is +Inf */
    uint64_t count;
    char labels[]; /* a="b",c="d": escaped, the key */
};

static struct mutex lock = { .raw = PTHREAD_MUTEX_INITIALIZER };
static struct series *registry[METRIC_COUNT]; /* guarded by lock */

static void put_escaped(struct buf *out, const char *value)
{
    for (const char *p = value; *p != '\0' && p - value < VALUE_BYTES_MAX; p++) {
        if (*p == '\n') {
            buf_puts(out, "\\n");
            continue;
        }
        if (*p == '"' || *p == '\\')
            buf_putc(out, '\\');
        buf_putc(out, *p);
    }
}

/* a="1",b="2"; with `values` NULL every label says "other". */
static void put_labels(struct buf *out, const struct metric *metric, const char *const *values)
{
    const char *name = metric->labels;
    for (size_t i = 0; *name != '\0'; i++) {
        size_t length = strcspn(name, ",");
        assert(values == NULL || values[i] != NULL);
        buf_printf(out, "%s%.*s=\"", i > 0 ? "," : "", (int)length, name);
        put_escaped(out, values != NULL ? values[i] : "other");
        buf_putc(out, '"');
        name += length + (name[length] == ',' ? 1 : 0);
    }
}

static struct series *series_add(enum metric_id id, const char *labels)
{
    size_t length = strlen(labels);
    struct series *series = mem_calloc(1, sizeof(*series) + length + 1);
    memcpy(series->labels, labels, length);
    if (metrics[id].kind == HISTOGRAM)
        series->buckets = mem_calloc(ARRAY_LEN(bucket_seconds) + 1, sizeof(uint64_t));
    HASH_ADD_STR(registry[id], labels, series);
    return series;
}

static struct series *series_find(enum metric_id id, const struct buf *labels)
{
    struct series *series;
    HASH_FIND_STR(registry[id], buf_text(labels), series);
    return series;
}

/* With the lock held. */
static struct series *series_of(enum metric_id id, const char *const *values)
{
    AUTO(buf) struct buf labels = BUF_INIT(LABELS_MAX * (2 * VALUE_BYTES_MAX + 64));
    put_labels(&labels, &metrics[id], values);
    struct series *series = series_find(id, &labels);
    if (series != NULL)
        return series;
    if (HASH_COUNT(registry[id]) < METRIC_SERIES_MAX)
        return series_add(id, buf_text(&labels));
    buf_reset(&labels);
    put_labels(&labels, &metrics[id], NULL);
    series = series_find(id, &labels);
    return series != NULL ? series : series_add(id, buf_text(&labels));
}

void metric_add(enum metric_id id, double delta, const char *const *label_values)
{
    assert(id < METRIC_COUNT && metrics[id].kind != HISTOGRAM);
    mutex_lock(&lock);
    series_of(id, label_values)->value += delta;
    mutex_unlock(&lock);
}

void metric_set(enum metric_id id, double value, const char *const *label_values)
{
    assert(id < METRIC_COUNT && metrics[id].kind == GAUGE);
    mutex_lock(&lock);
    series_of(id, label_values)->value = value;
    mutex_unlock(&lock);
}

void metric_observe(enum metric_id id, double seconds, const char *const *label_values)
{
    assert(id < METRIC_COUNT && metrics[id].kind == HISTOGRAM);
    size_t bucket = 0;
    while (bucket < ARRAY_LEN(bucket_seconds) && seconds > bucket_seconds[bucket])
        bucket++;
    mutex_lock(&lock);
    struct series *series = series_of(id, label_values);
    series->buckets[bucket]++;
    series->count++;
    series->value += seconds;
    mutex_unlock(&lock);
}

double metric_value(enum metric_id id, const char *const *label_values)
{
    AUTO(buf) struct buf labels = BUF_INIT(LABELS_MAX * (2 * VALUE_BYTES_MAX + 64));
    put_labels(&labels, &metrics[id], label_values);
    mutex_lock(&lock);
    const struct series *series = series_find(id, &labels);
    double value = series == NULL                  ? 0
                   : metrics[id].kind == HISTOGRAM ? (double)series->count
                                                   : series->value;
    mutex_unlock(&lock);
    return value;
}

/* ------------------------------------------------------------------ exposition */

static void put_number(struct buf *out, double value)
{
    if (isnan(value))
        buf_puts(out, "NaN\n");
    else if (isinf(value))
        buf_puts(out, value > 0 ? "+Inf\n" : "-Inf\n");
    else
        buf_printf(out, "%.15g\n", value);
}

/* name_suffix{labels} without the value. */
static void put_name(struct buf *out, const char *name, const char *suffix, const char *labels)
{
    const char *open = labels[0] != '\0' ? "{" : "", *close = labels[0] != '\0' ? "}" : "";
    buf_printf(out, "%s%s%s%s%s ", name, suffix, open, labels, close);
}

static void expose_histogram(struct buf *out, const char *name, const struct series *series)
{
    const char *comma = series->labels[0] != '\0' ? "," : "";
    uint64_t below = 0;
    for (size_t i = 0; i < ARRAY_LEN(bucket_seconds); i++) {
        below += series->buckets[i];
        buf_printf(out, "%s_bucket{%s%sle=\"%g\"} %llu\n", name, series->labels, comma,
                   bucket_seconds[i], (unsigned long long)below);
    }
    buf_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, series->labels, comma,
               (unsigned long long)series->count);
    put_name(out, name, "_sum", series->labels);
    put_number(out, series->value);
    put_name(out, name, "_count", series->labels);
    buf_printf(out, "%llu\n", (unsigned long long)series->count);
}

static int by_labels(struct series *a, struct series *b)
{
    return strcmp(a->labels, b->labels);
}

void metrics_expose(struct buf *out)
{
    mutex_lock(&lock);
    for (size_t id = 0; id < METRIC_COUNT; id++) {
        const struct metric *metric = &metrics[id];
        if (registry[id] == NULL)
            continue;
        buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help, metric->name,
                   kind_names[metric->kind]);
        HASH_SORT(registry[id], by_labels);
        for (const struct series *series = registry[id]; series != NULL; series = series->hh.next) {
            if (metric->kind == HISTOGRAM) {
                expose_histogram(out, metric->name, series);
                continue;
            }
            put_name(out, metric->name, "", series->labels);
            put_number(out, series->value);
        }
    }
    mutex_unlock(&lock);
}

void metrics_document(struct buf *out)
{
    buf_puts(out, "| metric | type | labels | meaning |\n|---|---|---|---|\n");
    for (size_t id = 0; id < METRIC_COUNT; id++) {
        const struct metric *metric = &metrics[id];
        buf_printf(out, "| `%s` | %s | %s | %s |\n", metric->name, kind_names[metric->kind],
                   metric->labels, metric->help);
    }
}

void metrics_reset(void)
{
    mutex_lock(&lock);
    for (size_t id = 0; id < METRIC_COUNT; id++) {
        struct series *series, *next;
        HASH_ITER(hh, registry[id], series, next) {
            HASH_DEL(registry[id], series);
            free(series->buckets);
            free(series);
        }
    }
    mutex_unlock(&lock);
}
