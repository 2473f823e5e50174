/* kubectl ckaito review: one AdmissionReview a line in, one answer a line out, as the webhook's
 * /validate would answer. For pipelines that test policies without a cluster. */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "cli/cli.h"
#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "webhook/admission.h"

enum { HTTP_BAD_REQUEST = 400, HTTP_TOO_LARGE = 413 };

/* Reads up to the next newline; what is too long is read and left out, which buf_failed() tells.
 * False at the end of the stream. */
static bool read_line(FILE *in, struct buf *line)
{
    buf_reset(line);
    int c = getc_unlocked(in);
    if (c == EOF)
        return false;
    for (; c != EOF && c != '\n'; c = getc_unlocked(in))
        (void)buf_putc(line, (char)c); /* sticky */
    return true;
}

static bool is_blank(const struct buf *line)
{
    for (size_t i = 0; i < line->length; i++) {
        if (!isspace((unsigned char)line->data[i]))
            return false;
    }
    return !buf_failed(line);
}

/* Whom the answer is for, as far as that can be told of what is no review. */
static char *uid_of(const struct buf *line)
{
    AUTO(json) cJSON *json = NULL;
    struct error ignored = ERROR_INIT;
    if (json_parse(buf_text(line), line->length, ADMISSION_BYTES_MAX, &json, &ignored) < 0)
        return mem_strdup("");
    const char *uid = json_string_at(json, "request.uid");
    return mem_strdup(uid != NULL ? uid : "");
}

static char *answer_error(const struct buf *line, const struct error *err)
{
    bool large = err->code == ERR_TOO_LARGE;
    AUTO_FREE char *uid = uid_of(line);
    AUTO(json)
    cJSON *review =
        JOBJ(JS("apiVersion", ADMISSION_API_VERSION), JS("kind", ADMISSION_KIND),
             JV("response",
                JOBJ(JS("uid", uid), JB("allowed", false),
                     JV("status", JOBJ(JS("status", "Failure"), JS("message", err->message),
                                       JS("reason", large ? "RequestEntityTooLarge" : "BadRequest"),
                                       JI("code", large ? HTTP_TOO_LARGE : HTTP_BAD_REQUEST))))));
    return json_print(review);
}

static char *answer(const struct admission *admission, const struct buf *line)
{
    struct error err = ERROR_INIT;
    char *text = NULL;
    if (buf_failed(line))
        error_set(&err, ERR_TOO_LARGE, "a line of more than %d bytes", ADMISSION_BYTES_MAX);
    else if (admission_validate(admission, buf_text(line), line->length, &text, &err) == 0)
        return text;
    return answer_error(line, &err);
}

int command_review(struct cli *cli, struct error *err)
{
    const struct admission admission = { .settings = cli_settings(cli) };
    AUTO(buf) struct buf line = BUF_INIT(ADMISSION_BYTES_MAX);
    while (read_line(cli->in, &line)) {
        if (is_blank(&line))
            continue;
        AUTO_FREE char *text = answer(&admission, &line);
        if (fprintf(cli->out, "%s\n", text) < 0 || fflush(cli->out) != 0)
            return error_set(err, ERR_UNAVAILABLE, "cannot write the answer: %s", strerror(errno));
    }
    if (ferror(cli->in))
        return error_set(err, ERR_UNAVAILABLE, "cannot read standard input: %s", strerror(errno));
    return CLI_OK;
}
