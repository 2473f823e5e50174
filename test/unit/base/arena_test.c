#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/arena.h"

static void test_arena_memory_is_zeroed_and_aligned(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    static const size_t sizes[] = { 0, 1, 7, 16, 2047, 2049, 8192, 100000, 3 };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        unsigned char *block = arena_alloc(&arena, sizes[i]);
        assert_int_equal((uintptr_t)block % _Alignof(max_align_t), 0);
        for (size_t at = 0; at < sizes[i]; at++)
            assert_int_equal(block[at], 0);
        memset(block, 0xff, sizes[i]);
    }
}

static void test_arena_blocks_do_not_overlap(void **state)
{
    (void)state;
    enum { BLOCKS = 600 };
    AUTO(arena) struct arena arena = ARENA_INIT;
    unsigned char *blocks[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = arena_alloc(&arena, 1 + i * 7 % 3000);
        memset(blocks[i], (int)(i % 251), 1 + i * 7 % 3000);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        for (size_t at = 0; at < 1 + i * 7 % 3000; at++)
            assert_int_equal(blocks[i][at], i % 251);
    }
}

static void test_arena_large_block_does_not_waste_the_current_chunk(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    char *before = arena_alloc(&arena, 16);
    arena_alloc(&arena, 100000);
    char *after = arena_alloc(&arena, 16);
    assert_ptr_equal(after, before + 16);
}

static void test_arena_texts(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    assert_string_equal(arena_strdup(&arena, "abc"), "abc");
    assert_string_equal(arena_strdup(&arena, ""), "");
    assert_string_equal(arena_strndup(&arena, "abc", 2), "ab");
    assert_string_equal(arena_strndup(&arena, "abc", 9), "abc");
    assert_string_equal(arena_printf(&arena, "%s-%d", "a", 7), "a-7");
    assert_int_equal(strlen(arena_printf(&arena, "%5000d", 1)), 5000);
}

static void test_arena_fini_leaves_it_usable(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    arena_fini(&arena);
    arena_alloc(&arena, 10);
    arena_fini(&arena);
    assert_null(arena.chunks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena_memory_is_zeroed_and_aligned),
        cmocka_unit_test(test_arena_blocks_do_not_overlap),
        cmocka_unit_test(test_arena_large_block_does_not_waste_the_current_chunk),
        cmocka_unit_test(test_arena_texts),
        cmocka_unit_test(test_arena_fini_leaves_it_usable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
