#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/api/names.h"
#include "common/base/compiler.h"

#define X10   "xxxxxxxxxx"
#define X60   X10 X10 X10 X10 X10 X10
#define X63   X60 "xxx"
#define X64   X60 "xxxx"
#define X250  X60 X60 X60 X60 X10
#define HEX8  "0123abcd"
#define HEX32 HEX8 HEX8 HEX8 HEX8

struct name_case {
    const char *text;
    bool legal;
};

static void check(bool (*is_legal)(const char *), const struct name_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is_legal(cases[i].text) != cases[i].legal)
            fail_msg("\"%s\" should be %s", cases[i].text, cases[i].legal ? "legal" : "refused");
    }
}

static void test_names_dns1123_label(void **state)
{
    (void)state;
    static const struct name_case cases[] = {
        { "a", true },  { "0", true },    { "a-b", true },  { "a--b", true },      { X63, true },
        { X64, false }, { "", false },    { "-a", false },  { "a-", false },       { "a.b", false },
        { "A", false }, { "a_b", false }, { "a b", false }, { "\xc3\xa9", false }, { "a\n", false },
    };
    check(name_is_dns1123_label, cases, ARRAY_LEN(cases));
}

static void test_names_dns1123_subdomain(void **state)
{
    (void)state;
    static const struct name_case cases[] = {
        { "a", true },
        { "a.b", true },
        { "a-1.b-2", true },
        { X250 "abc", true },
        { X64, true },
        { "", false },
        { X250 "abcd", false },
        { ".a", false },
        { "a.", false },
        { "a..b", false },
        { "a.-b", false },
        { "a-.b", false },
        { "My_Adapter", false },
        { "ACR_REGISTRY_SECRET_HERE", false },
        { "acr-push-secret", true },
    };
    check(name_is_dns1123_subdomain, cases, ARRAY_LEN(cases));
}

static void test_names_label_key(void **state)
{
    (void)state;
    static const struct name_case cases[] = {
        { "app", true },       { "kaito.sh/workspace", true },
        { "A_b.C", true },     { X63, true },
        { "bad key!", false }, { "", false },
        { "/a", false },       { "a/", false },
        { "a/b/c", false },    { "Upper.sh/a", false },
        { X64, false },        { "-a", false },
        { "a/_b", false },
    };
    check(name_is_label_key, cases, ARRAY_LEN(cases));
}

static void test_names_label_value(void **state)
{
    (void)state;
    static const struct name_case cases[] = {
        { "", true },   { "a", true },    { "A_b-c.D", true }, { X63, true },
        { X64, false }, { "a/b", false }, { "a ", false },     { ".a", false },
    };
    check(name_is_label_value, cases, ARRAY_LEN(cases));
}

static void test_names_env(void **state)
{
    (void)state;
    static const struct name_case cases[] = {
        { "A", true },  { "_a-b.c", true }, { ".a", true },   { "", false },    { "1a", false },
        { ".", false }, { "..", false },    { "..a", false }, { "a=b", false }, { "a b", false },
    };
    check(name_is_env, cases, ARRAY_LEN(cases));
}

static void test_names_image_reference(void **state)
{
    (void)state;
    static const struct name_case cases[] = {
        { "nginx", true },
        { "nginx:1.25", true },
        { "library/nginx", true },
        { "r.io/a:1", true },
        { "localhost/a", true },
        { "localhost:5000/a/b:tag", true },
        { "myregistry.azurecr.io/phi-3-tuned:0.0.1", true },
        { "R.IO/o:1", true },
        { "HOST/o", true },
        { "[2001:db8::1]:5000/a", true },
        { "[2001:db8::1]/a", true },
        { "a__b/c-----d/e.f_g", true },
        { "a@sha256:" HEX32 HEX32, true },
        { "r.io/a:1@sha256:" HEX32 HEX32, true },
        { "a@sha512+b64u:" HEX32, true },
        { "", false },
        { ":1", false },
        { "a:", false },
        { "a:-1", false },
        { "a:" X64 X64, true },
        { "a:" X64 X64 "x", false },
        { "::bad::", false },
        { "Foo", false },
        { "UPPER/Case:tag", false },
        { "R.IO/O:1", false },
        { "ACR_REPO_HERE.azurecr.io/IMAGE_NAME_HERE:0.0.1", false },
        { "ACR_REPO_HERE.azurecr.io/image:0.0.1", false },
        { "r.io/", false },
        { "/a", false },
        { "r.io//a", false },
        { "r.io/a/", false },
        { "r.io:0/a", false },
        { "r.io:65536/a", false },
        { "r.io:x/a", false },
        { "-r.io/a", false },
        { "r..io/a", false },
        { "[::1/a", false },
        { "a___b", false },
        { "a..b", false },
        { "a_-b", false },
        { "_a", false },
        { "a-", false },
        { "a b", false },
        { "https://r.io/a", false },
        { "a@", false },
        { "a@sha256:" HEX32, false },
        { "a@sha256:" HEX32 HEX32 "0", false },
        { "a@sha256:" HEX32 "0123ABCD" HEX8 HEX8 HEX8, false },
        { "a@:" HEX32, false },
        { "a@1:" HEX32, false },
        { "a@sha-:" HEX32, false },
        { HEX32 HEX32, false },
        { "r.io/" HEX32 HEX32, true },
        { "r.io/" X250, true },
        { "r.io/" X250 "x", false },
    };
    check(name_is_image_reference, cases, ARRAY_LEN(cases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_dns1123_label), cmocka_unit_test(test_names_dns1123_subdomain),
        cmocka_unit_test(test_names_label_key),     cmocka_unit_test(test_names_label_value),
        cmocka_unit_test(test_names_env),           cmocka_unit_test(test_names_image_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
