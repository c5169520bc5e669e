/* A socket's bytes, plain or with TLS: who sends and reads needs to know of
 * neither. The plain way is one system call, as if this weren't here. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "host/peers_int.h"

ssize_t peer_socket__recv(int fd, struct tls *tls, void *out, size_t size)
{
    CHECK(size > 0);
    return tls == NULL ? recv(fd, out, size, MSG_DONTWAIT)
                       : tls_recv(tls, out, size);
}

ssize_t peer_socket__send(int fd, struct tls *tls, const void *bytes,
                          size_t size)
{
    /* iovec has no const; what it points to is only read. */
    struct iovec piece = {.iov_base = (void *)(uintptr_t)bytes,
                          .iov_len = size};
    return tls == NULL ? send(fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT)
                       : tls_send(tls, &piece, 1);
}

ssize_t peer_socket__send_pieces(int fd, struct tls *tls,
                                 const struct iovec *pieces, size_t count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces,
                             .msg_iovlen = count};
    CHECK(count > 0);
    return tls == NULL ? sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT)
                       : tls_send(tls, pieces, count);
}

bool peer_socket__send_whole(int fd, struct tls *tls, struct slice bytes)
{
    ssize_t sent;
    do {
        sent = peer_socket__send(fd, tls, bytes.at, bytes.size);
        if (sent > 0) {
            bytes = slice_of(bytes.at + sent, bytes.size - (size_t)sent);
        }
    } while (bytes.size > 0 && (sent > 0 || (sent < 0 && errno == EINTR)));
    return bytes.size == 0;
}

const char *peer_socket__why(ssize_t got)
{
    CHECK(got <= 0);
    return got == 0 ? "closed by the other side" : strerror(errno);
}

bool peer_socket__is_passing(ssize_t got)
{
    return got < 0 && (errno == EAGAIN || errno == EINTR);
}

void peer_socket__close(int fd, struct tls *tls)
{
    CHECK(fd >= 0);
    if (tls != NULL) {
        tls_goodbye(tls);
        tls_free(tls);
    }
    close(fd);
}
