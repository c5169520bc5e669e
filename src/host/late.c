#include "host/late.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "base/check.h"

#define LATE_OWN
#include "host/late_crypto.h"
#include "host/late_curl.h"
#include "host/late_ssl.h"
#include "host/late_xml.h"

struct late_curl late_curl;
struct late_crypto late_crypto;
struct late_xml late_xml;
struct late_ssl late_ssl;
struct late_x509 late_x509;

/* Names of functions, and the table of as many pointers that they go to. */
struct table {
    const char *file;
    void *functions;
    const char *const *names;
    size_t count;
};

#define X(name) #name,
static const char *const curl_names[] = {LATE_CURL_TABLE(X)};
static const char *const crypto_names[] = {LATE_CRYPTO_TABLE(X)};
static const char *const xml_names[] = {LATE_XML_TABLE(X)};
static const char *const ssl_names[] = {LATE_SSL_TABLE(X)};
static const char *const x509_names[] = {LATE_X509_TABLE(X)};
#undef X

#define COUNT(names) (sizeof(names) / sizeof((names)[0]))
static const struct table tables[LATE_COUNT] = {
    [LATE_CURL] = {"libcurl.so.4", &late_curl, curl_names, COUNT(curl_names)},
    [LATE_CRYPTO] = {"libcrypto.so.3", &late_crypto, crypto_names,
                     COUNT(crypto_names)},
    [LATE_XML] = {"libxml2.so.2", &late_xml, xml_names, COUNT(xml_names)},
    [LATE_SSL] = {"libssl.so.3", &late_ssl, ssl_names, COUNT(ssl_names)},
    [LATE_X509] = {"libcrypto.so.3", &late_x509, x509_names, COUNT(x509_names)},
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static bool loaded[LATE_COUNT]; /* under the mutex */

static enum err load(const struct table *table)
{
    void *library = dlopen(table->file, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        return err_set(ERR_UNSUPPORTED, "load %s: %s", table->file, dlerror());
    }
    for (size_t i = 0; i < table->count; i++) {
        void *function = dlsym(library, table->names[i]);
        if (function == NULL) {
            return err_set(ERR_UNSUPPORTED, "%s has no %s", table->file,
                           table->names[i]);
        }
        /* POSIX has it that a function's address fits a void pointer; ISO C
         * has no cast for that. */
        memcpy((char *)table->functions + i * sizeof(function), &function,
               sizeof(function));
    }
    return ERR_OK; /* never closed: others may hold its functions */
}

enum err late_load(enum late library)
{
    enum err err = ERR_OK;
    CHECK(library < LATE_COUNT);
    CHECK(tables[library].file != NULL);
    pthread_mutex_lock(&mutex);
    if (!loaded[library]) {
        err = load(&tables[library]);
        loaded[library] = err == ERR_OK;
    }
    pthread_mutex_unlock(&mutex);
    return err;
}
