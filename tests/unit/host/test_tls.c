/* TLS between two ends of a socket pair: what gets through, what is refused
 * and why, and files that change. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "certificates.h"

enum { TURNS_MAX = 200, MUCH = 1024 * 1024 };

/* ---- two ends ------------------------------------------------------------ */

struct end {
    struct tls_context *context;
    struct tls *tls;
    int fd;
    enum err err;
    char note[ERR_NOTE_BYTES_MAX];
};

static struct end server;
static struct end client;

static struct tls_context *open_context(const struct tls_options *options)
{
    struct tls_context *context;
    enum err err = tls_context_new(options, &context);
    if (err != ERR_OK) {
        fail_msg("%s", err_note());
    }
    return context;
}

static void end_both(void)
{
    struct end *ends[] = {&server, &client};
    for (int i = 0; i < 2; i++) {
        tls_free(ends[i]->tls);
        tls_context_unref(ends[i]->context);
        if (ends[i]->fd > 0) {
            close(ends[i]->fd);
        }
        memset(ends[i], 0, sizeof(*ends[i]));
    }
}

static int after(void **state)
{
    (void)state;
    end_both();
    return 0;
}

static void step(struct end *end)
{
    if (end->err == ERR_BUSY) {
        end->err = tls_handshake(end->tls);
        if (end->err != ERR_OK && end->err != ERR_BUSY) {
            (void)snprintf(end->note, sizeof(end->note), "%s", err_note());
            /* As a server does: nothing more is to be had. */
            assert_int_equal(shutdown(end->fd, SHUT_RDWR), 0);
        }
    }
}

/* The contexts are there; `host`: whom the client means. */
static void connect_to(const char *host)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair),
                     0);
    server.fd = pair[0];
    client.fd = pair[1];
    server.tls = tls_new(server.context, server.fd, NULL);
    client.tls = tls_new(client.context, client.fd, host);
    server.err = client.err = ERR_BUSY;
    for (int i = 0; i < TURNS_MAX; i++) {
        step(&client);
        step(&server);
    }
    assert_int_not_equal(server.err, ERR_BUSY);
    assert_int_not_equal(client.err, ERR_BUSY);
}

static void disconnect(void)
{
    tls_free(server.tls);
    tls_free(client.tls);
    server.tls = client.tls = NULL;
    close(server.fd);
    close(client.fd);
    server.fd = client.fd = 0;
}

static void connect_with(const struct tls_options *of_server,
                         const struct tls_options *of_client, const char *host)
{
    server.context = open_context(of_server);
    client.context = open_context(of_client);
    connect_to(host);
}

static void assert_up(void)
{
    if (server.err != ERR_OK || client.err != ERR_OK) {
        fail_msg("server: %s; client: %s", server.note, client.note);
    }
}

static void connect_plainly(void)
{
    const struct tls_options of_server =
        certificates_of(TLS_SERVER, "m1", "ca");
    const struct tls_options of_client =
        certificates_of(TLS_CLIENT, "client", "ca");
    connect_with(&of_server, &of_client, "127.0.0.1");
    assert_up();
}

static ssize_t put(struct end *end, const char *text)
{
    const struct iovec piece = {.iov_base = (void *)(uintptr_t)text,
                                .iov_len = strlen(text)};
    return tls_send(end->tls, &piece, 1);
}

static void expect(struct end *end, const char *text)
{
    char got[256];
    ssize_t size = tls_recv(end->tls, got, sizeof(got));
    assert_int_equal(size, strlen(text));
    assert_memory_equal(got, text, (size_t)size);
}

/* ---- what gets through --------------------------------------------------- */

static void bytes_go_both_ways(void **state)
{
    char got[16];
    (void)state;
    connect_plainly();
    assert_int_equal(tls_recv(server.tls, got, sizeof(got)), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(tls_wants(server.tls), POLLIN);
    assert_int_equal(put(&client, "a question"), 10);
    expect(&server, "a question");
    assert_int_equal(put(&server, "an answer"), 9);
    expect(&client, "an answer");
    assert_string_equal(tls_version(server.tls), "TLSv1.3");
    assert_string_equal(tls_cipher(server.tls), "TLS_AES_128_GCM_SHA256");
    assert_false(tls_is_resumed(server.tls));
}

static void nothing_is_sent_in_the_clear(void **state)
{
    char wire[512];
    (void)state;
    connect_plainly();
    /* Tickets of TLS 1.3 are on their way to the client. */
    assert_int_equal(put(&client, "a very secret value"), 19);
    ssize_t size = recv(server.fd, wire, sizeof(wire), MSG_PEEK);
    assert_true(size > 19);
    assert_null(memmem(wire, (size_t)size, "secret", 6));
    expect(&server, "a very secret value");
}

static void both_know_the_others_verified_name(void **state)
{
    (void)state;
    connect_plainly();
    assert_true(slice_eq(tls_peer_name(server.tls), SLICE("client")));
    assert_true(slice_eq(tls_peer_name(client.tls), SLICE("m1")));
}

/* A name that nobody vouched for is none. */
static void an_unverified_name_is_not_told(void **state)
{
    struct tls_options of_server = certificates_of(TLS_SERVER, "self", "ca");
    struct tls_options of_client = certificates_of(TLS_CLIENT, "client", "ca");
    (void)state;
    of_server.cert_auth = false;
    of_client.skip_verify = true;
    connect_with(&of_server, &of_client, "elsewhere.example");
    assert_up();
    assert_int_equal(tls_peer_name(client.tls).size, 0);
    assert_int_equal(tls_peer_name(server.tls).size, 0);
}

static void the_other_sides_goodbye_is_an_end(void **state)
{
    char got[16];
    (void)state;
    connect_plainly();
    tls_goodbye(client.tls);
    assert_int_equal(tls_recv(server.tls, got, sizeof(got)), 0);
}

/* Else who is between them could make any message end early. */
static void an_end_without_goodbye_is_a_failure(void **state)
{
    char got[16];
    (void)state;
    connect_plainly();
    assert_int_equal(put(&client, "half"), 4);
    assert_int_equal(shutdown(client.fd, SHUT_RDWR), 0);
    expect(&server, "half");
    assert_int_equal(tls_recv(server.tls, got, sizeof(got)), -1);
    assert_int_not_equal(errno, EAGAIN);
    assert_int_equal(put(&server, "x"), -1);
    assert_int_not_equal(errno, EAGAIN);
}

static void bytes_that_were_changed_are_refused(void **state)
{
    char wire[512];
    char got[64];
    (void)state;
    connect_plainly();
    /* What the server takes next is not what the client has sent. */
    assert_int_equal(put(&client, "100 euros"), 9);
    ssize_t size = recv(server.fd, wire, sizeof(wire), 0);
    assert_true(size > 9);
    wire[size - 20] ^= 1;
    assert_int_equal(send(client.fd, wire, (size_t)size, 0), size);
    assert_int_equal(tls_recv(server.tls, got, sizeof(got)), -1);
    assert_int_not_equal(errno, EAGAIN);
}

/* ---- much ---------------------------------------------------------------- */

/* Pieces of all sizes, again and again, as the socket takes them. */
static size_t pieces_from(const char *all, size_t at, struct iovec *out)
{
    static const size_t sizes[] = {1, 5, 9, 300, 16384, 0, 17, 40000, 16383, 2};
    size_t count = 0;
    while (at < MUCH && count < 40) {
        size_t size = sizes[(at / 7 + count) % 10];
        size = size < MUCH - at ? size : MUCH - at;
        out[count].iov_base = (void *)(uintptr_t)(all + at);
        out[count++].iov_len = size;
        at += size;
    }
    return count;
}

static void pass_much(bool read_ahead)
{
    char *all = mem_alloc(MUCH);
    char *got = mem_alloc(MUCH);
    size_t sent = 0;
    size_t received = 0;
    bool was_full = false;
    connect_plainly();
    if (read_ahead) {
        tls_read_ahead(client.tls);
    }
    for (size_t i = 0; i < MUCH; i++) {
        all[i] = (char)(i * 2654435761u >> 13);
    }
    while (received < MUCH) {
        struct iovec pieces[40];
        size_t count = pieces_from(all, sent, pieces);
        ssize_t size = count > 0 ? tls_send(server.tls, pieces, count) : 0;
        if (size < 0) {
            assert_int_equal(errno, EAGAIN);
            assert_int_equal(tls_wants(server.tls), POLLOUT);
            was_full = true;
        } else {
            sent += (size_t)size;
        }
        /* Seldom, so that the socket fills up. */
        while (size <= 0) {
            size_t room = MUCH - received < 64 * 1024 ? MUCH - received
                                                      : (size_t)64 * 1024;
            ssize_t part =
                room > 0 ? tls_recv(client.tls, got + received, room) : -1;
            if (part < 0) {
                break;
            }
            received += (size_t)part;
        }
    }
    assert_true(was_full);
    assert_memory_equal(got, all, MUCH);
    mem_free(all);
    mem_free(got);
}

static void much_comes_whole_and_in_order(void **state)
{
    (void)state;
    pass_much(false);
}

static void much_comes_whole_when_read_ahead(void **state)
{
    (void)state;
    pass_much(true);
}

/* What was read ahead doesn't show on the socket any more. */
static void what_was_read_ahead_is_told_of(void **state)
{
    struct pollfd look;
    (void)state;
    connect_plainly();
    tls_read_ahead(server.tls);
    assert_int_equal(put(&client, "one"), 3);
    assert_int_equal(put(&client, "two"), 3);
    expect(&server, "one");
    look = (struct pollfd){.fd = server.fd, .events = POLLIN};
    assert_int_equal(poll(&look, 1, 0), 0);
    assert_true(tls_has_more(server.tls));
    expect(&server, "two");
    assert_false(tls_has_more(server.tls));
}

static void small_pieces_make_one_record(void **state)
{
    struct iovec pieces[20];
    char wire[2048];
    (void)state;
    connect_plainly();
    for (int i = 0; i < 20; i++) {
        pieces[i].iov_base = (void *)(uintptr_t) "piece";
        pieces[i].iov_len = 5;
    }
    assert_int_equal(tls_send(client.tls, pieces, 20), 100);
    ssize_t size = recv(server.fd, wire, sizeof(wire), 0);
    /* A head of 5, a type, a tag of 16. */
    assert_int_equal(size, 100 + 22);
}

/* ---- ALPN ---------------------------------------------------------------- */

struct alpn_case {
    const char *offered[2];
    const char *chosen; /* NULL: refused */
};

static void the_servers_first_choice_is_taken(void **state)
{
    static const char *const ours[] = {"h2", "http/1.1"};
    static const struct alpn_case cases[] = {
        {{"h2", "http/1.1"}, "h2"},       {{"http/1.1", "h2"}, "h2"},
        {{"http/1.1", NULL}, "http/1.1"}, {{NULL, NULL}, ""},
        {{"spdy/3", NULL}, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tls_options of_server = certificates_of(TLS_SERVER, "m1", "ca");
        struct tls_options of_client =
            certificates_of(TLS_CLIENT, "client", "ca");
        of_server.alpn = ours;
        of_server.alpn_count = 2;
        of_client.alpn = cases[i].offered;
        of_client.alpn_count = (cases[i].offered[0] != NULL) +
                               (size_t)(cases[i].offered[1] != NULL);
        connect_with(&of_server, &of_client, "localhost");
        if (cases[i].chosen == NULL) {
            assert_int_equal(server.err, ERR_IO);
            assert_int_not_equal(client.err, ERR_OK);
        } else {
            assert_up();
            struct slice chosen = slice_str(cases[i].chosen);
            assert_true(slice_eq(tls_alpn(server.tls), chosen));
            assert_true(slice_eq(tls_alpn(client.tls), chosen));
        }
        end_both();
    }
}

/* ---- whom a client trusts ------------------------------------------------ */

struct refusal {
    const char *name;
    const char *host;
    const char *crl;
    const char *why; /* NULL: it is good */
};

static void a_client_looks_at_the_server(void **state)
{
    static const struct refusal cases[] = {
        {"m1", "127.0.0.1", NULL, NULL},
        {"m1", "::1", NULL, NULL},
        {"m1", "localhost", "crl", NULL},
        {"m1", NULL, NULL, NULL},
        {"m1", "127.0.0.2", NULL, "IP address mismatch"},
        {"m1", "example.com", NULL, "hostname mismatch"},
        {"elsewhere", "localhost", NULL, "hostname mismatch"},
        {"elsewhere", "elsewhere.example", NULL, NULL},
        {"expired", "localhost", NULL, "certificate has expired"},
        {"revoked", "localhost", NULL, NULL},
        {"revoked", "localhost", "crl", "certificate revoked"},
        {"stranger", "localhost", NULL, "unable to get local issuer"},
        {"self", "localhost", NULL, "self-signed certificate"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tls_options of_server =
            certificates_of(TLS_SERVER, cases[i].name, "ca");
        struct tls_options of_client =
            certificates_of(TLS_CLIENT, "client", "ca");
        if (cases[i].crl != NULL) {
            of_client.crl_file = certificates_path(cases[i].crl, ".pem");
        }
        connect_with(&of_server, &of_client, cases[i].host);
        if (cases[i].why == NULL) {
            assert_up();
        } else {
            assert_int_equal(client.err, ERR_PERMISSION);
            assert_non_null(strstr(client.note, cases[i].why));
            assert_int_not_equal(server.err, ERR_OK);
        }
        end_both();
    }
}

/* ---- whom a server lets in ----------------------------------------------- */

static void a_server_looks_at_the_client(void **state)
{
    static const struct refusal cases[] = {
        {"client", NULL, NULL, NULL},
        {"elsewhere", NULL, NULL, NULL}, /* clients are anywhere */
        {"expired", NULL, NULL, "certificate has expired"},
        {"revoked", NULL, NULL, NULL},
        {"revoked", NULL, "crl", "certificate revoked"},
        {"client", NULL, "crl", NULL},
        {"stranger", NULL, NULL, "unable to get local issuer"},
        {"self", NULL, NULL, "self-signed certificate"},
        {NULL, NULL, NULL, "peer did not return a certificate"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tls_options of_server = certificates_of(TLS_SERVER, "m1", "ca");
        struct tls_options of_client =
            certificates_of(TLS_CLIENT, cases[i].name, "ca");
        if (cases[i].crl != NULL) {
            of_server.crl_file = certificates_path(cases[i].crl, ".pem");
        }
        connect_with(&of_server, &of_client, "localhost");
        if (cases[i].why == NULL) {
            assert_up();
        } else {
            assert_int_not_equal(server.err, ERR_OK);
            assert_non_null(strstr(server.note, cases[i].why));
        }
        end_both();
    }
}

static enum err name_client(const char *name, const char *cn, const char *host)
{
    struct tls_options of_server = certificates_of(TLS_SERVER, "m1", "ca");
    struct tls_options of_client = certificates_of(TLS_CLIENT, name, "ca");
    const char *const cns[] = {"somebody", cn};
    const char *const hosts[] = {"some.example", host};
    of_server.allowed_cn = cns;
    of_server.allowed_cn_count = cn != NULL ? 2 : 0;
    of_server.allowed_hostname = hosts;
    of_server.allowed_hostname_count = host != NULL ? 2 : 0;
    connect_with(&of_server, &of_client, "localhost");
    enum err err = server.err;
    end_both();
    return err;
}

static void only_allowed_names_are_let_in(void **state)
{
    (void)state;
    assert_int_equal(name_client("client", "client", NULL), ERR_OK);
    assert_int_equal(name_client("m2", "client", NULL), ERR_PERMISSION);
    /* The whole name, as it is written. */
    assert_int_equal(name_client("client", "clien", NULL), ERR_PERMISSION);
    assert_int_equal(name_client("client", "Client", NULL), ERR_PERMISSION);
    assert_int_equal(name_client("elsewhere", NULL, "elsewhere.example"),
                     ERR_OK);
    assert_int_equal(name_client("client", NULL, "elsewhere.example"),
                     ERR_PERMISSION);
    assert_int_equal(name_client("client", NULL, "127.0.0.1"), ERR_OK);
    assert_int_equal(name_client("client", NULL, "127.0.0.2"), ERR_PERMISSION);
    /* Both are asked for where both are given. */
    assert_int_equal(name_client("elsewhere", "client", "elsewhere.example"),
                     ERR_PERMISSION);
}

/* ---- versions and suites ------------------------------------------------- */

static void versions_have_bounds(void **state)
{
    struct tls_options of_server = certificates_of(TLS_SERVER, "m1", "ca");
    struct tls_options of_client = certificates_of(TLS_CLIENT, "client", "ca");
    (void)state;
    of_client.max_version = "TLS1.2";
    connect_with(&of_server, &of_client, "localhost");
    assert_up();
    assert_string_equal(tls_version(server.tls), "TLSv1.2");
    assert_string_equal(tls_cipher(server.tls),
                        "ECDHE-ECDSA-AES128-GCM-SHA256");
    end_both();
    of_server.min_version = "TLS1.3";
    connect_with(&of_server, &of_client, "localhost");
    assert_int_equal(server.err, ERR_IO);
    assert_non_null(strstr(server.note, "unsupported protocol"));
}

static void suites_can_be_chosen(void **state)
{
    static const char *const go[] = {
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"};
    static const char *const new[] = {"TLS_AES_256_GCM_SHA384"};
    struct tls_options of_server = certificates_of(TLS_SERVER, "m1", "ca");
    struct tls_options of_client = certificates_of(TLS_CLIENT, "client", "ca");
    (void)state;
    of_server.cipher_suites = go;
    of_server.cipher_suite_count = 1;
    of_server.max_version = "TLS1.2";
    connect_with(&of_server, &of_client, "localhost");
    assert_up();
    assert_string_equal(tls_cipher(client.tls),
                        "ECDHE-ECDSA-CHACHA20-POLY1305");
    end_both();
    of_server.max_version = "";
    of_server.cipher_suites = new;
    connect_with(&of_server, &of_client, "localhost");
    assert_up();
    assert_string_equal(tls_cipher(client.tls), new[0]);
}

/* ---- what can't be meant ------------------------------------------------- */

static void assert_refused(const struct tls_options *options, enum err wanted,
                           const char *why)
{
    struct tls_context *context;
    assert_int_equal(tls_context_new(options, &context), wanted);
    assert_null(context);
    if (strstr(err_note(), why) == NULL) {
        fail_msg("\"%s\" doesn't say \"%s\"", err_note(), why);
    }
}

static void files_that_cannot_be_used_are_named(void **state)
{
    struct tls_options options = certificates_of(TLS_SERVER, "m1", "ca");
    (void)state;
    options.key_file = NULL;
    assert_refused(&options, ERR_INVALID, "only one is given");
    options.key_file = certificates_path("m2", ".key");
    assert_refused(&options, ERR_INVALID, "m2.key");
    options.key_file = certificates_path("missing", ".key");
    assert_refused(&options, ERR_NOT_FOUND, "missing.key");
    options.key_file = certificates_path("m1", ".pem");
    assert_refused(&options, ERR_INVALID, "the private key");
    options = certificates_of(TLS_SERVER, "m1", "ca");
    options.ca_file = certificates_path("m1", ".key");
    assert_refused(&options, ERR_INVALID, "the trusted CA's certificates");
    options = certificates_of(TLS_SERVER, "m1", "ca");
    options.crl_file = certificates_path("ca", ".pem");
    assert_refused(&options, ERR_INVALID, "the list of revoked certificates");
    options = certificates_of(TLS_SERVER, NULL, "ca");
    assert_refused(&options, ERR_INVALID, "https needs a certificate");
}

/* To check nothing where a check was asked for would be a hole. */
static void checks_that_would_check_nothing_are_refused(void **state)
{
    static const char *const name[] = {"client"};
    struct tls_options options = certificates_of(TLS_SERVER, "m1", "ca");
    (void)state;
    options.ca_file = NULL;
    assert_refused(&options, ERR_INVALID, "a trusted CA is needed");
    options.cert_auth = false;
    options.allowed_cn = name;
    options.allowed_cn_count = 1;
    assert_refused(&options, ERR_INVALID, "a trusted CA is needed");
    options.allowed_cn_count = 0;
    options.crl_file = certificates_path("crl", ".pem");
    assert_refused(&options, ERR_INVALID, "a trusted CA is needed");
}

/* GHSA-5x4g-q5rc-36jp, TOB-ETCD-015: weak suites, by default or by name. */
static void weak_suites_and_versions_are_refused(void **state)
{
    static const char *const weak[] = {
        "TLS_RSA_WITH_AES_128_GCM_SHA256",    /* not forward secret */
        "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", /* not authenticated as one */
        "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
        "AES128-SHA",
        "eNULL",
        "ALL:@SECLEVEL=0",
    };
    static const char *const versions[] = {"TLS1.0", "TLS1.1", "SSL3", "1.2"};
    struct tls_options options = certificates_of(TLS_SERVER, "m1", "ca");
    (void)state;
    for (size_t i = 0; i < sizeof(weak) / sizeof(weak[0]); i++) {
        options.cipher_suites = &weak[i];
        options.cipher_suite_count = 1;
        assert_refused(&options, ERR_INVALID, weak[i]);
    }
    options.cipher_suite_count = 0;
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        options.min_version = versions[i];
        assert_refused(&options, ERR_INVALID, versions[i]);
    }
    options.min_version = "TLS1.3";
    options.max_version = "TLS1.2";
    assert_refused(&options, ERR_INVALID, "above the highest");
}

/* ---- files that change --------------------------------------------------- */

static void copy(const char *from, const char *to)
{
    char bytes[8192];
    FILE *in = fopen(from, "r");
    assert_non_null(in);
    size_t size = fread(bytes, 1, sizeof(bytes), in);
    fclose(in);
    FILE *out = fopen(to, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
}

static void use(const char *name)
{
    copy(certificates_path(name, ".pem"), certificates_path("now", ".pem"));
    copy(certificates_path(name, ".key"), certificates_path("now", ".key"));
}

static void new_connections_have_the_changed_files(void **state)
{
    struct tls_options of_client = certificates_of(TLS_CLIENT, "client", "ca");
    (void)state;
    use("m1");
    struct tls_options of_server = certificates_of(TLS_SERVER, "now", "ca");
    connect_with(&of_server, &of_client, "localhost");
    assert_up();
    assert_false(tls_context_reload(server.context));
    use("m2");
    assert_true(tls_context_reload(server.context));
    assert_false(tls_context_reload(server.context));
    /* Who is connected stays so. */
    assert_int_equal(put(&client, "still here"), 10);
    expect(&server, "still here");
    disconnect();
    connect_to("localhost");
    assert_up();
    assert_true(slice_eq(tls_peer_name(client.tls), SLICE("m2")));
}

/* The key comes after its certificate, a file is half written, or gone. */
static void a_bad_file_leaves_the_old_ones(void **state)
{
    struct tls_options of_client = certificates_of(TLS_CLIENT, "client", "ca");
    (void)state;
    use("m1");
    struct tls_options of_server = certificates_of(TLS_SERVER, "now", "ca");
    connect_with(&of_server, &of_client, "localhost");
    copy(certificates_path("m3", ".pem"), certificates_path("now", ".pem"));
    assert_false(tls_context_reload(server.context));
    assert_int_equal(unlink(certificates_path("now", ".key")), 0);
    assert_false(tls_context_reload(server.context));
    disconnect();
    connect_to("localhost");
    assert_true(slice_eq(tls_peer_name(client.tls), SLICE("m1")));
    copy(certificates_path("m3", ".key"), certificates_path("now", ".key"));
    assert_true(tls_context_reload(server.context));
    disconnect();
    connect_to("localhost");
    assert_true(slice_eq(tls_peer_name(client.tls), SLICE("m3")));
}

static void authorities_and_revocations_change_too(void **state)
{
    struct tls_options of_server = certificates_of(TLS_SERVER, "m1", "now");
    struct tls_options of_client = certificates_of(TLS_CLIENT, "revoked", "ca");
    (void)state;
    copy(certificates_path("ca", ".pem"), certificates_path("now", ".pem"));
    copy(certificates_path("empty", ".pem"), certificates_path("list", ".pem"));
    of_server.crl_file = certificates_path("list", ".pem");
    connect_with(&of_server, &of_client, "localhost");
    assert_up();
    disconnect();
    copy(certificates_path("crl", ".pem"), certificates_path("list", ".pem"));
    assert_true(tls_context_reload(server.context));
    connect_to("localhost");
    assert_int_equal(server.err, ERR_PERMISSION);
    assert_non_null(strstr(server.note, "revoked"));
    end_both();
    of_server.crl_file = NULL;
    connect_with(&of_server, &of_client, "localhost");
    assert_up();
    disconnect();
    copy(certificates_path("other", ".pem"), certificates_path("now", ".pem"));
    assert_true(tls_context_reload(server.context));
    connect_to("localhost");
    assert_int_equal(server.err, ERR_PERMISSION);
}

/* ---- one of our own ------------------------------------------------------ */

static void make_own(const char *folder, struct buf *cert, struct buf *key,
                     int years)
{
    static const char *const hosts[] = {"127.0.0.1", "a.example", "::1"};
    buf_reset(cert);
    buf_reset(key);
    enum err err = tls_self_signed(certificates_path(folder, ""), hosts, 3,
                                   years, cert, key);
    if (err != ERR_OK) {
        fail_msg("%s", err_note());
    }
}

static ino_t file_of(const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    return status.st_ino;
}

static void a_certificate_of_our_own_is_good_for_its_hosts(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "a.example", "::1"};
    struct buf cert = {0};
    struct buf key = {0};
    (void)state;
    make_own("own", &cert, &key, 1);
    const struct tls_options of_server = {
        .side = TLS_SERVER, .cert_file = cert.at, .key_file = key.at};
    const struct tls_options of_client = {.side = TLS_CLIENT,
                                          .ca_file = cert.at};
    (void)file_of(key.at);
    for (int i = 0; i < 3; i++) {
        connect_with(&of_server, &of_client, hosts[i]);
        assert_up();
        end_both();
    }
    connect_with(&of_server, &of_client, "b.example");
    assert_int_equal(client.err, ERR_PERMISSION);
    buf_deinit(&cert);
    buf_deinit(&key);
}

static void it_is_made_anew_only_when_it_must_be(void **state)
{
    struct buf cert = {0};
    struct buf key = {0};
    (void)state;
    make_own("own2", &cert, &key, 0); /* good until now */
    ino_t first = file_of(cert.at);
    /* Kept open, its number isn't given to the next one. */
    int held = open(cert.at, O_RDONLY | O_CLOEXEC);
    assert_true(held >= 0);
    make_own("own2", &cert, &key, 2);
    ino_t second = file_of(cert.at);
    assert_int_not_equal(second, first);
    close(held);
    make_own("own2", &cert, &key, 2);
    assert_int_equal(file_of(cert.at), second);
    buf_deinit(&cert);
    buf_deinit(&key);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_teardown(name, after)
    const struct CMUnitTest tests[] = {
        STORY(bytes_go_both_ways),
        STORY(nothing_is_sent_in_the_clear),
        STORY(both_know_the_others_verified_name),
        STORY(an_unverified_name_is_not_told),
        STORY(the_other_sides_goodbye_is_an_end),
        STORY(an_end_without_goodbye_is_a_failure),
        STORY(bytes_that_were_changed_are_refused),
        STORY(much_comes_whole_and_in_order),
        STORY(much_comes_whole_when_read_ahead),
        STORY(what_was_read_ahead_is_told_of),
        STORY(small_pieces_make_one_record),
        STORY(the_servers_first_choice_is_taken),
        STORY(a_client_looks_at_the_server),
        STORY(a_server_looks_at_the_client),
        STORY(only_allowed_names_are_let_in),
        STORY(versions_have_bounds),
        STORY(suites_can_be_chosen),
        STORY(files_that_cannot_be_used_are_named),
        STORY(checks_that_would_check_nothing_are_refused),
        STORY(weak_suites_and_versions_are_refused),
        STORY(new_connections_have_the_changed_files),
        STORY(a_bad_file_leaves_the_old_ones),
        STORY(authorities_and_revocations_change_too),
        STORY(a_certificate_of_our_own_is_good_for_its_hosts),
        STORY(it_is_made_anew_only_when_it_must_be),
    };
    return cmocka_run_group_tests(tests, certificates_make,
                                  certificates_remove);
}
