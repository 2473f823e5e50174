#include "services/service.h"

#include <assert.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/mutex.h"
#include "common/http/health.h"

enum {
    STOP_GRACE_S = 25, /* below the 30 s after which the kubelet kills */
    MALLOC_ARENAS = 2, /* one a thread would multiply what is kept free */
    /* Without these, glibc raises both to many times the size of the first large block. */
    MALLOC_MMAP_BYTES = 256 * 1024,
    MALLOC_TRIM_BYTES = 1024 * 1024,
    EXIT_USAGE = 2,
};

struct service_config {
    const char *health_address;
    const char *log_level;
};

const struct config_option service_options[] = {
    CONFIG_TEXT(struct service_config, health_address, "health-address", "0.0.0.0:8081", "ADDRESS",
                "where /healthz, /readyz and /metrics are served, without TLS; empty: nowhere"),
    CONFIG_CHOICE(struct service_config, log_level, "log-level", "info", "debug|info|warn|error",
                  "the least important lines to write"),
};
const size_t service_option_count = ARRAY_LEN(service_options);

struct run {
    const struct program *program;
    struct service_config config;
    struct config_option *options[SERVICES_MAX]; /* the services' with this program's defaults */
    struct stop stop;
    struct health_server *health;
    sigset_t signals;
    int64_t begin_ms;
    /* Held over the probes, which are short, so that no service is stopped under one. */
    struct mutex mutex;
    void *instances[SERVICES_MAX]; /* guarded by mutex; NULL until started */
    bool stopping;                 /* guarded by mutex */
};

/* ------------------------------------------------------------------ flags */

static const char *default_of(const struct program *program, const struct config_option *option)
{
    for (size_t i = 0; i < program->default_count; i++) {
        if (strcmp(program->defaults[i].option, option->name) == 0)
            return program->defaults[i].value;
    }
    return option->fallback;
}

static struct config_option *copy_options(const struct program *program,
                                          const struct service *service)
{
    size_t count = *service->option_count;
    struct config_option *options = mem_calloc(count, sizeof(*options));
    for (size_t i = 0; i < count; i++) {
        options[i] = service->options[i];
        options[i].fallback = default_of(program, &options[i]);
    }
    return options;
}

static int parse_flags(struct run *run, int argc, char **argv, struct error *err)
{
    const struct program *program = run->program;
    struct config_table table = { .program = program->name, .summary = program->summary };
    assert(program->service_count <= SERVICES_MAX);
    for (size_t i = 0; i < program->service_count; i++) {
        const struct service *service = &program->services[i];
        run->options[i] = copy_options(program, service);
        table.groups[i].options = run->options[i];
        table.groups[i].count = *service->option_count;
        table.groups[i].target = service->config;
    }
    struct config_group *common = &table.groups[program->service_count];
    common->options = service_options;
    common->count = service_option_count;
    common->target = &run->config;
    return config_parse(&table, argc, argv, stdout, err);
}

/* ------------------------------------------------------------------ signals */

static void give_up(int number)
{
    (void)number;
    static const char line[] = "{\"level\":\"warn\",\"msg\":\"asked twice to stop, or stopping "
                               "took too long: exiting\"}\n";
    ssize_t ignored = write(STDERR_FILENO, line, sizeof(line) - 1);
    (void)ignored; /* nobody is left to be told */
    _exit(EXIT_FAILURE);
}

/* Before the first thread, which inherits it: TERM and INT come to nobody but sigwait(). */
static void block_signals(struct run *run)
{
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&run->signals);
    sigaddset(&run->signals, SIGTERM);
    sigaddset(&run->signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &run->signals, NULL);
}

static int wait_for_signal(const struct run *run)
{
    int number = 0;
    sigwait(&run->signals, &number);
    return number;
}

static void limit_stopping(const struct run *run)
{
    const struct sigaction action = { .sa_handler = give_up };
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
    pthread_sigmask(SIG_UNBLOCK, &run->signals, NULL);
    alarm(STOP_GRACE_S);
}

/* ------------------------------------------------------------------ life cycle */

/* Whoever reaches a port costs a descriptor before it has shown a certificate. Nothing here waits
 * in select(2), so the hard limit is as good as any. */
static void allow_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* fewer connections at a time, then */
}

static void probe(void *context, struct buf *reasons)
{
    struct run *run = context;
    mutex_lock(&run->mutex);
    if (run->stopping)
        buf_printf(reasons, "%s: stopping\n", run->program->name);
    for (size_t i = 0; i < run->program->service_count && !run->stopping; i++) {
        const struct service *service = &run->program->services[i];
        if (run->instances[i] != NULL)
            service->probe(run->instances[i], reasons);
        else
            buf_printf(reasons, "%s: starting\n", service->name);
    }
    mutex_unlock(&run->mutex);
}

/* The health endpoints first: they answer while the services start. */
static int start_all(struct run *run, struct error *err)
{
    if (health_server_start(run->config.health_address, probe, run, &run->health, err) < 0)
        return -1;
    for (size_t i = 0; i < run->program->service_count; i++) {
        void *instance = NULL;
        if (run->program->services[i].start(&run->stop, &instance, err) < 0)
            return -1;
        mutex_lock(&run->mutex);
        run->instances[i] = instance;
        mutex_unlock(&run->mutex);
    }
    return 0;
}

static void stop_all(struct run *run)
{
    mutex_lock(&run->mutex);
    run->stopping = true;
    mutex_unlock(&run->mutex);
    stop_raise(&run->stop);
    for (size_t i = run->program->service_count; i-- > 0;) {
        if (run->instances[i] != NULL)
            run->program->services[i].stop(run->instances[i]);
    }
    health_server_stop(run->health);
}

static int fail(const struct run *run, int status, const struct error *err)
{
    fprintf(stderr, "%s: error: %s\n", run->program->name, err->message);
    return status;
}

static int run_services(struct run *run)
{
    const char *name = run->program->name;
    struct error err = ERROR_INIT;
    if (start_all(run, &err) < 0) {
        limit_stopping(run);
        stop_all(run);
        return fail(run, EXIT_FAILURE, &err);
    }
    log_info(name, "started", KV("version", CKAITO_VERSION),
             KVI("ms", clock_monotonic(clock_system()) - run->begin_ms));
    int number = wait_for_signal(run);
    log_info(name, "stopping", KV("signal", number == SIGINT ? "SIGINT" : "SIGTERM"));
    limit_stopping(run);
    stop_all(run);
    log_info(name, "stopped");
    return EXIT_SUCCESS;
}

static int parse_and_run(struct run *run, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    enum log_level level;
    int outcome = parse_flags(run, argc, argv, &err);
    if (outcome == CONFIG_EXIT)
        return EXIT_SUCCESS;
    if (outcome < 0)
        return fail(run, EXIT_USAGE, &err);
    if (log_level_parse(run->config.log_level, &level) == 0)
        log_set_level(level);
    return run_services(run);
}

int service_main(const struct program *program, int argc, char **argv)
{
    struct run run = { .program = program, .begin_ms = clock_monotonic(clock_system()) };
    mallopt(M_ARENA_MAX, MALLOC_ARENAS);
    mallopt(M_MMAP_THRESHOLD, MALLOC_MMAP_BYTES);
    mallopt(M_TRIM_THRESHOLD, MALLOC_TRIM_BYTES);
    allow_descriptors();
    block_signals(&run);
    stop_init(&run.stop);
    mutex_init(&run.mutex);
    int status = parse_and_run(&run, argc, argv);
    mutex_fini(&run.mutex);
    stop_fini(&run.stop);
    for (size_t i = 0; i < program->service_count; i++)
        free(run.options[i]);
    return status;
}
