/* service_main in a child process with two services of the test: `first` and `second`. They tell
 * the test what happens to them by letters in a pipe: f and s when started, F and S when stopped.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/memory.h"
#include "test/lib/tls_dir.h"
#include "test/lib/web.h"

#include "services/service.h"

enum { OUTPUT_MAX = 64 * 1024, TRIES = 2000, TRY_US = 5000 };

/* ------------------------------------------------------------------ the services */

struct fake_config {
    const char *mode; /* fine, fail, hang (in stop), slow (start waits for a byte) */
    const char *where;
};

static int events_fd, control_fd;

static void tell(char event)
{
    assert_int_equal(write(events_fd, &event, 1), 1);
}

#define FAKE(type, started, stopped)                                                         \
    static const struct config_option type##_options[] = {                                   \
        CONFIG_TEXT(struct type##_config, fake.mode, #type, "fine", "MODE", "what it does"), \
        CONFIG_TEXT(struct type##_config, fake.where, "where", "default", "TEXT", "shared"), \
    };                                                                                       \
    static const size_t type##_option_count = ARRAY_LEN(type##_options);                     \
    static int type##_start(const struct type##_config *config, struct stop *stop,           \
                            struct type **out, struct error *err)                            \
    {                                                                                        \
        static struct type instance;                                                         \
        (void)stop;                                                                          \
        instance.mode = config->fake.mode;                                                   \
        *out = &instance;                                                                    \
        return fake_start(&config->fake, started, err);                                      \
    }                                                                                        \
    static void type##_probe(struct type *instance, struct buf *reasons)                     \
    {                                                                                        \
        if (strcmp(instance->mode, "unready") == 0)                                          \
            buf_puts(reasons, #type ": has its reasons\n");                                  \
    }                                                                                        \
    static void type##_stop(struct type *instance)                                           \
    {                                                                                        \
        tell(stopped);                                                                       \
        while (strcmp(instance->mode, "hang") == 0)                                          \
            pause();                                                                         \
    }                                                                                        \
    DEFINE_SERVICE(type)

static int fake_start(const struct fake_config *config, char event, struct error *err)
{
    char byte;
    if (strcmp(config->mode, "fail") == 0)
        return error_set(err, ERR_INVALID, "nothing goes at %s", config->where);
    if (strcmp(config->mode, "slow") == 0)
        assert_int_equal(read(control_fd, &byte, 1), 1);
    tell(event);
    return 0;
}

struct first {
    const char *mode;
};
struct second {
    const char *mode;
};
struct first_config {
    struct fake_config fake;
};
struct second_config {
    struct fake_config fake;
};

FAKE(first, 'f', 'F')
FAKE(second, 's', 'S')

static const struct service services[] = { SERVICE(first), SERVICE(second) };
static const struct service_default defaults[] = { { "where", "home" } };
static const struct program program = { .name = "ckaito-test",
                                        .summary = "A test.",
                                        .services = services,
                                        .service_count = ARRAY_LEN(services),
                                        .defaults = defaults,
                                        .default_count = ARRAY_LEN(defaults) };

/* ------------------------------------------------------------------ the child */

struct child {
    pid_t pid;
    int events, control;
    char *dir; /* its output, in files */
};

static struct child child_start(const char *const *flags)
{
    char *arguments[8] = { mem_strdup("ckaito-test") };
    int count = 1, events[2], control[2];
    for (; flags[count - 1] != NULL; count++)
        arguments[count] = mem_strdup(flags[count - 1]);
    assert_int_equal(pipe(events), 0);
    assert_int_equal(pipe(control), 0);
    struct child child = { .events = events[0], .control = control[1], .dir = test_dir_new() };
    AUTO_FREE char *out = test_file_path(child.dir, "out");
    AUTO_FREE char *errors = test_file_path(child.dir, "err");
    child.pid = fork();
    assert_true(child.pid >= 0);
    if (child.pid == 0) {
        events_fd = events[1];
        control_fd = control[0];
        close(events[0]);
        if (freopen(out, "w", stdout) == NULL || freopen(errors, "w", stderr) == NULL)
            _exit(99);
        int status = service_main(&program, count, arguments);
        fflush(NULL);
        _exit(status);
    }
    close(events[1]);
    close(control[0]);
    for (int i = 0; i < count; i++)
        free(arguments[i]);
    return child;
}

static char next_event(const struct child *child)
{
    char event = '-'; /* the pipe ended */
    return read(child->events, &event, 1) == 1 ? event : '-';
}

/* The exit status, or -1 when a signal ended the child. */
static int child_wait(const struct child *child)
{
    int status;
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static char *child_output(const struct child *child, const char *name)
{
    AUTO_FREE char *path = test_file_path(child->dir, name);
    AUTO(buf) struct buf text = BUF_INIT(OUTPUT_MAX);
    struct error err = ERROR_INIT;
    assert_int_equal(file_read(path, &text, &err), 0);
    return buf_take(&text);
}

static void child_fini(struct child *child)
{
    close(child->events);
    close(child->control);
    test_dir_remove(child->dir);
    free(child->dir);
}

DEFINE_CLEANUP(child, struct child, child_fini)

#define FLAGS(...)                               \
    (const char *const[])                        \
    {                                            \
        "--health-address=", ##__VA_ARGS__, NULL \
    }

/* ------------------------------------------------------------------ tests */

static void test_service_starts_in_order_and_stops_in_reverse(void **state)
{
    (void)state;
    AUTO(child) struct child child = child_start(FLAGS("--log-level=info"));
    assert_int_equal(next_event(&child), 'f');
    assert_int_equal(next_event(&child), 's');
    kill(child.pid, SIGTERM);
    assert_int_equal(next_event(&child), 'S');
    assert_int_equal(next_event(&child), 'F');
    assert_int_equal(child_wait(&child), 0);
    AUTO_FREE char *errors = child_output(&child, "err");
    assert_non_null(
        strstr(errors, "\"msg\":\"started\",\"version\":\"" CKAITO_VERSION "\",\"ms\":"));
    assert_non_null(strstr(errors, "\"msg\":\"stopping\",\"signal\":\"SIGTERM\""));
    assert_non_null(strstr(errors, "\"msg\":\"stopped\""));
}

static void test_service_start_failure_is_one_line(void **state)
{
    (void)state;
    AUTO(child) struct child child = child_start(FLAGS("--second=fail"));
    assert_int_equal(next_event(&child), 'f');
    assert_int_equal(next_event(&child), 'F');
    assert_int_equal(next_event(&child), '-');
    assert_int_equal(child_wait(&child), 1);
    AUTO_FREE char *errors = child_output(&child, "err");
    assert_string_equal(errors, "ckaito-test: error: nothing goes at home\n");
}

static void test_service_flag_wins_over_default(void **state)
{
    (void)state;
    AUTO(child) struct child child = child_start(FLAGS("--second=fail", "--where=away"));
    assert_int_equal(child_wait(&child), 1);
    AUTO_FREE char *errors = child_output(&child, "err");
    assert_string_equal(errors, "ckaito-test: error: nothing goes at away\n");
}

static void test_service_wrong_flags(void **state)
{
    (void)state;
    static const struct {
        const char *flag, *part;
    } rows[] = {
        { "--thrid=1", "ckaito-test: error: unknown flag --thrid" },
        { "--log-level=loud", "ckaito-test: error: --log-level: \"loud\" is not legal" },
        { "first", "ckaito-test: error: unexpected argument \"first\"" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(child) struct child child = child_start(FLAGS(rows[i].flag));
        assert_int_equal(next_event(&child), '-'); /* nothing was started */
        assert_int_equal(child_wait(&child), 2);
        AUTO_FREE char *errors = child_output(&child, "err");
        assert_memory_equal(errors, rows[i].part, strlen(rows[i].part));
        assert_ptr_equal(strchr(errors, '\n'), errors + strlen(errors) - 1);
    }
}

static void test_service_version_and_help(void **state)
{
    (void)state;
    static const struct {
        const char *flag, *part;
    } rows[] = {
        { "--version", "ckaito-test " CKAITO_VERSION "\n" },
        { "--help", "--health-address" },
        { "--help", "home" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(child) struct child child = child_start(FLAGS(rows[i].flag));
        assert_int_equal(child_wait(&child), 0);
        AUTO_FREE char *out = child_output(&child, "out");
        assert_non_null(strstr(out, rows[i].part));
    }
}

static void test_service_bad_health_address(void **state)
{
    (void)state;
    AUTO(child) struct child child = child_start(FLAGS("--health-address=192.0.2.1:8081"));
    assert_int_equal(child_wait(&child), 1);
    AUTO_FREE char *errors = child_output(&child, "err");
    assert_string_equal(errors, "ckaito-test: error: --health-address: cannot listen on "
                                "192.0.2.1:8081: not an address of this machine\n");
}

static void test_service_second_signal_ends_at_once(void **state)
{
    (void)state;
    AUTO(child) struct child child = child_start(FLAGS("--second=hang"));
    assert_int_equal(next_event(&child), 'f');
    assert_int_equal(next_event(&child), 's');
    kill(child.pid, SIGINT);
    assert_int_equal(next_event(&child), 'S'); /* hangs in it */
    kill(child.pid, SIGINT);
    assert_int_equal(next_event(&child), '-');
    assert_int_equal(child_wait(&child), 1);
}

static uint16_t free_port(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t bytes = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static int readyz_until(struct web *web, int status, struct buf *answer)
{
    int got = 0;
    for (int i = 0; i < TRIES && got != status; i++) {
        got = web_get(web, "/readyz", answer);
        if (got != status)
            usleep(TRY_US);
    }
    return got;
}

static void test_service_is_alive_before_it_is_ready(void **state)
{
    (void)state;
    uint16_t port = free_port();
    AUTO_FREE char *address = mem_printf("--health-address=127.0.0.1:%u", port);
    AUTO(child) struct child child = child_start(FLAGS(address, "--second=slow"));
    AUTO(web) struct web *web = web_new(port, NULL);
    AUTO(buf) struct buf answer = BUF_INIT(OUTPUT_MAX);
    assert_int_equal(next_event(&child), 'f');
    assert_int_equal(readyz_until(web, 503, &answer), 503);
    assert_non_null(strstr(buf_text(&answer), "\r\n\r\nsecond: starting\n"));
    assert_int_equal(web_get(web, "/healthz", &answer), 200);

    assert_int_equal(write(child.control, "x", 1), 1);
    assert_int_equal(readyz_until(web, 200, &answer), 200);
    kill(child.pid, SIGTERM);
    assert_int_equal(child_wait(&child), 0);
}

static void test_service_reasons_reach_readyz(void **state)
{
    (void)state;
    uint16_t port = free_port();
    AUTO_FREE char *address = mem_printf("--health-address=127.0.0.1:%u", port);
    AUTO(child)
    struct child child = child_start(FLAGS(address, "--first=unready", "--second=unready"));
    AUTO(web) struct web *web = web_new(port, NULL);
    AUTO(buf) struct buf answer = BUF_INIT(OUTPUT_MAX);
    assert_int_equal(next_event(&child), 'f');
    assert_int_equal(next_event(&child), 's');
    while (web_get(web, "/readyz", &answer) == 503 && strstr(buf_text(&answer), "starting") != NULL)
        ;
    assert_non_null(strstr(buf_text(&answer), "first: has its reasons\nsecond: has its reasons\n"));
    kill(child.pid, SIGTERM);
    assert_int_equal(child_wait(&child), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_service_starts_in_order_and_stops_in_reverse),
        cmocka_unit_test(test_service_start_failure_is_one_line),
        cmocka_unit_test(test_service_flag_wins_over_default),
        cmocka_unit_test(test_service_wrong_flags),
        cmocka_unit_test(test_service_version_and_help),
        cmocka_unit_test(test_service_bad_health_address),
        cmocka_unit_test(test_service_second_signal_ends_at_once),
        cmocka_unit_test(test_service_is_alive_before_it_is_ready),
        cmocka_unit_test(test_service_reasons_reach_readyz),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
