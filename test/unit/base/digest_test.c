#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/digest.h"
#include "common/base/memory.h"

static void test_sha256(void **state)
{
    (void)state;
    /* FIPS 180-2, appendix B */
    char hex[SHA256_HEX_BYTES];
    sha256_hex("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256_hex("", 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void test_base64_both_ways(void **state)
{
    (void)state;
    /* RFC 4648, section 10 */
    static const struct {
        const char *plain, *encoded;
    } cases[] = { { "", "" },
                  { "f", "Zg==" },
                  { "fo", "Zm8=" },
                  { "foo", "Zm9v" },
                  { "foob", "Zm9vYg==" },
                  { "fooba", "Zm9vYmE=" },
                  { "foobar", "Zm9vYmFy" } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_FREE char *encoded = base64_encode(cases[i].plain, strlen(cases[i].plain));
        assert_string_equal(encoded, cases[i].encoded);
        AUTO_FREE unsigned char *bytes = NULL;
        size_t count = 99;
        assert_int_equal(base64_decode(cases[i].encoded, &bytes, &count), 0);
        assert_int_equal(count, strlen(cases[i].plain));
        assert_memory_equal(bytes, cases[i].plain, count + 1); /* terminated, too */
    }
}

static void test_base64_decode_ignores_white_space(void **state)
{
    (void)state;
    AUTO_FREE unsigned char *bytes = NULL;
    size_t count = 0;
    assert_int_equal(base64_decode(" Zm9v\nYg=\t=\r\n", &bytes, &count), 0);
    assert_string_equal((const char *)bytes, "foob");
}

static void test_base64_decode_refuses(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "Z",    "Zg",   "Zg=",      "Zg===",    "=",    "====",
        "Zh==", "Zm9=", "Zm9v----", "Zm9v!AAA", "Z-8_", "Zg==Zg=="
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        unsigned char *bytes = NULL;
        size_t count = 99;
        assert_int_equal(base64_decode(cases[i], &bytes, &count), -1);
        assert_null(bytes);
        assert_int_equal(count, 99);
    }
}

static void test_fnv1a64(void **state)
{
    (void)state;
    /* From the authors' list of test vectors. */
    assert_true(fnv1a64("", 0) == 0xcbf29ce484222325ULL);
    assert_true(fnv1a64("a", 1) == 0xaf63dc4c8601ec8cULL);
    assert_true(fnv1a64("foobar", 6) == 0x85944171f73967e8ULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256),
        cmocka_unit_test(test_base64_both_ways),
        cmocka_unit_test(test_base64_decode_ignores_white_space),
        cmocka_unit_test(test_base64_decode_refuses),
        cmocka_unit_test(test_fnv1a64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
