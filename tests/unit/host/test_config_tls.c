/* TLS in the configuration: old and new flags, the file's blocks, and what
 * can't be meant. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "config_case.h"

#define ETC CONFIG_FILE_DEFAULT
#define NOT_USED(flag)                                                      \
    "! a certificate is given, but no URL of --" flag " is https: what is " \
    "sent there can be read on the way"

static void certificates_are_named_by_flags(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.args = "--listen-client-urls https://127.0.0.1:1 "
                 "--advertise-client-urls https://a:1 --cert-file /c "
                 "--key-file /k",
         .wanted = "listen_client=https://127.0.0.1:1 "
                   "advertise_client=https://a:1 cert=/c key=/k"},
        {.args = "--listen-client-urls https://127.0.0.1:1,http://127.0.0.1:2 "
                 "--advertise-client-urls https://a:1 --cert-file /c "
                 "--key-file /k",
         .wanted = "listen_client=https://127.0.0.1:1,http://127.0.0.1:2 "
                   "advertise_client=https://a:1 cert=/c key=/k"},
        {.args = "--listen-peer-urls unixs://sock --peer-auto-tls "
                 "--peer-trusted-ca-file /t --peer-crl-file /r "
                 "--peer-cert-allowed-cn m1,m2 "
                 "--peer-cert-allowed-hostname a.example",
         .wanted =
             "listen_peer=unixs://sock advertise_peer=unixs://sock "
             "initial_cluster=default@unixs://sock peer_trusted=/t peer_crl=/r "
             "peer_cn=m1,m2 peer_hostname=a.example peer_auto_tls=1"},
        {.args = "--client-cert-auth --trusted-ca-file /t "
                 "--client-crl-file /r --client-cert-allowed-cn a,b "
                 "--client-cert-allowed-hostname h",
         .wanted = "trusted=/t crl=/r cn=a,b hostname=h cert_auth=1"},
        {.args = "--self-signed-cert-validity 3 --tls-min-version TLS1.3 "
                 "--tls-max-version TLS1.3 --cipher-suites A,B",
         .wanted = "years=3 suites=A,B tls_min=TLS1.3 tls_max=TLS1.3"},
        /* 0.1's. */
        {.args = "-clientCert=/c -clientKey=/k -clientCAFile=/a -serverCert=/d "
                 "-serverKey=/l -serverCAFile=/b",
         .wanted = "cert=/c key=/k ca=/a peer_cert=/d peer_key=/l "
                   "peer_ca=/b " NOT_USED("listen-client-urls") " " NOT_USED(
                       "listen-peer-urls")},
        {.args = "--cert-file= --auto-tls=false", .wanted = ""},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

/* HOST:PORT has no scheme: who gives a certificate means TLS. */
static void the_addresses_of_0_4_take_tls_from_the_certificate(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.args = "-addr 10.0.0.1:1 -cert-file /c -key-file /k -ca-file /a",
         .wanted = "listen_client=https://10.0.0.1:1 "
                   "advertise_client=https://10.0.0.1:1 cert=/c key=/k ca=/a"},
        {.args = "-peer-addr 10.0.0.1:1 -peer-cert-file /c -peer-key-file /k",
         .wanted = "listen_peer=https://10.0.0.1:1 "
                   "advertise_peer=https://10.0.0.1:1 "
                   "initial_cluster=default@https://10.0.0.1:1 peer_cert=/c "
                   "peer_key=/k"},
        {.args = "-addr a.example:1 -bind-addr 0.0.0.0 -cert-file /c "
                 "-key-file /k",
         .wanted = "listen_client=https://0.0.0.0:1 "
                   "advertise_client=https://a.example:1 cert=/c key=/k"},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

static void the_files_blocks_say_the_same(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.path = ETC,
         .file = "client-transport-security:\n  cert-file: /c\n"
                 "  key-file: /k\n  trusted-ca-file: /t\n"
                 "  client-cert-auth: true\n  client-crl-file: /r\n"
                 "  auto-tls: true\n",
         .wanted = "file=" ETC " cert=/c key=/k trusted=/t crl=/r cert_auth=1 "
                   "auto_tls=1 " NOT_USED("listen-client-urls")},
        {.path = ETC,
         .file = "peer-transport-security: {trusted-ca-file: /t, "
                 "allowed-cn: x}\n",
         .wanted = "file=" ETC " peer_trusted=/t peer_cn=x"},
        {.path = ETC,
         .file = "[peer]\nkey_file = \"/k\"\n",
         .wanted = "file=" ETC " peer_key=/k"},
        {.path = ETC,
         .file = "client-transport-security:\n  cert: /c\n",
         .wanted = "INVALID: " ETC ": line 2, column 3: "
                   "client-transport-security.cert: unknown key"},
        {.path = ETC,
         .file = "peer-transport-security:\n  cert-fil: /c\n",
         .wanted = "INVALID: " ETC ": line 2, column 3: "
                   "peer-transport-security.cert-fil: unknown key; did you "
                   "mean cert-file?"},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

static void https_is_not_served_without_a_certificate(void **state)
{
    (void)state;
#define NEEDS \
    "\"https://127.0.0.1:1\" needs --cert-file and --key-file, or --auto-tls"
    static const struct config_case cases[] = {
        {.args = "--listen-client-urls https://127.0.0.1:1 "
                 "--advertise-client-urls https://a:1",
         .wanted = "INVALID: --listen-client-urls: " NEEDS},
        {.args = "--listen-metrics-urls https://127.0.0.1:1",
         .wanted = "INVALID: --listen-metrics-urls: " NEEDS},
        {.args = "--listen-client-http-urls https://127.0.0.1:1",
         .wanted = "INVALID: --listen-client-http-urls: " NEEDS},
        {.args = "--listen-peer-urls unixs://s",
         .wanted = "INVALID: --listen-peer-urls: \"unixs://s\" needs "
                   "--peer-cert-file and --peer-key-file, or "
                   "--peer-auto-tls"},
        /* That of peers is not for clients. */
        {.args = "--listen-client-urls https://127.0.0.1:1 "
                 "--advertise-client-urls https://a:1 --peer-cert-file /c "
                 "--peer-key-file /k",
         .wanted = "INVALID: --listen-client-urls: " NEEDS},
        /* What a proxy in front may well be told to clients. */
        {.args = "--advertise-client-urls https://e.example:443",
         .wanted = "advertise_client=https://e.example:443"},
        {.args = "--cert-file /c --key-file /k",
         .wanted = "cert=/c key=/k " NOT_USED("listen-client-urls")},
        {.args = "--cert-file /c --key-file /k --listen-metrics-urls "
                 "https://127.0.0.1:1",
         .wanted = "listen_metrics=https://127.0.0.1:1 cert=/c key=/k"},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

static void a_port_is_for_one_thing(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.args = "--listen-client-urls http://127.0.0.1:1 "
                 "--advertise-client-urls http://a:1 --listen-metrics-urls "
                 "http://127.0.0.1:1",
         .wanted = "INVALID: --listen-metrics-urls: \"http://127.0.0.1:1\" is "
                   "for clients already; metrics need another"},
        /* By its scheme it isn't another one. */
        {.args = "--listen-client-urls http://127.0.0.1:1 "
                 "--advertise-client-urls http://a:1 --listen-peer-urls "
                 "https://127.0.0.1:1 --peer-auto-tls",
         .wanted = "INVALID: --listen-peer-urls: \"https://127.0.0.1:1\" is "
                   "for clients already; peers need another"},
        {.args = "--listen-client-http-urls http://127.0.0.1:0 "
                 "--listen-metrics-urls http://127.0.0.1:0",
         .wanted = "listen_http=http://127.0.0.1:0 "
                   "listen_metrics=http://127.0.0.1:0"},
        {.args = "--listen-metrics-urls http://a.example:1",
         .wanted = "INVALID: --listen-metrics-urls: \"http://a.example:1\" "
                   "can't be listened on; an IP address or localhost is "
                   "wanted"},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificates_are_named_by_flags),
        cmocka_unit_test(the_addresses_of_0_4_take_tls_from_the_certificate),
        cmocka_unit_test(the_files_blocks_say_the_same),
        cmocka_unit_test(https_is_not_served_without_a_certificate),
        cmocka_unit_test(a_port_is_for_one_thing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
