/* config.json of a model: what is accepted makes an entry that is read back as it was printed and
 * that a plan can be made from; what is refused is refused with a reason. */
#include "common/catalogue/model_config.h"
#include "common/plan/estimate.h"
#include "test/fuzz/fuzz.h"

enum { BYTES_MAX = 64 * 1024, PRINTED_MAX = 1024 * 1024 };

static void check_printed(const struct model *model)
{
    AUTO(buf) struct buf text = BUF_INIT(PRINTED_MAX);
    AUTO(catalogue) const struct catalogue *catalogue = NULL;
    struct error err = ERROR_INIT;
    model_print(model, &text);
    if (catalogue_extend(catalogue_builtin(), buf_text(&text), &catalogue, &err) < 0) {
        fprintf(stderr, "own entry: %s\n%s\n", err.message, buf_text(&text));
        abort();
    }
    const struct model *again = catalogue_model(catalogue, model->name);
    HOLDS(again != NULL);
    AUTO(json) cJSON *before = codec_encode(model_type(), model);
    AUTO(json) cJSON *after = codec_encode(model_type(), again);
    fuzz_same_canonical(before, after);
}

static void check_estimates(const struct model *model)
{
    size_t count;
    const struct machine *const *machines =
        catalogue_machines(catalogue_builtin(), "azure", &count);
    for (size_t i = 0; i < count; i++) {
        struct estimate estimate = estimate_vllm(model, machines[i], 2048, 0);
        HOLDS(estimate.nodes >= 0 && estimate.nodes <= ESTIMATE_NODES_MAX);
        HOLDS(estimate.nodes == 0 || estimate.context_max >= 2048);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > BYTES_MAX)
        return 0;
    AUTO(arena) struct arena arena = ARENA_INIT;
    struct error err = ERROR_INIT;
    struct model model;
    /* The first byte says whether the size of the files is known. */
    const struct model_config config = { .name = "fuzz/Model-1",
                                         .json = (const char *)data + 1,
                                         .count = size - 1,
                                         .weights_mib = data[0] % 2 == 0 ? 0 : 1000 };
    if (model_from_config(&config, &arena, &model, &err) < 0) {
        HOLDS(err.code == ERR_INVALID && err.message[0] != '\0');
        return 0;
    }
    check_printed(&model);
    check_estimates(&model);
    return 0;
}
