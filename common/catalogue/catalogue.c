#include "common/catalogue/catalogue.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/memory.h"
#include "common/catalogue/data.h"
#include "common/catalogue/entries.h"
#include "common/catalogue/nearest.h"
#include "common/json/json.h"
#include "common/json/yaml.h"

#define CODEC_DEFINE
#include "common/json/codec_begin.h"
#include "common/catalogue/catalogue.def"
#include "common/json/codec_end.h"

static const char *const clouds[] = { "azure", "aws", "arc" };

enum { CLOUD_COUNT = ARRAY_LEN(clouds) };

struct name_entry {
    const char *name;
    const struct model *model;
};

struct machine_index {
    const struct machine **items;
    size_t count;
};

struct catalogue {
    atomic_int references;
    const struct catalogue *base; /* what it extends, whose entries it borrows; else NULL */
    struct arena arena;
    cJSON **documents; /* the structs borrow from them */
    size_t document_count;
    struct catalogue_data data;
    struct name_entry *names; /* full names and aliases, sorted */
    size_t name_count;
    struct machine_index by_size[CLOUD_COUNT]; /* least GPU memory first */
    struct machine_index by_name[CLOUD_COUNT];
};

/* ------------------------------------------------------------------ indexes */

static int by_name(const void *a, const void *b)
{
    const struct name_entry *left = a, *right = b;
    return strcasecmp(left->name, right->name);
}

static int index_models(struct catalogue *catalogue, struct error *err)
{
    const struct model_list *models = &catalogue->data.models;
    size_t count = models->count;
    for (size_t i = 0; i < models->count; i++)
        count += models->items[i].aliases.count;
    struct name_entry *names = arena_array(&catalogue->arena, struct name_entry, count);
    count = 0;
    for (size_t i = 0; i < models->count; i++) {
        const struct model *model = &models->items[i];
        names[count++] = (struct name_entry){ .name = model->name, .model = model };
        for (size_t k = 0; k < model->aliases.count; k++)
            names[count++] = (struct name_entry){ .name = model->aliases.items[k], .model = model };
    }
    if (count > 1)
        qsort(names, count, sizeof(*names), by_name);
    for (size_t i = 1; i < count; i++) {
        if (by_name(&names[i - 1], &names[i]) == 0)
            return error_set(err, ERR_INVALID, "model %s: name or alias %s is there twice",
                             names[i].model->name, names[i].name);
    }
    catalogue->names = names;
    catalogue->name_count = count;
    return 0;
}

static int machine_by_name(const void *a, const void *b)
{
    const struct machine *const *left = a, *const *right = b;
    return strcasecmp((*left)->name, (*right)->name);
}

static int machine_by_size(const void *a, const void *b)
{
    const struct machine *left = *(const struct machine *const *)a;
    const struct machine *right = *(const struct machine *const *)b;
    if (left->memory_mib.value != right->memory_mib.value)
        return left->memory_mib.value < right->memory_mib.value ? -1 : 1;
    if (left->gpus.value != right->gpus.value)
        return left->gpus.value < right->gpus.value ? -1 : 1;
    return strcasecmp(left->name, right->name);
}

static struct machine_index machines_of(struct catalogue *catalogue, const char *cloud,
                                        int (*order)(const void *, const void *))
{
    const struct machine *machines = catalogue->data.machines.items;
    size_t count = catalogue->data.machines.count;
    struct machine_index list = {
        .items = arena_array(&catalogue->arena, const struct machine *, count),
    };
    for (size_t i = 0; i < count; i++) {
        if (strcmp(machines[i].cloud, cloud) == 0)
            list.items[list.count++] = &machines[i];
    }
    if (list.count > 1)
        qsort(list.items, list.count, sizeof(*list.items), order);
    return list;
}

static int index_machines(struct catalogue *catalogue, struct error *err)
{
    for (size_t i = 0; i < CLOUD_COUNT; i++) {
        struct machine_index *list = &catalogue->by_name[i];
        *list = machines_of(catalogue, clouds[i], machine_by_name);
        catalogue->by_size[i] = machines_of(catalogue, clouds[i], machine_by_size);
        for (size_t k = 1; k < list->count; k++) {
            if (machine_by_name(&list->items[k - 1], &list->items[k]) == 0)
                return error_set(err, ERR_INVALID, "machine %s: is there twice",
                                 list->items[k]->name);
        }
    }
    return 0;
}

/* ------------------------------------------------------------------ life cycle */

static int decode(struct catalogue *catalogue, const char *yaml, struct catalogue_data *out,
                  struct error *err)
{
    cJSON *document = NULL;
    if (yaml_to_json(yaml, strlen(yaml), &document, err) < 0)
        return -1;
    catalogue->documents[catalogue->document_count++] = document;
    return codec_decode_strict(catalogue_data_type(), document, &catalogue->arena, out, err);
}

/* One array of all parts' entries, in their order. */
static void merge(struct catalogue *catalogue, const struct catalogue_data *parts, size_t count)
{
    struct catalogue_data *data = &catalogue->data;
    size_t models = 0, machines = 0;
    for (size_t i = 0; i < count; i++) {
        models += parts[i].models.count;
        machines += parts[i].machines.count;
    }
    data->models.items = arena_array(&catalogue->arena, struct model, models);
    data->machines.items = arena_array(&catalogue->arena, struct machine, machines);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < parts[i].models.count; k++)
            data->models.items[data->models.count++] = parts[i].models.items[k];
        for (size_t k = 0; k < parts[i].machines.count; k++)
            data->machines.items[data->machines.count++] = parts[i].machines.items[k];
    }
}

static int index_all(struct catalogue *catalogue, struct error *err)
{
    if (index_models(catalogue, err) < 0)
        return -1;
    return index_machines(catalogue, err);
}

static int build(struct catalogue *catalogue, const char *const *yaml_texts, size_t count,
                 struct error *err)
{
    catalogue->documents = mem_calloc(count, sizeof(*catalogue->documents));
    struct catalogue_data *parts = arena_array(&catalogue->arena, struct catalogue_data, count);
    for (size_t i = 0; i < count; i++) {
        if (decode(catalogue, yaml_texts[i], &parts[i], err) < 0)
            return -1;
    }
    merge(catalogue, parts, count);
    if (entries_check(&catalogue->data, err) < 0)
        return -1;
    return index_all(catalogue, err);
}

static bool has_model(const struct catalogue *catalogue, const char *name)
{
    const struct model *found = catalogue_model(catalogue, name);
    return found != NULL && strcasecmp(found->name, name) == 0;
}

/* The entries of `base` that the catalogue has none of the same name for, and then its own. */
static void overlay(struct catalogue *catalogue, const struct catalogue *base)
{
    struct catalogue_data all = { .node = NULL };
    const struct catalogue_data *below = &base->data, *own = &catalogue->data;
    all.models.items =
        arena_array(&catalogue->arena, struct model, below->models.count + own->models.count);
    all.machines.items =
        arena_array(&catalogue->arena, struct machine, below->machines.count + own->machines.count);
    for (size_t i = 0; i < below->models.count; i++) {
        if (!has_model(catalogue, below->models.items[i].name))
            all.models.items[all.models.count++] = below->models.items[i];
    }
    for (size_t i = 0; i < below->machines.count; i++) {
        const struct machine *machine = &below->machines.items[i];
        if (catalogue_machine(catalogue, machine->cloud, machine->name) == NULL)
            all.machines.items[all.machines.count++] = *machine;
    }
    for (size_t i = 0; i < own->models.count; i++)
        all.models.items[all.models.count++] = own->models.items[i];
    for (size_t i = 0; i < own->machines.count; i++)
        all.machines.items[all.machines.count++] = own->machines.items[i];
    catalogue->data = all;
}

static struct catalogue *catalogue_new(void)
{
    struct catalogue *catalogue = mem_new(struct catalogue);
    atomic_init(&catalogue->references, 1);
    return catalogue;
}

int catalogue_parse(const char *const *yaml_texts, size_t count, const struct catalogue **out,
                    struct error *err)
{
    struct catalogue *catalogue = catalogue_new();
    if (build(catalogue, yaml_texts, count, err) < 0) {
        catalogue_unref(catalogue);
        return -1;
    }
    *out = catalogue;
    return 0;
}

int catalogue_extend(const struct catalogue *base, const char *yaml_text,
                     const struct catalogue **out, struct error *err)
{
    struct catalogue *catalogue = catalogue_new();
    catalogue->base = catalogue_ref(base);
    if (build(catalogue, &yaml_text, 1, err) == 0) {
        overlay(catalogue, base);
        if (index_all(catalogue, err) == 0) {
            *out = catalogue;
            return 0;
        }
    }
    catalogue_unref(catalogue);
    return -1;
}

/* References are the one thing about a catalogue that changes. */
static struct catalogue *counted(const struct catalogue *catalogue)
{
    union {
        const struct catalogue *shared;
        struct catalogue *own;
    } view = { .shared = catalogue };
    return view.own;
}

const struct catalogue *catalogue_ref(const struct catalogue *catalogue)
{
    atomic_fetch_add_explicit(&counted(catalogue)->references, 1, memory_order_relaxed);
    return catalogue;
}

void catalogue_unref(const struct catalogue *catalogue)
{
    while (catalogue != NULL) {
        struct catalogue *own = counted(catalogue);
        if (atomic_fetch_sub_explicit(&own->references, 1, memory_order_acq_rel) > 1)
            return;
        catalogue = own->base;
        for (size_t i = 0; i < own->document_count; i++)
            json_free(own->documents[i]);
        free(own->documents);
        arena_fini(&own->arena);
        free(own);
    }
}

static const struct catalogue *builtin; /* its one reference is never given back */

static void build_builtin(void)
{
    const char *const texts[] = { catalogue_models_yaml, catalogue_machines_yaml };
    struct error err = ERROR_INIT;
    if (catalogue_parse(texts, ARRAY_LEN(texts), &builtin, &err) == 0)
        return;
    /* Only a build from broken data gets here, and a unit test stands before it. */
    fprintf(stderr, "the compiled-in catalogue is broken: %s\n", err.message);
    abort();
}

const struct catalogue *catalogue_builtin(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, build_builtin);
    return builtin;
}

/* ------------------------------------------------------------------ look-up */

static size_t cloud_index(const char *cloud)
{
    size_t i = 0;
    while (i < CLOUD_COUNT && strcmp(clouds[i], cloud) != 0)
        i++;
    return i;
}

bool catalogue_knows_cloud(const char *cloud)
{
    return cloud_index(cloud) < CLOUD_COUNT;
}

const struct model *catalogue_model(const struct catalogue *catalogue, const char *name)
{
    const struct name_entry key = { .name = name };
    const struct name_entry *found =
        bsearch(&key, catalogue->names, catalogue->name_count, sizeof(*catalogue->names), by_name);
    return found != NULL ? found->model : NULL;
}

const struct machine *catalogue_machine(const struct catalogue *catalogue, const char *cloud,
                                        const char *name)
{
    size_t index = cloud_index(cloud);
    if (index == CLOUD_COUNT)
        return NULL;
    const struct machine key = { .name = name }, *key_pointer = &key;
    const struct machine_index *machines = &catalogue->by_name[index];
    const struct machine *const *found = bsearch(&key_pointer, machines->items, machines->count,
                                                 sizeof(*machines->items), machine_by_name);
    return found != NULL ? *found : NULL;
}

const struct machine *const *catalogue_machines(const struct catalogue *catalogue,
                                                const char *cloud, size_t *count_out)
{
    size_t index = cloud_index(cloud);
    if (index == CLOUD_COUNT) {
        *count_out = 0;
        return NULL;
    }
    *count_out = catalogue->by_size[index].count;
    return catalogue->by_size[index].items;
}

const struct catalogue_data *catalogue_all(const struct catalogue *catalogue)
{
    return &catalogue->data;
}

static const char *nearest_model(const struct catalogue *catalogue, const char *name)
{
    struct nearest nearest = NEAREST_INIT(name);
    for (size_t i = 0; i < catalogue->name_count; i++)
        nearest_consider(&nearest, catalogue->names[i].name, catalogue->names[i].name);
    for (size_t i = 0; i < catalogue->data.models.count; i++) {
        const struct model *model = &catalogue->data.models.items[i];
        nearest_consider(&nearest, model->short_name, model->name);
    }
    return nearest.best;
}

const char *catalogue_nearest_model(const struct catalogue *catalogue, const char *name)
{
    const char *best = nearest_model(catalogue, name);
    const char *slash = strrchr(name, '/');
    return best == NULL && slash != NULL ? nearest_model(catalogue, slash + 1) : best;
}

/* What all names of Azure begin with would make them look alike. */
static const char *without_prefix(const char *name)
{
    static const char prefix[] = "Standard_";
    return strncasecmp(name, prefix, sizeof(prefix) - 1) == 0 ? name + sizeof(prefix) - 1 : name;
}

const char *catalogue_nearest_machine(const struct catalogue *catalogue, const char *cloud,
                                      const char *name)
{
    struct nearest nearest = NEAREST_INIT(without_prefix(name));
    size_t count;
    const struct machine *const *machines = catalogue_machines(catalogue, cloud, &count);
    for (size_t i = 0; i < count; i++)
        nearest_consider(&nearest, without_prefix(machines[i]->name), machines[i]->name);
    return nearest.best;
}

double machine_price(const struct machine *machine)
{
    return machine->price_per_hour != NULL ? machine->price_per_hour->valuedouble : 0;
}

bool machine_runs_cuda(const struct machine *machine)
{
    return machine->accelerator == NULL || strcmp(machine->accelerator, "cuda") == 0;
}
