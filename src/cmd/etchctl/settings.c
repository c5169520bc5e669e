#include "cmd/etchctl/settings.h"

#include <string.h>

#include "base/bytes.h"

static const char default_endpoints[] =
    "http://127.0.0.1:2379,http://127.0.0.1:4001";

struct environment {
    settings_getenv get;
    void *context;
};

/* An empty value counts as none, as in etcdctl. */
static const char *from_environment(const struct environment *env,
                                    const char *name)
{
    const char *text = env->get(env->context, name);
    return text && text[0] ? text : NULL;
}

static const char *flag_or_env(const struct flags *flags, const char *flag,
                               const struct environment *env, const char *name)
{
    const char *text = flags_text(flags, flag);
    return text[0] ? text : from_environment(env, name);
}

static const char *endpoints_text(const struct flags *flags,
                                  const struct environment *env)
{
    const char *text =
        flag_or_env(flags, "endpoints", env, "ETCDCTL_ENDPOINTS");

    if (!text)
        text = flag_or_env(flags, "endpoint", env, "ETCDCTL_ENDPOINT");
    if (!text)
        text = flag_or_env(flags, "peers", env, "ETCDCTL_PEERS");
    return text ? text : default_endpoints;
}

/* "host:port" is taken for http; what follows the port is a prefix of every
 * path, so a lone '/' is dropped. */
static enum err add_endpoint(struct settings *settings, struct arena *arena,
                             struct slice text)
{
    struct slice scheme_end = SLICE("://");
    const char *prefix = "http://";

    while (text.size && text.at[0] == ' ') {
        text.at++;
        text.size--;
    }
    while (text.size &&
           (text.at[text.size - 1] == '/' || text.at[text.size - 1] == ' '))
        text.size--;
    if (text.size == 0)
        return err_set(ERR_INVALID, "an endpoint is empty");
    if (memmem(text.at, text.size, scheme_end.at, scheme_end.size))
        prefix = "";
    settings->endpoints[settings->endpoint_count++] =
        arena_printf(arena, "%s%.*s", prefix, (int)text.size, text.at);
    return ERR_OK;
}

static enum err load_endpoints(struct settings *settings, struct arena *arena,
                               const char *text)
{
    struct slice rest = slice_str(text);
    size_t count = 1;

    for (size_t i = 0; i < rest.size; i++)
        count += rest.at[i] == ',';
    settings->endpoints =
        arena_alloc(arena, count * sizeof(*settings->endpoints));
    settings->endpoint_count = 0;
    for (;;) {
        ptrdiff_t comma = slice_find(rest, ',');
        size_t size = comma < 0 ? rest.size : (size_t)comma;
        enum err err = add_endpoint(settings, arena, slice_of(rest.at, size));
        if (err != ERR_OK)
            return err_wrap(err, "endpoints \"%s\"", text);
        if (comma < 0)
            return ERR_OK;
        rest.at += size + 1;
        rest.size -= size + 1;
    }
}

static enum err load_output(struct settings *settings, const char *text)
{
    static const char *const names[] = {"simple", "extended", "json"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(text, names[i]) == 0) {
            settings->output = (enum output_format)i;
            return ERR_OK;
        }
    }
    return err_set(ERR_INVALID, "Unsupported output format: %s", text);
}

static void load_user(struct settings *settings, struct arena *arena,
                      const char *text)
{
    const char *colon = text ? strchr(text, ':') : NULL;

    settings->username = text;
    settings->password = NULL;
    if (colon) {
        settings->username =
            arena_printf(arena, "%.*s", (int)(colon - text), text);
        settings->password = colon + 1;
    }
}

enum err settings_load(struct settings *settings, struct arena *arena,
                       const struct flags *global, settings_getenv get,
                       void *context)
{
    struct environment env = {get, context};
    enum err err;

    memset(settings, 0, sizeof(*settings));
    if (flag_or_env(global, "discovery-srv", &env, "ETCDCTL_DISCOVERY_SRV"))
        return err_set(ERR_INVALID,
                       "discovery by SRV records comes with a later version: "
                       "name the members with --endpoints");
    err = load_output(settings, flags_text(global, "output"));
    if (err == ERR_OK)
        err = load_endpoints(settings, arena, endpoints_text(global, &env));
    if (err != ERR_OK)
        return err;
    settings->is_debug = flags_bool(global, "debug");
    settings->is_no_sync = flags_bool(global, "no-sync");
    settings->timeout_ms = flags_number(global, "timeout");
    settings->total_timeout_ms = flags_number(global, "total-timeout");
    settings->ca_file = flag_or_env(global, "ca-file", &env, "ETCDCTL_CA_FILE");
    settings->cert_file =
        flag_or_env(global, "cert-file", &env, "ETCDCTL_CERT_FILE");
    settings->key_file =
        flag_or_env(global, "key-file", &env, "ETCDCTL_KEY_FILE");
    load_user(settings, arena,
              flag_or_env(global, "username", &env, "ETCDCTL_USERNAME"));
    return ERR_OK;
}

enum err settings_api(const struct flags *global, settings_getenv get,
                      void *context, int *version)
{
    struct environment env = {get, context};
    const char *text = flag_or_env(global, "api", &env, "ETCDCTL_API");

    *version = 2;
    if (!text || strcmp(text, "2") == 0)
        return ERR_OK;
    if (strcmp(text, "3") != 0)
        return err_set(ERR_INVALID, "unsupported API version %s", text);
    *version = 3;
    return ERR_OK;
}
