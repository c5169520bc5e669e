/* A certificate that nobody has vouched for, for --auto-tls: what is sent is
 * private, but not to whom. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/tls_int.h"

enum { DAY_S = 24 * 60 * 60, YEAR_DAYS = 365 };

/* ---- what is there ------------------------------------------------------- */

static bool is_good_tomorrow(const char *path)
{
    BIO *file = BIO_new_file(path, "r");
    if (file == NULL) {
        ERR_clear_error();
        return false;
    }
    X509 *certificate = PEM_read_bio_X509(file, NULL, NULL, NULL);
    bool good = false;
    if (certificate != NULL) {
        time_t tomorrow = time(NULL) + DAY_S;
        good = X509_cmp_time(X509_get0_notAfter(certificate), &tomorrow) > 0;
        X509_free(certificate);
    }
    BIO_free(file);
    ERR_clear_error();
    return good;
}

/* ---- a new one ----------------------------------------------------------- */

static void add_extension(X509 *certificate, int number, const char *value)
{
    X509_EXTENSION *extension =
        X509V3_EXT_conf_nid(NULL, NULL, number, (char *)(uintptr_t)value);
    CHECK(extension != NULL);
    CHECK_EQ(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static void add_hosts(X509 *certificate, const char *const *hosts, size_t count)
{
    struct buf names = {0};
    unsigned char address[16];
    for (size_t i = 0; i < count; i++) {
        bool is_address = inet_pton(AF_INET, hosts[i], address) == 1 ||
                          inet_pton(AF_INET6, hosts[i], address) == 1;
        if (names.size > 0) {
            buf_append_char(&names, ',');
        }
        buf_append_str(&names, is_address ? "IP:" : "DNS:");
        buf_append_str(&names, hosts[i]);
    }
    if (names.size > 0) {
        buf_append_char(&names, '\0');
        add_extension(certificate, NID_subject_alt_name, names.at);
    }
    buf_deinit(&names);
}

static X509 *make_certificate(EVP_PKEY *key, const char *const *hosts,
                              size_t count, int years)
{
    X509 *certificate = X509_new();
    uint64_t serial;
    CHECK(certificate != NULL);
    CHECK_EQ(getrandom(&serial, sizeof(serial), 0), sizeof(serial));
    CHECK_EQ(X509_set_version(certificate, X509_VERSION_3), 1);
    CHECK_EQ(ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate),
                                     serial >> 1),
             1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
    X509_time_adj_ex(X509_getm_notAfter(certificate), years * YEAR_DAYS, 0,
                     NULL);
    X509_NAME *name = X509_get_subject_name(certificate);
    CHECK_EQ(X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC,
                                        (const unsigned char *)"etched", -1, -1,
                                        0),
             1);
    CHECK_EQ(X509_set_issuer_name(certificate, name), 1);
    CHECK_EQ(X509_set_pubkey(certificate, key), 1);
    add_extension(certificate, NID_key_usage,
                  "critical,digitalSignature,keyCertSign");
    add_extension(certificate, NID_ext_key_usage, "serverAuth,clientAuth");
    add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
    add_hosts(certificate, hosts, count);
    CHECK(X509_sign(certificate, key, EVP_sha256()) > 0);
    return certificate;
}

/* Readable by the owner alone from its first byte on. */
static BIO *create(const char *path)
{
    (void)unlink(path);
    int fd =
        open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return NULL;
    }
    close(fd);
    return BIO_new_file(path, "w");
}

static enum err write_files(const char *cert_path, const char *key_path,
                            X509 *certificate, EVP_PKEY *key)
{
    BIO *cert_file = create(cert_path);
    BIO *key_file = create(key_path);
    bool written =
        cert_file != NULL && key_file != NULL &&
        PEM_write_bio_X509(cert_file, certificate) == 1 &&
        PEM_write_bio_PrivateKey(key_file, key, NULL, NULL, 0, NULL, NULL) == 1;
    int number = errno;
    BIO_free(cert_file);
    BIO_free(key_file);
    ERR_clear_error();
    if (!written) {
        return err_set(ERR_IO, "write %s: %s", cert_path, strerror(number));
    }
    return ERR_OK;
}

static void path_of(struct buf *out, const char *dir, const char *name)
{
    buf_append_str(out, dir);
    buf_append_char(out, '/');
    buf_append_str(out, name);
    buf_append_char(out, '\0');
}

enum err tls_self_signed(const char *dir, const char *const *hosts,
                         size_t host_count, int validity_years,
                         struct buf *cert, struct buf *key)
{
    enum err err = late_load(LATE_SSL);
    if (err == ERR_OK) {
        err = late_load(LATE_X509);
    }
    if (err != ERR_OK) {
        return err_wrap(err, "TLS");
    }
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        return err_set(ERR_IO, "make %s: %s", dir, strerror(errno));
    }
    path_of(cert, dir, "cert.pem");
    path_of(key, dir, "key.pem");
    if (is_good_tomorrow(cert->at) && access(key->at, R_OK) == 0) {
        return ERR_OK;
    }
    EVP_PKEY *pair = EVP_EC_gen("P-256");
    if (pair == NULL) {
        return err_set(ERR_UNSUPPORTED, "make a key: %s", tls__library_error());
    }
    X509 *certificate =
        make_certificate(pair, hosts, host_count, validity_years);
    err = write_files(cert->at, key->at, certificate, pair);
    X509_free(certificate);
    EVP_PKEY_free(pair);
    if (err == ERR_OK) {
        log_info("tls", "made a certificate of our own",
                 LOG_STR("path", cert->at));
    }
    return err;
}
