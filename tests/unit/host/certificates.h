/* The certificates of tests/support/certificates, made once for a test
 * program. For tests that include it once. */
#ifndef ETCHED_TESTS_CERTIFICATES_H
#define ETCHED_TESTS_CERTIFICATES_H

#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "host/tls.h"

extern char **environ;

static char certificates_folder[] = "/tmp/etched-certificates-XXXXXX";

static inline int certificates_run(const char *program, const char *first,
                                   const char *second)
{
    char *words[] = {(char *)(uintptr_t)program, (char *)(uintptr_t)first,
                     (char *)(uintptr_t)second, NULL};
    pid_t child;
    int status = -1;
    assert_int_equal(posix_spawnp(&child, program, NULL, NULL, words, environ),
                     0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static inline int certificates_make(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(certificates_folder));
    return certificates_run("tests/support/certificates", certificates_folder,
                            NULL);
}

static inline int certificates_remove(void **state)
{
    (void)state;
    return certificates_run("rm", "-r", certificates_folder);
}

/* "ca.pem" in the folder; good until 64 more were asked
 * for. */
static inline const char *certificates_path(const char *name,
                                            const char *ending)
{
    static char paths[64][128];
    static int next;
    char *path = paths[next++ % 64];
    (void)snprintf(path, sizeof(paths[0]), "%s/%s%s", certificates_folder, name,
                   ending);
    return path;
}

/* One side that shows `name` (NULL: nothing) and trusts `ca`. */
static inline struct tls_options
certificates_of(enum tls_side side, const char *name, const char *ca)
{
    struct tls_options options = {.side = side,
                                  .ca_file = certificates_path(ca, ".pem"),
                                  .cert_auth = side == TLS_SERVER};
    if (name != NULL) {
        options.cert_file = certificates_path(name, ".pem");
        options.key_file = certificates_path(name, ".key");
    }
    return options;
}

#endif
