#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "cmd/etchctl/settings.h"

/* The flags that settings_load reads, as commands.c has them. */
static const struct flag_spec specs[] = {
    {.name = "endpoints", .kind = FLAG_STRING},
    {.name = "endpoint", .kind = FLAG_STRING},
    {.name = "peers", .kind = FLAG_STRING},
    {.name = "output", .kind = FLAG_STRING, .initial = "simple"},
    {.name = "no-sync"},
    {.name = "username", .kind = FLAG_STRING},
    {.name = "timeout", .kind = FLAG_DURATION, .initial = "2s"},
    {.name = "total-timeout", .kind = FLAG_DURATION, .initial = "5s"},
    {.name = "ca-file", .kind = FLAG_STRING},
    {.name = "cert-file", .kind = FLAG_STRING},
    {.name = "key-file", .kind = FLAG_STRING},
    {.name = "debug"},
    {.name = "discovery-srv", .kind = FLAG_STRING},
    {.name = "api", .kind = FLAG_STRING},
    {0},
};

struct world {
    struct arena arena;
    struct flags flags;
    const char *env[16]; /* name, value, name, value, ..., NULL */
    struct settings settings;
};

static const char *get_env(void *context, const char *name)
{
    const struct world *world = context;

    for (size_t i = 0; world->env[i]; i += 2)
        if (strcmp(world->env[i], name) == 0)
            return world->env[i + 1];
    return NULL;
}

static int set_up(void **state)
{
    static struct world world;

    memset(&world, 0, sizeof(world));
    arena_init(&world.arena, 0);
    flags_init(&world.flags, &world.arena, specs);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    arena_deinit(&world->arena);
    return 0;
}

static void give(struct world *world, const char *flag, const char *text)
{
    assert_int_equal(flags_set(&world->flags, flag, text), ERR_OK);
}

static enum err load(struct world *world)
{
    return settings_load(&world->settings, &world->arena, &world->flags,
                         get_env, world);
}

/* Loads, and expects these endpoints, the last one NULL. */
static void assert_endpoints(struct world *world, const char *first,
                             const char *second)
{
    const struct settings *settings = &world->settings;

    assert_int_equal(load(world), ERR_OK);
    assert_int_equal(settings->endpoint_count, second ? 2 : 1);
    assert_string_equal(settings->endpoints[0], first);
    if (second)
        assert_string_equal(settings->endpoints[1], second);
}

static void assert_refused(struct world *world, const char *note)
{
    assert_int_equal(load(world), ERR_INVALID);
    assert_string_equal(err_note(), note);
}

static void without_anything_it_is_this_machine(void **state)
{
    struct world *world = *state;
    const struct settings *settings = &world->settings;

    assert_endpoints(world, "http://127.0.0.1:2379", "http://127.0.0.1:4001");
    assert_int_equal(settings->output, OUTPUT_SIMPLE);
    assert_int_equal(settings->timeout_ms, 2000);
    assert_int_equal(settings->total_timeout_ms, 5000);
    assert_false(settings->is_debug);
    assert_false(settings->is_no_sync);
    assert_null(settings->username);
    assert_null(settings->ca_file);
    assert_null(settings->cert_file);
    assert_null(settings->key_file);
}

static void endpoints_come_from_the_first_that_names_any(void **state)
{
    struct world *world = *state;

    world->env[0] = "ETCDCTL_PEERS";
    world->env[1] = "http://env-peers:1";
    assert_endpoints(world, "http://env-peers:1", NULL);
    give(world, "peers", "http://peers:1");
    assert_endpoints(world, "http://peers:1", NULL);
    world->env[2] = "ETCDCTL_ENDPOINT";
    world->env[3] = "http://env-endpoint:1";
    assert_endpoints(world, "http://env-endpoint:1", NULL);
    give(world, "endpoint", "http://endpoint:1");
    assert_endpoints(world, "http://endpoint:1", NULL);
    world->env[4] = "ETCDCTL_ENDPOINTS";
    world->env[5] = "http://env-endpoints:1";
    assert_endpoints(world, "http://env-endpoints:1", NULL);
    give(world, "endpoints", "http://endpoints:1");
    assert_endpoints(world, "http://endpoints:1", NULL);
}

static void an_empty_variable_says_nothing(void **state)
{
    struct world *world = *state;

    world->env[0] = "ETCDCTL_ENDPOINTS";
    world->env[1] = "";
    world->env[2] = "ETCDCTL_ENDPOINT";
    world->env[3] = "http://a:1";
    assert_endpoints(world, "http://a:1", NULL);
}

static void endpoints_get_a_scheme_and_lose_a_slash(void **state)
{
    struct world *world = *state;

    give(world, "endpoints", "127.0.0.1:2379,http://b:1/");
    assert_endpoints(world, "http://127.0.0.1:2379", "http://b:1");
    give(world, "endpoints", " https://c:2/x , [::1]:3 ");
    assert_endpoints(world, "https://c:2/x", "http://[::1]:3");
}

static void an_empty_endpoint_is_refused(void **state)
{
    struct world *world = *state;

    give(world, "endpoints", "http://a:1,,http://b:1");
    assert_refused(world, "endpoints \"http://a:1,,http://b:1\": "
                          "an endpoint is empty");
    give(world, "endpoints", "http://a:1,");
    assert_refused(world, "endpoints \"http://a:1,\": an endpoint is empty");
    give(world, "endpoints", "/");
    assert_refused(world, "endpoints \"/\": an endpoint is empty");
}

static void output_is_one_of_three(void **state)
{
    struct world *world = *state;

    give(world, "output", "json");
    assert_int_equal(load(world), ERR_OK);
    assert_int_equal(world->settings.output, OUTPUT_JSON);
    give(world, "output", "extended");
    assert_int_equal(load(world), ERR_OK);
    assert_int_equal(world->settings.output, OUTPUT_EXTENDED);
    give(world, "output", "yaml");
    assert_refused(world, "Unsupported output format: yaml");
}

static void a_user_comes_with_or_without_a_password(void **state)
{
    struct world *world = *state;
    const struct settings *settings = &world->settings;

    world->env[0] = "ETCDCTL_USERNAME";
    world->env[1] = "env:pw:with:colons";
    assert_int_equal(load(world), ERR_OK);
    assert_string_equal(settings->username, "env");
    assert_string_equal(settings->password, "pw:with:colons");
    give(world, "username", "root");
    assert_int_equal(load(world), ERR_OK);
    assert_string_equal(settings->username, "root");
    assert_null(settings->password);
    give(world, "username", "root:");
    assert_int_equal(load(world), ERR_OK);
    assert_string_equal(settings->password, "");
}

static void files_come_from_flags_or_the_environment(void **state)
{
    struct world *world = *state;
    const struct settings *settings = &world->settings;

    world->env[0] = "ETCDCTL_CA_FILE";
    world->env[1] = "env-ca";
    world->env[2] = "ETCDCTL_CERT_FILE";
    world->env[3] = "env-cert";
    world->env[4] = "ETCDCTL_KEY_FILE";
    world->env[5] = "env-key";
    give(world, "cert-file", "cert");
    assert_int_equal(load(world), ERR_OK);
    assert_string_equal(settings->ca_file, "env-ca");
    assert_string_equal(settings->cert_file, "cert");
    assert_string_equal(settings->key_file, "env-key");
}

static void switches_and_times(void **state)
{
    struct world *world = *state;
    const struct settings *settings = &world->settings;

    give(world, "debug", "true");
    give(world, "no-sync", "true");
    give(world, "timeout", "150ms");
    give(world, "total-timeout", "0s");
    assert_int_equal(load(world), ERR_OK);
    assert_true(settings->is_debug);
    assert_true(settings->is_no_sync);
    assert_int_equal(settings->timeout_ms, 150);
    assert_int_equal(settings->total_timeout_ms, 0);
}

static void discovery_says_that_it_comes_later(void **state)
{
    struct world *world = *state;

    world->env[0] = "ETCDCTL_DISCOVERY_SRV";
    world->env[1] = "example.org";
    assert_refused(world, "discovery by SRV records comes with a later "
                          "version: name the members with --endpoints");
}

static void the_api_is_2_unless_it_is_asked_for(void **state)
{
    struct world *world = *state;
    int version = 0;

    assert_int_equal(settings_api(&world->flags, get_env, world, &version),
                     ERR_OK);
    assert_int_equal(version, 2);
    world->env[0] = "ETCDCTL_API";
    world->env[1] = "3";
    assert_int_equal(settings_api(&world->flags, get_env, world, &version),
                     ERR_OK);
    assert_int_equal(version, 3);
    give(world, "api", "2");
    assert_int_equal(settings_api(&world->flags, get_env, world, &version),
                     ERR_OK);
    assert_int_equal(version, 2);
    give(world, "api", "4");
    assert_int_equal(settings_api(&world->flags, get_env, world, &version),
                     ERR_INVALID);
    assert_string_equal(err_note(), "unsupported API version 4");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_anything_it_is_this_machine),
        TEST(endpoints_come_from_the_first_that_names_any),
        TEST(an_empty_variable_says_nothing),
        TEST(endpoints_get_a_scheme_and_lose_a_slash),
        TEST(an_empty_endpoint_is_refused),
        TEST(output_is_one_of_three),
        TEST(a_user_comes_with_or_without_a_password),
        TEST(files_come_from_flags_or_the_environment),
        TEST(switches_and_times),
        TEST(discovery_says_that_it_comes_later),
        TEST(the_api_is_2_unless_it_is_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
