/* Which addresses recipes may not send to. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "host/recipes_address.h"

static bool is_local(const char *text)
{
    struct sockaddr_in ip4 = {.sin_family = AF_INET};
    struct sockaddr_in6 ip6 = {.sin6_family = AF_INET6};
    if (strchr(text, ':') != NULL) {
        assert_int_equal(inet_pton(AF_INET6, text, &ip6.sin6_addr), 1);
        return recipes_address_is_local((const void *)&ip6);
    }
    assert_int_equal(inet_pton(AF_INET, text, &ip4.sin_addr), 1);
    return recipes_address_is_local((const void *)&ip4);
}

static int count_wrong(const char *const *texts, size_t count, bool wanted)
{
    int wrong = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_local(texts[i]) != wanted) {
            (void)fprintf(stderr, "%s is %s\n", texts[i],
                          wanted ? "let through" : "refused");
            wrong++;
        }
    }
    return wrong;
}

static void this_machine_and_its_link_are(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "127.0.0.1",
        "127.255.255.255",
        "127.1.2.3",
        "0.0.0.0",
        "0.1.2.3",
        "169.254.0.0",
        "169.254.169.254",
        "169.254.255.255",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "100.100.100.200",
        "192.0.0.192",
        "::",
        "::1",
        "fe80::1",
        "fe80::ffff:1",
        "febf::1",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
        "fd00:ec2::254",
        /* An IPv4 address behind a prefix is that address. */
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:0.0.0.0",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
    };
    assert_int_equal(count_wrong(texts, sizeof(texts) / sizeof(texts[0]), true),
                     0);
}

static void others_are_not(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "1.1.1.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "126.255.255.255",
        "128.0.0.1",
        "169.253.255.255",
        "169.255.0.0",
        "100.100.100.199",
        "100.64.0.1",
        "192.0.0.191",
        "223.255.255.255",
        "2001:4860:4860::8888",
        "fd00::1",
        "fc00::1",
        "::ffff:10.0.0.1",
        "64:ff9b::8.8.8.8",
        "2002:808:808::1",
        "fd00:ec2::253",
        "1:2:3::7f00:1",
    };
    assert_int_equal(
        count_wrong(texts, sizeof(texts) / sizeof(texts[0]), false), 0);
}

static void what_is_no_address_is(void **state)
{
    (void)state;
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    assert_true(recipes_address_is_local((const void *)&path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(this_machine_and_its_link_are),
        cmocka_unit_test(others_are_not),
        cmocka_unit_test(what_is_no_address_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
