#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

struct err_row {
    const char *name;
    const char *text;
    int grpc_code;
    int http_status;
};

static const struct err_row rows[ERR_COUNT] = {
#define X(name, text, grpc, http) {#name, text, grpc, http},
    ERR_TABLE(X)
#undef X
};

static _Thread_local char note[ERR_NOTE_BYTES_MAX];

static const struct err_row *row_of(enum err err)
{
    CHECK((unsigned)err < ERR_COUNT);
    return &rows[err];
}

const char *err_name(enum err err)
{
    return row_of(err)->name;
}

const char *err_text(enum err err)
{
    return row_of(err)->text;
}

int err_grpc_code(enum err err)
{
    return row_of(err)->grpc_code;
}

int err_http_status(enum err err)
{
    return row_of(err)->http_status;
}

/* Formats into memory of its own first: the arguments may point into the
 * note. */
enum err err_set(enum err err, const char *format, ...)
{
    char text[ERR_NOTE_BYTES_MAX];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    CHECK(length >= 0);
    memcpy(note, text, strlen(text) + 1);
    return err;
}

/* Put as much of `more` behind `text` as a note holds. */
static void append_cut(char text[ERR_NOTE_BYTES_MAX], const char *more)
{
    size_t size = strlen(text);
    size_t room = ERR_NOTE_BYTES_MAX - 1 - size;
    size_t taken = strlen(more);
    if (taken > room)
        taken = room;
    memcpy(text + size, more, taken);
    text[size + taken] = '\0';
}

enum err err_wrap(enum err err, const char *format, ...)
{
    if (err == ERR_OK)
        return err;
    char text[ERR_NOTE_BYTES_MAX];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    CHECK(length >= 0);

    if (note[0] != '\0') {
        append_cut(text, ": ");
        append_cut(text, note);
    }
    memcpy(note, text, strlen(text) + 1);
    return err;
}

const char *err_note(void)
{
    return note;
}

void err_clear(void)
{
    note[0] = '\0';
}

enum err err_from_errno(int number)
{
    switch (number) {
    case 0:
        return ERR_OK;
    case EINVAL:
    case ENAMETOOLONG:
    case ENOTDIR:
    case EISDIR:
        return ERR_INVALID;
    case ENOENT:
        return ERR_NOT_FOUND;
    case EEXIST:
    case ENOTEMPTY:
        return ERR_EXISTS;
    case EFBIG:
    case E2BIG:
    case EMSGSIZE:
        return ERR_TOO_LARGE;
    case EMFILE:
    case ENFILE:
        return ERR_FULL;
    case ENOMEM:
        return ERR_NO_MEMORY;
    case ENOSPC:
    case EDQUOT:
        return ERR_DISK_FULL;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_PERMISSION;
    case EAGAIN:
    case EBUSY:
    case EADDRINUSE:
        return ERR_BUSY;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    case ENOSYS:
    case EOPNOTSUPP:
        return ERR_UNSUPPORTED;
    case EPIPE:
    case ECONNRESET:
    case ECONNREFUSED:
    case ECONNABORTED:
    case ENOTCONN:
        return ERR_CLOSED;
    default:
        return ERR_IO;
    }
}
