#include "common/causes/signals.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/json/json.h"

enum { WORD_BYTES_MAX = 96 };

static const struct signal_row {
    enum signal_place place;
    enum cause_id cause;
    const char *reasons, *words;
} rows[] = {
#define SIGNAL(place_, cause_, reasons_, words_) \
    { .place = PLACE_##place_,                   \
      .cause = CAUSE_##cause_,                   \
      .reasons = "" reasons_,                    \
      .words = "" words_ },
#include "common/causes/signals.def"
#undef SIGNAL
};

static bool is_one_of(const char *text, const char *choices)
{
    size_t length = strlen(text);
    for (const char *p = choices; *p != '\0';) {
        size_t choice = strcspn(p, "|");
        if (choice == length && memcmp(p, text, length) == 0)
            return true;
        p += choice + (p[choice] == '|' ? 1 : 0);
    }
    return false;
}

static bool says_one_of(const char *text, const char *choices)
{
    char word[WORD_BYTES_MAX];
    for (const char *p = choices; *p != '\0';) {
        size_t length = strcspn(p, "|");
        size_t kept = length < sizeof(word) - 1 ? length : sizeof(word) - 1;
        memcpy(word, p, kept);
        word[kept] = '\0';
        if (strcasestr(text, word) != NULL)
            return true;
        p += length + (p[length] == '|' ? 1 : 0);
    }
    return false;
}

enum cause_id signal_match(enum signal_place place, const char *reason, const char *message)
{
    const char *why = reason != NULL ? reason : "", *text = message != NULL ? message : "";
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct signal_row *row = &rows[i];
        if (row->place == place && (*row->reasons == '\0' || is_one_of(why, row->reasons)) &&
            (*row->words == '\0' || says_one_of(text, row->words)))
            return row->cause;
    }
    return CAUSE_COUNT;
}

int64_t cause_time_at(const cJSON *object, const char *path)
{
    const char *text = json_string_at(object, path);
    int64_t time_ms;
    return text != NULL && rfc3339_parse(text, &time_ms) == 0 ? time_ms : -1;
}
