/* Streams of a gRPC client: with a call on the connection, or waiting for
 * one. */
#include "base/check.h"
#include "host/rpc_client_int.h"

static struct slice keep(struct arena *arena, struct slice text)
{
    return slice_of(arena_dup(arena, text.at ? text.at : "", text.size),
                    text.size);
}

static void copy_metadata(struct rpc_stream *stream,
                          const struct rpc_stream_config *config)
{
    const struct rpc_client *client = stream->client;
    size_t count = client->metadata_count + config->metadata_count;
    CHECK_LE(count, GRPC_CALL_METADATA_MAX);
    stream->metadata =
        arena_alloc(&stream->arena, (count + 1) * sizeof *stream->metadata);
    for (size_t i = 0; i < count; i++) {
        const struct grpc_header *from =
            i < client->metadata_count
                ? &client->metadata[i]
                : &config->metadata[i - client->metadata_count];
        stream->metadata[i].name = keep(&stream->arena, from->name);
        stream->metadata[i].value = keep(&stream->arena, from->value);
    }
    stream->metadata_count = count;
}

struct rpc_stream *rpc_stream_open(struct rpc_client *client,
                                   const struct rpc_stream_config *config)
{
    struct rpc_stream *stream = mem_alloc_zero(sizeof *stream);
    stream->client = client;
    arena_init(&stream->arena, 0);
    stream->config = *config;
    stream->config.path = keep(&stream->arena, config->path);
    copy_metadata(stream, config);
    list_push_back(&client->streams, &stream->link);
    return stream;
}

static void release(struct rpc_stream *stream)
{
    buf_deinit(&stream->waiting);
    arena_deinit(&stream->arena);
    mem_free(stream);
}

/* ---- what comes --------------------------------------------------------- */

static void on_message(void *context, struct slice message)
{
    struct rpc_stream *stream = context;
    stream->calling = true;
    if (stream->config.on_message != NULL)
        stream->config.on_message(stream->config.context, message);
    stream->calling = false;
    if (stream->gone)
        release(stream);
}

void rpc_client__end(struct rpc_stream *stream, int code, struct slice text)
{
    CHECK(!stream->calling && !stream->gone);
    list_remove(&stream->link);
    stream->gone = true;
    if (stream->config.on_end != NULL)
        stream->config.on_end(stream->config.context, code, text);
    release(stream);
}

static void on_end(void *context, int code, struct slice text)
{
    struct rpc_stream *stream = context;
    stream->call = NULL;
    rpc_client__end(stream, code, text);
}

/* ---- what goes ---------------------------------------------------------- */

static void send_waiting(struct rpc_stream *stream)
{
    size_t at = 0;
    while (at < stream->waiting.size) {
        size_t size = (size_t)get_le64(stream->waiting.at + at);
        at += sizeof(uint64_t);
        CHECK_LE(size, stream->waiting.size - at);
        grpc_call_send(stream->call, slice_of(stream->waiting.at + at, size),
                       stream->last && at + size == stream->waiting.size);
        at += size;
    }
    if (stream->last && at == 0)
        grpc_call_half_close(stream->call);
    buf_deinit(&stream->waiting);
    stream->waiting = (struct buf){0};
}

void rpc_client__start(struct rpc_stream *stream, int64_t now_ms)
{
    struct grpc_call_config config = {
        .path = stream->config.path,
        .metadata = stream->metadata,
        .metadata_count = stream->metadata_count,
        .on_message = on_message,
        .on_end = on_end,
        .context = stream,
    };
    CHECK(stream->call == NULL && stream->client->grpc != NULL);
    if (stream->config.deadline_ms > 0)
        config.timeout_ms = stream->config.deadline_ms > now_ms
                                ? stream->config.deadline_ms - now_ms
                                : 1;
    stream->call = grpc_call_new(stream->client->grpc, &config);
    if (stream->call != NULL)
        send_waiting(stream);
}

void rpc_stream_send(struct rpc_stream *stream, struct slice message, bool last)
{
    char size[sizeof(uint64_t)];
    CHECK(!stream->gone && !stream->last);
    stream->last = last;
    if (stream->call != NULL) {
        grpc_call_send(stream->call, message, last);
        return;
    }
    put_le64(size, message.size);
    buf_append(&stream->waiting, size, sizeof size);
    buf_append_slice(&stream->waiting, message);
}

void rpc_stream_half_close(struct rpc_stream *stream)
{
    CHECK(!stream->gone && !stream->last);
    stream->last = true;
    if (stream->call != NULL)
        grpc_call_half_close(stream->call);
}

size_t rpc_stream_unsent(const struct rpc_stream *stream)
{
    return stream->call != NULL ? grpc_call_unsent(stream->call)
                                : stream->waiting.size;
}

/* ---- its end ------------------------------------------------------------ */

void rpc_client__forget(struct rpc_stream *stream)
{
    CHECK(!stream->gone);
    list_remove(&stream->link);
    stream->gone = true;
    if (stream->call != NULL)
        grpc_call_cancel(stream->call);
    stream->call = NULL;
    if (!stream->calling)
        release(stream);
}

void rpc_stream_cancel(struct rpc_stream *stream)
{
    rpc_client__forget(stream);
}
