/* Runs a fuzz target over files without a fuzzer: replay FILE|DIR... Without arguments, over the
 * target's own corpus, test/fuzz/corpus/NAME for the program NAME_fuzz_replay. */
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

#include "common/base/buf.h"
#include "common/base/file.h"
#include "test/fuzz/fuzz.h"

enum { INPUT_BYTES_MAX = 16 * 1024 * 1024 };

static int replay_file(const char *path)
{
    AUTO(buf) struct buf input = BUF_INIT(INPUT_BYTES_MAX);
    struct error err = ERROR_INIT;
    if (file_read(path, &input, &err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        return -1;
    }
    /* A copy of its exact size, so that reading past the end is noticed. */
    AUTO_FREE uint8_t *exact = mem_alloc(input.length > 0 ? input.length : 1);
    memcpy(exact, buf_text(&input), input.length);
    (void)LLVMFuzzerTestOneInput(exact, input.length); /* always 0 */
    return 1;
}

static int replay(const char *path)
{
    struct stat status;
    if (stat(path, &status) < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    if (!S_ISDIR(status.st_mode))
        return replay_file(path);
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, NULL, alphasort);
    int replayed = count < 0 ? -1 : 0;
    for (int i = 0; i < count; i++) {
        if (replayed >= 0 && entries[i]->d_name[0] != '.') {
            AUTO_FREE char *child = mem_printf("%s/%s", path, entries[i]->d_name);
            int more = replay(child);
            replayed = more < 0 ? -1 : replayed + more;
        }
        free(entries[i]);
    }
    free(entries);
    return replayed;
}

static char *own_corpus(const char *program)
{
    const char *slash = strrchr(program, '/');
    const char *name = slash != NULL ? slash + 1 : program;
    const char *end = strstr(name, "_fuzz");
    return mem_printf("test/fuzz/corpus/%.*s", end != NULL ? (int)(end - name) : (int)strlen(name),
                      name);
}

int main(int argc, char **argv)
{
    AUTO_FREE char *own = own_corpus(argv[0]);
    int total = 0;
    for (int i = 1; i < argc || i == 1; i++) {
        int replayed = replay(i < argc ? argv[i] : own);
        if (replayed < 0)
            return 1;
        total += replayed;
    }
    printf("%d inputs\n", total);
    return total > 0 ? 0 : 1;
}
