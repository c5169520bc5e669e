/* Errors that are expected: one table with a name, a text, the gRPC status
 * code and the HTTP status of each. A function that can fail returns
 * `enum err` and gives its results by out-pointer.
 *
 * Beside the code, a thread has ONE note of fixed size that says what went
 * wrong where. The place that finds the error writes it (err_set); each layer
 * on the way up may put its own words in front (err_wrap), so that a person
 * reads "open wal: segment 3: short read".
 */
#ifndef ETCHED_BASE_ERR_H
#define ETCHED_BASE_ERR_H

/* clang-format off */
/*      name               text                              gRPC  HTTP */
#define ERR_TABLE(X)                                                          \
    X(OK,                  "ok",                                0,  200)      \
    X(INVALID,             "invalid argument",                  3,  400)      \
    X(NOT_FOUND,           "not found",                         5,  404)      \
    X(EXISTS,              "already exists",                    6,  409)      \
    X(TOO_LARGE,           "too large",                         3,  413)      \
    X(FULL,                "too many requests",                 8,  503)      \
    X(NO_MEMORY,           "out of memory",                     8,  503)      \
    X(NO_SPACE,            "database space exceeded",           8,  507)      \
    X(DISK_FULL,           "no space left on device",           8,  507)      \
    X(COMPACTED,           "required revision has been compacted", 11, 400)   \
    X(FUTURE_REVISION,     "required revision is a future revision", 11, 400) \
    X(IO,                  "input/output error",               15,  500)      \
    X(CORRUPT,             "data is corrupt",                  15,  500)      \
    X(TORN,                "the tail is torn",                 15,  500)      \
    X(WRONG_CLUSTER,       "data of another cluster or member", 9,  500)      \
    X(BUSY,                "in use by another process",        14,  503)      \
    X(TIMEOUT,             "timed out",                        14,  504)      \
    X(NO_LEADER,           "no leader",                        14,  503)      \
    X(NOT_LEADER,          "not the leader",                    9,  503)      \
    X(STOPPED,             "server stopped",                   14,  503)      \
    X(UNSUPPORTED,         "not supported",                    12,  501)      \
    X(PERMISSION,          "permission denied",                 7,  403)      \
    X(CLOSED,              "connection closed",                14,  503)      \
    X(GONE,                "member was removed from the cluster", 5, 410)     \
    X(UNHEALTHY,           "unhealthy cluster",                14,  503)      \
    X(NOT_READY,           "learner is not in sync with leader", 9, 412)      \
    X(END,                 "end of data",                      11,  500)
/* clang-format on */

enum err {
#define X(name, text, grpc, http) ERR_##name,
    ERR_TABLE(X)
#undef X
        ERR_COUNT
};

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(at, first) __attribute__((format(printf, at, first)))

enum { ERR_NOTE_BYTES_MAX = 512 };

/* The name ("NO_SPACE"), the text, and the status codes of an error. */
const char *err_name(enum err err);
const char *err_text(enum err err);
int err_grpc_code(enum err err);
int err_http_status(enum err err);

/* Set this thread's note anew and return `err`, so that a failing function
 * can say `return err_set(ERR_IO, "segment %d: short read", n);`.
 * Limits: a note is cut at ERR_NOTE_BYTES_MAX. */
enum err err_set(enum err err, const char *format, ...) PRINTF_LIKE(2, 3);

/* Put "<text>: " in front of this thread's note and return `err` unchanged;
 * where there is no note, "<text>" becomes it. With ERR_OK nothing happens. */
enum err err_wrap(enum err err, const char *format, ...) PRINTF_LIKE(2, 3);

/* This thread's note; "" when none was set since err_clear.
 * Owns: the thread; valid until its next err_set, err_wrap or err_clear. */
const char *err_note(void);
void err_clear(void);

/* The `enum err` for an errno value (ENOSPC -> ERR_DISK_FULL, ...). */
enum err err_from_errno(int number);

#endif
