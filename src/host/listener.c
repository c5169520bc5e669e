#include "host/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"

enum { BACKLOG = 4096 };

static enum err fail(const struct config_url *url, const char *what)
{
    int number = errno;
    if (number == EADDRINUSE) {
        return err_set(ERR_BUSY,
                       "%s: the address is in use; is another server running "
                       "there? Stop it, or choose another port",
                       url->text);
    }
    if (number == EACCES) {
        return err_set(ERR_PERMISSION,
                       "%s: not allowed to listen there; ports below 1024 "
                       "need more rights",
                       url->text);
    }
    return err_set(err_from_errno(number), "%s: %s: %s", url->text, what,
                   strerror(number));
}

static enum err bind_and_listen(const struct config_url *url, int fd,
                                const struct sockaddr *address, socklen_t size,
                                bool reuse_port)
{
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        (reuse_port &&
         setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0)) {
        return fail(url, "set the socket up");
    }
    if (bind(fd, address, size) != 0) {
        return fail(url, "bind");
    }
    return listen(fd, BACKLOG) == 0 ? ERR_OK : fail(url, "listen");
}

static enum err open_socket(const struct config_url *url, int family,
                            const struct sockaddr *address, socklen_t size,
                            bool reuse_port, int *out)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return fail(url, "make a socket");
    }
    if (family == AF_INET6) {
        int on = 1;
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    }
    enum err err = bind_and_listen(url, fd, address, size, reuse_port);
    if (err != ERR_OK) {
        close(fd);
        return err;
    }
    *out = fd;
    return ERR_OK;
}

static enum err open_tcp(const struct config_url *url, bool reuse_port,
                         int *out)
{
    struct addrinfo *found = NULL;
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
    };
    char port[16];
    const char *host =
        strcmp(url->host, "localhost") == 0 ? "127.0.0.1" : url->host;
    (void)snprintf(port, sizeof(port), "%d", url->port);
    int failed = getaddrinfo(host, port, &hints, &found);
    if (failed != 0) {
        return err_set(ERR_INVALID, "%s: %s", url->text, gai_strerror(failed));
    }
    enum err err = open_socket(url, found->ai_family, found->ai_addr,
                               found->ai_addrlen, reuse_port, out);
    freeaddrinfo(found);
    return err;
}

/* A socket file that nobody listens on is left over from a crash. Connecting
 * to a plain file is refused, too: that one is somebody's. */
static void remove_stale(const struct sockaddr_un *address)
{
    struct stat found;
    if (lstat(address->sun_path, &found) != 0 || !S_ISSOCK(found.st_mode)) {
        return;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return;
    }
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0 &&
        errno == ECONNREFUSED) {
        (void)unlink(address->sun_path);
    }
    close(fd);
}

static enum err open_unix(const struct config_url *url, int *out)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(url->host);
    if (size >= sizeof(address.sun_path)) {
        return err_set(ERR_INVALID, "%s: the socket's path is too long",
                       url->text);
    }
    memcpy(address.sun_path, url->host, size);
    remove_stale(&address);
    return open_socket(url, AF_UNIX, (const struct sockaddr *)&address,
                       sizeof(address), false, out);
}

enum err listener_open(const struct config_url *url, bool reuse_port, int *fd)
{
    enum err err =
        url->is_unix ? open_unix(url, fd) : open_tcp(url, reuse_port, fd);
    return err_wrap(err, "listen");
}

int listener_accept(int fd, bool *full)
{
    CHECK(fd >= 0);
    int accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    *full = accepted < 0 && (errno == EMFILE || errno == ENFILE ||
                             errno == ENOBUFS || errno == ENOMEM);
    return accepted;
}
