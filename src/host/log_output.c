#include "host/log_output.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"
#include "host/clock_posix.h"

enum { OUTPUTS_MAX = 8 };

static int outputs[OUTPUTS_MAX];
static size_t output_count;

static void write_line(void *context, enum log_level level, struct slice line)
{
    (void)context;
    (void)level;
    for (size_t i = 0; i < output_count; i++) {
        struct iovec vectors[] = {
            {.iov_base = (void *)(uintptr_t)line.at, .iov_len = line.size},
            {.iov_base = (void *)(uintptr_t) "\n", .iov_len = 1},
        };
        /* A line that can't be written has no place to be reported. */
        ssize_t written = writev(outputs[i], vectors, 2);
        (void)written;
    }
}

static int64_t now_ns(void *context)
{
    (void)context;
    return clock_wall_ns(clock_posix());
}

static enum err open_output(const char *name, int *fd)
{
    if (strcmp(name, "stderr") == 0) {
        *fd = STDERR_FILENO;
        return ERR_OK;
    }
    if (strcmp(name, "stdout") == 0) {
        *fd = STDOUT_FILENO;
        return ERR_OK;
    }
    *fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (*fd < 0) {
        int number = errno;
        return err_set(err_from_errno(number), "log output %s: %s", name,
                       strerror(number));
    }
    return ERR_OK;
}

enum err log_output_open(const struct config *config)
{
    CHECK_EQ(output_count, 0);
    if (config->log_outputs.count > OUTPUTS_MAX) {
        return err_set(ERR_INVALID, "more than %d log outputs", OUTPUTS_MAX);
    }
    for (size_t i = 0; i < config->log_outputs.count; i++) {
        enum err err =
            open_output(config->log_outputs.at[i], &outputs[output_count]);
        if (err != ERR_OK) {
            log_output_close();
            return err;
        }
        output_count++;
    }
    log_setup(config->log_format, write_line, now_ns, NULL);
    log_set_level(config->log_level);
    return ERR_OK;
}

void log_output_close(void)
{
    log_setup(LOG_TEXT, NULL, NULL, NULL);
    for (size_t i = 0; i < output_count; i++) {
        if (outputs[i] > STDERR_FILENO) {
            close(outputs[i]);
        }
    }
    output_count = 0;
}
