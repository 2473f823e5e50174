#include "common/catalogue/catalogue.h"

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/memory.h"
#include "common/catalogue/data.h"
#include "common/catalogue/nearest.h"
#include "common/json/json.h"
#include "common/json/yaml.h"

#define CODEC_DEFINE
#include "common/json/codec_begin.h"
#include "common/catalogue/catalogue.def"
#include "common/json/codec_end.h"

/* Keeps sums and products of catalogue figures far inside 64 bits: a petabyte in MiB, 34 years in
 * seconds. */
enum { FIGURE_MAX = 1 << 30, GPUS_MAX = 1024 };

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
    struct arena arena;
    cJSON **documents; /* the structs borrow from them */
    size_t document_count;
    struct catalogue_data data;
    struct name_entry *names; /* full names and aliases, sorted */
    size_t name_count;
    struct machine_index by_size[CLOUD_COUNT]; /* least GPU memory first */
    struct machine_index by_name[CLOUD_COUNT];
};

/* ------------------------------------------------------------------ checks */

static int check_figure(const char *kind, const char *name, const char *member,
                        const struct opt_integer *figure, struct error *err)
{
    if (!figure->set || (figure->value > 0 && figure->value <= FIGURE_MAX))
        return 0;
    return error_set(err, ERR_INVALID, "%s %s: %s: must be from 1 to %d, not %lld", kind, name,
                     member, FIGURE_MAX, (long long)figure->value);
}

static int check_model(const struct model *model, struct error *err)
{
    const struct opt_integer none = { .set = false };
    const struct {
        const char *member;
        const struct opt_integer *figure;
    } figures[] = {
        { "weightsMiB", &model->weights_mib },
        { "bytesPerToken", &model->bytes_per_token },
        { "contextMax", &model->context_max },
        { "diskGiB", &model->disk_gib },
        { "startupBudgetSeconds", &model->startup_budget_s },
        { "tuning.diskGiB", model->tuning != NULL ? &model->tuning->disk_gib : &none },
    };
    for (size_t i = 0; i < ARRAY_LEN(figures); i++) {
        if (check_figure("model", model->name, figures[i].member, figures[i].figure, err) < 0)
            return -1;
    }
    const char *slash = strrchr(model->name, '/');
    if (slash == NULL || slash == model->name || slash[1] == '\0')
        return error_set(err, ERR_INVALID, "model %s: name: must be organisation/model",
                         model->name);
    if (string_list_has(&model->aliases, ""))
        return error_set(err, ERR_INVALID, "model %s: aliases: must not be empty", model->name);
    bool lower = true;
    for (const char *p = model->short_name; *p != '\0'; p++)
        lower = lower && !isupper((unsigned char)*p);
    if (!lower || strcasecmp(slash + 1, model->short_name) != 0)
        return error_set(err, ERR_INVALID,
                         "model %s: shortName: must be the last part of the name in lower case, "
                         "not %s",
                         model->name, model->short_name);
    return 0;
}

static int check_machine(const struct machine *machine, struct error *err)
{
    const char *accelerator = machine->accelerator;
    if (*machine->name == '\0')
        return error_set(err, ERR_INVALID, "a machine has an empty name");
    if (!catalogue_knows_cloud(machine->cloud))
        return error_set(err, ERR_INVALID, "machine %s: cloud: must be azure, aws or arc, not %s",
                         machine->name, machine->cloud);
    if (machine->gpus.value < 1 || machine->gpus.value > GPUS_MAX)
        return error_set(err, ERR_INVALID, "machine %s: gpus: must be from 1 to %d, not %lld",
                         machine->name, GPUS_MAX, (long long)machine->gpus.value);
    if (accelerator != NULL && strcmp(accelerator, "cuda") != 0 &&
        strcmp(accelerator, "rocm") != 0 && strcmp(accelerator, "neuron") != 0)
        return error_set(err, ERR_INVALID,
                         "machine %s: accelerator: must be cuda, rocm or neuron, not %s",
                         machine->name, accelerator);
    return check_figure("machine", machine->name, "gpuMemoryMiB", &machine->memory_mib, err);
}

static int check_entries(const struct catalogue_data *data, struct error *err)
{
    for (size_t i = 0; i < data->models.count; i++) {
        if (check_model(&data->models.items[i], err) < 0)
            return -1;
    }
    for (size_t i = 0; i < data->machines.count; i++) {
        if (check_machine(&data->machines.items[i], err) < 0)
            return -1;
    }
    return 0;
}

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
    if (check_entries(&catalogue->data, err) < 0 || index_models(catalogue, err) < 0)
        return -1;
    return index_machines(catalogue, err);
}

int catalogue_parse(const char *const *yaml_texts, size_t count, struct catalogue **out,
                    struct error *err)
{
    struct catalogue *catalogue = mem_new(struct catalogue);
    if (build(catalogue, yaml_texts, count, err) < 0) {
        catalogue_free(catalogue);
        return -1;
    }
    *out = catalogue;
    return 0;
}

void catalogue_free(struct catalogue *catalogue)
{
    if (catalogue == NULL)
        return;
    for (size_t i = 0; i < catalogue->document_count; i++)
        json_free(catalogue->documents[i]);
    free(catalogue->documents);
    arena_fini(&catalogue->arena);
    free(catalogue);
}

static struct catalogue *builtin;

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

bool machine_runs_cuda(const struct machine *machine)
{
    return machine->accelerator == NULL || strcmp(machine->accelerator, "cuda") == 0;
}
