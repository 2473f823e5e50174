/* Folders of certificates for tests of whatever listens or dials with TLS. Failures end the test.
 */
#pragma once

#include "common/base/certificate.h"

/* A folder of its own under the temporary directory, with no certificate in it; the caller frees.
 */
char *test_dir_new(void);
void test_dir_remove(const char *dir); /* the files in it too */
void test_file_write(const char *dir, const char *name, const char *text);
char *test_file_path(const char *dir, const char *name); /* the caller frees */

/* An authority that is valid now. */
void test_authority(const char *common_name, struct key_pair *out);
/* A leaf for localhost and 127.0.0.1, good for both sides, into ca.crt, tls.crt and tls.key of
 * `dir`. */
void test_tls_dir_fill(const char *dir, const struct key_pair *authority, const char *common_name);
