#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "reconciler/pod_trouble.h"
#include "test/lib/literals.h"

#define POD(name, status) "{\"metadata\":{\"name\":\"" name "\"},\"status\":{" status "}}"
#define WAITING(reason, message)                                                          \
    "\"containerStatuses\":[{\"name\":\"c\",\"state\":{\"waiting\":{\"reason\":\"" reason \
    "\",\"message\":\"" message "\"}}}]"
#define OF_JOB "\"ownerReferences\":[{\"kind\":\"Job\",\"name\":\"j\",\"controller\":true}]"
#define UNSCHEDULABLE                                                                        \
    "\"phase\":\"Pending\",\"conditions\":[{\"type\":\"PodScheduled\",\"status\":\"False\"," \
    "\"reason\":\"Unschedulable\",\"message\":\"0/3 nodes are available\"}]"

static const struct {
    const char *pods[2];
    const char *reason, *message; /* NULL: no trouble; part of the message */
} rows[] = {
    { { POD("p", "\"phase\":\"Running\"") }, NULL, NULL },
    { { POD("p", WAITING("ContainerCreating", "")) }, NULL, NULL },
    { { POD("p", WAITING("ErrImagePull", "not found")) }, "ImagePullError", "Pod/p: " },
    { { POD("p", WAITING("ImagePullBackOff", "back-off")) }, "ImagePullError", "back-off" },
    { { POD("p", WAITING("CreateContainerConfigError", "secret x not found")) },
      "ContainerStartError",
      "secret x" },
    { { POD("p", WAITING("CrashLoopBackOff", "")) }, "ContainerCrashLoopBackOff", "Pod/p" },
    { { POD("p", "\"containerStatuses\":[{\"name\":\"c\",\"state\":{\"running\":{}},\"lastState\":"
                 "{\"terminated\":{\"reason\":\"OOMKilled\"}}}]") },
      "ContainerOOMKilled",
      "the container ran out of memory: container c" },
    { { POD("p", "\"initContainerStatuses\":[{\"name\":\"i\",\"state\":{\"terminated\":"
                 "{\"reason\":\"OOMKilled\"}}}]") },
      "ContainerOOMKilled",
      "container i" },
    { { POD("p", "\"phase\":\"Failed\",\"reason\":\"Evicted\",\"message\":\"low on "
                 "ephemeral-storage\"") },
      "NodeDiskPressure",
      "ephemeral" },
    { { POD("p", "\"phase\":\"Failed\",\"reason\":\"Evicted\",\"message\":\"low on memory\"") },
      "NodeMemoryPressure",
      "memory" },
    { { POD("p", "\"phase\":\"Failed\",\"reason\":\"Evicted\"") }, "PodEvicted", "evicted" },
    { { POD("p", UNSCHEDULABLE) }, "Unschedulable", "0/3 nodes" },
    /* a Job's next attempt is at work */
    { { "{\"metadata\":{\"name\":\"p\"," OF_JOB "},\"status\":{\"phase\":\"Failed\","
        "\"reason\":\"Evicted\"}}",
        "{\"metadata\":{\"name\":\"q\"," OF_JOB "},\"status\":{\"phase\":\"Running\"}}" },
      NULL,
      NULL },
    { { "{\"metadata\":{\"name\":\"p\"," OF_JOB "},\"status\":{\"phase\":\"Failed\","
        "\"reason\":\"Evicted\"}}" },
      "PodEvicted",
      "Pod/p" },
    /* the more telling one first, whichever pod it is on */
    { { POD("p", UNSCHEDULABLE), POD("q", WAITING("ErrImagePull", "gone")) },
      "ImagePullError",
      "Pod/q: " },
    { { POD("p", WAITING("CrashLoopBackOff", "x")), POD("q", WAITING("ErrImagePull", "y")) },
      "ImagePullError",
      "Pod/q" },
};

static void test_pod_trouble_find(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(arena) struct arena arena = ARENA_INIT;
        const struct object *pods[2];
        struct object_list list = { .items = pods };
        for (size_t j = 0; j < 2 && rows[i].pods[j] != NULL; j++)
            pods[list.count++] = object_literal(rows[i].pods[j]);
        struct cause_hit trouble = { 0 };
        const struct cause_context ctx = { 0 };
        bool found = pod_trouble_find(&list, &ctx, &arena, &trouble);
        assert_int_equal(found, rows[i].reason != NULL);
        if (found) {
            assert_string_equal(pod_trouble_reason(trouble.cause), rows[i].reason);
            if (strstr(trouble.message, rows[i].message) == NULL)
                fail_msg("%s", trouble.message);
            assert_non_null(trouble.next_step);
        }
        for (size_t j = 0; j < list.count; j++)
            object_unref(pods[j]);
    }
}

static void test_pod_trouble_message_is_bounded(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    char *text = arena_alloc(&arena, 3001);
    memset(text, 'x', 3000);
    AUTO(object)
    const struct object *pod =
        object_literal(arena_printf(&arena, POD("p", WAITING("ErrImagePull", "%s")), text));
    struct cause_hit trouble;
    const struct object_list pods = { .items = &pod, .count = 1 };
    const struct cause_context ctx = { 0 };
    assert_true(pod_trouble_find(&pods, &ctx, &arena, &trouble));
    assert_true(strlen(trouble.message) < CAUSE_DETAIL_BYTES_MAX + 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pod_trouble_find),
        cmocka_unit_test(test_pod_trouble_message_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
