/* snapshot: save; status and restore, which ask no server, are snapshot.c's. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "cmd/etchctl/go_text.h"
#include "cmd/etchctl/snapshot.h"
#include "cmd/etchctl/v3_print.h"

enum {
    /* Behind the pages there is a SHA-256: so much more than whole sectors. */
    SECTOR_BYTES = 512,
    HASH_BYTES = 32,
};

struct saving {
    struct v3 *v3;
    char *part; /* the file while it isn't complete */
    int fd;
    uint64_t size;
    bool is_done;
    char *failure; /* NULL: none */
};

/* ---- what comes --------------------------------------------------------- */

static void fail(struct saving *saving, char *why)
{
    if (!saving->failure)
        saving->failure = why;
    saving->is_done = true;
    rpc_client_wake(saving->v3->client);
}

static bool write_all(int fd, struct slice bytes)
{
    while (bytes.size > 0) {
        ssize_t wrote = write(fd, bytes.at, bytes.size);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return false;
        bytes = slice_of(bytes.at + wrote, bytes.size - (size_t)wrote);
    }
    return true;
}

static void on_message(void *context, struct slice message)
{
    struct saving *saving = context;
    ProtobufCMessage *decoded;
    struct arena arena;

    if (saving->failure)
        return;
    arena_init(&arena, 0);
    if (message_decode(&etcdserverpb__snapshot_response__descriptor, message,
                       &arena, &decoded) != ERR_OK) {
        fail(saving, arena_printf(saving->v3->arena, "%s", err_note()));
    } else {
        const Etcdserverpb__SnapshotResponse *answer =
            (const Etcdserverpb__SnapshotResponse *)decoded;
        saving->size += answer->blob.len;
        if (!write_all(saving->fd, message_bytes(answer->blob)))
            fail(saving,
                 arena_printf(saving->v3->arena, "write %s: %s", saving->part,
                              go_error(saving->v3->arena, errno)));
    }
    arena_deinit(&arena);
}

static void on_end(void *context, int code, struct slice text)
{
    struct saving *saving = context;

    if (code != GRPC_OK)
        fail(saving, v3_failure(saving->v3->arena, code, text));
    saving->is_done = true;
    rpc_client_wake(saving->v3->client);
}

/* ---- the file ----------------------------------------------------------- */

/* Without a time limit of the user's there is one for the connection only. */
static void receive(struct saving *saving)
{
    struct v3 *v3 = saving->v3;
    bool is_limited = pflags_is_given(&v3->flags, "command-timeout");
    Etcdserverpb__SnapshotRequest request =
        ETCDSERVERPB__SNAPSHOT_REQUEST__INIT;
    struct rpc_stream_config config = {
        .path = SLICE("/etcdserverpb.Maintenance/Snapshot"),
        .deadline_ms = is_limited ? v3_deadline(v3) : 0,
        .on_message = on_message,
        .on_end = on_end,
        .context = saving,
    };
    struct rpc_stream *stream = rpc_stream_open(v3->client, &config);
    struct buf body = {0};
    int64_t connected_ms = v3_deadline(v3);

    message_encode(&request.base, &body);
    rpc_stream_send(stream, buf_slice(&body), true);
    buf_deinit(&body);
    while (!saving->is_done) {
        bool is_up = rpc_client_is_connected(v3->client);
        rpc_client_run(v3->client, is_up ? INT64_MAX : connected_ms, -1);
        if (!saving->is_done && rpc_client_now_ms() >= connected_ms &&
            !rpc_client_is_connected(v3->client)) {
            fprintf(stderr, "%s: %s\n", v3->program,
                    rpc_client_failure(v3->client));
            rpc_stream_cancel(stream);
            fail(saving, arena_printf(v3->arena, "context deadline exceeded"));
        }
    }
}

static char *finish_file(struct saving *saving, const char *path)
{
    struct arena *arena = saving->v3->arena;

    if (saving->size % SECTOR_BYTES != HASH_BYTES)
        return arena_printf(arena, "sha256 checksum not found [bytes: %llu]",
                            (unsigned long long)saving->size);
    if (fsync(saving->fd) != 0)
        return arena_printf(arena, "sync %s: %s", saving->part,
                            go_error(arena, errno));
    if (rename(saving->part, path) != 0)
        return arena_printf(arena, "could not rename %s to %s (%s)",
                            saving->part, path, go_error(arena, errno));
    return NULL;
}

static int save(struct v3 *v3, const char *path)
{
    struct saving saving = {.v3 = v3};
    char *failure;

    saving.part = arena_printf(v3->arena, "%s.part", path);
    saving.fd = open(saving.part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
                     S_IRUSR | S_IWUSR);
    if (saving.fd < 0)
        return v3_fail(v3, V3_INTERRUPTED, "could not open %s (open %s: %s)",
                       saving.part, saving.part, go_error(v3->arena, errno));
    receive(&saving);
    failure = saving.failure ? saving.failure : finish_file(&saving, path);
    close(saving.fd);
    if (!failure)
        return V3_DONE;
    unlink(saving.part);
    return v3_fail(v3, V3_INTERRUPTED, "%s", failure);
}

static int run_save(struct v3 *v3)
{
    struct buf text = {0};
    struct words endpoints;
    int code;

    if (v3->words.count != 1)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "snapshot save expects one argument");
    code = v3_connect(v3);
    if (code == V3_DONE)
        code = v3_endpoints(v3, &endpoints);
    if (code != V3_DONE)
        return code;
    if (endpoints.count != 1)
        return v3_fail(v3, V3_INTERRUPTED,
                       "snapshot must be requested to one selected node, not "
                       "multiple [%s]",
                       v3_join(v3->arena, (char *const *)endpoints.at,
                               endpoints.count, " "));
    code = save(v3, v3_word(v3, 0));
    if (code != V3_DONE)
        return code;
    v3_line(&text, "Snapshot saved at %s", v3_word(v3, 0));
    return v3_write(&text);
}

static int run_file(struct v3 *v3)
{
    return ctl_snapshot(v3->program, v3->arena, &v3->line);
}

static const struct v3_command save_command = {
    .name = "save",
    .arguments = "<filename>",
    .summary = "saves a member's store to a file",
    .about = "The file is etcd's: a database, and behind it its SHA-256.\n",
    .run = run_save,
};

static const struct v3_command status_command = {
    .name = "status",
    .arguments = "<filename>",
    .summary = "what is in such a file",
    .run = run_file,
};

static const struct v3_command restore_command = {
    .name = "restore",
    .arguments = "<filename> --data-dir <directory> [flags]",
    .summary = "makes a member's data directory of such a file",
    .run = run_file,
};

static const struct v3_command *const subcommands[] = {
    &restore_command, &save_command, &status_command, NULL};

const struct v3_command v3_command_snapshot = {
    .name = "snapshot",
    .arguments = "<command>",
    .summary = "a store in a file, out and in",
    .subcommands = subcommands,
};
