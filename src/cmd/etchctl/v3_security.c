#include "cmd/etchctl/v3_security.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

int v3_check_security(const struct v3 *v3)
{
    static const char *const files[] = {"cert", "key", "cacert"};

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        if (pflags_is_given(&v3->flags, files[i]) &&
            pflags_text(&v3->flags, files[i])[0] == '\0')
            return v3_fail(v3, V3_BAD_ARGUMENTS,
                           "empty string is passed to --%s option", files[i]);
    return V3_DONE;
}

int v3_check_files(const struct v3 *v3, const struct rpc_client_tls *tls)
{
    const char *files[] = {tls->cert_file, tls->key_file, tls->ca_file};

    if (!tls->cert_file[0] != !tls->key_file[0])
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "KeyFile and CertFile must both be present[key: %s, "
                       "cert: %s]",
                       tls->key_file, tls->cert_file);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        if (files[i][0] && access(files[i], R_OK) != 0) {
            const char *why = strerror(errno);
            return v3_fail(v3, V3_BAD_ARGUMENTS, "open %s: %c%s", files[i],
                           tolower((unsigned char)why[0]), why + 1);
        }
    }
    return V3_DONE;
}

static const char *flag(const struct v3 *v3, const char *prefix,
                        const char *name)
{
    return arena_printf(v3->arena, "%s%s", prefix, name);
}

struct rpc_client_tls v3_security(const struct v3 *v3, const char *prefix)
{
    const struct pflags *flags = &v3->flags;
    struct rpc_client_tls tls = {
        .ca_file = pflags_text(flags, flag(v3, prefix, "cacert")),
        .cert_file = pflags_text(flags, flag(v3, prefix, "cert")),
        .key_file = pflags_text(flags, flag(v3, prefix, "key")),
        .skip_verify = pflags_bool(flags, "insecure-skip-tls-verify"),
    };

    tls.is_default =
        tls.ca_file[0] || tls.cert_file[0] || tls.key_file[0] ||
        !pflags_bool(flags, flag(v3, prefix, "insecure-transport"));
    return tls;
}
