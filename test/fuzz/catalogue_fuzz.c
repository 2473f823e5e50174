/* Catalogue files: what is accepted can be looked up under each of its names, without regard to
 * case, and a plan can be made from any of its models on any of its machines. */
#include <ctype.h>

#include "common/catalogue/catalogue.h"
#include "common/plan/plan.h"
#include "test/fuzz/fuzz.h"

enum { BYTES_MAX = 64 * 1024, PAIRS_MAX = 64 };

static char *upper(const char *text)
{
    char *copy = mem_strdup(text);
    for (char *p = copy; *p != '\0'; p++)
        *p = (char)toupper((unsigned char)*p);
    return copy;
}

static void check_names(const struct catalogue *catalogue, const struct model *model)
{
    AUTO_FREE char *name = upper(model->name);
    HOLDS(catalogue_model(catalogue, model->name) == model);
    HOLDS(catalogue_model(catalogue, name) == model);
    for (size_t i = 0; i < model->aliases.count; i++)
        HOLDS(catalogue_model(catalogue, model->aliases.items[i]) != NULL);
    HOLDS(catalogue_nearest_model(catalogue, model->name) != NULL);
}

static void plan_pair(const struct catalogue *catalogue, const struct model *model,
                      const struct machine *machine)
{
    AUTO(arena) struct arena arena = ARENA_INIT;
    struct preset preset = { .name = model->name };
    struct workspace_inference inference = { .preset = &preset };
    struct workspace_resource resource = { .instance_type = machine->name };
    struct object_meta metadata = { .name = "w" };
    struct workspace ws = { .metadata = &metadata, .resource = &resource, .inference = &inference };
    struct plan_settings settings = { .catalogue = catalogue,
                                      .cloud = machine->cloud,
                                      .nodes_max = 8 };
    struct field_errors problems;
    struct plan plan;
    field_errors_init(&problems, &arena);
    if (plan_make(&ws, &settings, &arena, &plan, &problems) == 0) {
        HOLDS(plan.node_count >= 1);
        HOLDS(plan.model == model);
        HOLDS(plan.summary != NULL);
    } else {
        HOLDS(problems.count > 0);
    }
}

/* Laid over the compiled-in data it wins, and loses nothing else. */
static void check_extension(const char *text, const struct catalogue *alone)
{
    const struct catalogue *more = NULL;
    struct error err = ERROR_INIT;
    if (catalogue_extend(catalogue_builtin(), text, &more, &err) < 0) {
        HOLDS(err.message[0] != '\0');
        return;
    }
    const struct model_list *models = &catalogue_all(alone)->models;
    for (size_t i = 0; i < models->count; i++)
        HOLDS(strcmp(catalogue_model(more, models->items[i].name)->name, models->items[i].name) ==
              0);
    HOLDS(catalogue_all(more)->models.count >= catalogue_all(catalogue_builtin())->models.count);
    HOLDS(catalogue_all(more)->machines.count >=
          catalogue_all(catalogue_builtin())->machines.count);
    catalogue_unref(more);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > BYTES_MAX)
        return 0;
    struct error err = ERROR_INIT;
    const struct catalogue *catalogue = NULL;
    AUTO_FREE char *text = mem_strndup((const char *)data, size);
    const char *const texts[] = { text };
    if (catalogue_parse(texts, 1, &catalogue, &err) < 0) {
        HOLDS(err.message[0] != '\0');
        return 0;
    }
    check_extension(text, catalogue);
    const struct catalogue_data *all = catalogue_all(catalogue);
    unsigned pairs = 0;
    for (size_t i = 0; i < all->models.count; i++) {
        check_names(catalogue, &all->models.items[i]);
        for (size_t j = 0; j < all->machines.count && pairs < PAIRS_MAX; j++, pairs++)
            plan_pair(catalogue, &all->models.items[i], &all->machines.items[j]);
    }
    for (size_t i = 0; i < all->machines.count; i++)
        HOLDS(catalogue_machine(catalogue, all->machines.items[i].cloud,
                                all->machines.items[i].name) == &all->machines.items[i]);
    catalogue_unref(catalogue);
    return 0;
}
