#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "test/lib/literals.h"
#include "webhook/rules.h"
#include "webhook/workspace_validate.h"

/* ------------------------------------------------------------------ documents
 * A case is one of two good Workspaces and what is different, as a JSON merge patch in single
 * quotes. */

enum base { SERVE, TUNE };

static const char *const bases[] = {
    [SERVE] = "{'apiVersion':'kaito.sh/v1beta1','kind':'Workspace',"
              "'metadata':{'name':'phi-4-mini','namespace':'default'},"
              "'resource':{'count':1,'instanceType':'Standard_NC24ads_A100_v4',"
              "'labelSelector':{'matchLabels':{'apps':'phi-4-mini'}}},"
              "'inference':{'preset':{'name':'phi-4-mini-instruct','accessMode':'public'}}}",
    [TUNE] = "{'apiVersion':'kaito.sh/v1alpha1','kind':'Workspace',"
             "'metadata':{'name':'tune-phi-3','namespace':'default'},"
             "'resource':{'count':1,'instanceType':'Standard_NC6s_v3',"
             "'labelSelector':{'matchLabels':{'app':'tune-phi-3'}}},"
             "'tuning':{'preset':{'name':'phi-3-mini-128k-instruct'},'method':'qlora',"
             "'input':{'urls':['https://huggingface.co/d.parquet?download=true']},"
             "'output':{'image':'myregistry.azurecr.io/phi-3-tuned:0.0.1',"
             "'imagePushSecret':'acr-push-secret'}}}",
};

static cJSON *parse(const char *single_quoted)
{
    AUTO(buf) struct buf text = BUF_INIT(64 * 1024);
    for (const char *p = single_quoted; *p != '\0'; p++)
        buf_putc(&text, *p == '\'' ? '"' : *p);
    return json_literal(buf_text(&text));
}

/* RFC 7386; the result is new. */
static cJSON *merge(const cJSON *target, const cJSON *patch)
{
    if (!cJSON_IsObject(patch))
        return json_copy(patch);
    cJSON *out = json_new_object();
    const cJSON *member;
    cJSON_ArrayForEach(member, target) {
        if (cJSON_IsObject(target) && json_get(patch, member->string) == NULL)
            json_set(out, member->string, json_copy(member));
    }
    cJSON_ArrayForEach(member, patch) {
        if (!cJSON_IsNull(member))
            json_set(out, member->string, merge(json_get(target, member->string), member));
    }
    return out;
}

static cJSON *document(enum base base, const char *patch)
{
    AUTO(json) cJSON *whole = parse(bases[base]);
    AUTO(json) cJSON *change = parse(patch);
    return merge(whole, change);
}

/* ------------------------------------------------------------------ one validation */

struct fixture {
    struct arena arena;
    cJSON *object, *old;
    struct validation validation;
};

static void run(struct fixture *fixture, enum base base, const char *old, const char *patch)
{
    const struct plan_settings settings = { .catalogue = catalogue_builtin(),
                                            .cloud = "azure",
                                            .nodes_max = 8 };
    *fixture = (struct fixture){ .arena = ARENA_INIT };
    fixture->object = document(base, patch);
    fixture->old = old != NULL ? document(base, old) : NULL;
    workspace_validate(fixture->object, fixture->old, &settings, &fixture->arena,
                       &fixture->validation);
}

static void done(struct fixture *fixture)
{
    json_free(fixture->object);
    json_free(fixture->old);
    arena_fini(&fixture->arena);
}

static const struct field_error *find(const struct field_errors *errors, const char *rule,
                                      const char *path)
{
    for (size_t i = 0; i < errors->count; i++) {
        if (strcmp(errors->items[i].rule, rule) == 0 && strcmp(errors->items[i].path, path) == 0)
            return &errors->items[i];
    }
    return NULL;
}

static void assert_clean(const struct fixture *fixture)
{
    if (fixture->validation.errors.count > 0)
        fail_msg("refused: %s", field_errors_text(&fixture->validation.errors));
    if (fixture->validation.warnings.count > 0)
        fail_msg("warned: %s", field_errors_text(&fixture->validation.warnings));
}

/* ------------------------------------------------------------------ one case a rule, or more */

struct rule_case {
    const char *rule;
    const char *path;
    enum base base;
    const char *old; /* NULL: creation */
    const char *patch;
};

#define X10           "xxxxxxxxxx"
#define X53           X10 X10 X10 X10 X10 "xxx"
#define ADAPTERS(...) "{'inference':{'adapters':[" __VA_ARGS__ "]}}"
#define A(name)       "{'source':{'name':'" name "','image':'r.io/a:1'}}"
#define X11                                                                                        \
    A("0")                                                                                         \
    "," A("1") "," A("2") "," A("3") "," A("4") "," A("5") "," A("6") "," A("7") "," A("8") "," A( \
        "9") "," A("10")
#define TEMPLATE "'preset':null,'template':{'spec':{'containers':[{'name':'c','image':'nginx'}]}}"

static const struct rule_case cases[] = {
    { "metadata/name-label", "metadata.name", SERVE, NULL, "{'metadata':{'name':'a.b'}}" },
    { "metadata/name-length", "metadata.name", SERVE, NULL, "{'metadata':{'name':'" X53 "'}}" },
    { "metadata/runtime", "metadata.annotations[kaito.sh/runtime]", SERVE, NULL,
      "{'metadata':{'annotations':{'kaito.sh/runtime':'sglang'}}}" },
    { "metadata/image-family", "metadata.annotations[kaito.sh/node-image-family]", SERVE, NULL,
      "{'metadata':{'annotations':{'kaito.sh/node-image-family':'windows'}}}" },
    { "metadata/performance-mode", "metadata.annotations[kaito.sh/performance-mode]", SERVE, NULL,
      "{'metadata':{'annotations':{'kaito.sh/performance-mode':''}}}" },
    { "metadata/local-weights", "metadata.annotations[kaito.sh/use-local-weights]", SERVE, NULL,
      "{'metadata':{'annotations':{'kaito.sh/use-local-weights':'yes'}}}" },
    { "metadata/node-class", "metadata.annotations[kaito.sh/node-class-name]", SERVE, NULL,
      "{'metadata':{'annotations':{'kaito.sh/node-class-name':'My Class'}}}" },
    { "metadata/inference-role", "metadata.labels[kaito.sh/inference-role]", SERVE, NULL,
      "{'metadata':{'labels':{'kaito.sh/inference-role':'prefill'}}}" },
    { "metadata/inference-role", "metadata.labels[kaito.sh/inference-role]", SERVE, "{}",
      "{'metadata':{'labels':{'kaito.sh/inference-role':'decode'}}}" },
    { "metadata/streaming", "metadata.annotations[kaito.sh/model-streaming]", SERVE, NULL,
      "{'metadata':{'annotations':{'kaito.sh/model-streaming':'enabled'}}}" },
    { "metadata/streaming", "metadata.annotations[inference.kaito.sh/static-model-mirror]", SERVE,
      NULL, "{'metadata':{'annotations':{'inference.kaito.sh/static-model-mirror':'true'}}}" },
    { "metadata/load-balancer-ignored", "metadata.annotations[kaito.sh/enablelb]", SERVE, NULL,
      "{'metadata':{'annotations':{'kaito.sh/enablelb':'true'}}}" },
    { "metadata/benchmark-ignored", "metadata.annotations[kaito.sh/disable-benchmark]", SERVE, NULL,
      "{'metadata':{'annotations':{'kaito.sh/disable-benchmark':'True'}}}" },

    { "workload/missing", "inference", SERVE, NULL, "{'inference':null}" },
    { "workload/both", "tuning", SERVE, NULL,
      "{'tuning':{'input':{'image':'r.io/d:1'},'output':{'volumeSource':{'emptyDir':{}}}}}" },

    { "resource/missing", "resource", SERVE, NULL, "{'resource':null}" },
    { "resource/instance-type-missing", "resource.instanceType", SERVE, NULL,
      "{'resource':{'instanceType':''}}" },
    { "resource/count-positive", "resource.count", SERVE, NULL, "{'resource':{'count':0}}" },
    { "resource/count-tuning", "resource.count", TUNE, NULL, "{'resource':{'count':2}}" },
    { "resource/partition", "resource.partition", SERVE, NULL,
      "{'resource':{'partition':{'mode':'mig','profile':'1g.10gb'}}}" },
    { "resource/selector-expression", "resource.labelSelector.matchExpressions[1].operator", SERVE,
      NULL,
      "{'resource':{'labelSelector':{'matchExpressions':[{'key':'a','operator':'In','values':['b']}"
      ","
      "{'key':'c','operator':'Exists'}]}}}" },
    { "resource/selector-expression", "resource.labelSelector.matchExpressions[0].values", SERVE,
      NULL,
      "{'resource':{'labelSelector':{'matchExpressions':[{'key':'a','operator':'In',"
      "'values':['b','c']}]}}}" },
    { "resource/selector-key", "resource.labelSelector.matchLabels[bad key!]", SERVE, NULL,
      "{'resource':{'labelSelector':{'matchLabels':{'bad key!':'x'}}}}" },
    { "resource/selector-key", "resource.labelSelector.matchExpressions[0].key", SERVE, NULL,
      "{'resource':{'labelSelector':{'matchExpressions':[{'key':'/','operator':'In',"
      "'values':['b']}]}}}" },
    { "resource/selector-value", "resource.labelSelector.matchLabels[a]", SERVE, NULL,
      "{'resource':{'labelSelector':{'matchLabels':{'a':'not a value'}}}}" },
    { "resource/selector-value", "resource.labelSelector.matchExpressions[0].values[0]", SERVE,
      NULL,
      "{'resource':{'labelSelector':{'matchExpressions':[{'key':'a','operator':'In',"
      "'values':['-']}]}}}" },
    { "resource/selector-reserved", "resource.labelSelector.matchLabels", SERVE, NULL,
      "{'resource':{'labelSelector':{'matchLabels':{'apps':null,'kaito.sh/workspace':'x'}}}}" },
    { "resource/selector-reserved-ignored",
      "resource.labelSelector.matchLabels[kaito.sh/workspace]", SERVE, NULL,
      "{'resource':{'labelSelector':{'matchLabels':{'kaito.sh/workspace':'x'}}}}" },
    { "resource/selector-expressions-ignored", "resource.labelSelector.matchExpressions", SERVE,
      NULL,
      "{'resource':{'labelSelector':{'matchExpressions':[{'key':'a','operator':'In',"
      "'values':['b']}]}}}" },
    { "resource/selector-empty", "resource.labelSelector", SERVE, NULL,
      "{'resource':{'labelSelector':{'matchLabels':null}}}" },

    { "inference/source-missing", "inference.preset", SERVE, NULL,
      "{'inference':{'preset':null}}" },
    { "inference/source-both", "inference.template", SERVE, NULL,
      "{'inference':{'template':{'spec':{'containers':[{'name':'c','image':'nginx'}]}}}}" },
    { "inference/template-containers", "inference.template.spec.containers", SERVE, NULL,
      "{'inference':{'preset':null,'template':{'spec':{'containers':[]}}}}" },
    { "inference/template-container-name", "inference.template.spec.containers[0].name", SERVE,
      NULL,
      "{'inference':{'preset':null,'template':{'spec':{'containers':[{'name':'C','image':'n'}]}}}"
      "}" },
    { "inference/template-container-image", "inference.template.spec.containers[0].image", SERVE,
      NULL, "{'inference':{'preset':null,'template':{'spec':{'containers':[{'name':'c'}]}}}}" },
    { "inference/template-ignores", "inference.adapters", SERVE, NULL,
      "{'inference':{" TEMPLATE ",'adapters':[" A("a") "]}}" },
    { "inference/template-ignores", "inference.config", SERVE, NULL,
      "{'inference':{" TEMPLATE ",'config':'c'}}" },
    { "inference/config", "inference.config", SERVE, NULL, "{'inference':{'config':'My_Config'}}" },
    { "inference/adapters-max", "inference.adapters", SERVE, NULL, ADAPTERS(X11) },
    { "inference/adapter-source", "inference.adapters[1].source", SERVE, NULL,
      ADAPTERS(A("a") ",{}") },
    { "inference/adapter-name-missing", "inference.adapters[0].source.name", SERVE, NULL,
      ADAPTERS("{'source':{'image':'r.io/a:1'}}") },
    { "inference/adapter-name", "inference.adapters[0].source.name", SERVE, NULL,
      ADAPTERS(A("Bad_Name")) },
    { "inference/adapter-name-unique", "inference.adapters[2].source.name", SERVE, NULL,
      ADAPTERS(A("a") "," A("b") "," A("a")) },
    { "inference/adapter-source-missing", "inference.adapters[0].source.image", SERVE, NULL,
      ADAPTERS("{'source':{'name':'a'}}") },
    { "inference/adapter-source-both", "inference.adapters[0].source.volumeSource", SERVE, NULL,
      ADAPTERS("{'source':{'name':'a','image':'r.io/a:1','volumeSource':{'emptyDir':{}}}}") },
    { "inference/adapter-urls", "inference.adapters[0].source.urls", SERVE, NULL,
      ADAPTERS("{'source':{'name':'a','urls':['https://example.com/a']}}") },
    { "inference/adapter-image", "inference.adapters[0].source.image", SERVE, NULL,
      ADAPTERS("{'source':{'name':'a','image':'::bad::'}}") },
    { "inference/adapter-strength-runtime", "inference.adapters[0].strength", SERVE, NULL,
      ADAPTERS("{'source':{'name':'a','image':'r.io/a:1'},'strength':'1'}") },
    { "inference/adapter-strength", "inference.adapters[0].strength", SERVE, NULL,
      "{'metadata':{'annotations':{'kaito.sh/runtime':'transformers'}},'inference':{'preset':"
      "{'name':'phi-4'},'adapters':[{'source':{'name':'a','image':'r.io/"
      "a:1'},'strength':'1.1'}]}}" },

    { "tuning/preset-missing", "tuning.preset", TUNE, NULL, "{'tuning':{'preset':null}}" },
    { "tuning/method", "tuning.method", TUNE, NULL, "{'tuning':{'method':'full'}}" },
    { "tuning/method", "tuning.method", TUNE, NULL, "{'tuning':{'method':null}}" },
    { "tuning/config", "tuning.config", TUNE, NULL, "{'tuning':{'config':'My_Config'}}" },
    { "tuning/input-missing", "tuning.input", TUNE, NULL, "{'tuning':{'input':{'urls':[]}}}" },
    { "tuning/input-several", "tuning.input.urls", TUNE, NULL,
      "{'tuning':{'input':{'image':'r.io/d:1'}}}" },
    { "tuning/input-several", "tuning.input.image", TUNE, NULL,
      "{'tuning':{'input':{'image':'r.io/d:1'}}}" },
    { "tuning/url", "tuning.input.urls[1]", TUNE, NULL,
      "{'tuning':{'input':{'urls':['https://example.com/d','https://0x7f.1/d']}}}" },
    { "tuning/input-image", "tuning.input.image", TUNE, NULL,
      "{'tuning':{'input':{'urls':null,'image':'UPPER/Case:tag'}}}" },
    { "tuning/output-missing", "tuning.output", TUNE, NULL,
      "{'tuning':{'output':{'image':null}}}" },
    { "tuning/output-several", "tuning.output.volumeSource", TUNE, NULL,
      "{'tuning':{'output':{'volumeSource':{'emptyDir':{}}}}}" },
    { "tuning/output-image", "tuning.output.image", TUNE, NULL,
      "{'tuning':{'output':{'image':'R.IO/O:1'}}}" },
    { "tuning/push-secret-missing", "tuning.output.imagePushSecret", TUNE, NULL,
      "{'tuning':{'output':{'imagePushSecret':''}}}" },
    { "tuning/push-secret", "tuning.output.imagePushSecret", TUNE, NULL,
      "{'tuning':{'output':{'imagePushSecret':'My_Secret'}}}" },

    { "workload/access-mode", "inference.preset.accessMode", SERVE, NULL,
      "{'inference':{'preset':{'accessMode':'secret'}}}" },
    { "workload/access-secret", "inference.preset.presetOptions.modelAccessSecret", SERVE, NULL,
      "{'inference':{'preset':{'presetOptions':{'modelAccessSecret':'HF_TOKEN'}}}}" },
    { "workload/access-secret", "tuning.preset.presetOptions.modelAccessSecret", TUNE, NULL,
      "{'tuning':{'preset':{'presetOptions':{'modelAccessSecret':'HF_TOKEN'}}}}" },
    { "workload/private-preset-ignored", "inference.preset.accessMode", SERVE, NULL,
      "{'inference':{'preset':{'accessMode':'private'}}}" },
    { "workload/private-preset-ignored", "inference.preset.presetOptions.image", SERVE, NULL,
      "{'inference':{'preset':{'presetOptions':{'image':'r.io/m:1'}}}}" },
    { "workload/pull-secret", "inference.adapters[0].source.imagePullSecrets[1]", SERVE, NULL,
      ADAPTERS("{'source':{'name':'a','image':'r.io/a:1','imagePullSecrets':['s','S']}}") },
    { "workload/pull-secret", "tuning.input.imagePullSecrets[0]", TUNE, NULL,
      "{'tuning':{'input':{'imagePullSecrets':['']}}}" },
    { "workload/volume-source", "inference.adapters[0].source.volumeSource", SERVE, NULL,
      ADAPTERS("{'source':{'name':'a','volumeSource':{}}}") },
    { "workload/volume-source", "tuning.input.volumeSource", TUNE, NULL,
      "{'tuning':{'input':{'urls':null,'volumeSource':{'emptyDir':{},'hostPath':{'path':'/'}}}}}" },
    { "workload/volume-source", "tuning.output.volumeSource", TUNE, NULL,
      "{'tuning':{'output':{'image':null,'volumeSource':'data'}}}" },

    { "update/inference-presence", "inference", TUNE, "{}",
      "{'inference':{'preset':{'name':'phi-4'}}}" },
    { "update/tuning-presence", "tuning", TUNE, "{}", "{'tuning':null}" },
    { "update/count-change", "resource.count", SERVE, "{}", "{'resource':{'count':2}}" },
    { "update/instance-type-change", "resource.instanceType", SERVE, "{}",
      "{'resource':{'instanceType':'Standard_NC48ads_A100_v4'}}" },
    { "update/selector-change", "resource.labelSelector", SERVE, "{}",
      "{'resource':{'labelSelector':{'matchLabels':{'apps':'other'}}}}" },
    { "update/partition-change", "resource.partition", SERVE, "{}",
      "{'resource':{'partition':{'mode':'mig'}}}" },
    { "update/inference-preset-change", "inference.preset.name", SERVE, "{}",
      "{'inference':{'preset':{'name':'phi-4'}}}" },
    { "update/inference-preset-change", "inference.preset.presetOptions", SERVE, "{}",
      "{'inference':{'preset':{'presetOptions':{'modelAccessSecret':'x'}}}}" },
    { "update/inference-preset-change", "inference.preset.accessMode", SERVE, "{}",
      "{'inference':{'preset':{'accessMode':'private'}}}" },
    { "update/inference-preset-change", "inference.preset", SERVE, "{}",
      "{'inference':{" TEMPLATE "}}" },
    { "update/template-presence", "inference.template", SERVE, "{}",
      "{'inference':{" TEMPLATE "}}" },
    { "update/tuning-preset-change", "tuning.preset.name", TUNE, "{}",
      "{'tuning':{'preset':{'name':'phi-4'}}}" },
    { "update/tuning-method-change", "tuning.method", TUNE, "{}", "{'tuning':{'method':'lora'}}" },
    { "update/tuning-input-name-change", "tuning.input.name", TUNE, "{}",
      "{'tuning':{'input':{'name':'other'}}}" },
};

static void test_workspace_validate_rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture fixture;
        run(&fixture, cases[i].base, cases[i].old, cases[i].patch);
        const struct validation *found = &fixture.validation;
        const struct field_error *error = find(&found->errors, cases[i].rule, cases[i].path);
        if (error == NULL)
            error = find(&found->warnings, cases[i].rule, cases[i].path);
        if (error == NULL)
            fail_msg("%s at %s was not reported for %s; instead: %s", cases[i].rule, cases[i].path,
                     cases[i].patch, field_errors_text(&found->errors));
        else
            assert_non_null(error->detail);
        done(&fixture);
    }
}

static void test_workspace_validate_every_rule_has_a_case(void **state)
{
    (void)state;
    for (size_t i = 0; i < rule_count; i++) {
        bool covered = false;
        for (size_t j = 0; j < ARRAY_LEN(cases); j++)
            covered = covered || strcmp(cases[j].rule, rules[i].id) == 0;
        if (!covered)
            fail_msg("no case for rule %s", rules[i].id);
    }
}

static void test_workspace_validate_refusals_say_what_to_write(void **state)
{
    (void)state;
    for (size_t i = 0; i < rule_count; i++) {
        assert_non_null(rules[i].detail);
        if (rules[i].outcome != RULE_WARNS && rules[i].fix == NULL)
            fail_msg("rule %s has no fix", rules[i].id);
    }
}

/* ------------------------------------------------------------------ what passes */

struct good_case {
    enum base base;
    const char *old;
    const char *patch;
};

static void test_workspace_validate_passes(void **state)
{
    (void)state;
    static const struct good_case good[] = {
        { SERVE, NULL, "{}" },
        { TUNE, NULL, "{}" },
        { SERVE, NULL, "{'apiVersion':'kaito.sh/v1alpha1'}" },
        { TUNE, NULL, "{'apiVersion':'kaito.sh/v1beta1'}" },
        { TUNE, NULL, "{'tuning':{'method':'QLoRA'}}" },
        { TUNE, NULL, "{'resource':{'count':null}}" },
        { SERVE, NULL, "{'metadata':{'name':null,'generateName':'phi-'}}" },
        { SERVE, NULL,
          "{'metadata':{'annotations':{'kaito.sh/node-image-family':' AzureLinux '}}}" },
        { SERVE, NULL, "{'inference':{'preset':{'presetOptions':{'modelAccessSecret':''}}}}" },
        { SERVE, NULL, "{'inference':{'adapters':[]}}" },
        { SERVE, NULL, "{'metadata':{'annotations':{'kaito.sh/model-streaming':'disabled'}}}" },
        { SERVE, NULL, ADAPTERS(A("a") "," A("b")) },
        { SERVE, NULL, "{'apiVersion':'kaito.sh/v1alpha1','inference':{'adapters':[" X11 "]}}" },
        { SERVE, NULL,
          "{'metadata':{'annotations':{'kaito.sh/runtime':'transformers'}},'inference':{'preset':"
          "{'name':'phi-4'},'adapters':[{'source':{'name':'a','image':'r.io/a:1'},"
          "'strength':'0x1p-2'}]}}" },
        { SERVE, NULL,
          "{'resource':{'instanceType':'Standard_D4s_v3'},'inference':{" TEMPLATE "}}" },
        { TUNE, NULL, "{'tuning':{'input':{'urls':null,'volumeSource':{'emptyDir':{}}}}}" },
        { SERVE, "{}", "{}" },
        { SERVE, "{}", "{'status':{'state':'Ready'}}" },
        { SERVE, "{}", ADAPTERS(A("a")) },
        { SERVE, "{'resource':{'instanceType':''}}", "{}" },
        { TUNE, "{}", "{'tuning':{'method':'QLORA'}}" },
        { TUNE, "{}", "{'tuning':{'output':{'image':'r.io/other:1'}}}" },
        { SERVE, "{}", "{'inference':{'preset':{'accessMode':null,'presetOptions':{}}}}" },
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct fixture fixture;
        run(&fixture, good[i].base, good[i].old, good[i].patch);
        assert_clean(&fixture);
        done(&fixture);
    }
}

static void test_workspace_validate_selector_in_other_words(void **state)
{
    (void)state;
    struct fixture fixture;
    run(&fixture, SERVE, "{}",
        "{'resource':{'labelSelector':{'matchLabels':null,'matchExpressions':"
        "[{'key':'apps','operator':'In','values':['phi-4-mini']}]}}}");
    assert_int_equal(fixture.validation.errors.count, 0);
    done(&fixture);
}

static void test_workspace_validate_plans(void **state)
{
    (void)state;
    struct fixture fixture;
    run(&fixture, SERVE, NULL, "{}");
    assert_true(fixture.validation.planned);
    assert_int_equal(fixture.validation.plan.node_count, 1);
    done(&fixture);
}

static void test_workspace_validate_adds_the_plans_reasons(void **state)
{
    (void)state;
    struct fixture fixture;
    run(&fixture, SERVE, NULL,
        "{'metadata':{'name':'a.b'},'resource':{'instanceType':'Standard_NG32ads_V620_v1'}}");
    assert_false(fixture.validation.planned);
    assert_non_null(find(&fixture.validation.errors, "metadata/name-label", "metadata.name"));
    assert_int_equal(fixture.validation.errors.count, 2);
    assert_string_equal(fixture.validation.errors.items[1].path, "resource.instanceType");
    done(&fixture);
}

static void test_workspace_validate_placeholders(void **state)
{
    (void)state;
    struct fixture fixture;
    run(&fixture, TUNE, NULL,
        "{'tuning':{'output':{'image':'ACR_REPO_HERE.azurecr.io/IMAGE_NAME_HERE:0.0.1',"
        "'imagePushSecret':'ACR_REGISTRY_SECRET_HERE'}}}");
    const char *text = field_errors_text(&fixture.validation.errors);
    assert_int_equal(fixture.validation.errors.count, 2);
    assert_non_null(strstr(text, "tuning.output.image: "));
    assert_non_null(strstr(text, "myregistry.azurecr.io/phi-3-tuned:0.0.1"));
    assert_non_null(strstr(text, "tuning.output.imagePushSecret: "));
    assert_non_null(strstr(text, "acr-push-secret"));
    done(&fixture);
}

/* The tuning example with each mistake that people make of it, alone and all at once. */
static void test_workspace_validate_the_example_gone_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *patch, *path, *fix;
    } mistakes[] = {
        { "{'resource':{'instanceType':'Standard_NC6s_v9'}}", "resource.instanceType",
          "Standard_NC" },
        { "{'resource':{'instanceType':'Standard_D4s_v5'}}", "resource.instanceType",
          "Standard_NC" },
        { "{'tuning':{'method':'full'}}", "tuning.method", "qlora" },
        { "{'tuning':{'input':{'image':'r.io/d:1'}}}", "tuning.input.urls", "exactly one" },
        { "{'tuning':{'preset':{'name':'llama-3.3-70b-instruct'}},"
          "'resource':{'instanceType':'Standard_NV36ads_A10_v5'}}",
          "tuning.preset.name", "phi-3-mini-128k-instruct" },
    };
    AUTO(json) cJSON *all = json_new_object();
    for (size_t i = 0; i <= ARRAY_LEN(mistakes); i++) {
        bool one = i < ARRAY_LEN(mistakes);
        AUTO(json) cJSON *patch = one ? parse(mistakes[i].patch) : json_copy(all);
        cJSON *more = merge(all, patch);
        json_free(all);
        all = more;
        AUTO_FREE char *text = json_print(patch);
        struct fixture fixture;
        run(&fixture, TUNE, NULL, text);
        const char *answer = field_errors_text(&fixture.validation.errors);
        for (size_t k = one ? i : 1; k < (one ? i + 1 : ARRAY_LEN(mistakes)); k++) {
            if (strstr(answer, mistakes[k].path) == NULL || strstr(answer, mistakes[k].fix) == NULL)
                fail_msg("%s: %s", text, answer);
        }
        done(&fixture);
    }
}

/* ------------------------------------------------------------------ decoding */

static void test_workspace_validate_wrong_types(void **state)
{
    (void)state;
    struct fixture fixture;
    run(&fixture, TUNE, NULL, "{'tuning':{'method':5,'input':{'urls':'https://example.com'}}}");
    assert_non_null(find(&fixture.validation.errors, "", "tuning.method"));
    assert_non_null(find(&fixture.validation.errors, "", "tuning.input.urls"));
    assert_null(find(&fixture.validation.errors, "tuning/method", "tuning.method"));
    done(&fixture);
}

/* ------------------------------------------------------------------ updates */

static const char BROKEN[] = ADAPTERS("{'source':{'name':'Bad_Name'}}");

static void test_workspace_validate_old_problems_do_not_freeze(void **state)
{
    (void)state;
    static const char *const changes[] = {
        "{}",
        "{'metadata':{'finalizers':['workspace.finalizer.kaito.sh'],'labels':{'a':'b'}}}",
        "{'metadata':{'annotations':{'workspace.kaito.io/revision':'1'}}}",
        "{'inference':{'config':'my-config'}}",
    };
    AUTO(json) cJSON *broken = parse(BROKEN);
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        AUTO(json) cJSON *change = parse(changes[i]);
        AUTO(json) cJSON *both = merge(broken, change);
        AUTO_FREE char *text = json_print(both);
        struct fixture fixture;
        run(&fixture, SERVE, BROKEN, text);
        assert_clean(&fixture);
        done(&fixture);
    }
}

/* The document of every case, broken in every way there is, can be written again as it is and with
 * what controllers and tools add; and so can every document with the faults of two cases. */
static void check_not_frozen(const cJSON *object, const char *what)
{
    static const char *const changes[] = {
        "{}",
        "{'metadata':{'finalizers':['workspace.finalizer.kaito.sh'],'resourceVersion':'7'}}",
        "{'metadata':{'labels':{'team':'a'},'ownerReferences':[{'name':'x'}]}}",
        "{'metadata':{'annotations':{'workspace.kaito.io/hash':'1','kubectl/last':'{}'}}}",
        "{'status':{'state':'Ready','conditions':[{'type':'Ready'}]}}",
    };
    const struct plan_settings settings = { .catalogue = catalogue_builtin(),
                                            .cloud = "azure",
                                            .nodes_max = 8 };
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        AUTO(arena) struct arena arena = ARENA_INIT;
        AUTO(json) cJSON *change = parse(changes[i]);
        AUTO(json) cJSON *changed = merge(object, change);
        struct validation validation;
        workspace_validate(changed, object, &settings, &arena, &validation);
        if (validation.errors.count + validation.errors.dropped > 0)
            fail_msg("%s: %s is refused: %s", what, changes[i],
                     field_errors_text(&validation.errors));
    }
}

static void test_workspace_validate_nothing_freezes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(json) cJSON *one = document(cases[i].base, cases[i].patch);
        check_not_frozen(one, cases[i].patch);
        for (size_t k = i % 7; k < ARRAY_LEN(cases); k += 7) {
            AUTO(json) cJSON *patch = parse(cases[k].patch);
            AUTO(json) cJSON *two = merge(one, patch);
            check_not_frozen(two, cases[k].patch);
        }
    }
}

/* More problems than are kept. */
static void test_workspace_validate_many_problems_do_not_freeze(void **state)
{
    (void)state;
    AUTO(json) cJSON *object = document(TUNE, "{}");
    cJSON *urls = json_new_array();
    for (int i = 0; i < 2 * FIELD_ERRORS_MAX; i++)
        json_append(urls, JSTR("ftp://example.com/d"));
    AUTO(json) cJSON *change = JOBJ(JV("tuning", JOBJ(JV("input", JOBJ(JV("urls", urls))))));
    AUTO(json) cJSON *broken = merge(object, change);
    check_not_frozen(broken, "many URLs");
}

/* What an update is blamed for, it would be blamed for on creation too, or it is a change that is
 * not allowed: judging updates finds nothing else. */
static void test_workspace_validate_updates_are_blamed_for_no_more(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture update, creation;
        run(&update, cases[i].base, "{}", cases[i].patch);
        run(&creation, cases[i].base, NULL, cases[i].patch);
        for (size_t k = 0; k < update.validation.errors.count; k++) {
            const struct field_error *error = &update.validation.errors.items[k];
            if (strncmp(error->rule, "update/", 7) != 0 &&
                find(&creation.validation.errors, error->rule, error->path) == NULL)
                fail_msg("%s: %s at %s", cases[i].patch, error->rule, error->path);
        }
        done(&update);
        done(&creation);
    }
}

static void test_workspace_validate_new_problems_beside_old_ones(void **state)
{
    (void)state;
    struct fixture fixture;
    run(&fixture, SERVE, BROKEN,
        ADAPTERS("{'source':{'name':'Bad_Name'}},{'source':{'name':'b','image':'Foo/BAR:1'}}"));
    assert_int_equal(fixture.validation.errors.count, 1);
    assert_string_equal(fixture.validation.errors.items[0].path,
                        "inference.adapters[1].source.image");
    done(&fixture);
}

static void test_workspace_validate_a_bad_value_for_another(void **state)
{
    (void)state;
    struct fixture fixture;
    run(&fixture, TUNE, "{'tuning':{'output':{'image':'A/B'}}}",
        "{'tuning':{'output':{'image':'A/C'}}}");
    assert_int_equal(fixture.validation.errors.count, 1);
    done(&fixture);
}

static void test_workspace_validate_plan_of_old_objects(void **state)
{
    (void)state;
    struct fixture fixture;
    /* Stored before its machine was known to be unfit; the annotation makes the plan again. */
    run(&fixture, SERVE, "{'resource':{'instanceType':'Standard_NG32ads_V620_v1'}}",
        "{'resource':{'instanceType':'Standard_NG32ads_V620_v1'},"
        "'metadata':{'annotations':{'kaito.sh/bypass-resource-checks':'true'}}}");
    assert_int_equal(fixture.validation.errors.count, 0);
    assert_false(fixture.validation.planned);
    done(&fixture);
}

static void test_workspace_validate_deletion_passes(void **state)
{
    (void)state;
    struct fixture fixture;
    run(&fixture, SERVE, "{}",
        "{'metadata':{'deletionTimestamp':'2026-01-01T00:00:00Z'},'resource':{'count':5}}");
    assert_false(fixture.validation.judged);
    assert_int_equal(fixture.validation.errors.count, 0);
    done(&fixture);
}

/* ------------------------------------------------------------------ ConfigMaps */

struct config_case {
    enum base base;
    const char *old;
    const char *patch;
    const char *config;
    const char *kind;
};

static void test_workspace_validate_names_the_config_to_check(void **state)
{
    (void)state;
    static const struct config_case configs[] = {
        { SERVE, NULL, "{}", NULL, NULL },
        { SERVE, NULL, "{'inference':{'config':'c'}}", "c", "inference" },
        { TUNE, NULL, "{'tuning':{'config':'c'}}", "c", "tuning" },
        { SERVE, NULL, "{'inference':{'config':'C'}}", NULL, NULL },
        { SERVE, NULL, "{'inference':{'config':'c'," TEMPLATE "}}", NULL, NULL },
        { SERVE, "{'inference':{'config':'c'}}",
          "{'inference':{'config':'c','adapters':[" A("a") "]}}", NULL, NULL },
        { SERVE, "{'inference':{'config':'c'}}", "{'inference':{'config':'d'}}", "d", "inference" },
    };
    for (size_t i = 0; i < ARRAY_LEN(configs); i++) {
        struct fixture fixture;
        run(&fixture, configs[i].base, configs[i].old, configs[i].patch);
        if (configs[i].config == NULL) {
            assert_null(fixture.validation.config);
        } else {
            assert_string_equal(fixture.validation.config, configs[i].config);
            assert_string_equal(fixture.validation.config_kind, configs[i].kind);
        }
        done(&fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_workspace_validate_rules),
        cmocka_unit_test(test_workspace_validate_every_rule_has_a_case),
        cmocka_unit_test(test_workspace_validate_refusals_say_what_to_write),
        cmocka_unit_test(test_workspace_validate_passes),
        cmocka_unit_test(test_workspace_validate_selector_in_other_words),
        cmocka_unit_test(test_workspace_validate_plans),
        cmocka_unit_test(test_workspace_validate_adds_the_plans_reasons),
        cmocka_unit_test(test_workspace_validate_placeholders),
        cmocka_unit_test(test_workspace_validate_the_example_gone_wrong),
        cmocka_unit_test(test_workspace_validate_wrong_types),
        cmocka_unit_test(test_workspace_validate_old_problems_do_not_freeze),
        cmocka_unit_test(test_workspace_validate_nothing_freezes),
        cmocka_unit_test(test_workspace_validate_many_problems_do_not_freeze),
        cmocka_unit_test(test_workspace_validate_updates_are_blamed_for_no_more),
        cmocka_unit_test(test_workspace_validate_new_problems_beside_old_ones),
        cmocka_unit_test(test_workspace_validate_a_bad_value_for_another),
        cmocka_unit_test(test_workspace_validate_plan_of_old_objects),
        cmocka_unit_test(test_workspace_validate_deletion_passes),
        cmocka_unit_test(test_workspace_validate_names_the_config_to_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
