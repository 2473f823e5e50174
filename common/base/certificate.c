#include "common/base/certificate.h"

#include <ctype.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/memory.h"

enum { SERIAL_BITS = 128, COMMON_NAME_BYTES_MAX = 64, HOST_BYTES_MAX = 253 };

static void general_names_free(GENERAL_NAMES *names)
{
    GENERAL_NAMES_free(names);
}

DEFINE_CLEANUP_P(bio, BIO, BIO_free_all)
DEFINE_CLEANUP_P(x509, X509, X509_free)
DEFINE_CLEANUP_P(pkey, EVP_PKEY, EVP_PKEY_free)
DEFINE_CLEANUP_P(bignum, BIGNUM, BN_free)
DEFINE_CLEANUP_P(extension, X509_EXTENSION, X509_EXTENSION_free)
DEFINE_CLEANUP_P(octets, ASN1_OCTET_STRING, ASN1_OCTET_STRING_free)
DEFINE_CLEANUP_P(names, GENERAL_NAMES, general_names_free)

/* OpenSSL's own reason behind ours; its queue is left empty. */
static int fail(struct error *err, enum error_code code, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return reason != NULL ? error_set(err, code, "%s: %s", what, reason)
                          : error_set(err, code, "%s", what);
}

/* ------------------------------------------------------------------ PEM */

/* Without it OpenSSL would ask the terminal for the passphrase of an encrypted key. */
static int no_passphrase(char *out, int size, int writing, void *context)
{
    (void)out, (void)size, (void)writing, (void)context;
    return -1;
}

static X509 *next_certificate(BIO *bio)
{
    return PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
}

static int read_certificate(const char *pem, X509 **out, struct error *err)
{
    AUTO(bio) BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *certificate = bio != NULL ? next_certificate(bio) : NULL;
    if (certificate == NULL)
        return fail(err, ERR_INVALID, "not a PEM certificate");
    *out = certificate;
    return 0;
}

static int read_key(const char *pem, EVP_PKEY **out, struct error *err)
{
    AUTO(bio) BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    if (key == NULL)
        return fail(err, ERR_INVALID, "not a PEM private key without passphrase");
    *out = key;
    return 0;
}

static char *bio_text(BIO *bio)
{
    char *bytes = NULL;
    long count = BIO_get_mem_data(bio, &bytes);
    return mem_strndup(bytes, (size_t)count);
}

static int write_pair(X509 *certificate, EVP_PKEY *key, struct key_pair *out, struct error *err)
{
    AUTO(bio) BIO *certificate_bio = BIO_new(BIO_s_mem());
    AUTO(bio) BIO *key_bio = BIO_new(BIO_s_secmem());
    if (certificate_bio == NULL || key_bio == NULL ||
        PEM_write_bio_X509(certificate_bio, certificate) != 1 ||
        PEM_write_bio_PKCS8PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL) != 1)
        return fail(err, ERR_INTERNAL, "cannot write PEM");
    *out = (struct key_pair){ .certificate_pem = bio_text(certificate_bio),
                              .key_pem = bio_text(key_bio) };
    return 0;
}

/* ------------------------------------------------------------------ making */

static int set_serial(X509 *certificate)
{
    AUTO(bignum) BIGNUM *number = BN_new();
    return number != NULL && BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) &&
                   BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL
               ? 0
               : -1;
}

static int set_common_name(X509_NAME *name, const char *common_name)
{
    return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                      (const unsigned char *)common_name, -1, -1, 0)
               ? 0
               : -1;
}

static int set_validity(X509 *certificate, int64_t not_before_ms, int64_t lifetime_ms)
{
    time_t from = (time_t)(not_before_ms / 1000);
    time_t until = (time_t)((not_before_ms + lifetime_ms) / 1000);
    return ASN1_TIME_set(X509_getm_notBefore(certificate), from) != NULL &&
                   ASN1_TIME_set(X509_getm_notAfter(certificate), until) != NULL
               ? 0
               : -1;
}

/* A certificate with everything that authority and leaf share, not yet signed. */
static int new_certificate(const char *common_name, int64_t not_before_ms, int64_t lifetime_ms,
                           EVP_PKEY *key, X509 **out, struct error *err)
{
    size_t length = strlen(common_name);
    if (length == 0 || length > COMMON_NAME_BYTES_MAX)
        return error_set(err, ERR_INVALID, "common name \"%.80s\": must have 1 to %d bytes",
                         common_name, COMMON_NAME_BYTES_MAX);
    if (lifetime_ms <= 0)
        return error_set(err, ERR_INVALID, "lifetime must be positive");

    AUTO(x509) X509 *certificate = X509_new();
    if (certificate == NULL || !X509_set_version(certificate, X509_VERSION_3) ||
        set_serial(certificate) < 0 ||
        set_common_name(X509_get_subject_name(certificate), common_name) < 0 ||
        set_validity(certificate, not_before_ms, lifetime_ms) < 0 ||
        !X509_set_pubkey(certificate, key))
        return fail(err, ERR_INTERNAL, "cannot make a certificate");
    *out = STEAL(certificate);
    return 0;
}

static int add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    AUTO(extension)
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    return extension != NULL && X509_add_ext(certificate, extension, -1) ? 0 : -1;
}

static bool is_dns_name(const char *host)
{
    size_t length = strlen(host);
    for (const char *p = host; *p != '\0'; p++) {
        if (!isalnum((unsigned char)*p) && strchr(".-_*", *p) == NULL)
            return false;
    }
    return length > 0 && length <= HOST_BYTES_MAX;
}

static bool is_address(const char *host)
{
    AUTO(octets) ASN1_OCTET_STRING *address = a2i_IPADDRESS(host);
    ERR_clear_error();
    return address != NULL;
}

static GENERAL_NAME *new_general_name(const char *host)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    if (name == NULL)
        return NULL;
    ASN1_STRING *value = a2i_IPADDRESS(host);
    if (value != NULL) {
        GENERAL_NAME_set0_value(name, GEN_IPADD, value);
        return name;
    }
    ERR_clear_error();
    value = ASN1_IA5STRING_new();
    if (value == NULL || !ASN1_STRING_set(value, host, -1)) {
        ASN1_STRING_free(value);
        GENERAL_NAME_free(name);
        return NULL;
    }
    GENERAL_NAME_set0_value(name, GEN_DNS, value);
    return name;
}

/* Built from values and not from OpenSSL's "DNS:...,IP:..." text, which a comma in a host could
 * extend. */
static int add_hosts(X509 *certificate, const char *const *hosts, struct error *err)
{
    if (hosts == NULL || hosts[0] == NULL)
        return 0;
    AUTO(names) GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    for (const char *const *host = hosts; *host != NULL; host++) {
        if (!is_address(*host) && !is_dns_name(*host))
            return error_set(err, ERR_INVALID, "\"%.253s\" is neither a DNS name nor an IP address",
                             *host);
        GENERAL_NAME *name = new_general_name(*host);
        if (name == NULL || names == NULL || !sk_GENERAL_NAME_push(names, name)) {
            GENERAL_NAME_free(name);
            return fail(err, ERR_INTERNAL, "cannot add a host");
        }
    }
    if (!X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT))
        return fail(err, ERR_INTERNAL, "cannot add hosts");
    return 0;
}

static int sign(X509 *certificate, EVP_PKEY *key, struct error *err)
{
    if (X509_sign(certificate, key, EVP_sha256()) == 0)
        return fail(err, ERR_INTERNAL, "cannot sign a certificate");
    return 0;
}

int certificate_make_authority(const char *common_name, int64_t not_before_ms, int64_t lifetime_ms,
                               struct key_pair *out, struct error *err)
{
    AUTO(x509) X509 *certificate = NULL;
    AUTO(pkey) EVP_PKEY *key = EVP_EC_gen("P-256");
    if (key == NULL)
        return fail(err, ERR_INTERNAL, "cannot make a key");
    if (new_certificate(common_name, not_before_ms, lifetime_ms, key, &certificate, err) < 0)
        return -1;
    if (!X509_set_issuer_name(certificate, X509_get_subject_name(certificate)) ||
        add_extension(certificate, certificate, NID_basic_constraints,
                      "critical,CA:TRUE,pathlen:0") < 0 ||
        add_extension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign") <
            0 ||
        add_extension(certificate, certificate, NID_subject_key_identifier, "hash") < 0)
        return fail(err, ERR_INTERNAL, "cannot make an authority");
    if (sign(certificate, key, err) < 0)
        return -1;
    return write_pair(certificate, key, out, err);
}

static int add_leaf_extensions(X509 *leaf, X509 *issuer, const struct certificate_request *request,
                               struct error *err)
{
    const char *usage = request->server_auth && request->client_auth ? "serverAuth,clientAuth"
                        : request->server_auth                       ? "serverAuth"
                        : request->client_auth                       ? "clientAuth"
                                                                     : NULL;
    if (add_extension(leaf, issuer, NID_basic_constraints, "critical,CA:FALSE") < 0 ||
        add_extension(leaf, issuer, NID_key_usage, "critical,digitalSignature") < 0 ||
        (usage != NULL && add_extension(leaf, issuer, NID_ext_key_usage, usage) < 0) ||
        add_extension(leaf, issuer, NID_subject_key_identifier, "hash") < 0 ||
        add_extension(leaf, issuer, NID_authority_key_identifier, "keyid:always") < 0)
        return fail(err, ERR_INTERNAL, "cannot make a leaf certificate");
    return add_hosts(leaf, request->hosts, err);
}

int certificate_issue(const struct key_pair *authority, const struct certificate_request *request,
                      struct key_pair *out, struct error *err)
{
    AUTO(x509) X509 *issuer = NULL;
    AUTO(pkey) EVP_PKEY *issuer_key = NULL;
    if (read_certificate(authority->certificate_pem, &issuer, err) < 0 ||
        read_key(authority->key_pem, &issuer_key, err) < 0)
        return error_wrap(err, "authority");

    AUTO(x509) X509 *leaf = NULL;
    AUTO(pkey) EVP_PKEY *key = EVP_EC_gen("P-256");
    if (key == NULL)
        return fail(err, ERR_INTERNAL, "cannot make a key");
    if (new_certificate(request->common_name, request->not_before_ms, request->lifetime_ms, key,
                        &leaf, err) < 0)
        return -1;
    if (!X509_set_issuer_name(leaf, X509_get_subject_name(issuer)))
        return fail(err, ERR_INTERNAL, "cannot name the issuer");
    if (add_leaf_extensions(leaf, issuer, request, err) < 0 || sign(leaf, issuer_key, err) < 0)
        return -1;
    return write_pair(leaf, key, out, err);
}

/* ------------------------------------------------------------------ reading */

static int time_ms(const ASN1_TIME *time, int64_t *out)
{
    struct tm parts;
    if (!ASN1_TIME_to_tm(time, &parts))
        return -1;
    *out = (int64_t)timegm(&parts) * 1000;
    return 0;
}

int certificate_inspect(const char *pem, struct certificate_info *out, struct error *err)
{
    AUTO(x509) X509 *certificate = NULL;
    struct certificate_info info = { .common_name = "" };
    if (read_certificate(pem, &certificate, err) < 0)
        return -1;
    if (time_ms(X509_get0_notBefore(certificate), &info.not_before_ms) < 0 ||
        time_ms(X509_get0_notAfter(certificate), &info.not_after_ms) < 0)
        return fail(err, ERR_INVALID, "certificate with unreadable times");
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, info.common_name,
                              sizeof(info.common_name));
    *out = info;
    return 0;
}

static int check_issuer(X509 *leaf, const char *bundle_pem, struct error *err)
{
    AUTO(bio) BIO *bio = BIO_new_mem_buf(bundle_pem, -1);
    bool issued = false;
    for (X509 *authority; bio != NULL && !issued && (authority = next_certificate(bio)) != NULL;) {
        issued = X509_check_ca(authority) == 1 && X509_check_issued(authority, leaf) == X509_V_OK &&
                 X509_verify(leaf, X509_get0_pubkey(authority)) == 1;
        X509_free(authority);
    }
    ERR_clear_error(); /* the end of the bundle is an error to OpenSSL */
    return issued ? 0 : error_set(err, ERR_INVALID, "not issued by an authority of the bundle");
}

static int check_hosts(X509 *leaf, const char *const *hosts, struct error *err)
{
    for (; hosts != NULL && *hosts != NULL; hosts++) {
        int covered =
            is_address(*hosts)
                ? X509_check_ip_asc(leaf, *hosts, 0)
                : X509_check_host(leaf, *hosts, 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL);
        if (covered != 1)
            return error_set(err, ERR_INVALID, "does not cover host %.253s", *hosts);
    }
    return 0;
}

int certificate_check(const char *pem, const char *key_pem, const char *bundle_pem,
                      const char *const *hosts, struct error *err)
{
    AUTO(x509) X509 *leaf = NULL;
    AUTO(pkey) EVP_PKEY *key = NULL;
    if (read_certificate(pem, &leaf, err) < 0 || read_key(key_pem, &key, err) < 0)
        return -1;
    if (X509_check_private_key(leaf, key) != 1) {
        ERR_clear_error();
        return error_set(err, ERR_INVALID, "certificate and private key do not belong together");
    }
    if (bundle_pem != NULL && check_issuer(leaf, bundle_pem, err) < 0)
        return -1;
    return check_hosts(leaf, hosts, err);
}

bool certificate_is_due(const struct certificate_info *info, int64_t now_ms)
{
    int64_t life_ms = info->not_after_ms - info->not_before_ms;
    return now_ms < info->not_before_ms || now_ms >= info->not_before_ms + life_ms / 3 * 2;
}

void key_pair_fini(struct key_pair *pair)
{
    if (pair->key_pem != NULL)
        explicit_bzero(pair->key_pem, strlen(pair->key_pem));
    free(pair->key_pem);
    free(pair->certificate_pem);
    *pair = (struct key_pair){ .key_pem = NULL };
}
