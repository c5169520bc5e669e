#include "host/harden.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/log.h"
#include "host/seccomp.h"

/* ---- at the start -------------------------------------------------------- */

static void complain(const char *what)
{
    log_warn("host", "the kernel doesn't let the process give this up",
             LOG_STR("what", what), LOG_STR("why", strerror(errno)));
}

/* A core file holds all that the process knows: values, passwords, keys. */
static void forbid_cores(void)
{
    const struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) != 0) {
        complain("core files");
    }
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
        complain("being looked into (dumpable)");
    }
}

void harden_begin(const struct config *config)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        complain("rights of programs that are started (no-new-privs)");
    }
    if (!config->core_dumps) {
        forbid_cores();
    }
    if (config->has_seccomp) {
        /* Newer libraries than ours would use a ring, which the filter
         * doesn't let them have. */
        (void)setenv("UV_USE_IO_URING", "0", 1);
    }
}

/* ---- when the ports are open --------------------------------------------- */

static void enter_filter(const struct config *config)
{
    /* A member that turned out to be a proxy comes twice. */
    static bool entered;
    if (entered) {
        return;
    }
    entered = true;
    if (!config->has_seccomp) {
        log_warn("host", "system calls aren't filtered (--seccomp=off)");
    } else if (!seccomp_is_possible()) {
        log_warn("host", "system calls aren't filtered: this build, with a "
                         "sanitizer or for another machine, can't");
    } else if (seccomp_enter(config->recipes_exec_allow.count > 0) != ERR_OK) {
        log_warn("host", "system calls aren't filtered: the kernel can't",
                 LOG_STR("why", err_note()));
    }
}

enum err harden_confine(const struct config *config,
                        const struct privileges *who)
{
    enum err err = privileges_drop(who);
    if (err != ERR_OK) {
        return err;
    }
    if (who->change) {
        log_info("host", "goes on as another user", LOG_STR("user", who->name),
                 LOG_UINT("uid", who->uid));
        /* The kernel has its own mind about it after such a change. */
        if (prctl(PR_SET_DUMPABLE, config->core_dumps ? 1 : 0, 0, 0, 0) != 0) {
            complain("being looked into (dumpable)");
        }
    }
    enter_filter(config);
    return ERR_OK;
}

/* ---- open doors ---------------------------------------------------------- */

static bool is_local(const struct config_url *url)
{
    return url->is_unix || strcmp(url->host, "localhost") == 0 ||
           strcmp(url->host, "::1") == 0 || strncmp(url->host, "127.", 4) == 0;
}

static bool demands_certificate(const struct config_tls *tls)
{
    return tls->client_cert_auth || tls->ca_file[0] != '\0';
}

static int warn(const struct config_url *url, const char *what)
{
    log_warn("security", what, LOG_STR("url", url->text),
             LOG_STR("see", "docs/security.md"));
    return 1;
}

static int warn_clients(const struct config *config, bool has_users)
{
    bool known = has_users || demands_certificate(&config->client_tls);
    int count = 0;
    for (size_t i = 0; i < config->listen_client_urls.count; i++) {
        const struct config_url *url = &config->listen_client_urls.at[i];
        if (is_local(url)) {
            continue;
        }
        if (!url->tls && !has_users) {
            count += warn(url, "INSECURE: other machines can reach this port, "
                               "which has neither TLS nor users: whoever gets "
                               "there may read and change everything");
        } else if (!url->tls) {
            count += warn(url, "INSECURE: other machines can reach this port, "
                               "which has no TLS: passwords, tokens and values "
                               "can be read on the way");
        } else if (!known) {
            count += warn(url, "INSECURE: other machines can reach this port, "
                               "which asks nobody who he is: whoever gets "
                               "there may read and change everything");
        }
    }
    return count;
}

static int warn_peers(const struct config *config)
{
    int count = 0;
    for (size_t i = 0; i < config->listen_peer_urls.count; i++) {
        const struct config_url *url = &config->listen_peer_urls.at[i];
        if (is_local(url)) {
            continue;
        }
        if (!url->tls) {
            count += warn(url, "INSECURE: other machines can reach this peer "
                               "port, which has no TLS: whoever gets there "
                               "may act as a member");
        } else if (!demands_certificate(&config->peer_tls)) {
            count += warn(url, "INSECURE: other machines can reach this peer "
                               "port, which asks for no certificate: whoever "
                               "gets there may act as a member");
        }
    }
    return count;
}

int harden_warn_open(const struct config *config, bool has_users)
{
    return warn_clients(config, has_users) + warn_peers(config);
}
