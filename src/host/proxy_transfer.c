/* libcurl's multi interface in libuv's loop: curl says which sockets and which
 * time to watch, the loop tells it when something happened.
 *
 * From within curl's callbacks no transfer may be started or ended; so what
 * was done is told (on_done) after curl has returned. */
#include "base/check.h"
#include "base/mem.h"
#include "host/proxy_int.h"

struct watch {
    uv_poll_t poll; /* first: libuv hands it back */
    struct proxy *proxy;
    curl_socket_t fd;
};

/* ---- what is done -------------------------------------------------------- */

static void tell_done(struct proxy *proxy)
{
    for (;;) {
        int left;
        CURLMsg *message = curl_multi_info_read(proxy->multi, &left);
        struct transfer *transfer = NULL;
        if (!message) {
            return;
        }
        CHECK(message->msg == CURLMSG_DONE);
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        CHECK(transfer && transfer->easy == message->easy_handle);
        transfer->on_done(transfer, code);
    }
}

static void act(struct proxy *proxy, curl_socket_t fd, int events)
{
    int running;
    CHECK(curl_multi_socket_action(proxy->multi, fd, events, &running) ==
          CURLM_OK);
    tell_done(proxy);
}

/* ---- sockets ------------------------------------------------------------- */

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = (struct watch *)(void *)poll;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    flags |= events & UV_READABLE ? CURL_CSELECT_IN : 0;
    flags |= events & UV_WRITABLE ? CURL_CSELECT_OUT : 0;
    act(watch->proxy, watch->fd, flags);
}

static void on_closed(uv_handle_t *handle)
{
    mem_free(handle);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context,
                     void *socket_context)
{
    struct proxy *proxy = context;
    struct watch *watch = socket_context;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (watch) {
            curl_multi_assign(proxy->multi, fd, NULL);
            uv_close((uv_handle_t *)&watch->poll, on_closed);
        }
        return 0;
    }
    if (!watch) {
        watch = mem_alloc_zero(sizeof(*watch));
        watch->proxy = proxy;
        watch->fd = fd;
        if (uv_poll_init_socket(&proxy->loop, &watch->poll, fd) != 0) {
            mem_free(watch); /* the system can watch no more */
            return -1;
        }
        curl_multi_assign(proxy->multi, fd, watch);
    }
    uv_poll_start(&watch->poll,
                  (what & CURL_POLL_IN ? UV_READABLE : 0) |
                      (what & CURL_POLL_OUT ? UV_WRITABLE : 0),
                  on_ready);
    return 0;
}

/* ---- time ---------------------------------------------------------------- */

static void on_time(uv_timer_t *timer)
{
    act(CONTAINER_OF(timer, struct proxy, multi_timer), CURL_SOCKET_TIMEOUT, 0);
}

/* Called within curl, so that even "now" has to be later. */
static int on_timer(CURLM *multi, long timeout_ms, void *context)
{
    struct proxy *proxy = context;
    (void)multi;
    if (timeout_ms < 0) {
        uv_timer_stop(&proxy->multi_timer);
    } else {
        uv_timer_start(&proxy->multi_timer, on_time, (uint64_t)timeout_ms, 0);
    }
    return 0;
}

/* ---- transfers ----------------------------------------------------------- */

void proxy__open_transfers(struct proxy *proxy)
{
    proxy->files = peers_tls_files(proxy->config);
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == 0);
    proxy->multi = curl_multi_init();
    CHECK(proxy->multi);
    CHECK_EQ(uv_timer_init(&proxy->loop, &proxy->multi_timer), 0);
    curl_multi_setopt(proxy->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(proxy->multi, CURLMOPT_SOCKETDATA, proxy);
    curl_multi_setopt(proxy->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(proxy->multi, CURLMOPT_TIMERDATA, proxy);
}

void proxy__close_transfers(struct proxy *proxy)
{
    curl_multi_cleanup(proxy->multi);
    proxy->multi = NULL;
    uv_close((uv_handle_t *)&proxy->multi_timer, NULL);
    curl_global_cleanup();
}

/* All of whom a proxy asks has to show the same, whatever told of it: members
 * that were named, those that DNS named, and those that these name. It is
 * looked at on the connection that is then used. */
static void set_security(const struct proxy *proxy, CURL *easy)
{
    const struct peers_tls_files *files = &proxy->files;
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    /* Files that have changed are read for the next connection. */
    curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
    if (files->ca_file[0]) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, files->ca_file);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
    if (files->crl_file[0]) {
        curl_easy_setopt(easy, CURLOPT_CRLFILE, files->crl_file);
    }
    if (files->cert_file[0]) {
        curl_easy_setopt(easy, CURLOPT_SSLCERT, files->cert_file);
        curl_easy_setopt(easy, CURLOPT_SSLKEY, files->key_file);
    }
    if (files->skip_verify) {
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

void proxy__start_transfer(struct proxy *proxy, struct transfer *transfer,
                           const char *url)
{
    CURL *easy = transfer->easy;
    int64_t dial_ms = proxy->config->proxy_dial_timeout_ms;
    CHECK(transfer->on_done);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    set_security(proxy, easy);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    /* 0 is curl's word for its own five minutes. */
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(dial_ms > 0 ? dial_ms : 300 * 1000));
    CHECK(curl_multi_add_handle(proxy->multi, easy) == CURLM_OK);
}

void proxy__end_transfer(struct proxy *proxy, struct transfer *transfer)
{
    curl_multi_remove_handle(proxy->multi, transfer->easy);
}

void proxy__resume_transfer(struct proxy *proxy, struct transfer *transfer)
{
    curl_easy_pause(transfer->easy, CURLPAUSE_CONT);
    /* What waits inside of curl is taken at once, not at its next event. */
    act(proxy, CURL_SOCKET_TIMEOUT, 0);
}
