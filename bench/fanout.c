/* Load for one key that many watch: how many events reach them a second.
 *
 *   fanout PORT WATCHERS SECONDS
 *
 * Opens WATCHERS streams on /v2/keys/hot, then puts to it over one connection
 * and counts what arrives. At most WINDOW puts are ahead of the slowest count,
 * since etcd's v2 closes a watcher that is 100 events behind. Prints events a
 * second. A tool of the bench only: any failure ends it.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { WINDOW = 50, VALUE_BYTES = 256, WATCHERS_MAX = 10000 };

static char buffer[1 << 18];
/* Where in `marker` each socket's last bytes stand: it may be cut in two. */
static size_t matched[WATCHERS_MAX + 16];
static const char marker[] = "\"action\"";

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static int open_socket(int port)
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

static void send_all(int fd, const char *text, size_t size)
{
    if (send(fd, text, size, MSG_NOSIGNAL) != (ssize_t)size) {
        die("send");
    }
}

static int open_watch(int port)
{
    static const char request[] =
        "GET /v2/keys/hot?wait=true&stream=true HTTP/1.1\r\n"
        "Host: 127.0.0.1\r\n\r\n";
    int fd = open_socket(port);
    send_all(fd, request, sizeof(request) - 1);
    size_t size = 0;
    do {
        ssize_t got = recv(fd, buffer + size, sizeof(buffer) - size - 1, 0);
        if (got <= 0) {
            die("the watch's head");
        }
        size += (size_t)got;
        buffer[size] = '\0';
    } while (strstr(buffer, "\r\n\r\n") == NULL);
    return fd;
}

static void put(int fd)
{
    static char request[512];
    static int size;
    if (size == 0) {
        char value[VALUE_BYTES + 1];
        memset(value, 'x', VALUE_BYTES);
        value[VALUE_BYTES] = '\0';
        size = snprintf(request, sizeof(request),
                        "PUT /v2/keys/hot HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                        "Content-Type: application/x-www-form-urlencoded\r\n"
                        "Content-Length: %d\r\n\r\nvalue=%s",
                        VALUE_BYTES + 6, value);
    }
    send_all(fd, request, (size_t)size);
}

static unsigned long count_events(int fd)
{
    unsigned long events = 0;
    ssize_t size = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
    if (size <= 0) {
        die("a watcher was closed");
    }
    for (ssize_t i = 0; i < size; i++) {
        size_t at = matched[fd];
        at = buffer[i] == marker[at] ? at + 1 : buffer[i] == marker[0];
        if (at == sizeof(marker) - 1) {
            events++;
            at = 0;
        }
        matched[fd] = at;
    }
    return events;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        return 2;
    }
    int port = (int)strtol(argv[1], NULL, 10);
    long watchers = strtol(argv[2], NULL, 10);
    double seconds = strtod(argv[3], NULL);
    int poll = epoll_create1(0);
    int writer = open_socket(port);
    if (watchers > WATCHERS_MAX) {
        return 2;
    }
    for (long i = 0; i < watchers; i++) {
        struct epoll_event event = {.events = EPOLLIN};
        event.data.fd = open_watch(port);
        epoll_ctl(poll, EPOLL_CTL_ADD, event.data.fd, &event);
    }
    struct epoll_event wants = {.events = EPOLLIN, .data.fd = writer};
    epoll_ctl(poll, EPOLL_CTL_ADD, writer, &wants);
    unsigned long events = 0;
    unsigned long sent = 0;
    int writing = 0;
    double begin = now();
    while (now() - begin < seconds) {
        struct epoll_event ready[512];
        if (!writing && sent - events / (unsigned long)watchers < WINDOW) {
            put(writer);
            sent++;
            writing = 1;
        }
        int count = epoll_wait(poll, ready, 512, 100);
        for (int i = 0; i < count; i++) {
            if (ready[i].data.fd == writer) {
                if (recv(writer, buffer, sizeof(buffer), 0) <= 0) {
                    die("the writer was closed");
                }
                writing = 0;
            } else {
                events += count_events(ready[i].data.fd);
            }
        }
    }
    printf("%.0f\n", (double)events / (now() - begin));
    return 0;
}
