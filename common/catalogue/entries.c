#include "common/catalogue/entries.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/catalogue/architecture.h"

/* Keeps sums and products of catalogue figures far inside 64 bits: a petabyte in MiB, 34 years in
 * seconds. */
enum { FIGURE_MAX = 1 << 30, GPUS_MAX = 1024, PRICE_MAX = 1000 * 1000 };

static int check_figure(const char *kind, const char *name, const char *member,
                        const struct opt_integer *figure, struct error *err)
{
    if (!figure->set || (figure->value > 0 && figure->value <= FIGURE_MAX))
        return 0;
    return error_set(err, ERR_INVALID, "%s %s: %s: must be from 1 to %d, not %lld", kind, name,
                     member, FIGURE_MAX, (long long)figure->value);
}

static int check_figures(const struct model *model, struct error *err)
{
    const struct opt_integer none = { .set = false };
    const struct {
        const char *member;
        const struct opt_integer *figure;
    } figures[] = {
        { "weightsMiB", &model->weights_mib },
        { "loadedMiB", &model->loaded_mib },
        { "bytesPerToken", &model->bytes_per_token },
        { "kvHeads", &model->kv_heads },
        { "contextMax", &model->context_max },
        { "diskGiB", &model->disk_gib },
        { "startupBudgetSeconds", &model->startup_budget_s },
        { "tuning.diskGiB", model->tuning != NULL ? &model->tuning->disk_gib : &none },
    };
    for (size_t i = 0; i < ARRAY_LEN(figures); i++) {
        if (check_figure("model", model->name, figures[i].member, figures[i].figure, err) < 0)
            return -1;
    }
    return 0;
}

static int check_name(const struct model *model, struct error *err)
{
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

/* One that the engine can load is enough; it takes the first. */
static int check_architectures(const struct model *model, struct error *err)
{
    for (size_t i = 0; i < model->architectures.count; i++) {
        if (architecture_find(model->architectures.items[i]) != NULL)
            return 0;
    }
    if (model->architectures.count == 0)
        return 0;
    const char *name = model->architectures.items[0], *near = architecture_nearest(name);
    return error_set(err, ERR_INVALID, "model %s: architectures: the server cannot load %s%s%s",
                     model->name, name, near != NULL ? "; the nearest that it can: " : "",
                     near != NULL ? near : "");
}

static enum memory_class class_of(const struct model *model)
{
    for (size_t i = 0; i < model->architectures.count; i++) {
        const struct architecture *found = architecture_find(model->architectures.items[i]);
        if (found != NULL)
            return found->memory_class;
    }
    return MEMORY_DENSE;
}

static int check_model(struct model *model, struct error *err)
{
    enum memory_class class = class_of(model);
    if (check_figures(model, err) < 0 || check_name(model, err) < 0 ||
        check_architectures(model, err) < 0)
        return -1;
    if (model->memory_class != NULL && !memory_class_parse(model->memory_class, &class))
        return error_set(err, ERR_INVALID,
                         "model %s: memoryClass: must be dense, mixture-of-experts or multimodal, "
                         "not %s",
                         model->name, model->memory_class);
    model->memory_class = memory_class_name(class);
    return 0;
}

static int check_price(const struct machine *machine, struct error *err)
{
    const cJSON *price = machine->price_per_hour;
    if (price == NULL ||
        (cJSON_IsNumber(price) && price->valuedouble > 0 && price->valuedouble <= PRICE_MAX))
        return 0;
    return error_set(err, ERR_INVALID,
                     "machine %s: pricePerHour: must be a number above 0, at most %d",
                     machine->name, PRICE_MAX);
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
    if (check_price(machine, err) < 0)
        return -1;
    return check_figure("machine", machine->name, "gpuMemoryMiB", &machine->memory_mib, err);
}

int entries_check(struct catalogue_data *data, struct error *err)
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
