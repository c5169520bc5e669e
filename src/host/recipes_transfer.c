/* One request or e-mail: from struct act to libcurl's options, and from what
 * came back to struct act_answer. */
#include <arpa/inet.h>
#include <ctype.h>
#include <unistd.h>

#include "base/check.h"
#include "base/version.h"
#include "doc/json_write.h"
#include "host/recipes_address.h"
#include "host/recipes_http_int.h"

/* Of Retry-After: what says more is passed over. */
enum { RETRY_S_MAX = 30 * 24 * 3600 };

/* ---- refusals ----------------------------------------------------------- */

/* By a rule of ours; the first one counts. False, for the caller to return. */
static bool refuse(struct transfer *transfer, const char *format, ...)
    PRINTF_LIKE(2, 3);

static bool refuse(struct transfer *transfer, const char *format, ...)
{
    va_list args;
    if (!transfer->is_refused) {
        transfer->is_refused = true;
        buf_reset(&transfer->why);
        va_start(args, format);
        buf_vprintf(&transfer->why, format, args);
        va_end(args);
    }
    return false;
}

static bool has_control(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        if ((unsigned char)text.at[i] < ' ' || text.at[i] == 0x7f) {
            return true;
        }
    }
    return false;
}

static struct slice trim(struct slice text)
{
    while (text.size > 0 && (text.at[0] == ' ' || text.at[0] == '\t')) {
        text = slice_of(text.at + 1, text.size - 1);
    }
    while (text.size > 0 && isspace((unsigned char)text.at[text.size - 1])) {
        text.size--;
    }
    return text;
}

/* ---- callbacks of libcurl ----------------------------------------------- */

/* The address is final: what is connected to is what was looked at. */
static curl_socket_t on_open(void *context, curlsocktype purpose,
                             struct curl_sockaddr *address)
{
    struct transfer *transfer = context;
    (void)purpose;
    if (!transfer->http->config.allow_local &&
        recipes_address_is_local(&address->addr)) {
        const void *bytes =
            address->family == AF_INET
                ? (const void *)&((struct sockaddr_in *)(void *)&address->addr)
                      ->sin_addr
                : (const void *)&((struct sockaddr_in6 *)(void *)&address->addr)
                      ->sin6_addr;
        (void)inet_ntop(address->family, bytes, transfer->local_address,
                        sizeof(transfer->local_address));
        return CURL_SOCKET_BAD;
    }
    transfer->is_tried = true;
    transfer->is_hop_tried = true;
    return socket(address->family, address->socktype | SOCK_CLOEXEC,
                  address->protocol);
}

static size_t on_header(char *at, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    struct slice line = slice_of(at, size * count);
    /* A status line begins an answer: an interim one (100) is forgotten. */
    if (slice_has_prefix(line, SLICE("HTTP/"))) {
        buf_reset(&transfer->head);
        buf_reset(&transfer->body);
        return line.size;
    }
    if (transfer->head.size + line.size > RECIPES_HTTP_HEAD_BYTES_MAX) {
        transfer->is_too_large = true;
        return 0;
    }
    buf_append_slice(&transfer->head, line);
    return line.size;
}

static size_t on_body(char *at, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    struct slice piece = slice_of(at, size * count);
    size_t max = transfer->act.is_fetch ? RECIPES_HTTP_FETCH_BYTES_MAX
                                        : RECIPES_HTTP_BODY_BYTES_MAX;
    size_t room = max - transfer->body.size;
    if (piece.size > room) {
        buf_append(&transfer->body, piece.at, room);
        transfer->is_cut = true;
        return 0;
    }
    buf_append_slice(&transfer->body, piece);
    return piece.size;
}

static size_t on_read(char *out, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    struct slice message = transfer->act.message;
    size_t piece = message.size - transfer->uploaded;
    piece = piece < size * count ? piece : size * count;
    if (piece > 0) {
        memcpy(out, message.at + transfer->uploaded, piece);
    }
    transfer->uploaded += piece;
    return piece;
}

/* ---- HTTP --------------------------------------------------------------- */

/* Those that say how the bytes go, which is libcurl's to say. */
static bool is_of_framing(struct slice name)
{
    static const char *const names[] = {
        "content-length", "transfer-encoding", "connection", "upgrade", "te",
        "trailer",        "keep-alive",        "expect",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (slice_eq_nocase(name, slice_str(names[i]))) {
            return true;
        }
    }
    return name.size >= 6 &&
           slice_eq_nocase(slice_of(name.at, 6), SLICE("proxy-"));
}

/* What another server than the one that was meant may see of them. */
static bool is_harmless(struct slice name)
{
    return slice_eq_nocase(name, SLICE("accept")) ||
           slice_eq_nocase(name, SLICE("content-type")) ||
           slice_eq_nocase(name, SLICE("user-agent"));
}

static bool is_name(struct slice name)
{
    for (size_t i = 0; i < name.size; i++) {
        if (!isalnum((unsigned char)name.at[i]) &&
            strchr("!#$%&'*+-.^_`|~", name.at[i]) == NULL) {
            return false;
        }
    }
    return name.size > 0;
}

static void add_header(struct transfer *transfer, const char *line)
{
    struct curl_slist *list = curl_slist_append(transfer->headers, line);
    CHECK(list != NULL);
    transfer->headers = list;
}

static bool take_header(struct transfer *transfer, struct slice line)
{
    ptrdiff_t colon = slice_find(line, ':');
    struct slice name = slice_of(line.at, colon > 0 ? (size_t)colon : 0);
    if (!is_name(name) || has_control(line)) {
        return refuse(transfer, "a header can't be sent as it is");
    }
    if (is_of_framing(name)) {
        return refuse(transfer, "the header %.*s is not for recipes to set",
                      (int)name.size, name.at);
    }
    struct slice value =
        trim(slice_of(line.at + colon + 1, line.size - (size_t)colon - 1));
    if (transfer->is_elsewhere && !is_harmless(name)) {
        return true;
    }
    /* libcurl's way to say that a header is there but empty. */
    add_header(
        transfer,
        value.size > 0
            ? arena_printf(&transfer->arena, "%.*s: %.*s", (int)name.size,
                           name.at, (int)value.size, value.at)
            : arena_printf(&transfer->arena, "%.*s;", (int)name.size, name.at));
    return true;
}

static bool take_headers(struct transfer *transfer)
{
    struct slice rest = transfer->act.headers;
    while (rest.size > 0) {
        const char *end = memmem(rest.at, rest.size, "\r\n", 2);
        size_t size = end != NULL ? (size_t)(end - rest.at) : rest.size;
        if (size > 0 && !take_header(transfer, slice_of(rest.at, size))) {
            return false;
        }
        size += end != NULL ? 2 : 0;
        rest = slice_of(rest.at + size, rest.size - size);
    }
    add_header(transfer, "Expect:"); /* not sent: the body goes at once */
    return true;
}

static bool set_up_http(struct transfer *transfer)
{
    CURL *easy = transfer->easy;
    struct slice method = slice_str(transfer->method);
    struct slice body = transfer->act.body;
    if (!is_name(method)) {
        return refuse(transfer, "the method can't be sent as it is");
    }
    if (!take_headers(transfer)) {
        return false;
    }
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "etched/" ETCHED_VERSION);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    if (transfer->act.is_fetch) {
        curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip, deflate");
    }
    bool wants_body = slice_eq(method, SLICE("POST")) ||
                      slice_eq(method, SLICE("PUT")) ||
                      slice_eq(method, SLICE("PATCH"));
    if (slice_eq(method, SLICE("HEAD"))) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else if (wants_body || (body.size > 0 && !transfer->is_bodiless)) {
        if (transfer->is_bodiless) {
            body.size = 0;
        }
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t)body.size);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS,
                         body.size > 0 ? body.at : "");
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, transfer->method);
    return true;
}

/* ---- e-mail ------------------------------------------------------------- */

/* An address stands alone in its line of SMTP. */
static bool is_mailbox(struct slice address)
{
    return address.size > 0 && address.size <= 320 && !has_control(address) &&
           slice_find(address, ' ') < 0 && slice_find(address, '<') < 0 &&
           slice_find(address, '>') < 0;
}

/* "Pager <pager@example.org>" has its address in brackets. "": none. */
static struct slice mailbox_of(struct slice text)
{
    if (has_control(text)) {
        return slice_of("", 0);
    }
    ptrdiff_t open = slice_find(text, '<');
    struct slice rest =
        open < 0 ? text
                 : slice_of(text.at + open + 1, text.size - (size_t)open - 1);
    ptrdiff_t end = open < 0 ? -1 : slice_find(rest, '>');
    return trim(slice_of(rest.at, end < 0 ? rest.size : (size_t)end));
}

static bool take_recipients(struct transfer *transfer)
{
    const struct act *act = &transfer->act;
    if (act->to_count == 0) {
        return refuse(transfer, "an e-mail to nobody");
    }
    for (size_t i = 0; i < act->to_count; i++) {
        struct slice to = mailbox_of(act->to[i]);
        if (!is_mailbox(to)) {
            return refuse(transfer, "an e-mail address can't be used as it is");
        }
        struct curl_slist *list = curl_slist_append(
            transfer->recipients,
            arena_printf(&transfer->arena, "<%.*s>", (int)to.size, to.at));
        CHECK(list != NULL);
        transfer->recipients = list;
    }
    return true;
}

static bool set_up_email(struct transfer *transfer)
{
    CURL *easy = transfer->easy;
    struct slice from = mailbox_of(transfer->act.from);
    if (!is_mailbox(from)) {
        return refuse(transfer, "an e-mail address can't be used as it is");
    }
    if (!take_recipients(transfer)) {
        return false;
    }
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(
        easy, CURLOPT_MAIL_FROM,
        arena_printf(&transfer->arena, "<%.*s>", (int)from.size, from.at));
    curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, transfer->recipients);
    /* A password never goes in the clear. */
    curl_easy_setopt(
        easy, CURLOPT_USE_SSL,
        (long)(transfer->has_user ? CURLUSESSL_ALL : CURLUSESSL_TRY));
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(easy, CURLOPT_READDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE,
                     (curl_off_t)transfer->act.message.size);
    return true;
}

/* ---- URLs --------------------------------------------------------------- */

static char *part_of(struct transfer *transfer, CURLU *url, CURLUPart part)
{
    char *text = NULL;
    char *kept = NULL;
    if (curl_url_get(url, part, &text, CURLU_DEFAULT_PORT) == CURLUE_OK) {
        kept = arena_printf(&transfer->arena, "%s", text);
        curl_free(text);
    }
    return kept;
}

static bool is_scheme_of(enum act_kind kind, const char *scheme)
{
    return kind == ACT_EMAIL
               ? strcmp(scheme, "smtp") == 0 || strcmp(scheme, "smtps") == 0
               : strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0;
}

static bool take_url(struct transfer *transfer, CURLU *url, struct slice text)
{
    bool is_email = transfer->act.kind == ACT_EMAIL;
    const char *whole = arena_printf(
        &transfer->arena, "%s%.*s",
        is_email && memmem(text.at, text.size, "://", 3) == NULL ? "smtp://"
                                                                 : "",
        (int)text.size, text.at);
    if (curl_url_set(url, CURLUPART_URL, whole, 0) != CURLUE_OK) {
        return refuse(transfer, "the URL can't be used as it is");
    }
    const char *scheme = part_of(transfer, url, CURLUPART_SCHEME);
    const char *host = part_of(transfer, url, CURLUPART_HOST);
    const char *port = part_of(transfer, url, CURLUPART_PORT);
    if (scheme == NULL || !is_scheme_of(transfer->act.kind, scheme)) {
        return refuse(transfer, is_email ? "an SMTP server's URL is smtp:// or "
                                           "smtps://"
                                         : "only http:// and https:// can be "
                                           "sent to");
    }
    if (host == NULL) {
        return refuse(transfer, "the URL has no host");
    }
    bool was_secure = transfer->is_secure;
    transfer->is_secure = strcmp(scheme, "https") == 0;
    if (transfer->hops > 0 && was_secure && !transfer->is_secure) {
        return refuse(transfer, "redirected from https to http");
    }
    transfer->has_user = part_of(transfer, url, CURLUPART_USER) != NULL;
    const char *origin = arena_printf(&transfer->arena, "%s://%s:%s", scheme,
                                      host, port != NULL ? port : "");
    if (transfer->origin != NULL && strcmp(origin, transfer->origin) != 0) {
        transfer->is_elsewhere = true;
    }
    transfer->origin = origin;
    transfer->host_hash = slice_hash(slice_str(origin), 0);
    transfer->url = whole;
    return true;
}

bool transfer__set_url(struct transfer *transfer, struct slice text)
{
    CURLU *url = curl_url();
    CHECK(url != NULL);
    bool is_good = !has_control(text) && text.size > 0
                       ? take_url(transfer, url, text)
                       : refuse(transfer, "the URL can't be used as it is");
    curl_url_cleanup(url);
    return is_good;
}

/* ---- set up ------------------------------------------------------------- */

bool transfer__set_up(struct transfer *transfer, int64_t left_ms)
{
    CHECK(transfer->easy == NULL && transfer->url != NULL);
    CURL *easy = curl_easy_init();
    CHECK(easy != NULL);
    transfer->easy = easy;
    transfer->error[0] = '\0';
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* not the environment's */
    curl_easy_setopt(easy, CURLOPT_URL, transfer->url);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)left_ms);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)left_ms);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    return transfer->act.kind == ACT_EMAIL ? set_up_email(transfer)
                                           : set_up_http(transfer);
}

void transfer__tear_down(struct transfer *transfer)
{
    if (transfer->easy != NULL) {
        curl_easy_cleanup(transfer->easy);
        curl_slist_free_all(transfer->headers);
        curl_slist_free_all(transfer->recipients);
    }
    transfer->easy = NULL;
    transfer->headers = NULL;
    transfer->recipients = NULL;
}

/* ---- redirects ---------------------------------------------------------- */

static bool is_redirect(long status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 ||
           status == 308;
}

bool transfer__redirect(struct transfer *transfer, CURLcode result)
{
    long status = 0;
    char *to = NULL;
    if (result != CURLE_OK || !transfer->act.redirects) {
        return false;
    }
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(transfer->easy, CURLINFO_REDIRECT_URL, &to);
    if (!is_redirect(status) || to == NULL) {
        return false;
    }
    if (++transfer->hops > RECIPES_HTTP_REDIRECTS_MAX) {
        return refuse(transfer, "redirected more than %d times",
                      RECIPES_HTTP_REDIRECTS_MAX);
    }
    /* RFC 9110, section 15.4: 307 and 308 keep the method; after the others
     * what was sent is looked at with GET. */
    if (status != 307 && status != 308 &&
        strcmp(transfer->method, "HEAD") != 0) {
        transfer->method = "GET";
        transfer->is_bodiless = true;
    }
    bool is_good = transfer__set_url(transfer, slice_str(to));
    transfer__tear_down(transfer);
    return is_good;
}

/* ---- answers ------------------------------------------------------------ */

/* The next header of `rest`: its name, and what follows the colon. */
static bool next_header(struct slice *rest, struct slice *name,
                        struct slice *value)
{
    while (rest->size > 0) {
        ptrdiff_t end = slice_find(*rest, '\n');
        size_t size = end < 0 ? rest->size : (size_t)end + 1;
        struct slice line = slice_of(rest->at, size);
        ptrdiff_t colon = slice_find(line, ':');
        *rest = slice_of(rest->at + size, rest->size - size);
        if (colon > 0) {
            *name = slice_of(line.at, (size_t)colon);
            *value =
                trim(slice_of(line.at + colon + 1, size - (size_t)colon - 1));
            return true;
        }
    }
    return false;
}

/* Whether a header of that name comes before `end`. */
static bool was_before(struct slice head, const char *end, struct slice name)
{
    struct slice rest = slice_of(head.at, (size_t)(end - head.at));
    struct slice other;
    struct slice value;
    while (next_header(&rest, &other, &value)) {
        if (slice_eq_nocase(other, name)) {
            return true;
        }
    }
    return false;
}

/* The values of all headers of that name, as RFC 9110 (5.3) joins them. */
static void join_values(struct slice rest, struct slice name, struct buf *out)
{
    struct slice other;
    struct slice value;
    buf_reset(out);
    while (next_header(&rest, &other, &value)) {
        if (slice_eq_nocase(other, name)) {
            buf_append_str(out, out->size > 0 ? ", " : "");
            buf_append_slice(out, value);
        }
    }
}

/* The head as a JSON map, names in lower case. */
static void write_headers(struct slice head, struct buf *out)
{
    struct slice rest = head;
    struct slice name;
    struct slice value;
    struct buf text = {0};
    buf_append_char(out, '{');
    while (next_header(&rest, &name, &value)) {
        if (was_before(head, name.at, name)) {
            continue;
        }
        buf_append_str(out, out->size > 1 ? "," : "");
        buf_reset(&text);
        for (size_t i = 0; i < name.size; i++) {
            buf_append_char(&text, (char)tolower((unsigned char)name.at[i]));
        }
        json_write_string(out, buf_slice(&text));
        buf_append_char(out, ':');
        join_values(head, name, &text);
        json_write_string(out, buf_slice(&text));
    }
    buf_append_char(out, '}');
    buf_deinit(&text);
}

/* Why there is no answer, or no whole one. */
static void explain(struct transfer *transfer, CURLcode result)
{
    struct buf *why = &transfer->why;
    if (transfer->is_refused) {
        return;
    }
    buf_reset(why);
    if (result != CURLE_OK && !transfer->is_hop_tried &&
        transfer->local_address[0] != '\0') {
        (void)refuse(transfer,
                     "%s is an address of this machine or its link, which "
                     "recipes may not send to (--recipes-allow-local)",
                     transfer->local_address);
    } else if (transfer->is_too_large) {
        buf_printf(why, "the answer's headers are larger than %d bytes",
                   RECIPES_HTTP_HEAD_BYTES_MAX);
    } else if (transfer->is_cut && transfer->act.is_fetch) {
        buf_printf(why, "the answer is larger than %d bytes",
                   RECIPES_HTTP_FETCH_BYTES_MAX);
    } else if (result != CURLE_OK && !transfer->is_cut) {
        buf_append_str(why, transfer->error[0] != '\0'
                                ? transfer->error
                                : curl_easy_strerror(result));
    }
}

void transfer__answer(struct transfer *transfer, CURLcode result,
                      struct act_answer *answer)
{
    long status = 0;
    curl_off_t retry_after_s = 0;
    if (transfer->easy != NULL) {
        curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
    }
    explain(transfer, result);
    buf_reset(&transfer->json);
    write_headers(buf_slice(&transfer->head), &transfer->json);
    bool is_whole = transfer->why.size == 0;
    *answer = (struct act_answer){
        .was_sent = transfer->is_tried,
        .is_refused = transfer->is_refused,
        .status = is_whole || transfer->act.kind == ACT_EMAIL ? (int)status : 0,
        .error = buf_slice(&transfer->why),
        .headers = buf_slice(&transfer->json),
        .body = is_whole ? buf_slice(&transfer->body) : slice_of("", 0),
        .retry_after_ns = retry_after_s > 0 && retry_after_s < RETRY_S_MAX
                              ? (int64_t)retry_after_s * 1000000000
                              : 0,
    };
}
