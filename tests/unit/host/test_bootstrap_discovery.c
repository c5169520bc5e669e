/* --discovery against a small service that speaks the v2 protocol. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bootstrap_case.h"
#include "stub_http.h"

enum { ENTRIES_MAX = 8 };

struct entry {
    char id[32];
    char value[256];
    int created;
};

/* One directory, "/v2/keys/reg/tok". */
struct service {
    struct stub_http stub;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char size[16]; /* "": there is none */
    struct entry entries[ENTRIES_MAX];
    int count;
    int index;
    int fail;            /* so many requests are answered 503 first */
    int asked;           /* requests in all */
    int registered;      /* PUTs that were taken */
    bool no_wait;        /* waits are answered with an error */
    char elsewhere[128]; /* all is redirected there */
};

/* ---- the service --------------------------------------------------------- */

static void reply_error(struct stub_reply *reply, int status, int code,
                        const char *message)
{
    reply->status = status;
    buf_printf(&reply->body,
               "{\"errorCode\":%d,\"message\":\"%s\",\"cause\":\"/reg\","
               "\"index\":1}",
               code, message);
}

/* Newest first: the client has to sort. */
static void reply_list(struct service *service, struct stub_reply *reply)
{
    buf_append_str(&reply->body, "{\"action\":\"get\",\"node\":{\"key\":"
                                 "\"/reg/tok\",\"dir\":true,\"nodes\":[");
    for (int i = service->count - 1; i >= 0; i--) {
        const struct entry *entry = &service->entries[i];
        buf_printf(&reply->body,
                   "{\"key\":\"/reg/tok/%s\",\"value\":\"%s\","
                   "\"createdIndex\":%d},",
                   entry->id, entry->value, entry->created);
    }
    buf_append_str(&reply->body, "{\"key\":\"/reg/tok/_other\",\"value\":\"x\","
                                 "\"createdIndex\":1}]}}");
}

static void wait_for(struct service *service, int index)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 5;
    while (service->index < index &&
           pthread_cond_timedwait(&service->changed, &service->lock, &until) ==
               0) {
    }
}

static void add(struct service *service, const char *id, const char *value)
{
    struct entry *entry = &service->entries[service->count++];
    (void)snprintf(entry->id, sizeof(entry->id), "%s", id);
    (void)snprintf(entry->value, sizeof(entry->value), "%s", value);
    entry->created = ++service->index;
    pthread_cond_broadcast(&service->changed);
}

/* "value=n%3Dhttp%3A..." as it was meant. */
static void decode(const char *text, char *out)
{
    for (; *text; text++) {
        unsigned byte = (unsigned char)*text;
        if (*text == '%') {
            char digits[3] = {text[1], text[2], '\0'};
            byte = (unsigned)strtoul(digits, NULL, 16);
            text += 2;
        }
        *out++ = (char)byte;
    }
    *out = '\0';
}

static void take(struct service *service, const struct stub_request *request,
                 struct stub_reply *reply)
{
    const char *id = request->target + strlen("/v2/keys/reg/tok/");
    char value[256];
    char name[32];
    (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(id, "?"), id);
    for (int i = 0; i < service->count; i++) {
        if (strcmp(service->entries[i].id, name) == 0) {
            reply_error(reply, 412, 105, "Key already exists");
            return;
        }
    }
    if (strcmp(id + strlen(name), "?prevExist=false") != 0 ||
        strncmp(request->body, "value=", 6) != 0) {
        reply_error(reply, 400, 209, "Invalid field");
        return;
    }
    decode(request->body + 6, value);
    add(service, name, value);
    service->registered++;
    reply->status = 201;
    buf_append_str(&reply->body, "{\"action\":\"create\"}");
}

static void look(struct service *service, const struct stub_request *request,
                 struct stub_reply *reply)
{
    const char *at = strstr(request->target, "waitIndex=");
    (void)snprintf(reply->head, sizeof(reply->head), "X-Etcd-Index: %d\r\n",
                   service->index);
    if (strcmp(request->target, "/v2/keys/reg/tok/_config/size") == 0) {
        if (service->size[0]) {
            buf_printf(&reply->body, "{\"node\":{\"value\":\"%s\"}}",
                       service->size);
        } else {
            reply_error(reply, 404, 100, "Key not found");
        }
    } else if (at && service->no_wait) {
        reply_error(reply, 400, 203, "no watching here");
    } else if (at) {
        wait_for(service, (int)strtol(at + 10, NULL, 10));
        buf_append_str(&reply->body, "{\"action\":\"create\"}");
    } else {
        reply_list(service, reply);
    }
}

static void answer(void *context, const struct stub_request *request,
                   struct stub_reply *reply)
{
    struct service *service = context;
    pthread_mutex_lock(&service->lock);
    service->asked++;
    if (service->elsewhere[0]) {
        reply->status = 307;
        (void)snprintf(reply->head, sizeof(reply->head), "Location: %s%s\r\n",
                       service->elsewhere,
                       service->elsewhere[0] == 'h' ? request->target : "");
    } else if (service->fail > 0) {
        service->fail--;
        reply->status = 503;
    } else if (strncmp(request->target, "/v2/keys/reg/tok", 16) != 0) {
        reply->status = 404;
        buf_append_str(&reply->body, "404 page not found");
    } else if (strcmp(request->method, "PUT") == 0) {
        take(service, request, reply);
    } else {
        look(service, request, reply);
    }
    pthread_mutex_unlock(&service->lock);
}

static void service_start(struct service *service, const char *size)
{
    memset(service, 0, sizeof(*service));
    pthread_mutex_init(&service->lock, NULL);
    pthread_cond_init(&service->changed, NULL);
    (void)snprintf(service->size, sizeof(service->size), "%s", size);
    service->index = 10;
    stub_http_start(&service->stub, answer, service);
}

static void service_stop(struct service *service)
{
    pthread_mutex_lock(&service->lock);
    service->index += 1000;
    pthread_cond_broadcast(&service->changed);
    pthread_mutex_unlock(&service->lock);
    stub_http_stop(&service->stub);
    pthread_cond_destroy(&service->changed);
    pthread_mutex_destroy(&service->lock);
}

static void load(struct bootstrap_case *one, const struct service *service,
                 int member, const char *more)
{
    case_load(
        one,
        "--name n%d --initial-advertise-peer-urls http://127.0.0.1:25%d80 "
        "--discovery %s/v2/keys/reg/tok %s",
        member, member, service->stub.url, more);
}

/* ---- becoming a cluster -------------------------------------------------- */

struct starter {
    struct bootstrap_case one;
    pthread_t thread;
};

static void *run_starter(void *context)
{
    struct starter *starter = context;
    (void)case_run(&starter->one, &impatient);
    return NULL;
}

/* All of them find the same cluster, whoever came first. */
static void three_members_find_each_other(void **state)
{
    struct service service;
    struct starter starters[3];
    (void)state;
    service_start(&service, "3");
    for (int i = 0; i < 3; i++) {
        load(&starters[i].one, &service, i + 1, "");
        assert_int_equal(pthread_create(&starters[i].thread, NULL, run_starter,
                                        &starters[i]),
                         0);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(starters[i].thread, NULL);
        assert_int_equal(starters[i].one.err, ERR_OK);
        assert_int_equal(starters[i].one.out.member_count, 3);
        assert_int_equal(starters[i].one.out.cluster_id,
                         starters[0].one.out.cluster_id);
    }
    assert_int_not_equal(starters[0].one.out.member_id,
                         starters[1].one.out.member_id);
    assert_int_equal(service.registered, 3);
    for (int i = 0; i < 3; i++) {
        case_free(&starters[i].one);
    }
    service_stop(&service);
}

/* The ids are those of etcd 3.4.23, which was given that very URL and said
 * these: the whole URL is the token. */
static void ids_are_as_etcd_computes_them(void **state)
{
    struct config_url url = {.text = "http://127.0.0.1:25180"};
    struct config_url url2 = {.text = "http://127.0.0.1:25280"};
    struct bootstrap_member members[] = {
        {.name = "n1", .urls = {.at = &url, .count = 1}},
        {.name = "n2", .urls = {.at = &url2, .count = 1}}};
    struct bootstrap_list list = {.at = members, .count = 2};
    (void)state;
    assert_int_equal(
        bootstrap__assign_ids(&list, "http://127.0.0.1:24379/v2/keys/reg/tok"),
        ERR_OK);
    assert_int_equal(list.at[0].id, UINT64_C(0xf0523b3f91d200c8));
    assert_int_equal(list.at[1].id, UINT64_C(0xf1659536dabcbe1c));
    assert_int_equal(bootstrap__cluster_id(&list),
                     UINT64_C(0x790b40838140f67a));
}

/* What is written there is what etcd writes: its members can be among them. */
static void a_member_registers_as_etcd_does(void **state)
{
    struct service service;
    struct bootstrap_case one;
    char id[32];
    (void)state;
    service_start(&service, "1");
    case_load(&one,
              "--name n --initial-advertise-peer-urls http://b.invalid:2,"
              "http://a.invalid:1 --discovery %s/v2/keys/reg/tok/",
              service.stub.url);
    (void)case_run(&one, &impatient);
    assert_int_equal(one.err, ERR_OK);
    assert_int_equal(service.count, 1);
    assert_string_equal(service.entries[0].value,
                        "n=http://a.invalid:1,n=http://b.invalid:2");
    (void)snprintf(id, sizeof(id), "%llx",
                   (unsigned long long)one.out.member_id);
    assert_string_equal(service.entries[0].id, id);
    assert_int_equal(one.out.member_count, 1);
    case_free(&one);
    service_stop(&service);
}

/* etcd waits for its own, too. */
static void one_that_waits_goes_on_when_the_last_one_comes(void **state)
{
    struct service service;
    struct starter starter;
    (void)state;
    service_start(&service, "2");
    load(&starter.one, &service, 1, "");
    assert_int_equal(
        pthread_create(&starter.thread, NULL, run_starter, &starter), 0);
    for (int i = 0; i < 2000; i++) {
        struct timespec pause = {.tv_nsec = 1000000};
        pthread_mutex_lock(&service.lock);
        bool is_there = service.registered == 1;
        pthread_mutex_unlock(&service.lock);
        if (is_there) {
            break;
        }
        nanosleep(&pause, NULL);
    }
    pthread_mutex_lock(&service.lock);
    assert_int_equal(service.registered, 1);
    add(&service, "ff", "n2=http://127.0.0.1:25280");
    pthread_mutex_unlock(&service.lock);
    pthread_join(starter.thread, NULL);
    assert_int_equal(starter.one.err, ERR_OK);
    assert_int_equal(starter.one.out.member_count, 2);
    case_free(&starter.one);
    service_stop(&service);
}

/* A service that can't watch is asked now and then. */
static void a_service_without_watching_is_enough(void **state)
{
    struct service service;
    struct starter starter;
    (void)state;
    service_start(&service, "2");
    service.no_wait = true;
    load(&starter.one, &service, 1, "");
    assert_int_equal(
        pthread_create(&starter.thread, NULL, run_starter, &starter), 0);
    struct timespec pause = {.tv_nsec = 100 * 1000000};
    nanosleep(&pause, NULL);
    pthread_mutex_lock(&service.lock);
    assert_true(service.asked < 100);
    add(&service, "ff", "n2=http://127.0.0.1:25280");
    pthread_mutex_unlock(&service.lock);
    pthread_join(starter.thread, NULL);
    assert_int_equal(starter.one.err, ERR_OK);
    case_free(&starter.one);
    service_stop(&service);
}

/* ---- again, and too many ------------------------------------------------- */

/* A start that was broken off while it waited is made again. */
static void one_that_registered_may_come_again(void **state)
{
    struct service service;
    struct bootstrap_case one;
    struct bootstrap_case first;
    (void)state;
    service_start(&service, "1");
    load(&first, &service, 1, "");
    (void)case_run(&first, &impatient);
    assert_int_equal(service.registered, 1);
    (void)snprintf(service.size, sizeof(service.size), "2");
    load(&one, &service, 1, "");
    struct starter starter = {.one = one};
    struct config *config = &starter.one.config;
    assert_string_equal(config->name, "n1");
    assert_int_equal(
        pthread_create(&starter.thread, NULL, run_starter, &starter), 0);
    struct timespec pause = {.tv_nsec = 50 * 1000000};
    nanosleep(&pause, NULL);
    pthread_mutex_lock(&service.lock);
    add(&service, "ff", "n2=http://127.0.0.1:25280");
    pthread_mutex_unlock(&service.lock);
    pthread_join(starter.thread, NULL);
    assert_int_equal(starter.one.err, ERR_OK);
    assert_int_equal(starter.one.out.member_id, first.out.member_id);
    assert_int_equal(service.registered, 1);
    case_free(&first);
    case_free(&starter.one);
    service_stop(&service);
}

static void one_whose_cluster_has_begun_is_refused(void **state)
{
    struct service service;
    struct bootstrap_case one;
    (void)state;
    service_start(&service, "1");
    load(&one, &service, 1, "");
    (void)case_run(&one, &impatient);
    assert_int_equal(one.err, ERR_OK);
    (void)case_run(&one, &impatient);
    assert_int_equal(one.err, ERR_EXISTS);
    assert_non_null(
        strstr(one.result, "has previously registered with discovery service"));
    case_free(&one);
    service_stop(&service);
}

static void one_too_many_is_refused_or_becomes_a_proxy(void **state)
{
    struct service service;
    struct bootstrap_case one;
    const char *urls = NULL;
    (void)state;
    service_start(&service, "2");
    add(&service, "aa", "a=http://127.0.0.1:1");
    add(&service, "bb", "b=http://127.0.0.1:2,b=http://127.0.0.1:3");
    add(&service, "cc", "c=http://127.0.0.1:4");
    load(&one, &service, 1, "");
    (void)case_run(&one, &impatient);
    assert_int_equal(one.err, ERR_FULL);
    assert_non_null(strstr(one.result, "FULL: --discovery: cluster is full: 2 "
                                       "members have registered"));
    case_free(&one);
    load(&one, &service, 1, "--discovery-fallback proxy");
    assert_string_equal(case_run(&one, &impatient),
                        "proxy of http://127.0.0.1:1,http://127.0.0.1:2,"
                        "http://127.0.0.1:3");
    assert_int_equal(bootstrap_proxy_urls(&one.config, &one.arena, &urls),
                     ERR_OK);
    assert_string_equal(urls, one.out.proxy_of);
    assert_int_equal(service.registered, 0);
    case_free(&one);
    service_stop(&service);
}

static void the_same_name_twice_is_refused(void **state)
{
    struct service service;
    struct bootstrap_case one;
    (void)state;
    service_start(&service, "2");
    add(&service, "aa", "n1=http://127.0.0.1:1");
    load(&one, &service, 1, "");
    (void)case_run(&one, &impatient);
    assert_string_equal(one.result,
                        "EXISTS: --discovery: found duplicate name: two "
                        "members that registered have the same --name; the "
                        "token is used up, make another");
    case_free(&one);
    service_stop(&service);
}

static void the_same_url_twice_is_refused(void **state)
{
    struct service service;
    struct bootstrap_case one;
    (void)state;
    service_start(&service, "2");
    add(&service, "aa", "other=http://127.0.0.1:25180");
    load(&one, &service, 1, "");
    (void)case_run(&one, &impatient);
    assert_int_equal(one.err, ERR_EXISTS);
    assert_non_null(strstr(one.result, "has duplicate url"));
    case_free(&one);
    service_stop(&service);
}

/* ---- what is wrong with the service -------------------------------------- */

static void expect_error(struct service *service, const char *wanted)
{
    struct bootstrap_case one;
    load(&one, service, 1, "");
    (void)case_run(&one, &impatient);
    if (!strstr(one.result, wanted)) {
        print_error("got %s\nwanted %s\n", one.result, wanted);
    }
    assert_non_null(strstr(one.result, wanted));
    case_free(&one);
}

static void a_token_that_was_not_made_is_told(void **state)
{
    struct service service;
    (void)state;
    service_start(&service, "");
    expect_error(&service, "NOT_FOUND: --discovery: size key not found: has "
                           "the token been made? (PUT http://127.0.0.1:");
    (void)snprintf(service.size, sizeof(service.size), "many");
    expect_error(&service, "INVALID: --discovery: size key is bad: \"many\"");
    (void)snprintf(service.size, sizeof(service.size), "0");
    expect_error(&service, "INVALID: --discovery: size key is bad: \"0\"");
    /* etcd made an array of so many (GHSA-9gp7-6833-wv89, TOB-ETCD-014). */
    (void)snprintf(service.size, sizeof(service.size), "-1");
    expect_error(&service, "INVALID: --discovery: size key is bad: \"-1\"");
    (void)snprintf(service.size, sizeof(service.size), "1");
    add(&service, "aa", "what is this");
    expect_error(&service, "FULL: ");
    (void)snprintf(service.size, sizeof(service.size), "2");
    expect_error(&service, "INVALID: --discovery: what a member registered: "
                           "\"what is this\" is not NAME=URL");
    service_stop(&service);
}

static void a_service_that_comes_back_is_waited_for(void **state)
{
    struct bootstrap_world patient = impatient;
    struct service service;
    struct bootstrap_case one;
    (void)state;
    patient.give_up_ms = 20000;
    service_start(&service, "1");
    service.fail = 3;
    load(&one, &service, 1, "");
    (void)case_run(&one, &patient);
    assert_int_equal(one.err, ERR_OK);
    case_free(&one);
    service.fail = 1000;
    expect_error(&service, "TIMEOUT: --discovery: the discovery service "
                           "doesn't answer: status 503");
    service_stop(&service);
    expect_error(&service, "TIMEOUT: --discovery: the discovery service "
                           "doesn't answer: dial tcp 127.0.0.1:");
}

static void what_is_no_service_is_told(void **state)
{
    struct service service;
    struct bootstrap_case one;
    (void)state;
    service_start(&service, "1");
    case_load(&one, "--discovery %s/elsewhere", service.stub.url);
    assert_string_equal(
        case_run(&one, &impatient),
        "INVALID: --discovery: invalid JSON (status 404); is this a directory "
        "of a v2 API, http://HOST:PORT/v2/keys/...?");
    case_free(&one);
    service_stop(&service);
}

static void redirects_are_followed(void **state)
{
    struct service service;
    struct service front;
    struct bootstrap_case one;
    (void)state;
    service_start(&service, "1");
    service_start(&front, "1");
    (void)snprintf(front.elsewhere, sizeof(front.elsewhere), "%s",
                   service.stub.url);
    load(&one, &front, 1, "");
    (void)case_run(&one, &impatient);
    assert_int_equal(one.err, ERR_OK);
    assert_int_equal(service.registered, 1);
    case_free(&one);
    /* In a circle, and to nowhere. */
    (void)snprintf(service.elsewhere, sizeof(service.elsewhere), "%s",
                   front.stub.url);
    expect_error(&front, "more than 5 redirects");
    (void)snprintf(service.elsewhere, sizeof(service.elsewhere), "/x");
    expect_error(&service, "a redirect to nowhere");
    service_stop(&front);
    service_stop(&service);
}

/* The proxy is asked in place of the service, which isn't there. */
static void a_proxy_may_stand_between(void **state)
{
    struct service proxy;
    struct bootstrap_case one;
    (void)state;
    service_start(&proxy, "1");
    case_load(&one,
              "--discovery http://127.0.0.1:%d/v2/keys/reg/tok "
              "--discovery-proxy %s",
              stub_free_port(), proxy.stub.url);
    (void)case_run(&one, &impatient);
    /* It got the whole URL as target, which this one takes for a path. */
    assert_int_equal(one.err, ERR_INVALID);
    assert_true(proxy.asked > 0);
    case_free(&one);
    service_stop(&proxy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_members_find_each_other),
        cmocka_unit_test(ids_are_as_etcd_computes_them),
        cmocka_unit_test(a_member_registers_as_etcd_does),
        cmocka_unit_test(one_that_waits_goes_on_when_the_last_one_comes),
        cmocka_unit_test(a_service_without_watching_is_enough),
        cmocka_unit_test(one_that_registered_may_come_again),
        cmocka_unit_test(one_whose_cluster_has_begun_is_refused),
        cmocka_unit_test(one_too_many_is_refused_or_becomes_a_proxy),
        cmocka_unit_test(the_same_name_twice_is_refused),
        cmocka_unit_test(the_same_url_twice_is_refused),
        cmocka_unit_test(a_token_that_was_not_made_is_told),
        cmocka_unit_test(a_service_that_comes_back_is_waited_for),
        cmocka_unit_test(what_is_no_service_is_told),
        cmocka_unit_test(redirects_are_followed),
        cmocka_unit_test(a_proxy_may_stand_between),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
