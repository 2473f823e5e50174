#include "webhook/url.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "common/base/compiler.h"

enum { HOST_BYTES_MAX = 253, LABEL_BYTES_MAX = 63, PORT_DIGITS_MAX = 5, PORT_MAX = 65535 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* ------------------------------------------------------------------ addresses */

static const char *refuse_v4(uint32_t address)
{
    static const struct {
        uint32_t network;
        unsigned bits;
        const char *refusal;
    } ranges[] = {
        { 0x7f000000, 8, "leads to a loopback address" },
        { 0x00000000, 8, "leads to the unspecified address, which is the machine itself" },
        { 0xa83f8110, 32, "leads to the cloud's metadata service" }, /* 168.63.129.16 */
        { 0xa9fea9fe, 32, "leads to the cloud's metadata service" }, /* 169.254.169.254 */
        { 0xa9fe0000, 16, "leads to a link-local address" },
        { 0x0a000000, 8, "leads to a private address" },
        { 0xac100000, 12, "leads to a private address" },
        { 0xc0a80000, 16, "leads to a private address" },
        { 0x64400000, 10, "leads to a shared private address (100.64.0.0/10)" },
        { 0xc0000000, 24, "leads to a reserved address" },
        { 0xc6120000, 15, "leads to a reserved address" },
        { 0xe0000000, 4, "leads to a multicast address" },
        { 0xf0000000, 4, "leads to a reserved address" },
    };
    for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
        if ((address ^ ranges[i].network) >> (32 - ranges[i].bits) == 0)
            return ranges[i].refusal;
    }
    return NULL;
}

static bool has_prefix(const uint8_t address[16], const uint8_t *prefix, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    return memcmp(address, prefix, whole) == 0 &&
           (rest == 0 || (address[whole] ^ prefix[whole]) >> (8 - rest) == 0);
}

static uint32_t v4_at(const uint8_t address[16], unsigned offset)
{
    return (uint32_t)address[offset] << 24 | (uint32_t)address[offset + 1] << 16 |
           (uint32_t)address[offset + 2] << 8 | address[offset + 3];
}

/* Addresses of IPv6 that carry one of IPv4 are judged on what they carry. */
static const char *refuse_embedded_v4(const uint8_t address[16])
{
    static const struct {
        uint8_t prefix[12];
        unsigned bits;
        unsigned offset;
        uint32_t mask; /* Teredo hides the client's address by inverting it */
    } carriers[] = {
        { { [10] = 0xff, [11] = 0xff }, 96, 12, 0 },        /* ::ffff:a.b.c.d, mapped */
        { { [8] = 0xff, [9] = 0xff }, 96, 12, 0 },          /* ::ffff:0:a.b.c.d, translated */
        { { 0 }, 96, 12, 0 },                               /* ::a.b.c.d, compatible */
        { { 0x00, 0x64, 0xff, 0x9b }, 96, 12, 0 },          /* 64:ff9b::a.b.c.d, NAT64 */
        { { 0x20, 0x02 }, 16, 2, 0 },                       /* 2002:ab:cd::, 6to4 */
        { { 0x20, 0x01, 0x00, 0x00 }, 32, 12, UINT32_MAX }, /* 2001::, Teredo */
    };
    for (size_t i = 0; i < ARRAY_LEN(carriers); i++) {
        if (has_prefix(address, carriers[i].prefix, carriers[i].bits))
            return refuse_v4(v4_at(address, carriers[i].offset) ^ carriers[i].mask);
    }
    bool isatap =
        (address[8] & 0xfd) == 0 && address[9] == 0 && address[10] == 0x5e && address[11] == 0xfe;
    return isatap ? refuse_v4(v4_at(address, 12)) : NULL;
}

static const char *refuse_v6(const uint8_t address[16])
{
    static const struct {
        uint8_t prefix[16];
        unsigned bits;
        const char *refusal;
    } ranges[] = {
        { { 0 }, 128, "leads to the unspecified address, which is the machine itself" },
        { { [15] = 1 }, 128, "leads to a loopback address" },
        { { 0xfc }, 7, "leads to a private address" },
        { { 0xfe, 0x80 }, 10, "leads to a link-local address" },
        { { 0xfe, 0xc0 }, 10, "leads to a private address" },
        { { 0xff }, 8, "leads to a multicast address" },
        { { 0x01, 0x00 }, 64, "leads to a reserved address" },
        { { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 }, 48, "leads to a private address" },
    };
    for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
        if (has_prefix(address, ranges[i].prefix, ranges[i].bits))
            return ranges[i].refusal;
    }
    return refuse_embedded_v4(address);
}

/* One number of an IPv4 address as inet_aton reads it (0x: hex, 0: octal, else decimal), or with
 * `octal` false a leading zero as nothing special. Returns how many bytes it took, 0 when it is no
 * number. */
static size_t read_number(const char *text, bool octal, uint64_t *out)
{
    const char *p = text;
    int base = 10;

    if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) {
        base = 16;
        p += 2;
    } else if (p[0] == '0' && octal) {
        base = 8;
    }
    uint64_t value = 0;
    const char *digits = p;
    for (;; p++) {
        int digit = hex_value(*p);
        if (digit < 0 || digit >= base)
            break;
        value = value * (uint64_t)base + (uint64_t)digit;
        if (value > UINT32_MAX)
            return 0;
    }
    if (p == digits && base != 16)
        return 0;
    *out = value; /* "0x" alone is 0 to browsers */
    return (size_t)(p - text);
}

/* One to four numbers joined by dots, the last of which fills what is left of 32 bits. */
static bool read_v4(const char *text, bool octal, uint32_t *out)
{
    uint64_t numbers[4];
    unsigned count = 0;

    for (;;) {
        size_t taken = count < ARRAY_LEN(numbers) ? read_number(text, octal, &numbers[count]) : 0;
        if (taken == 0)
            return false;
        count++;
        text += taken;
        if (*text == '\0')
            break;
        if (*text++ != '.')
            return false;
    }
    uint64_t address = numbers[count - 1];
    if (address >> (32 - 8 * (count - 1)) != 0)
        return false;
    for (unsigned i = 0; i + 1 < count; i++) {
        if (numbers[i] > 255)
            return false;
        address |= numbers[i] << (24 - 8 * i);
    }
    *out = (uint32_t)address;
    return true;
}

/* ------------------------------------------------------------------ hosts */

/* A host whose last label is a number, or begins like one in hex, is an address to some resolver:
 * no top-level domain looks like that. */
static bool looks_numeric(const char *host)
{
    const char *dot = strrchr(host, '.');
    const char *last = dot != NULL ? dot + 1 : host;
    if (last[0] == '0' && (last[1] == 'x' || last[1] == 'X'))
        return true;
    return last[0] != '\0' && strspn(last, "0123456789") == strlen(last);
}

/* Resolvers do not agree whether a leading zero means octal, so both readings have to be public. */
static const char *refuse_numeric_host(const char *host)
{
    uint32_t octal, decimal;
    if (!read_v4(host, true, &octal))
        return "has a malformed address as its host";
    const char *refusal = refuse_v4(octal);
    if (refusal == NULL && read_v4(host, false, &decimal))
        refusal = refuse_v4(decimal);
    return refusal;
}

static bool is_host_name(const char *host)
{
    size_t label = 0;
    for (const char *p = host; *p != '\0'; p++) {
        bool alnum = hex_value(*p) >= 0 || (*p >= 'g' && *p <= 'z') || (*p >= 'G' && *p <= 'Z');
        if (*p == '.') {
            if (label == 0 || p[-1] == '-')
                return false;
            label = 0;
            continue;
        }
        if (!alnum && *p != '_' && (*p != '-' || label == 0))
            return false;
        if (++label > LABEL_BYTES_MAX)
            return false;
    }
    return label > 0 && host[strlen(host) - 1] != '-';
}

static bool is_or_is_below(const char *host, const char *domain)
{
    size_t length = strlen(host), tail = strlen(domain);
    if (length < tail || strcasecmp(host + length - tail, domain) != 0)
        return false;
    return length == tail || host[length - tail - 1] == '.';
}

static const char *refuse_host_name(const char *host)
{
    static const struct {
        const char *domain;
        const char *refusal;
    } names[] = {
        { "localhost", "leads to a loopback address" },
        { "localhost.localdomain", "leads to a loopback address" },
        { "localhost6", "leads to a loopback address" },
        { "ip6-localhost", "leads to a loopback address" },
        { "ip6-loopback", "leads to a loopback address" },
        { "metadata", "leads to the cloud's metadata service" },
        { "metadata.google", "leads to the cloud's metadata service" },
        { "metadata.google.internal", "leads to the cloud's metadata service" },
        { "metadata.azure.internal", "leads to the cloud's metadata service" },
        { "instance-data", "leads to the cloud's metadata service" },
        { "instance-data.ec2.internal", "leads to the cloud's metadata service" },
    };
    if (!is_host_name(host))
        return "has a malformed host";
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (is_or_is_below(host, names[i].domain))
            return names[i].refusal;
    }
    return NULL;
}

static const char *refuse_bracketed(const char *text, size_t length)
{
    char address[INET6_ADDRSTRLEN];
    uint8_t bytes[16];

    if (length >= sizeof(address))
        return "has a malformed address as its host";
    memcpy(address, text, length);
    address[length] = '\0';
    if (inet_pton(AF_INET6, address, bytes) != 1)
        return "has a malformed address as its host";
    return refuse_v6(bytes);
}

static const char *refuse_plain(const char *text, size_t length)
{
    char host[HOST_BYTES_MAX + 1];

    if (length > 0 && text[length - 1] == '.')
        length--; /* the root: the same host */
    if (length == 0)
        return "has no host";
    if (length >= sizeof(host))
        return "has a malformed host";
    memcpy(host, text, length);
    host[length] = '\0';
    return looks_numeric(host) ? refuse_numeric_host(host) : refuse_host_name(host);
}

/* ------------------------------------------------------------------ URLs */

static bool is_port(const char *text, size_t length)
{
    unsigned number = 0;
    if (length > PORT_DIGITS_MAX)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (!is_digit(text[i]))
            return false;
        number = number * 10 + (unsigned)(text[i] - '0');
    }
    return length == 0 || (number >= 1 && number <= PORT_MAX);
}

static const char *refuse_authority(const char *text, size_t length)
{
    if (memchr(text, '@', length) != NULL)
        return "has a user name or password in it";

    const char *end = text + length;
    const char *host_end = end;
    if (length > 0 && *text == '[') {
        const char *close = memchr(text, ']', length);
        if (close == NULL)
            return "has a malformed address as its host";
        host_end = close + 1;
        if (host_end < end && *host_end != ':')
            return "has a malformed address as its host";
    } else {
        const char *colon = memchr(text, ':', length);
        if (colon != NULL)
            host_end = colon;
    }
    if (host_end < end && !is_port(host_end + 1, (size_t)(end - host_end) - 1))
        return "has no such port (1 to 65535)";
    if (length > 0 && *text == '[')
        return refuse_bracketed(text + 1, (size_t)(host_end - text) - 2);
    return refuse_plain(text, (size_t)(host_end - text));
}

const char *url_refusal(const char *text)
{
    size_t length = strnlen(text, URL_BYTES_MAX + 1);
    if (length > URL_BYTES_MAX)
        return "is longer than 2048 bytes";
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= ' ' || c == 0x7f || c == '\\')
            return "contains a space, a control character or a backslash";
    }
    const char *authority;
    if (strncasecmp(text, "https://", 8) == 0)
        authority = text + 8;
    else if (strncasecmp(text, "http://", 7) == 0)
        authority = text + 7;
    else
        return "does not begin with https:// or http://";
    return refuse_authority(authority, strcspn(authority, "/?#"));
}
