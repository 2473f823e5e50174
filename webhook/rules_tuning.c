/* Rules on tuning: the model, the method, where the dataset comes from and where the result goes.
 */
#include <string.h>
#include <strings.h>

#include "common/api/names.h"
#include "webhook/rules.h"
#include "webhook/url.h"

static const struct data_source *input_of(const struct rule_pass *pass)
{
    return pass->ws->tuning != NULL ? pass->ws->tuning->input : NULL;
}

static const struct data_destination *output_of(const struct rule_pass *pass)
{
    return pass->ws->tuning != NULL ? pass->ws->tuning->output : NULL;
}

void rule_tuning_preset_missing(struct rule_pass *pass)
{
    if (pass->ws->tuning != NULL && pass->ws->tuning->preset == NULL)
        rule_report(pass, "tuning.preset", NULL);
}

void rule_tuning_method(struct rule_pass *pass)
{
    if (pass->ws->tuning == NULL)
        return;
    const char *method = pass->ws->tuning->method;
    if (!is_given(method))
        rule_report(pass, "tuning.method", NULL);
    else if (strcasecmp(method, "lora") != 0 && strcasecmp(method, "qlora") != 0)
        rule_report_as(pass, "tuning.method", method, "there is no such method", NULL);
}

void rule_tuning_config(struct rule_pass *pass)
{
    const struct workspace_tuning *tuning = pass->ws->tuning;
    if (tuning != NULL && is_given(tuning->config) && !name_is_dns1123_subdomain(tuning->config))
        rule_report(pass, "tuning.config", tuning->config);
}

/* ------------------------------------------------------------------ input */

static unsigned input_count(const struct data_source *input)
{
    return (input->urls.count > 0) + is_given(input->image) + (input->volume_source != NULL);
}

void rule_tuning_input_missing(struct rule_pass *pass)
{
    const struct data_source *input = input_of(pass);
    if (input != NULL && input_count(input) == 0)
        rule_report(pass, "tuning.input", NULL);
}

/* Blames each of the sources that are given: any of them may be the one that was meant. */
void rule_tuning_input_several(struct rule_pass *pass)
{
    const struct data_source *input = input_of(pass);
    if (input == NULL || input_count(input) < 2)
        return;
    if (input->urls.count > 0)
        rule_report(pass, "tuning.input.urls", NULL);
    if (is_given(input->image))
        rule_report(pass, "tuning.input.image", input->image);
    if (input->volume_source != NULL)
        rule_report(pass, "tuning.input.volumeSource", NULL);
}

void rule_tuning_url(struct rule_pass *pass)
{
    const struct data_source *input = input_of(pass);
    if (input == NULL)
        return;
    for (size_t i = 0; i < input->urls.count; i++) {
        const char *refusal = url_refusal(input->urls.items[i]);
        if (refusal != NULL)
            rule_report_as(pass, arena_printf(pass->errors->arena, "tuning.input.urls[%zu]", i),
                           input->urls.items[i], refusal, NULL);
    }
}

void rule_tuning_input_image(struct rule_pass *pass)
{
    const struct data_source *input = input_of(pass);
    if (input != NULL && is_given(input->image) && !name_is_image_reference(input->image))
        rule_report(pass, "tuning.input.image", input->image);
}

/* ------------------------------------------------------------------ output */

void rule_tuning_output_missing(struct rule_pass *pass)
{
    const struct data_destination *output = output_of(pass);
    if (output != NULL && !is_given(output->image) && output->volume_source == NULL)
        rule_report(pass, "tuning.output", NULL);
}

void rule_tuning_output_several(struct rule_pass *pass)
{
    const struct data_destination *output = output_of(pass);
    if (output == NULL || !is_given(output->image) || output->volume_source == NULL)
        return;
    rule_report(pass, "tuning.output.image", output->image);
    rule_report(pass, "tuning.output.volumeSource", NULL);
}

void rule_tuning_output_image(struct rule_pass *pass)
{
    const struct data_destination *output = output_of(pass);
    if (output != NULL && is_given(output->image) && !name_is_image_reference(output->image))
        rule_report(pass, "tuning.output.image", output->image);
}

void rule_push_secret_missing(struct rule_pass *pass)
{
    const struct data_destination *output = output_of(pass);
    if (output != NULL && is_given(output->image) && !is_given(output->image_push_secret))
        rule_report(pass, "tuning.output.imagePushSecret", NULL);
}

void rule_push_secret(struct rule_pass *pass)
{
    const struct data_destination *output = output_of(pass);
    if (output != NULL && is_given(output->image_push_secret) &&
        !name_is_dns1123_subdomain(output->image_push_secret))
        rule_report(pass, "tuning.output.imagePushSecret", output->image_push_secret);
}
