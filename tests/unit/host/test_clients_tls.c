/* What this program is as a client over TLS: of HTTP, of members that it asks
 * when it starts, of a discovery service. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bootstrap_case.h"
#include "certificates.h"
#include "host/peers_tls.h"
#include "stub_http.h"

/* ---- a server ------------------------------------------------------------ */

struct served {
    struct stub_http stub;
    _Atomic int count;
    char location[128]; /* a redirect to there; "": none */
};

static void answer(void *context, const struct stub_request *request,
                   struct stub_reply *reply)
{
    struct served *served = context;
    (void)request;
    served->count++;
    if (served->location[0] != '\0') {
        reply->status = 307;
        (void)snprintf(reply->head, sizeof(reply->head), "Location: %s\r\n",
                       served->location);
        return;
    }
    (void)snprintf(reply->head, sizeof(reply->head),
                   "X-Etcd-Cluster-Id: c1\r\n");
    buf_append_str(&reply->body, "[]");
}

static void start(struct served *served, const char *name, bool asks)
{
    struct tls_options options = certificates_of(TLS_SERVER, name, "ca");
    struct tls_context *context;
    memset(served, 0, sizeof(*served));
    options.cert_auth = asks;
    assert_int_equal(tls_context_new(&options, &context), ERR_OK);
    stub_http_start_tls(&served->stub, answer, served, context);
    tls_context_unref(context);
}

/* ---- HTTP ---------------------------------------------------------------- */

static struct http_client_options trusting(const char *ca)
{
    return (struct http_client_options){
        .ca_file = certificates_path(ca, ".pem"), .stop_fd = -1};
}

static enum err get(const struct http_client_options *options, const char *url)
{
    struct http_client *client;
    struct http_client_response response = {0};
    struct http_client_request request = {.method = "GET",
                                          .url = url,
                                          .deadline_ms =
                                              http_client_now_ms() + 5000};
    assert_int_equal(http_client_open(options, &client), ERR_OK);
    enum err err = http_client_do(client, &request, &response);
    assert_true(err != ERR_OK || response.status == 200);
    http_client_response_deinit(&response);
    http_client_close(client);
    return err;
}

/* Nothing of the request reaches who isn't trusted. */
static void expect_refused(const struct http_client_options *options,
                           const struct served *served, const char *why)
{
    assert_int_not_equal(get(options, served->stub.url), ERR_OK);
    if (strstr(err_note(), why) == NULL) {
        fail_msg("%s", err_note());
    }
    assert_int_equal(served->count, 0);
}

static void a_server_that_is_trusted_is_asked(void **state)
{
    struct served served;
    struct http_client_options options = trusting("ca");
    (void)state;
    start(&served, "m1", false);
    assert_int_equal(get(&options, served.stub.url), ERR_OK);
    assert_int_equal(served.count, 1);
    stub_http_stop(&served.stub);
}

/* TOB-ETCD-017: nobody is verified less than all unless a flag says so. */
static void servers_that_are_not_trusted_are_not_asked(void **state)
{
    static const struct {
        const char *name;
        const char *why;
    } cases[] = {
        {"stranger", "unable to get local issuer certificate"},
        {"self", "self-signed certificate"},
        {"elsewhere", "127.0.0.1"},
        {"expired", "certificate has expired"},
    };
    struct http_client_options options = trusting("ca");
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct served served;
        start(&served, cases[i].name, false);
        expect_refused(&options, &served, cases[i].why);
        stub_http_stop(&served.stub);
    }
}

static void who_is_revoked_is_not_asked(void **state)
{
    struct served served;
    struct http_client_options options = trusting("ca");
    (void)state;
    options.crl_file = certificates_path("crl", ".pem");
    start(&served, "revoked", false);
    expect_refused(&options, &served, "certificate revoked");
    stub_http_stop(&served.stub);
}

static void without_a_file_the_systems_authorities_count(void **state)
{
    struct served served;
    struct http_client_options options = {.stop_fd = -1};
    (void)state;
    start(&served, "m1", false);
    expect_refused(&options, &served, "self-signed certificate in");
    stub_http_stop(&served.stub);
}

static void who_wants_it_gets_anybody(void **state)
{
    struct served served;
    struct http_client_options options = {.skip_verify = true, .stop_fd = -1};
    (void)state;
    start(&served, "self", false);
    assert_int_equal(get(&options, served.stub.url), ERR_OK);
    stub_http_stop(&served.stub);
}

static void a_server_may_want_a_certificate(void **state)
{
    struct served served;
    struct http_client_options options = trusting("ca");
    (void)state;
    start(&served, "m1", true);
    assert_int_not_equal(get(&options, served.stub.url), ERR_OK);
    assert_int_equal(served.count, 0);
    options.cert_file = certificates_path("client", ".pem");
    options.key_file = certificates_path("client", ".key");
    assert_int_equal(get(&options, served.stub.url), ERR_OK);
    assert_int_equal(served.count, 1);
    stub_http_stop(&served.stub);
}

/* ---- a socket's path ----------------------------------------------------- */

static void *answer_once(void *context)
{
    char bytes[1024];
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]";
    int fd = accept(*(int *)context, NULL, NULL);
    assert_true(recv(fd, bytes, sizeof(bytes), 0) > 0);
    assert_int_equal(send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL),
                     sizeof(text) - 1);
    close(fd);
    return NULL;
}

static void a_socket_in_place_of_a_host(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct http_client *client;
    struct http_client_response response = {0};
    const struct http_client_options options = {.stop_fd = -1};
    pthread_t thread;
    (void)state;
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket",
                   certificates_folder);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (void *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(pthread_create(&thread, NULL, answer_once, &fd), 0);
    assert_int_equal(http_client_open(&options, &client), ERR_OK);
    const struct http_client_request request = {
        .method = "GET",
        .url = "http://localhost/members",
        .unix_path = address.sun_path,
        .deadline_ms = http_client_now_ms() + 5000};
    assert_int_equal(http_client_do(client, &request, &response), ERR_OK);
    assert_int_equal(response.status, 200);
    pthread_join(thread, NULL);
    http_client_response_deinit(&response);
    http_client_close(client);
    close(fd);
}

/* ---- members that are asked ---------------------------------------------- */

#define ASKING                                                              \
    "--name x --initial-cluster x=https://127.0.0.1:1 --initial-advertise-" \
    "peer-urls https://127.0.0.1:1 "

static enum err ask_members(const char *flags, const char *url)
{
    struct bootstrap_case one;
    struct bootstrap_view view;
    case_load(&one, ASKING "%s", flags);
    struct bootstrap_run run = {
        .config = &one.config, .world = &impatient, .arena = &one.arena};
    enum err err = bootstrap__ask_members(&run, url, 2000, &view);
    assert_true(err != ERR_OK || view.cluster_id == 0xc1);
    http_client_response_deinit(&run.response);
    http_client_close(run.client);
    case_free(&one);
    return err;
}

static const char *flags_of(const char *name, const char *ca)
{
    static char text[1024];
    (void)snprintf(text, sizeof(text),
                   "--peer-trusted-ca-file %s --peer-cert-file %s "
                   "--peer-key-file %s",
                   certificates_path(ca, ".pem"),
                   certificates_path(name, ".pem"),
                   certificates_path(name, ".key"));
    return text;
}

static void members_are_asked_over_tls(void **state)
{
    struct served served;
    (void)state;
    start(&served, "m1", true);
    assert_int_equal(ask_members(flags_of("m2", "ca"), served.stub.url),
                     ERR_OK);
    assert_int_equal(served.count, 1);
    stub_http_stop(&served.stub);
}

static void members_that_are_not_trusted_are_not_asked(void **state)
{
    struct served served;
    (void)state;
    start(&served, "stranger", true);
    assert_int_not_equal(ask_members(flags_of("m2", "ca"), served.stub.url),
                         ERR_OK);
    assert_int_equal(served.count, 0);
    stub_http_stop(&served.stub);
}

/* What is protected isn't asked for without protection next. */
static void a_redirect_does_not_lead_out_of_tls(void **state)
{
    struct served secure;
    struct served plain;
    (void)state;
    start(&secure, "m1", true);
    memset(&plain, 0, sizeof(plain));
    stub_http_start(&plain.stub, answer, &plain);
    (void)snprintf(secure.location, sizeof(secure.location), "%s/members",
                   plain.stub.url);
    assert_int_equal(ask_members(flags_of("m2", "ca"), secure.stub.url),
                     ERR_PERMISSION);
    assert_int_equal(plain.count, 0);
    stub_http_stop(&secure.stub);
    stub_http_stop(&plain.stub);
}

/* ---- what the flags mean ------------------------------------------------- */

static struct peers_tls_files files_of(const char *flags)
{
    struct bootstrap_case one;
    static char texts[4][64];
    case_load(&one, "%s", flags);
    struct peers_tls_files files = peers_tls_files(&one.config);
    const char **members[] = {&files.ca_file, &files.cert_file, &files.key_file,
                              &files.crl_file};
    for (int i = 0; i < 4; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "%s", *members[i]);
        *members[i] = texts[i];
    }
    case_free(&one);
    return files;
}

static void a_member_shows_its_own_certificate(void **state)
{
    struct peers_tls_files files = files_of(
        "--peer-trusted-ca-file /ca --peer-cert-file /c --peer-key-file /k "
        "--peer-crl-file /r");
    (void)state;
    assert_string_equal(files.ca_file, "/ca");
    assert_string_equal(files.cert_file, "/c");
    assert_string_equal(files.key_file, "/k");
    assert_string_equal(files.crl_file, "/r");
    assert_false(files.skip_verify);
}

static void or_one_that_is_for_that(void **state)
{
    struct peers_tls_files files = files_of(
        "--peer-cert-file /c --peer-key-file /k --peer-client-cert-file /cc "
        "--peer-client-key-file /ck");
    (void)state;
    assert_string_equal(files.cert_file, "/cc");
    assert_string_equal(files.key_file, "/ck");
    assert_string_equal(files.ca_file, "");
    assert_false(files.skip_verify);
}

/* Nobody knows the others' beforehand; but where there is an authority, they
 * are looked at. */
static void own_certificates_cannot_be_looked_at(void **state)
{
    (void)state;
    assert_true(files_of("--peer-auto-tls").skip_verify);
    assert_false(
        files_of("--peer-auto-tls --peer-trusted-ca-file /ca").skip_verify);
    assert_false(files_of("--name a").skip_verify);
}

/* Who has no TLS loads nothing for it. */
static void without_tls_there_is_no_context(void **state)
{
    struct bootstrap_case one;
    struct tls_context *context;
    (void)state;
    case_load(&one, "--name a");
    assert_int_equal(peers_tls_open(&one.config, &context), ERR_OK);
    assert_null(context);
    case_free(&one);
    case_load(&one, "--listen-peer-urls https://127.0.0.1:1 %s",
              flags_of("m1", "ca"));
    assert_int_equal(peers_tls_open(&one.config, &context), ERR_OK);
    assert_non_null(context);
    tls_context_unref(context);
    case_free(&one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_that_is_trusted_is_asked),
        cmocka_unit_test(servers_that_are_not_trusted_are_not_asked),
        cmocka_unit_test(who_is_revoked_is_not_asked),
        cmocka_unit_test(without_a_file_the_systems_authorities_count),
        cmocka_unit_test(who_wants_it_gets_anybody),
        cmocka_unit_test(a_server_may_want_a_certificate),
        cmocka_unit_test(a_socket_in_place_of_a_host),
        cmocka_unit_test(members_are_asked_over_tls),
        cmocka_unit_test(members_that_are_not_trusted_are_not_asked),
        cmocka_unit_test(a_redirect_does_not_lead_out_of_tls),
        cmocka_unit_test(a_member_shows_its_own_certificate),
        cmocka_unit_test(or_one_that_is_for_that),
        cmocka_unit_test(own_certificates_cannot_be_looked_at),
        cmocka_unit_test(without_tls_there_is_no_context),
    };
    return cmocka_run_group_tests(tests, certificates_make,
                                  certificates_remove);
}
