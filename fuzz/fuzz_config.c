/* A configuration file of any form, or a command line, through config_load.
 * The first byte says which; a command line has one argument a line. */
#include "base/check.h"
#include "host/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { ARGS_MAX = 16 };

static enum err read_input(void *context, const char *path, struct buf *out)
{
    CHECK(*path);
    buf_append_slice(out, *(const struct slice *)context);
    return ERR_OK;
}

/* Cuts `text` (zero-terminated) at its line ends. */
static int split_lines(char *text, char **argv)
{
    int argc = 0;
    argv[argc++] = text;
    for (char *at = text; *at; at++) {
        if (*at == '\n' && argc < ARGS_MAX) {
            *at = '\0';
            argv[argc++] = at + 1;
        }
    }
    return argc;
}

static void check_config(const struct config *config)
{
    if (config->request != CONFIG_SERVE) {
        return;
    }
    CHECK(*config->name);
    CHECK(*config->data_dir);
    CHECK_LT(0, config->listen_client_urls.count);
    CHECK_LT(0, config->advertise_client_urls.count);
    CHECK_LT(0, config->listen_peer_urls.count);
    CHECK_LT(0, config->initial_advertise_peer_urls.count);
    CHECK_LT(0, config->initial_cluster.count);
    for (size_t i = 0; i < config->listen_client_urls.count; i++) {
        const struct config_url *url = &config->listen_client_urls.at[i];
        CHECK(*url->host);
        CHECK(!url->tls || *config->client_tls.cert_file ||
              config->client_tls.auto_tls);
        CHECK(url->port >= 0 && url->port <= 65535);
    }
    CHECK_LE(config->heartbeat_interval_ms * 5, config->election_timeout_ms);
    CHECK_LT(0, config->backend_batch_limit);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const char *const paths[] = {"/a.toml", "/a.yaml", "/a.json",
                                        "/a.conf"};
    if (size == 0) {
        return 0;
    }
    struct slice text = slice_of(bytes + 1, size - 1);
    struct buf words = {0};
    buf_append_slice(&words, text);
    buf_append_char(&words, '\0');
    char *argv[ARGS_MAX] = {NULL};
    unsigned kind = (bytes[0] - (unsigned)'0') % 5;
    const struct config_input input = {
        .argc = kind == 4 ? split_lines(words.at, argv) : 0,
        .argv = argv,
        .default_file = kind == 4 ? NULL : paths[kind],
        .read = read_input,
        .context = &text,
    };
    struct config config;
    if (config_load(&config, &input)) {
        CHECK(*err_note());
    } else {
        check_config(&config);
        config_deinit(&config);
    }
    buf_deinit(&words);
    return 0;
}
