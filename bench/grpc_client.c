#include "grpc_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { WINDOW = 1 << 24, PREFIX = 5, CONNECTIONS_MAX = 1024 };

struct connection {
    int fd;
    nghttp2_session *session;
    bool wants_write; /* as epoll was told */
    bool dirty;       /* something was submitted since the last send */
};

static int poller = -1;
static struct connection *all[CONNECTIONS_MAX];
static size_t count;

_Noreturn void die(const char *what)
{
    fprintf(stderr, "grpc_load: %s (%s)\n", what, strerror(errno));
    exit(1);
}

double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* ---- bytes -------------------------------------------------------------- */

void bytes_add(struct bytes *bytes, const void *data, size_t size)
{
    if (bytes->size + size > bytes->room) {
        bytes->room = (bytes->size + size) * 2;
        bytes->data = realloc(bytes->data, bytes->room);
        if (bytes->data == NULL) {
            die("out of memory");
        }
    }
    if (size > 0) {
        memcpy(bytes->data + bytes->size, data, size);
    }
    bytes->size += size;
}

static void add_varint(struct bytes *bytes, uint64_t value)
{
    uint8_t out[10];
    size_t size = 0;
    while (value > 127) {
        out[size++] = (uint8_t)(value | 128);
        value >>= 7;
    }
    out[size++] = (uint8_t)value;
    bytes_add(bytes, out, size);
}

void bytes_add_int(struct bytes *bytes, uint32_t field, uint64_t value)
{
    add_varint(bytes, field << 3);
    add_varint(bytes, value);
}

void bytes_add_field(struct bytes *bytes, uint32_t field, const void *data,
                     size_t size)
{
    add_varint(bytes, field << 3 | 2);
    add_varint(bytes, size);
    bytes_add(bytes, data, size);
}

static uint64_t read_varint(const uint8_t **at, const uint8_t *end)
{
    uint64_t value = 0;
    for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
        uint8_t byte = *(*at)++;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            return value;
        }
    }
    die("a message ends within a number");
}

bool next_field(const uint8_t **at, const uint8_t *end, struct field *out)
{
    if (*at >= end) {
        return false;
    }
    uint64_t tag = read_varint(at, end);
    *out = (struct field){.number = (uint32_t)(tag >> 3)};
    out->value = read_varint(at, end);
    if ((tag & 7) == 2) {
        out->data = *at;
        out->size = out->value;
        if (out->size > (size_t)(end - *at)) {
            die("a message ends within a field");
        }
        *at += out->size;
    } else if ((tag & 7) != 0) {
        die("a field of a kind that etcd doesn't have");
    }
    return true;
}

/* ---- what nghttp2 calls ------------------------------------------------- */

static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
                     const uint8_t *name, size_t name_size,
                     const uint8_t *value, size_t value_size, uint8_t flags,
                     void *context)
{
    (void)flags;
    (void)context;
    struct call *call =
        nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (call != NULL && name_size == strlen("grpc-status") &&
        memcmp(name, "grpc-status", name_size) == 0) {
        call->status = 0;
        for (size_t i = 0; i < value_size; i++) {
            call->status = call->status * 10 + (value[i] - '0');
        }
    }
    return 0;
}

static size_t message_size(const uint8_t *data)
{
    return (size_t)data[1] << 24 | (size_t)data[2] << 16 |
           (size_t)data[3] << 8 | data[4];
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream,
                   const uint8_t *data, size_t size, void *context)
{
    (void)flags;
    (void)context;
    struct call *call = nghttp2_session_get_stream_user_data(session, stream);
    if (call == NULL) {
        return 0;
    }
    call->got += size;
    if (call->on_message == NULL) {
        return 0;
    }
    bytes_add(&call->in, data, size);
    size_t at = 0;
    while (call->in.size - at >= PREFIX) {
        size_t length = message_size(call->in.data + at);
        if (call->in.size - at - PREFIX < length) {
            break;
        }
        call->on_message(call, call->in.data + at + PREFIX, length);
        at += PREFIX + length;
    }
    if (at > 0) {
        memmove(call->in.data, call->in.data + at, call->in.size - at);
        call->in.size -= at;
    }
    return 0;
}

static int on_close(nghttp2_session *session, int32_t stream, uint32_t error,
                    void *context)
{
    (void)error;
    (void)context;
    struct call *call = nghttp2_session_get_stream_user_data(session, stream);
    if (call != NULL) {
        call->stream = -1;
        call->in.size = 0;
        call->on_end(call);
    }
    return 0;
}

static ssize_t read_out(nghttp2_session *session, int32_t stream, uint8_t *into,
                        size_t room, uint32_t *flags,
                        nghttp2_data_source *source, void *context)
{
    (void)session;
    (void)stream;
    (void)context;
    struct call *call = source->ptr;
    size_t left = call->out.size - call->sent;
    size_t size = left < room ? left : room;
    memcpy(into, call->out.data + call->sent, size);
    call->sent += size;
    if (call->sent == call->out.size) {
        call->out.size = call->sent = 0;
        if (call->no_more) {
            *flags |= NGHTTP2_DATA_FLAG_EOF;
        } else if (size == 0) {
            return NGHTTP2_ERR_DEFERRED;
        }
    }
    return (ssize_t)size;
}

/* ---- connections and calls ---------------------------------------------- */

static int connect_to(int port)
{
    int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (void *)&address, sizeof(address)) != 0) {
        die("connect");
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

struct connection *connection_open(int port)
{
    struct connection *connection = calloc(1, sizeof(*connection));
    nghttp2_session_callbacks *calls;
    if (connection == NULL || count == CONNECTIONS_MAX ||
        nghttp2_session_callbacks_new(&calls) != 0) {
        die("a connection");
    }
    connection->fd = connect_to(port);
    nghttp2_session_callbacks_set_on_header_callback(calls, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(calls, on_close);
    nghttp2_session_client_new(&connection->session, calls, connection);
    nghttp2_session_callbacks_del(calls);
    nghttp2_settings_entry window = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
                                     WINDOW};
    nghttp2_submit_settings(connection->session, NGHTTP2_FLAG_NONE, &window, 1);
    nghttp2_session_set_local_window_size(connection->session,
                                          NGHTTP2_FLAG_NONE, 0, WINDOW);
    connection->dirty = true;
    if (poller < 0) {
        poller = epoll_create1(0);
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    epoll_ctl(poller, EPOLL_CTL_ADD, connection->fd, &event);
    all[count++] = connection;
    return connection;
}

static nghttp2_nv header(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, strlen(name),
                        strlen(value), NGHTTP2_NV_FLAG_NO_COPY_NAME};
}

void call_start(struct call *call, struct connection *connection,
                const char *path, const struct bytes *message, bool more)
{
    nghttp2_nv headers[] = {header(":method", "POST"),
                            header(":scheme", "http"),
                            header(":path", path),
                            header(":authority", "127.0.0.1"),
                            header("content-type", "application/grpc"),
                            header("te", "trailers")};
    call->connection = connection;
    call->status = -1;
    call->out.size = call->sent = 0;
    call->no_more = false;
    nghttp2_data_provider source = {{.ptr = call}, read_out};
    call->stream = nghttp2_submit_request(connection->session, NULL, headers,
                                          sizeof(headers) / sizeof(headers[0]),
                                          &source, call);
    if (call->stream < 0) {
        die("a request");
    }
    call_send(call, message);
    call->no_more = !more;
}

void call_send(struct call *call, const struct bytes *message)
{
    uint8_t prefix[PREFIX] = {
        0, (uint8_t)(message->size >> 24), (uint8_t)(message->size >> 16),
        (uint8_t)(message->size >> 8), (uint8_t)message->size};
    bytes_add(&call->out, prefix, sizeof(prefix));
    bytes_add(&call->out, message->data, message->size);
    nghttp2_session_resume_data(call->connection->session, call->stream);
    call->connection->dirty = true;
}

/* ---- the loop ----------------------------------------------------------- */

static void want_write(struct connection *connection, bool wants)
{
    if (wants == connection->wants_write) {
        return;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    event.events |= wants ? EPOLLOUT : 0;
    epoll_ctl(poller, EPOLL_CTL_MOD, connection->fd, &event);
    connection->wants_write = wants;
}

/* nghttp2 gives small pieces: they are sent in one. */
static void send_what_there_is(struct connection *connection)
{
    static struct {
        struct bytes left;
        size_t at;
    } unsent[CONNECTIONS_MAX];
    size_t slot = 0;
    while (all[slot] != connection) {
        slot++;
    }
    struct bytes *left = &unsent[slot].left;
    connection->dirty = false;
    for (;;) {
        const uint8_t *data;
        ssize_t size;
        while (left->size - unsent[slot].at < 65536 &&
               (size = nghttp2_session_mem_send(connection->session, &data)) >
                   0) {
            bytes_add(left, data, (size_t)size);
        }
        size_t rest = left->size - unsent[slot].at;
        if (rest == 0) {
            break;
        }
        size = send(connection->fd, left->data + unsent[slot].at, rest,
                    MSG_NOSIGNAL | MSG_DONTWAIT);
        if (size < 0) {
            if (errno != EAGAIN) {
                die("send");
            }
            want_write(connection, true);
            return;
        }
        unsent[slot].at += (size_t)size;
        if (unsent[slot].at == left->size) {
            left->size = unsent[slot].at = 0;
        }
    }
    want_write(connection, false);
}

static void receive_what_there_is(struct connection *connection)
{
    static uint8_t buffer[1 << 18];
    ssize_t size = recv(connection->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN) {
        return;
    }
    if (size <= 0) {
        die("the server closed a connection");
    }
    if (nghttp2_session_mem_recv(connection->session, buffer, (size_t)size) !=
        size) {
        die("what came is not HTTP/2");
    }
    connection->dirty = true;
}

void run_once(int timeout_ms)
{
    struct epoll_event ready[256];
    for (size_t i = 0; i < count; i++) {
        if (all[i]->dirty) {
            send_what_there_is(all[i]);
        }
    }
    int events = epoll_wait(poller, ready, 256, timeout_ms);
    for (int i = 0; i < events; i++) {
        if (ready[i].events & ~(unsigned)EPOLLOUT) {
            receive_what_there_is(ready[i].data.ptr);
        }
        if (ready[i].events & EPOLLOUT) {
            ((struct connection *)ready[i].data.ptr)->dirty = true;
        }
    }
}
