/* The blocking HTTP client over libcurl's multi interface.
 *
 * Multi and not easy, for the sake of its poll: a request ends on time (the
 * easy interface looks at its clock once a second) and at once when stop_fd
 * becomes readable. One easy handle is kept for all requests, so that their
 * connections are too.
 */
#include "host/http_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <ctype.h>

#include "base/check.h"
#include "base/mem.h"
#include "host/late_curl.h"

struct http_client {
    CURLM *multi;
    CURL *easy;
    char *ca_file;
    char *cert_file;
    char *key_file;
    char *crl_file;
    bool skip_verify;
    char *username;
    char *password;
    char *user_agent;
    char *proxy;
    int stop_fd;
};

/* One request under way. */
struct transfer {
    struct http_client *client;
    const struct http_client_request *request;
    struct http_client_response *response;
    struct curl_slist *headers;
    int64_t header_deadline_ms; /* 0: none, or the headers have come */
    bool stopped_by_reader;
    bool too_large;
    char error[CURL_ERROR_SIZE];
};

int64_t http_client_now_ms(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool http_client_is_loopback(struct slice host)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char address[16];
    static const unsigned char v6_loopback[16] = {[15] = 1};

    if (slice_eq_nocase(host, SLICE("localhost")))
        return true;
    if (host.size > 1 && host.at[0] == '[' && host.at[host.size - 1] == ']')
        host = slice_of(host.at + 1, host.size - 2);
    if (host.size >= sizeof(text) || host.size == 0)
        return false;
    memcpy(text, host.at, host.size);
    text[host.size] = '\0';
    if (inet_pton(AF_INET, text, address) == 1)
        return address[0] == 127;
    return inet_pton(AF_INET6, text, address) == 1 &&
           memcmp(address, v6_loopback, sizeof(v6_loopback)) == 0;
}

/* ---- responses ---------------------------------------------------------- */

void http_client_response_deinit(struct http_client_response *response)
{
    buf_deinit(&response->head);
    buf_deinit(&response->body);
}

static void reset_response(struct http_client_response *response)
{
    response->status = 0;
    response->failure = HTTP_CLIENT_NO_FAILURE;
    buf_reset(&response->head);
    buf_reset(&response->body);
}

static struct slice trim(struct slice text)
{
    while (text.size && strchr(" \t\r\n", text.at[0])) {
        text.at++;
        text.size--;
    }
    while (text.size && strchr(" \t\r\n", text.at[text.size - 1]))
        text.size--;
    return text;
}

struct slice http_client_header(const struct http_client_response *response,
                                const char *name)
{
    struct slice rest = buf_slice(&response->head);

    while (rest.size) {
        ptrdiff_t end = slice_find(rest, '\n');
        size_t size = end < 0 ? rest.size : (size_t)end + 1;
        struct slice line = slice_of(rest.at, size);
        ptrdiff_t colon = slice_find(line, ':');
        if (colon > 0 &&
            slice_eq_nocase(slice_of(line.at, (size_t)colon), slice_str(name)))
            return trim(
                slice_of(line.at + colon + 1, line.size - (size_t)colon - 1));
        rest.at += size;
        rest.size -= size;
    }
    return slice_of(NULL, 0);
}

/* ---- open and close ----------------------------------------------------- */

static char *copy_or_null(const char *text)
{
    return text && text[0] ? mem_strdup(text) : NULL;
}

static enum err check_readable(const char *path)
{
    FILE *file;

    if (!path)
        return ERR_OK;
    file = fopen(path, "rb");
    if (!file) {
        const char *text = strerror(errno);
        return err_set(ERR_INVALID, "open %s: %c%s", path,
                       tolower((unsigned char)text[0]), text + 1);
    }
    fclose(file);
    return ERR_OK;
}

static enum err check_files(const struct http_client *client)
{
    enum err err;

    if (!client->cert_file != !client->key_file)
        return err_set(ERR_INVALID,
                       "KeyFile and CertFile must both be present[key: %s, "
                       "cert: %s]",
                       client->key_file ? client->key_file : "",
                       client->cert_file ? client->cert_file : "");
    err = check_readable(client->cert_file);
    if (err == ERR_OK)
        err = check_readable(client->key_file);
    if (err == ERR_OK)
        err = check_readable(client->ca_file);
    if (err == ERR_OK)
        err = check_readable(client->crl_file);
    return err;
}

enum err http_client_open(const struct http_client_options *options,
                          struct http_client **out)
{
    struct http_client *client;
    enum err err = late_load(LATE_CURL);

    *out = NULL;
    if (err != ERR_OK)
        return err;
    client = mem_alloc_zero(sizeof(*client));
    client->ca_file = copy_or_null(options->ca_file);
    client->cert_file = copy_or_null(options->cert_file);
    client->key_file = copy_or_null(options->key_file);
    client->crl_file = copy_or_null(options->crl_file);
    client->skip_verify = options->skip_verify;
    client->username = copy_or_null(options->username);
    if (client->username)
        client->password =
            mem_strdup(options->password ? options->password : "");
    client->user_agent = copy_or_null(options->user_agent);
    client->proxy = copy_or_null(options->proxy);
    client->stop_fd = options->stop_fd;
    /* Counted inside: each open has its cleanup in close. */
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    client->multi = curl_multi_init();
    client->easy = curl_easy_init();
    CHECK(client->multi && client->easy);
    err = check_files(client);
    if (err != ERR_OK) {
        http_client_close(client);
        return err;
    }
    *out = client;
    return ERR_OK;
}

void http_client_close(struct http_client *client)
{
    if (!client)
        return;
    curl_easy_cleanup(client->easy);
    curl_multi_cleanup(client->multi);
    curl_global_cleanup();
    mem_free(client->ca_file);
    mem_free(client->cert_file);
    mem_free(client->key_file);
    mem_free(client->crl_file);
    mem_free(client->username);
    if (client->password)
        explicit_bzero(client->password, strlen(client->password));
    mem_free(client->password);
    mem_free(client->user_agent);
    mem_free(client->proxy);
    mem_free(client);
}

/* ---- callbacks ---------------------------------------------------------- */

static size_t on_header(char *at, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    struct buf *head = &transfer->response->head;
    struct slice line = slice_of(at, size * count);

    /* A status line begins an answer: an interim one (100) is forgotten. */
    if (slice_has_prefix(line, SLICE("HTTP/"))) {
        buf_reset(head);
        return line.size;
    }
    if (head->size + line.size > HTTP_CLIENT_HEAD_BYTES_MAX) {
        transfer->too_large = true;
        return 0;
    }
    buf_append_slice(head, line);
    if (trim(line).size == 0) {
        long status = 0;
        curl_easy_getinfo(transfer->client->easy, CURLINFO_RESPONSE_CODE,
                          &status);
        if (status >= 200) {
            transfer->response->status = (int)status;
            transfer->header_deadline_ms = 0;
        }
    }
    return line.size;
}

static size_t on_body(char *at, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    struct buf *body = &transfer->response->body;
    struct slice piece = slice_of(at, size * count);

    if (transfer->request->on_body) {
        if (transfer->request->on_body(transfer->request->context, piece))
            return piece.size;
        transfer->stopped_by_reader = true;
        return piece.size ? 0 : 1;
    }
    if (body->size + piece.size > HTTP_CLIENT_BODY_BYTES_MAX) {
        transfer->too_large = true;
        return 0;
    }
    buf_append_slice(body, piece);
    return piece.size;
}

/* ---- one request -------------------------------------------------------- */

/* The host of a URL as it is written: with brackets, without a user. */
static struct slice host_of_url(struct slice url)
{
    const char *at = strstr(url.at, "://");
    size_t size;
    const char *user;

    if (!at)
        return slice_of(NULL, 0);
    at += 3;
    size = strcspn(at, "/?#");
    user = memchr(at, '@', size);
    if (user) {
        size -= (size_t)(user + 1 - at);
        at = user + 1;
    }
    if (size && at[0] == '[') {
        const char *end = memchr(at, ']', size);
        return end ? slice_of(at, (size_t)(end + 1 - at)) : slice_of(NULL, 0);
    }
    return slice_of(at,
                    strcspn(at, ":/?#") < size ? strcspn(at, ":/?#") : size);
}

/* "127.0.0.1:2379" for the place that a URL names, its port put in where it
 * is the scheme's own. */
static void authority_of_url(const char *url, char *out, size_t size)
{
    struct slice host = host_of_url(slice_str(url));
    const char *port = host.at + host.size;
    bool is_tls = strncmp(url, "https:", 6) == 0;

    if (port[0] == ':')
        snprintf(out, size, "%.*s%.*s", (int)host.size, host.at,
                 (int)strcspn(port, "/?#"), port);
    else
        snprintf(out, size, "%.*s:%s", (int)host.size, host.at,
                 is_tls ? "443" : "80");
}

/* One that was asked for is for all, loopback too. */
static void set_proxy(CURL *easy, const char *wanted, const char *url)
{
    const char *proxy = getenv("HTTP_PROXY");

    if (wanted) {
        curl_easy_setopt(easy, CURLOPT_PROXY, wanted);
        curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
        return;
    }
    if (http_client_is_loopback(host_of_url(slice_str(url)))) {
        curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
        return;
    }
    /* curl reads http_proxy in lower case only, Go in both. */
    if (proxy && proxy[0] && !getenv("http_proxy") &&
        strncmp(url, "http://", 7) == 0)
        curl_easy_setopt(easy, CURLOPT_PROXY, proxy);
}

static void set_method(CURL *easy, const struct http_client_request *request)
{
    if (request->has_body) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t)request->body.size);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS,
                         request->body.size ? request->body.at : "");
    } else if (strcmp(request->method, "HEAD") == 0) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else {
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
}

static void set_security(const struct http_client *client)
{
    CURL *easy = client->easy;

    curl_easy_setopt(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    if (client->ca_file) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, client->ca_file);
        /* Theirs and nobody else's: not the system's folder too. */
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
    if (client->crl_file)
        curl_easy_setopt(easy, CURLOPT_CRLFILE, client->crl_file);
    if (client->skip_verify) {
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (client->cert_file) {
        curl_easy_setopt(easy, CURLOPT_SSLCERT, client->cert_file);
        curl_easy_setopt(easy, CURLOPT_SSLKEY, client->key_file);
    }
    if (client->username) {
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
        curl_easy_setopt(easy, CURLOPT_USERNAME, client->username);
        curl_easy_setopt(easy, CURLOPT_PASSWORD, client->password);
    }
}

static void set_headers(struct transfer *transfer)
{
    const struct http_client_request *request = transfer->request;

    /* No "Expect: 100-continue": it costs a round trip on large values. */
    transfer->headers = curl_slist_append(NULL, "Expect:");
    CHECK(transfer->headers);
    for (size_t i = 0; i < request->header_count; i++) {
        struct curl_slist *more =
            curl_slist_append(transfer->headers, request->headers[i]);
        CHECK(more);
        transfer->headers = more;
    }
    curl_easy_setopt(transfer->client->easy, CURLOPT_HTTPHEADER,
                     transfer->headers);
}

static void set_up(struct transfer *transfer)
{
    struct http_client *client = transfer->client;
    const struct http_client_request *request = transfer->request;
    CURL *easy = client->easy;

    curl_easy_reset(easy); /* options only: the connections are kept */
    curl_easy_setopt(easy, CURLOPT_URL, request->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 30L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 30L);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    if (client->user_agent)
        curl_easy_setopt(easy, CURLOPT_USERAGENT, client->user_agent);
    set_method(easy, request);
    set_security(client);
    set_headers(transfer);
    set_proxy(easy, client->proxy, request->url);
    if (request->unix_path) {
        curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, request->unix_path);
        curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    }
}

/* How long poll may sleep: to the nearer of the two deadlines. */
static int poll_timeout_ms(const struct transfer *transfer, int64_t now_ms)
{
    int64_t until = now_ms + 60000;

    if (transfer->request->deadline_ms &&
        transfer->request->deadline_ms < until)
        until = transfer->request->deadline_ms;
    if (transfer->header_deadline_ms && transfer->header_deadline_ms < until)
        until = transfer->header_deadline_ms;
    return until <= now_ms ? 0 : (int)(until - now_ms);
}

static enum err fail(struct transfer *transfer, enum http_client_failure how,
                     enum err err, const char *note)
{
    transfer->response->failure = how;
    return err_set(err, "%s", note);
}

/* Polls until something can be done; true when stop_fd says to stop. */
static bool poll_once(struct http_client *client, int timeout_ms)
{
    struct curl_waitfd stop = {.fd = client->stop_fd,
                               .events = CURL_WAIT_POLLIN};
    unsigned extra = client->stop_fd >= 0 ? 1 : 0;

    curl_multi_poll(client->multi, extra ? &stop : NULL, extra, timeout_ms,
                    NULL);
    return extra && stop.revents != 0;
}

/* Why the system said no, in the words of strerror, begun small as Go has
 * them; curl's own (and false) where it isn't known. */
static bool reason_text(const struct transfer *transfer, char *out, size_t size)
{
    long os_error = 0;
    const char *text = transfer->error;

    curl_easy_getinfo(transfer->client->easy, CURLINFO_OS_ERRNO, &os_error);
    if (os_error)
        text = strerror((int)os_error);
    snprintf(out, size, "%c%s", tolower((unsigned char)text[0]),
             text[0] ? text + 1 : "");
    return os_error != 0;
}

/* The words for what curl says, as Go's net package would put them. */
static enum err explain(struct transfer *transfer, CURLcode code)
{
    const char *url = transfer->request->url;
    struct slice host = host_of_url(slice_str(url));
    char reason[CURL_ERROR_SIZE];
    char authority[256];
    bool has_os_error = reason_text(transfer, reason, sizeof(reason));

    authority_of_url(url, authority, sizeof(authority));
    transfer->response->failure = HTTP_CLIENT_DIAL;
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return err_set(ERR_CLOSED, "dial tcp: lookup %.*s: no such host",
                       (int)host.size, host.at);
    case CURLE_COULDNT_CONNECT:
        return err_set(ERR_CLOSED, "dial tcp %s: connect: %s", authority,
                       reason);
    case CURLE_OPERATION_TIMEDOUT:
        return err_set(ERR_TIMEOUT, "dial tcp %s: i/o timeout", authority);
    case CURLE_GOT_NOTHING:
        return fail(transfer, HTTP_CLIENT_EOF, ERR_CLOSED, "EOF");
    case CURLE_PARTIAL_FILE:
        return fail(transfer, HTTP_CLIENT_EOF, ERR_CLOSED, "unexpected EOF");
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        /* Without an error of the system's it is TLS that says no. */
        if (!has_os_error)
            return fail(transfer, HTTP_CLIENT_OTHER, ERR_IO, transfer->error);
        transfer->response->failure = HTTP_CLIENT_READ;
        return err_set(ERR_CLOSED, "read tcp %s: %s", authority, reason);
    default:
        return fail(transfer, HTTP_CLIENT_OTHER, ERR_IO,
                    transfer->error[0] ? transfer->error
                                       : curl_easy_strerror(code));
    }
}

static enum err finish(struct transfer *transfer, CURLcode code)
{
    if (transfer->stopped_by_reader)
        return fail(transfer, HTTP_CLIENT_STOPPED, ERR_STOPPED, "stopped");
    if (transfer->too_large)
        return fail(transfer, HTTP_CLIENT_OTHER, ERR_TOO_LARGE,
                    "the answer is too large");
    if (code == CURLE_OK)
        return ERR_OK;
    return explain(transfer, code);
}

static enum err run(struct transfer *transfer)
{
    struct http_client *client = transfer->client;
    int64_t deadline_ms = transfer->request->deadline_ms;

    for (;;) {
        int running = 0;
        int queued = 0;
        int64_t now_ms;
        CURLMsg *message;

        curl_multi_perform(client->multi, &running);
        message = curl_multi_info_read(client->multi, &queued);
        if (message) {
            CHECK(message->msg == CURLMSG_DONE);
            return finish(transfer, message->data.result);
        }
        now_ms = http_client_now_ms();
        if (deadline_ms && now_ms >= deadline_ms)
            return fail(transfer, HTTP_CLIENT_DEADLINE, ERR_TIMEOUT,
                        "context deadline exceeded");
        if (transfer->header_deadline_ms &&
            now_ms >= transfer->header_deadline_ms)
            return fail(transfer, HTTP_CLIENT_HEADER_TIMEOUT, ERR_TIMEOUT,
                        "exceeded header timeout");
        if (poll_once(client, poll_timeout_ms(transfer, now_ms)))
            return fail(transfer, HTTP_CLIENT_STOPPED, ERR_STOPPED, "stopped");
    }
}

/* curl would take "foo" for a host, and ask for what isn't allowed in words
 * of its own. */
static enum err check_url(struct transfer *transfer)
{
    const char *url = transfer->request->url;
    const char *colon = strstr(url, "://");
    char note[128];

    if (!colon ||
        (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)) {
        snprintf(note, sizeof(note), "unsupported protocol scheme \"%.*s\"",
                 colon ? (int)(colon - url) : 0, url);
        return fail(transfer, HTTP_CLIENT_OTHER, ERR_INVALID, note);
    }
    if (host_of_url(slice_str(url)).size == 0)
        return fail(transfer, HTTP_CLIENT_OTHER, ERR_INVALID,
                    "http: no Host in request URL");
    return ERR_OK;
}

enum err http_client_do(struct http_client *client,
                        const struct http_client_request *request,
                        struct http_client_response *response)
{
    struct transfer transfer = {
        .client = client, .request = request, .response = response};
    enum err err;

    reset_response(response);
    err = check_url(&transfer);
    if (err != ERR_OK)
        return err;
    if (request->header_timeout_ms > 0)
        transfer.header_deadline_ms =
            http_client_now_ms() + request->header_timeout_ms;
    set_up(&transfer);
    CHECK(curl_multi_add_handle(client->multi, client->easy) == CURLM_OK);
    err = run(&transfer);
    curl_multi_remove_handle(client->multi, client->easy);
    curl_slist_free_all(transfer.headers);
    CHECK((err == ERR_OK) == (response->failure == HTTP_CLIENT_NO_FAILURE));
    return err;
}

bool http_client_wait(struct http_client *client, int64_t duration_ms)
{
    int64_t until_ms = http_client_now_ms() + duration_ms;

    for (;;) {
        int64_t left_ms = until_ms - http_client_now_ms();
        if (left_ms <= 0)
            return true;
        int some_ms = left_ms < 60000 ? (int)left_ms : 60000;
        if (!client)
            (void)poll(NULL, 0, some_ms);
        else if (poll_once(client, some_ms))
            return false;
    }
}
