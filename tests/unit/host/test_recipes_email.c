/* E-mail that recipes send, against a small SMTP server. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "host/recipes_http.h"
#include "recipes_case.h"

#define SECOND (1000 * 1000 * 1000LL)

/* ---- the server: one connection at a time -------------------------------- */

struct smtp {
    int listener;
    int port;
    pthread_t thread;
    pthread_mutex_t lock;
    char said[8192];     /* what the client said, whole */
    const char *refuses; /* a command that gets... */
    const char *with;    /* ...this */
};
static struct smtp smtp;

static void say(int fd, const char *text)
{
    (void)send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void note(const char *line)
{
    pthread_mutex_lock(&smtp.lock);
    size_t size = strlen(smtp.said);
    assert_true(size + strlen(line) + 1 < sizeof(smtp.said));
    memcpy(smtp.said + size, line, strlen(line) + 1);
    pthread_mutex_unlock(&smtp.lock);
}

static void answer_line(int fd, const char *line, bool *in_data)
{
    note(line);
    if (*in_data) {
        if (strcmp(line, ".\r\n") == 0) {
            *in_data = false;
            say(fd, "250 queued\r\n");
        }
        return;
    }
    if (smtp.refuses != NULL &&
        strncmp(line, smtp.refuses, strlen(smtp.refuses)) == 0) {
        say(fd, smtp.with);
    } else if (strncmp(line, "EHLO", 4) == 0) {
        say(fd, "250-here\r\n250 SIZE 100000\r\n");
    } else if (strncmp(line, "DATA", 4) == 0) {
        *in_data = true;
        say(fd, "354 go on\r\n");
    } else if (strncmp(line, "QUIT", 4) == 0) {
        say(fd, "221 bye\r\n");
    } else {
        say(fd, "250 ok\r\n");
    }
}

static void serve_one(int fd)
{
    char line[1024];
    bool in_data = false;
    FILE *in = fdopen(fd, "r");
    assert_non_null(in);
    say(fd, "220 here\r\n");
    while (fgets(line, sizeof(line), in) != NULL) {
        answer_line(fd, line, &in_data);
    }
    (void)fclose(in);
}

static void *serve(void *context)
{
    (void)context;
    for (;;) {
        int fd = accept(smtp.listener, NULL, NULL);
        if (fd < 0) {
            return NULL;
        }
        serve_one(fd);
    }
}

static void start_server(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    memset(&smtp, 0, sizeof(smtp));
    pthread_mutex_init(&smtp.lock, NULL);
    smtp.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(smtp.listener, (void *)&address, size), 0);
    assert_int_equal(listen(smtp.listener, 8), 0);
    assert_int_equal(getsockname(smtp.listener, (void *)&address, &size), 0);
    smtp.port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&smtp.thread, NULL, serve, NULL), 0);
}

/* ---- the client ---------------------------------------------------------- */

static struct recipes_case world;
static struct recipes_http *http_all;

static int64_t run(void *outside, int64_t now_ms)
{
    return recipes_http_run(outside, now_ms);
}

static int set_up(void **state)
{
    (void)state;
    start_server();
    world = (struct recipes_case){.run = run};
    poller_init(&world.poller);
    const struct recipes_http_config config = {
        .poller = &world.poller,
        .allow_local = true,
        .on_acted = case_on_acted,
        .context = &world,
    };
    http_all = recipes_http_new(&config);
    world.outside = http_all;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    recipes_http_free(http_all);
    case_deinit(&world);
    (void)shutdown(smtp.listener, SHUT_RDWR);
    assert_int_equal(pthread_join(smtp.thread, NULL), 0);
    close(smtp.listener);
    pthread_mutex_destroy(&smtp.lock);
    return 0;
}

static const struct slice recipients[] = {{"ops@example.org", 15},
                                          {"Pager <pager@example.org>", 25}};

static struct told_answer *mail(const char *form, struct slice from,
                                const struct slice *to, size_t to_count)
{
    char server[128];
    (void)snprintf(server, sizeof(server), form, smtp.port);
    const struct act act = {
        .kind = ACT_EMAIL,
        .timeout_ns = 10 * SECOND,
        .server = slice_str(server),
        .from = from,
        .to = to,
        .to_count = to_count,
        .message = SLICE("Subject: disk\r\n\r\nfull\r\n.\r\n.more\r\n"),
    };
    recipes_http_start(http_all, 1, &act);
    case_run_until(&world, world.count + 1);
    return case_last(&world);
}

static struct told_answer *mail_to(const char *form)
{
    return mail(form, SLICE("etched <etched@example.org>"), recipients, 2);
}

/* ---- stories ------------------------------------------------------------- */

static void a_mail_arrives(void **state)
{
    (void)state;
    struct told_answer *answer = mail_to("smtp://127.0.0.1:%d");
    assert_true(answer->was_sent);
    assert_int_equal(answer->status, 250);
    assert_string_equal(answer->error, "");
    assert_non_null(strstr(smtp.said, "MAIL FROM:<etched@example.org>"));
    assert_non_null(strstr(smtp.said, "RCPT TO:<ops@example.org>\r\n"));
    assert_non_null(strstr(smtp.said, "RCPT TO:<pager@example.org>\r\n"));
    /* A line that begins with a dot has another one in front. */
    assert_non_null(strstr(
        smtp.said, "Subject: disk\r\n\r\nfull\r\n..\r\n..more\r\n.\r\n"));
}

static void a_server_may_be_named_without_a_scheme(void **state)
{
    (void)state;
    assert_int_equal(mail_to("127.0.0.1:%d")->status, 250);
    assert_true(mail_to("http://127.0.0.1:%d")->is_refused);
}

static void what_the_server_refuses_is_told_with_its_code(void **state)
{
    (void)state;
    smtp.refuses = "RCPT TO:<pager";
    smtp.with = "550 no such user\r\n";
    struct told_answer *answer = mail_to("smtp://127.0.0.1:%d");
    assert_int_equal(answer->status, 550);
    assert_true(answer->error[0] != '\0');
    assert_false(answer->is_refused);
    assert_null(strstr(smtp.said, "Subject"));
    smtp.refuses = "MAIL";
    smtp.with = "451 later\r\n";
    assert_int_equal(mail_to("smtp://127.0.0.1:%d")->status, 451);
}

/* This server has no TLS: a password must not reach it in the clear. */
static void a_password_needs_tls(void **state)
{
    (void)state;
    struct told_answer *answer = mail_to("smtp://me:s3cr3t@127.0.0.1:%d");
    assert_true(answer->error[0] != '\0');
    assert_null(strstr(answer->error, "s3cr3t"));
    assert_null(strstr(smtp.said, "AUTH"));
    assert_null(strstr(smtp.said, "MAIL"));
}

static void addresses_are_addresses(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "a b@x", "a@x\r\nRCPT TO:<b@x>",
                                      "<a@x", "a@x>\r\nDATA"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct slice to = slice_str(bad[i]);
        bool is_good = strcmp(bad[i], "<a@x") == 0;
        struct told_answer *answer =
            mail("smtp://127.0.0.1:%d", SLICE("a@example.org"), &to, 1);
        assert_int_equal(answer->is_refused, !is_good);
        answer = mail("smtp://127.0.0.1:%d", to, recipients, 2);
        assert_int_equal(answer->is_refused, !is_good);
    }
    assert_true(mail("smtp://127.0.0.1:%d", SLICE("a@x"), NULL, 0)->is_refused);
    assert_null(strstr(smtp.said, "b@x"));
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        STORY(a_mail_arrives),
        STORY(a_server_may_be_named_without_a_scheme),
        STORY(what_the_server_refuses_is_told_with_its_code),
        STORY(a_password_needs_tls),
        STORY(addresses_are_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
