#include "common/base/config.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/compiler.h"
#include "common/base/memory.h"

enum { NAME_BYTES_MAX = 64, HELP_COLUMN = 34 };

static const struct duration_unit {
    const char *name;
    int64_t ms;
} units[] = { { "h", 3600 * 1000 }, { "m", 60 * 1000 }, { "s", 1000 }, { "ms", 1 } };

/* ------------------------------------------------------------------ values */

/* One or more of number and unit: 1h30m. */
static int parse_duration(const char *text, int64_t *out)
{
    int64_t total = 0;
    do {
        if (!isdigit((unsigned char)*text))
            return -1;
        char *end;
        errno = 0;
        int64_t number = strtoll(text, &end, 10);
        size_t length = strspn(end, "hms"), i = 0;
        while (i < ARRAY_LEN(units) &&
               (strlen(units[i].name) != length || memcmp(units[i].name, end, length) != 0))
            i++;
        if (errno != 0 || i == ARRAY_LEN(units) ||
            __builtin_mul_overflow(number, units[i].ms, &number) ||
            __builtin_add_overflow(total, number, &total))
            return -1;
        text = end + length;
    } while (*text != '\0');
    *out = total;
    return 0;
}

/* In the largest unit that says it exactly. */
static void put_duration(struct buf *out, int64_t ms)
{
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (ms != 0 && ms % units[i].ms == 0) {
            buf_printf(out, "%lld%s", (long long)(ms / units[i].ms), units[i].name);
            return;
        }
    }
    buf_puts(out, "0s");
}

static int parse_integer(const char *text, int64_t *out)
{
    char *end;
    errno = 0;
    int64_t number = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || isspace((unsigned char)*text))
        return -1;
    *out = number;
    return 0;
}

static bool is_choice(const char *choices, const char *text)
{
    size_t length = strlen(text);
    for (const char *word = choices;; word++) {
        size_t word_length = strcspn(word, "|");
        if (word_length == length && memcmp(word, text, length) == 0)
            return true;
        word += word_length;
        if (*word == '\0')
            return false;
    }
}

/* What is legal, for a message and for --help: "a whole number from 1 to 64". "" for free text. */
static void put_legal(struct buf *out, const struct config_option *option)
{
    switch (option->kind) {
    case CONFIG_KIND_TEXT:
        break;
    case CONFIG_KIND_INTEGER:
        buf_printf(out, "a whole number from %lld to %lld", (long long)option->min,
                   (long long)option->max);
        break;
    case CONFIG_KIND_DURATION:
        buf_puts(out, "a duration such as 250ms, 3s, 5m or 1h, from ");
        put_duration(out, option->min);
        buf_puts(out, " to ");
        put_duration(out, option->max);
        break;
    case CONFIG_KIND_BOOL:
        buf_puts(out, "true or false");
        break;
    case CONFIG_KIND_CHOICE:
        buf_puts(out, "one of ");
        for (const char *c = option->choices; *c != '\0'; c++)
            buf_puts(out, *c == '|' ? ", " : (const char[]){ *c, '\0' });
        break;
    }
}

/* Stores the value, or returns -1 when it is not legal. */
static int assign(const struct config_option *option, void *target, const char *text)
{
    void *member = (char *)target + option->offset;
    int64_t number;

    switch (option->kind) {
    case CONFIG_KIND_CHOICE:
        if (!is_choice(option->choices, text))
            return -1;
        *(const char **)member = text;
        return 0;
    case CONFIG_KIND_TEXT:
        *(const char **)member = text;
        return 0;
    case CONFIG_KIND_BOOL:
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
            return -1;
        *(bool *)member = strcmp(text, "true") == 0;
        return 0;
    case CONFIG_KIND_INTEGER:
    case CONFIG_KIND_DURATION:
        if ((option->kind == CONFIG_KIND_INTEGER ? parse_integer : parse_duration)(text, &number) <
                0 ||
            number < option->min || number > option->max)
            return -1;
        *(int64_t *)member = number;
        return 0;
    }
    return -1;
}

/* ------------------------------------------------------------------ the table */

struct cursor {
    const struct config_group *group;
    size_t index;
};

/* Every row of every group, in order. */
static const struct config_option *next_option(const struct config_table *table, struct cursor *at)
{
    if (at->group == NULL)
        *at = (struct cursor){ .group = table->groups };
    else
        at->index++;
    while (at->group < table->groups + ARRAY_LEN(table->groups) && at->group->options != NULL) {
        if (at->index < at->group->count)
            return &at->group->options[at->index];
        *at = (struct cursor){ .group = at->group + 1 };
    }
    return NULL;
}

#define FOR_EACH_OPTION(option, at, table)                                                \
    for (const struct config_option *option = next_option((table), (at)); option != NULL; \
         option = next_option((table), (at)))

static const struct config_option *find(const struct config_table *table, const char *name)
{
    struct cursor at = { 0 };
    FOR_EACH_OPTION(option, &at, table)
    {
        if (strcmp(option->name, name) == 0)
            return option;
    }
    return NULL;
}

/* Sets the member in every group that has it. `label` is what the user wrote: --name or
 * CKAITO_NAME. */
static int set(const struct config_table *table, const char *name, const char *label,
               const char *text, struct error *err)
{
    struct cursor at = { 0 };
    FOR_EACH_OPTION(option, &at, table)
    {
        if (strcmp(option->name, name) != 0 || assign(option, at.group->target, text) == 0)
            continue;
        AUTO(buf) struct buf legal = BUF_INIT(512);
        put_legal(&legal, option);
        return error_set(err, ERR_INVALID, "%s: \"%.100s\" is not legal; write %s", label, text,
                         buf_text(&legal));
    }
    return 0;
}

static void environment_name(const char *name, char out[NAME_BYTES_MAX])
{
    int length = snprintf(out, NAME_BYTES_MAX, "CKAITO_%s", name);
    assert(length > 0 && length < NAME_BYTES_MAX);
    for (char *p = out; *p != '\0'; p++)
        *p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
}

static int set_defaults(const struct config_table *table, struct error *err)
{
    struct cursor at = { 0 };
    FOR_EACH_OPTION(option, &at, table)
    {
        int legal =
            option->fallback == NULL ? 0 : assign(option, at.group->target, option->fallback);
        assert(legal == 0); /* the table contradicts itself */
        (void)legal;
    }
    at = (struct cursor){ 0 };
    FOR_EACH_OPTION(option, &at, table)
    {
        char variable[NAME_BYTES_MAX];
        environment_name(option->name, variable);
        const char *text = getenv(variable);
        if (text != NULL && set(table, option->name, variable, text, err) < 0)
            return -1;
    }
    return 0;
}

/* ------------------------------------------------------------------ flags */

/* Levenshtein distance of two short words; long ones are far from everything. */
static size_t distance(const char *a, const char *b)
{
    size_t row[NAME_BYTES_MAX + 1], a_length = strlen(a), b_length = strlen(b);
    if (a_length > NAME_BYTES_MAX || b_length > NAME_BYTES_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= b_length; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[b_length];
}

static int unknown_flag(const struct config_table *table, const char *name, struct error *err)
{
    const char *nearest = NULL;
    size_t least = strlen(name) / 3 + 2; /* further away is no typing error */
    struct cursor at = { 0 };
    FOR_EACH_OPTION(option, &at, table)
    {
        size_t apart = distance(name, option->name);
        if (apart < least) {
            least = apart;
            nearest = option->name;
        }
    }
    if (nearest == NULL)
        return error_set(err, ERR_INVALID, "unknown flag --%.100s; see --help", name);
    return error_set(err, ERR_INVALID, "unknown flag --%.100s; did you mean --%s? see --help", name,
                     nearest);
}

/* argv[*index] is "--name", "--name=value" or "--name" before its value. */
static int parse_flag(const struct config_table *table, int argc, char **argv, int *index,
                      struct error *err)
{
    const char *text = argv[*index] + 2;
    const char *value = strchr(text, '=');
    AUTO_FREE char *name = mem_strndup(text, value != NULL ? (size_t)(value - text) : strlen(text));
    const struct config_option *option = find(table, name);

    if (option == NULL)
        return unknown_flag(table, name, err);
    AUTO_FREE char *label = mem_printf("--%s", name);
    if (value != NULL)
        return set(table, name, label, value + 1, err);
    if (option->kind == CONFIG_KIND_BOOL)
        return set(table, name, label, "true", err);
    if (*index + 1 >= argc || strncmp(argv[*index + 1], "--", 2) == 0)
        return error_set(err, ERR_INVALID, "%s needs a value: %s %s", label, label,
                         option->placeholder != NULL ? option->placeholder : option->choices);
    ++*index;
    return set(table, name, label, argv[*index], err);
}

int config_parse(const struct config_table *table, int argc, char **argv, FILE *out,
                 struct error *err)
{
    for (int i = 1; i < argc; i++) { /* asked for help, a wrong environment does not matter */
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            config_help(table, out);
            return CONFIG_EXIT;
        }
        if (strcmp(argv[i], "--version") == 0) {
            fprintf(out, "%s %s\n", table->program, CKAITO_VERSION);
            return CONFIG_EXIT;
        }
    }
    if (set_defaults(table, err) < 0)
        return -1;
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) != 0 || argv[i][2] == '\0')
            return error_set(err, ERR_INVALID, "unexpected argument \"%.100s\"; see --help",
                             argv[i]);
        if (parse_flag(table, argc, argv, &i, err) < 0)
            return -1;
    }
    return CONFIG_RUN;
}

/* ------------------------------------------------------------------ help */

static bool is_repeat(const struct config_table *table, const struct config_option *option)
{
    return find(table, option->name) != option;
}

static const char *placeholder(const struct config_option *option)
{
    if (option->kind == CONFIG_KIND_BOOL)
        return "";
    return option->placeholder != NULL ? option->placeholder : option->choices;
}

void config_help(const struct config_table *table, FILE *out)
{
    fprintf(out, "%s: %s\n\nusage: %s [flags]\n\n", table->program, table->summary, table->program);
    struct cursor at = { 0 };
    FOR_EACH_OPTION(option, &at, table)
    {
        if (is_repeat(table, option))
            continue;
        int width = fprintf(out, "  --%s %s", option->name, placeholder(option));
        if (width >= HELP_COLUMN) {
            fputc('\n', out);
            width = 0;
        }
        fprintf(out, "%*s%s", HELP_COLUMN - width, "", option->help);
        if (option->fallback != NULL && option->fallback[0] != '\0')
            fprintf(out, " (default %s)", option->fallback);
        fputc('\n', out);
    }
    fprintf(out, "  %-*s%s\n", HELP_COLUMN - 2, "--help", "print this and exit");
    fprintf(out, "  %-*s%s\n", HELP_COLUMN - 2, "--version", "print the version and exit");
    fputs("\nEach flag can be set in the environment instead: --some-flag is CKAITO_SOME_FLAG.\n",
          out);
}

void config_document(const struct config_table *table, struct buf *out)
{
    buf_printf(out, "## %s\n\n%s\n\n", table->program, table->summary);
    buf_puts(out, "| flag | environment | default | legal | meaning |\n|---|---|---|---|---|\n");
    struct cursor at = { 0 };
    FOR_EACH_OPTION(option, &at, table)
    {
        if (is_repeat(table, option))
            continue;
        char variable[NAME_BYTES_MAX];
        environment_name(option->name, variable);
        bool has_default = option->fallback != NULL && option->fallback[0] != '\0';
        const char *quote = has_default ? "`" : "";
        buf_printf(out, "| `--%s` | `%s` | %s%s%s | ", option->name, variable, quote,
                   has_default ? option->fallback : "", quote);
        put_legal(out, option);
        buf_printf(out, " | %s |\n", option->help);
    }
}
