#include "host/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time_text.h"
#include "doc/json_write.h"
#include "host/clock_posix.h"

struct audit_log {
    struct audit audit; /* the door */
    char *path;
    int fd; /* the writer's */
    pthread_t thread;

    pthread_mutex_t lock; /* over all below */
    pthread_cond_t changed;
    struct buf waiting; /* whole lines */
    uint64_t waiting_events;
    uint64_t untold; /* lost, and not in the file yet */
    struct audit_log_stat stat;
    bool reopen;
    bool stopping;
};

/* ---- a line -------------------------------------------------------------- */

static void put_time(struct buf *out)
{
    char text[TIME_TEXT_BYTES_MAX];
    size_t size = time_to_rfc3339(clock_wall_ns(clock_posix()), text);
    buf_append_str(out, "{\"time\":\"");
    buf_append(out, text, size);
    buf_append_char(out, '"');
}

static struct slice cut(struct slice value, bool *was_cut)
{
    if (value.size > AUDIT_VALUE_BYTES_MAX) {
        value.size = AUDIT_VALUE_BYTES_MAX;
        *was_cut = true;
    }
    return value;
}

static void put_text(struct buf *out, const char *name, struct slice value,
                     bool *was_cut)
{
    buf_printf(out, ",\"%s\":", name);
    json_write_string(out, cut(value, was_cut));
}

/* Bytes: as text where they are. Those of a cut key may end within a letter;
 * then they are none. */
static void put_bytes(struct buf *out, const char *name, struct slice value,
                      bool *was_cut)
{
    value = cut(value, was_cut);
    if (slice_is_utf8(value)) {
        put_text(out, name, value, was_cut);
        return;
    }
    buf_printf(out, ",\"%s_base64\":", name);
    json_write_base64(out, value);
}

static void put_line(struct buf *out, const struct audit_event *event)
{
    bool was_cut = false;
    put_time(out);
    put_text(out, "user", event->user, &was_cut);
    put_text(out, "how", event->how, &was_cut);
    put_text(out, "what", event->what, &was_cut);
    put_bytes(out, "key", event->key, &was_cut);
    put_bytes(out, "range_end", event->range_end, &was_cut);
    put_text(out, "from", event->from, &was_cut);
    buf_append_str(out,
                   event->allowed ? ",\"allowed\":true" : ",\"allowed\":false");
    put_text(out, "why", event->why, &was_cut);
    buf_append_str(out, was_cut ? ",\"cut\":true}\n" : "}\n");
}

/* Needs: the lock. */
static void tell_lost(struct audit_log *log)
{
    if (log->untold == 0) {
        return;
    }
    put_time(&log->waiting);
    buf_printf(&log->waiting, ",\"lost\":%llu}\n",
               (unsigned long long)log->untold);
    log->untold = 0;
}

static void write_event(struct audit *audit, const struct audit_event *event)
{
    struct audit_log *log = CONTAINER_OF(audit, struct audit_log, audit);
    struct buf line = {0};
    put_line(&line, event);
    pthread_mutex_lock(&log->lock);
    if (log->waiting.size + line.size > AUDIT_QUEUE_BYTES_MAX) {
        log->untold++;
        log->stat.lost++;
    } else {
        tell_lost(log);
        buf_append_slice(&log->waiting, buf_slice(&line));
        log->waiting_events++;
        pthread_cond_signal(&log->changed);
    }
    pthread_mutex_unlock(&log->lock);
    buf_deinit(&line);
}

/* ---- the file ------------------------------------------------------------ */

static enum err fail(const char *path)
{
    int number = errno;
    return err_set(err_from_errno(number), "--audit-log %s: %s", path,
                   number == ELOOP ? "is a symbolic link" : strerror(number));
}

static enum err narrow(const char *path, int fd)
{
    struct stat found;
    if (fstat(fd, &found) != 0) {
        return fail(path);
    }
    if (!S_ISREG(found.st_mode)) {
        return err_set(ERR_INVALID, "--audit-log %s: not a plain file", path);
    }
    if ((found.st_mode & 0177) != 0 && fchmod(fd, 0600) != 0) {
        return fail(path);
    }
    return ERR_OK;
}

static enum err open_file(const char *path, int *out)
{
    if (strcmp(path, "stderr") == 0) {
        *out = STDERR_FILENO;
        return ERR_OK;
    }
    /* O_NONBLOCK: a pipe of that name must not hold us up. */
    int fd = open(path,
                  O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW |
                      O_NOCTTY | O_NONBLOCK,
                  0600);
    if (fd < 0) {
        return fail(path);
    }
    enum err err = narrow(path, fd);
    if (err != ERR_OK) {
        close(fd);
        return err;
    }
    *out = fd;
    return ERR_OK;
}

static void close_file(int fd)
{
    if (fd > STDERR_FILENO) {
        close(fd);
    }
}

/* False: the rest could not be written. */
static bool write_all(int fd, struct slice bytes)
{
    while (bytes.size > 0) {
        ssize_t put = write(fd, bytes.at, bytes.size);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return false;
        }
        bytes.at += put;
        bytes.size -= (size_t)put;
    }
    return true;
}

/* ---- the writer's thread ------------------------------------------------- */

static void open_anew(struct audit_log *log)
{
    int fd;
    if (open_file(log->path, &fd) != ERR_OK) {
        log_error("audit",
                  "the audit log can't be opened anew; it goes on in "
                  "the old file",
                  LOG_STR("why", err_note()));
        return;
    }
    close_file(log->fd);
    log->fd = fd;
}

/* Takes what waits; false: nothing will come any more. */
static bool take(struct audit_log *log, struct buf *lines, uint64_t *events,
                 bool *reopen)
{
    pthread_mutex_lock(&log->lock);
    while (log->waiting.size == 0 && !log->stopping && !log->reopen) {
        pthread_cond_wait(&log->changed, &log->lock);
    }
    tell_lost(log);
    struct buf taken = log->waiting;
    log->waiting = *lines; /* empty, with its memory */
    *lines = taken;
    *events = log->waiting_events;
    log->waiting_events = 0;
    *reopen = log->reopen;
    log->reopen = false;
    bool more = taken.size > 0 || *reopen || !log->stopping;
    pthread_mutex_unlock(&log->lock);
    return more;
}

/* A file that takes nothing (a full disk) is said once, until it does. */
static void count(struct audit_log *log, uint64_t events, bool *is_failing,
                  bool ok)
{
    if (!ok && !*is_failing) {
        log_error("audit", "the audit log can't be written",
                  LOG_STR("path", log->path), LOG_STR("why", strerror(errno)));
    }
    *is_failing = !ok;
    pthread_mutex_lock(&log->lock);
    if (ok) {
        log->stat.written += events;
    } else {
        log->stat.lost += events;
        log->untold += events;
    }
    pthread_mutex_unlock(&log->lock);
}

static void *run(void *context)
{
    struct audit_log *log = context;
    struct buf lines = {0};
    uint64_t events;
    bool reopen;
    bool is_failing = false;
    while (take(log, &lines, &events, &reopen)) {
        if (lines.size > 0) {
            bool ok = write_all(log->fd, buf_slice(&lines));
            count(log, events, &is_failing, ok);
        }
        buf_reset(&lines);
        if (reopen) {
            open_anew(log);
        }
    }
    buf_deinit(&lines);
    return NULL;
}

/* ---- its life ------------------------------------------------------------ */

enum err audit_log_open(const char *path, struct audit_log **out)
{
    int fd;
    *out = NULL;
    enum err err = open_file(path, &fd);
    if (err != ERR_OK) {
        return err;
    }
    struct audit_log *log = mem_alloc_zero(sizeof(*log));
    log->audit.write = write_event;
    log->path = mem_strdup(path);
    log->fd = fd;
    pthread_mutex_init(&log->lock, NULL);
    pthread_cond_init(&log->changed, NULL);
    int failed = pthread_create(&log->thread, NULL, run, log);
    CHECK_EQ(failed, 0);
    failed = pthread_setname_np(log->thread, "audit");
    CHECK_EQ(failed, 0);
    *out = log;
    return ERR_OK;
}

struct audit *audit_log_door(struct audit_log *log)
{
    return log == NULL ? NULL : &log->audit;
}

void audit_log_reopen(struct audit_log *log)
{
    if (log == NULL) {
        return;
    }
    pthread_mutex_lock(&log->lock);
    log->reopen = true;
    pthread_cond_signal(&log->changed);
    pthread_mutex_unlock(&log->lock);
}

/* A pipe that nobody reads may hold the writer up for ever: then it is left
 * as it stands, with its memory. */
void audit_log_close(struct audit_log *log)
{
    struct timespec until;
    if (log == NULL) {
        return;
    }
    pthread_mutex_lock(&log->lock);
    log->stopping = true;
    pthread_cond_signal(&log->changed);
    pthread_mutex_unlock(&log->lock);
    int64_t until_ns =
        clock_wall_ns(clock_posix()) + AUDIT_CLOSE_MS * 1000LL * 1000;
    until.tv_sec = (time_t)(until_ns / 1000000000);
    until.tv_nsec = (long)(until_ns % 1000000000);
    if (pthread_timedjoin_np(log->thread, NULL, &until) != 0) {
        log_error("audit", "the audit log doesn't take what is left",
                  LOG_STR("path", log->path));
        return;
    }
    close_file(log->fd);
    buf_deinit(&log->waiting);
    pthread_cond_destroy(&log->changed);
    pthread_mutex_destroy(&log->lock);
    mem_free(log->path);
    mem_free(log);
}

void audit_log_stat(struct audit_log *log, struct audit_log_stat *out)
{
    pthread_mutex_lock(&log->lock);
    *out = log->stat;
    pthread_mutex_unlock(&log->lock);
}

void audit_log_metrics(struct audit_log *log, struct buf *out)
{
    struct audit_log_stat stat;
    if (log == NULL) {
        return;
    }
    audit_log_stat(log, &stat);
    buf_printf(out,
               "# HELP etched_audit_events_total Lines of the audit log.\n"
               "# TYPE etched_audit_events_total counter\n"
               "etched_audit_events_total %llu\n"
               "# HELP etched_audit_lost_total Lines that it had no room "
               "for.\n"
               "# TYPE etched_audit_lost_total counter\n"
               "etched_audit_lost_total %llu\n",
               (unsigned long long)stat.written, (unsigned long long)stat.lost);
}
