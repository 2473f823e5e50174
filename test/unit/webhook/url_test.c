#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/compiler.h"
#include "webhook/url.h"

static void test_url_public_hosts_pass(void **state)
{
    (void)state;
    static const char *const urls[] = {
        "https://huggingface.co/datasets/philschmid/dolly-15k-oai-style/resolve/main/data/"
        "train-00000-of-00001-54e3756291ca09c6.parquet?download=true",
        "http://example.com",
        "HTTPS://Example.COM:8443/a%20b",
        "https://example.com./d",
        "https://example.com:/d",
        "https://example.com?x=@y",
        "https://example.com#f",
        "https://my_bucket.s3.amazonaws.com/k",
        "https://xn--bcher-kva.example/d",
        "https://notlocalhost/d",
        "https://localhost.example.com/d",
        "https://1.example/d",
        "https://0xface.example/d",
        "https://8.8.8.8/d",
        "https://134744072/d",
        "https://0x08.8.8.8/d",
        "https://8.8.2056/d",
        "https://172.15.255.255/d",
        "https://172.32.0.1/d",
        "https://100.63.255.255/d",
        "https://100.128.0.1/d",
        "https://[2606:4700::1111]/d",
        "https://[2606:4700::1111]:443/d",
        "https://[::ffff:8.8.8.8]/d",
        "https://[64:ff9b::808:808]/d",
        "https://[2002:808:808::1]/d",
    };
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        const char *refusal = url_refusal(urls[i]);
        if (refusal != NULL)
            fail_msg("%s %s", urls[i], refusal);
    }
}

struct refused {
    const char *url;
    const char *word; /* of the refusal */
};

static void check_refused(const struct refused *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *refusal = url_refusal(cases[i].url);
        if (refusal == NULL)
            fail_msg("%s passed", cases[i].url);
        else if (strstr(refusal, cases[i].word) == NULL)
            fail_msg("%s %s; expected: %s", cases[i].url, refusal, cases[i].word);
    }
}

static void test_url_malformed(void **state)
{
    (void)state;
    static const struct refused cases[] = {
        { "", "begin with https" },
        { "example.com/d", "begin with https" },
        { "/d", "begin with https" },
        { "//example.com/d", "begin with https" },
        { "https:/example.com", "begin with https" },
        { "ftp://example.com/d", "begin with https" },
        { "file:///etc/passwd", "begin with https" },
        { " https://example.com", "space" },
        { "https://example.com\t/d", "control" },
        { "https://example.com\\@127.0.0.1/", "backslash" },
        { "https://", "no host" },
        { "https:///d", "no host" },
        { "https://:80/d", "no host" },
        { "https://./d", "no host" },
        { "https://?d", "no host" },
        { "https://user@example.com/d", "user name" },
        { "https://user:secret@example.com/d", "user name" },
        { "https://example.com:0/d", "port" },
        { "https://example.com:65536/d", "port" },
        { "https://example.com:99999/d", "port" },
        { "https://example.com:100000/d", "port" },
        { "https://example.com:x/d", "port" },
        { "https://example.com:80:80/d", "port" },
        { "https://a..b/d", "malformed host" },
        { "https://example.com../d", "malformed host" },
        { "https://-a.example/d", "malformed host" },
        { "https://a-.example/d", "malformed host" },
        { "https://ex%61mple.com/d", "malformed host" },
        { "https://\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1/d", "malformed" },
        { "https://\xe2\x91\xa0.example/d", "malformed host" },
        { "https://[::1/d", "malformed address" },
        { "https://[::1]x/d", "malformed address" },
        { "https://[8.8.8.8]/d", "malformed address" },
        { "https://[fe80::1%25eth0]/d", "malformed address" },
        { "https://[]/d", "malformed address" },
        { "https://8.8.8.8.8/d", "malformed address" },
        { "https://256.8.8.8/d", "malformed address" },
        { "https://8.8.65536/d", "malformed address" },
        { "https://4294967296/d", "malformed address" },
        { "https://08.8.8.8/d", "malformed address" },
        { "https://example.1/d", "malformed address" },
        { "https://a.0x/d", "malformed address" },
    };
    check_refused(cases, ARRAY_LEN(cases));
}

static void test_url_loopback_in_every_spelling(void **state)
{
    (void)state;
    static const char *const hosts[] = {
        "localhost",
        "LOCALHOST:80",
        "localhost.",
        "a.localhost",
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0X7F.0.0.1",
        "0177.0.0.1",
        "017700000001",
        "0x7f.1",
        "127.255.255.254:80",
        "0127.0.0.1",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "[::ffff:0:127.0.0.1]",
        "[2001:0:1:2:3:4:80ff:fffe]",
        "[2606:4700::5efe:7f00:1]",
        "ip6-localhost",
        "localhost.localdomain",
    };
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        char url[128];
        snprintf(url, sizeof(url), "https://%s/d", hosts[i]);
        check_refused(&(struct refused){ url, "loopback" }, 1);
    }
}

static void test_url_other_inner_addresses(void **state)
{
    (void)state;
    static const struct refused cases[] = {
        { "https://0.0.0.0/d", "unspecified" },
        { "https://0/d", "unspecified" },
        { "https://0x/d", "unspecified" },
        { "https://0.1.2.3/d", "unspecified" },
        { "https://[::]/d", "unspecified" },
        { "https://10.1.2.3/d", "private" },
        { "https://167772161/d", "private" },
        { "https://010.8.8.8/d", "private" },
        { "https://172.16.0.1/d", "private" },
        { "https://172.31.255.255/d", "private" },
        { "https://192.168.1.1/d", "private" },
        { "https://0300.0250.1/d", "private" },
        { "https://100.64.0.1/d", "shared" },
        { "https://100.127.255.255/d", "shared" },
        { "https://[fd00::1]/d", "private" },
        { "https://[fd00:ec2::254]/d", "private" },
        { "https://[fec0::1]/d", "private" },
        { "https://[64:ff9b:1::a00:1]/d", "private" },
        { "https://[64:ff9b::10.0.0.1]/d", "private" },
        { "https://[::ffff:a00:1]/d", "private" },
        { "https://169.254.1.1/d", "link-local" },
        { "https://[fe80::1]/d", "link-local" },
        { "https://[febf::1]/d", "link-local" },
        { "https://169.254.169.254/latest", "metadata" },
        { "https://2852039166/latest", "metadata" },
        { "https://[::ffff:169.254.169.254]/latest", "metadata" },
        { "https://168.63.129.16/d", "metadata" },
        { "https://metadata.google.internal/d", "metadata" },
        { "https://METADATA.google.internal./d", "metadata" },
        { "https://metadata.google/d", "metadata" },
        { "https://metadata/d", "metadata" },
        { "https://instance-data.ec2.internal/d", "metadata" },
        { "https://192.0.0.192/d", "reserved" },
        { "https://198.19.0.1/d", "reserved" },
        { "https://255.255.255.255/d", "reserved" },
        { "https://240.0.0.1/d", "reserved" },
        { "https://224.0.0.1/d", "multicast" },
        { "https://[ff02::1]/d", "multicast" },
        { "https://[100::1]/d", "reserved" },
    };
    check_refused(cases, ARRAY_LEN(cases));
}

static void test_url_length_is_bounded(void **state)
{
    (void)state;
    char url[URL_BYTES_MAX + 2];
    memset(url, 'a', sizeof(url));
    memcpy(url, "https://example.com/", 20);
    url[URL_BYTES_MAX] = '\0';
    assert_null(url_refusal(url));
    url[URL_BYTES_MAX] = 'a';
    url[URL_BYTES_MAX + 1] = '\0';
    assert_non_null(url_refusal(url));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_url_public_hosts_pass),
        cmocka_unit_test(test_url_malformed),
        cmocka_unit_test(test_url_loopback_in_every_spelling),
        cmocka_unit_test(test_url_other_inner_addresses),
        cmocka_unit_test(test_url_length_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
