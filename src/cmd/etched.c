/* The server program; as `etched recipes`, the Recipes service alone. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "host/bootstrap.h"
#include "host/config.h"
#include "host/harden.h"
#include "host/log_output.h"
#include "host/proxy.h"
#include "host/recipes_alone.h"
#include "host/server.h"

extern char **environ;

/* Exit statuses. */
enum { EXIT_BAD_CONFIG = 2 };

static enum err read_file(void *context, const char *path, struct buf *out)
{
    (void)context;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        int number = errno;
        return err_set(err_from_errno(number), "%s: %s", path,
                       strerror(number));
    }
    enum err err = ERR_OK;
    ssize_t size = 1;
    while (err == ERR_OK && size > 0) {
        buf_reserve(out, 4096);
        size = read(fd, out->at + out->size, 4096);
        if (size < 0) {
            err = err_set(ERR_IO, "%s: %s", path, strerror(errno));
        } else {
            out->size += (size_t)size;
        }
        if (out->size > CONFIG_FILE_BYTES_MAX) {
            err = err_set(ERR_TOO_LARGE, "%s: larger than %d bytes", path,
                          CONFIG_FILE_BYTES_MAX);
        }
    }
    close(fd);
    return err;
}

static void print(void (*write)(struct buf *out))
{
    struct buf out = {0};
    write(&out);
    (void)fwrite(out.at, 1, out.size, stdout);
    buf_deinit(&out);
}

struct program {
    const struct config_input *input;
    char *proxy_of; /* peer URLs: it turned out to be a proxy of these */
};

/* On SIGHUP: the configuration is read once more, for its log level. */
static void reload(void *context)
{
    const struct program *program = context;
    struct config config;
    if (config_load(&config, program->input) != ERR_OK) {
        log_error("config", "the configuration can't be read anew",
                  LOG_STR("why", err_note()));
        return;
    }
    log_set_level(config.log_level);
    log_info("config", "read the log level anew",
             LOG_STR("level", log_level_name(config.log_level)));
    config_deinit(&config);
}

static void on_proxy(void *context, const char *peer_urls)
{
    struct program *program = context;
    program->proxy_of = mem_strdup(peer_urls);
}

/* A folder with a member's data makes a member, whatever --proxy says. */
static bool is_proxy(const struct config *config)
{
    if (config->proxy == CONFIG_PROXY_OFF) {
        return false;
    }
    if (!bootstrap_has_data(config)) {
        return true;
    }
    log_warn("config",
             "--proxy is not looked at: the data directory holds a "
             "member's data, which starts as that member",
             LOG_STR("data_dir", config->data_dir));
    return false;
}

static enum err run(const struct config *config, struct program *program,
                    bool *ended)
{
    struct server_args args = {
        .argc = program->input->argc,
        .argv = program->input->argv,
        .reload = reload,
        .on_proxy = on_proxy,
        .context = program,
    };
    if (program->input->is_worker) {
        return recipes_alone_run(config);
    }
    if (is_proxy(config)) {
        return proxy_run(config, NULL);
    }
    enum err err = server_run(config, &args, ended);
    if (err == ERR_OK && program->proxy_of) {
        err = proxy_run(config, program->proxy_of);
    }
    mem_free(program->proxy_of);
    return err;
}

static int serve(const struct config *config, const struct config_input *input)
{
    struct program program = {.input = input};
    if (log_output_open(config) != ERR_OK) {
        (void)fprintf(stderr, "etched: %s\n", err_note());
        return EXIT_FAILURE;
    }
    harden_begin(config);
    for (size_t i = 0; i < config->warning_count; i++) {
        log_warn("config", config->warnings[i]);
    }
    bool ended = true;
    enum err err = run(config, &program, &ended);
    if (err != ERR_OK) {
        log_error("host", "can't go on", LOG_STR("why", err_note()),
                  LOG_STR("error", err_text(err)));
    }
    if (!ended) {
        _exit(EXIT_FAILURE);
    }
    log_output_close();
    return err == ERR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* A file must not be given the number of a closed standard stream: what is
 * logged would be written into it. */
static void fill_standard_streams(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO) {
        close(fd);
    }
}

/* `etched recipes --endpoints=...`: the word is taken off. */
static void take_command(struct config_input *input, char **argv)
{
    if (input->argc > 1 && strcmp(argv[1], "recipes") == 0) {
        argv[1] = argv[0];
        input->argv = argv + 1;
        input->argc--;
        input->is_worker = true;
    }
}

int main(int argc, char **argv)
{
    struct config config;
    struct config_input input = {
        .argc = argc,
        .argv = argv,
        .env = environ,
        .default_file = CONFIG_FILE_DEFAULT,
        .read = read_file,
    };
    take_command(&input, argv);
    fill_standard_streams();
    /* Whoever read the log is gone: no reason to end. A file that may not
     * become larger (ulimit -f) is an error with a text. */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
    if (config_load(&config, &input) != ERR_OK) {
        (void)fprintf(stderr, "etched: %s\n", err_note());
        return EXIT_BAD_CONFIG;
    }
    int status = EXIT_SUCCESS;
    if (config.request == CONFIG_HELP) {
        print(config_help);
    } else if (config.request == CONFIG_VERSION) {
        print(config_version);
    } else {
        status = serve(&config, &input);
    }
    config_deinit(&config);
    return status;
}
