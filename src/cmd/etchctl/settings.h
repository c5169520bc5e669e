/* What the global flags and the environment (ETCDCTL_*) settle, as plain
 * fields. Pure: the environment is handed in.
 *
 *   endpoints:  --endpoints > ETCDCTL_ENDPOINTS > --endpoint >
 *               ETCDCTL_ENDPOINT > --peers > ETCDCTL_PEERS > the default
 *   the others: flag > ETCDCTL_<NAME> > default
 */
#ifndef ETCHED_CMD_ETCHCTL_SETTINGS_H
#define ETCHED_CMD_ETCHCTL_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "cmd/etchctl/flags.h"

enum output_format {
    OUTPUT_SIMPLE,
    OUTPUT_EXTENDED,
    OUTPUT_JSON,
};

struct settings {
    const char **endpoints; /* each "http://host:port", no '/' at the end */
    size_t endpoint_count;
    enum output_format output;
    bool is_debug;
    bool is_no_sync;
    int64_t timeout_ms;       /* a request; 0: none */
    int64_t total_timeout_ms; /* a command; 0: none */
    const char *ca_file;      /* NULL: none */
    const char *cert_file;
    const char *key_file;
    const char *username; /* NULL: none */
    const char *password; /* NULL: to be asked for, where there is a name */
};

typedef const char *(*settings_getenv)(void *context, const char *name);

/* Errors: ERR_INVALID with a note for the user.
 * Owns: everything lives in the arena, or with the flags. */
enum err settings_load(struct settings *settings, struct arena *arena,
                       const struct flags *global, settings_getenv env,
                       void *context) MUST_USE;

/* Which version of the API is asked for: "--api", else ETCDCTL_API, else 2.
 * Errors: ERR_INVALID when there is no such version. */
enum err settings_api(const struct flags *global, settings_getenv env,
                      void *context, int *version) MUST_USE;

#endif
