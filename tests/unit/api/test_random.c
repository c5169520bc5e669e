/* Random requests, to a member and to its naive twin, which must give the
 * same answers; and watchers of all kinds, who must be told the same. Between
 * the requests time passes, the store is flushed and compacted, and the
 * machine goes off. */
#include <stdio.h>

#include "base/prng.h"
#include "story.h"
#include "twin.h"

enum { STEPS = 500, SEEDS = 12, WATCHERS_MAX = 12 };

struct watch {
    struct client *client; /* NULL: none */
    const char *path;
    bool recursive;
    bool stream;
    int64_t since; /* told of events from this index on */
};

struct game {
    struct world world;
    struct twin twin;
    struct prng prng;
    struct watch watches[WATCHERS_MAX];
    int64_t compacted;
};

static const char *const paths[] = {
    "/a",   "/b",     "/d",   "/d/a",   "/d/_h", "/d/e",
    "/d-e", "/d/e/a", "/d/e", "/d/e/b", "/_x",   "/_x/a",
};
enum { PATHS = sizeof(paths) / sizeof(paths[0]) };

static const char *const values[] = {"", "1", "2", "three"};

static uint64_t roll(struct game *game, uint64_t bound)
{
    return prng_below(&game->prng, bound);
}

static const char *any_path(struct game *game)
{
    return paths[roll(game, PATHS)];
}

/* ---- comparing ---------------------------------------------------------- */

/* Takes every ,"ttl":5 out of the text. */
static void without_ttl(struct slice text, struct buf *out)
{
    const char what[] = ",\"ttl\":";
    buf_reset(out);
    for (size_t i = 0; i < text.size; i++) {
        struct slice rest = slice_of(text.at + i, text.size - i);
        if (slice_has_prefix(rest, slice_str(what))) {
            i += sizeof(what) - 1;
            while (text.at[i] == '-' ||
                   (text.at[i] >= '0' && text.at[i] <= '9')) {
                i++;
            }
            i--;
        } else {
            buf_append_char(out, text.at[i]);
        }
    }
}

static void expect_same(struct slice got, struct slice expected,
                        const char *what)
{
    struct buf text = {0};
    without_ttl(got, &text);
    if (!slice_eq(buf_slice(&text), expected)) {
        print_error("%s\ngot      %.*s\nexpected %.*s\n", what, (int)text.size,
                    text.at, (int)expected.size, expected.at);
        fail();
    }
    buf_deinit(&text);
}

static void expect_watch(struct game *game, struct watch *watch)
{
    struct buf expected = {0};
    struct reply reply;
    size_t told = 0;
    for (size_t i = 0; i < game->twin.event_count; i++) {
        const struct twin_event *event = &game->twin.events[i];
        if (event->index >= watch->since &&
            twin_tells(event, watch->path, watch->recursive) &&
            (watch->stream || told == 0)) {
            buf_append_slice(&expected, buf_slice(&event->line));
            told++;
        }
    }
    assert_true(client_reply(watch->client, false, &reply));
    expect_same(reply.body, buf_slice(&expected), watch->path);
    assert_int_equal(reply.is_whole, !watch->stream && told > 0);
    if (reply.is_whole) {
        client_free(watch->client);
        watch->client = NULL;
    }
    buf_deinit(&expected);
}

static void expect_watches(struct game *game)
{
    for (size_t i = 0; i < WATCHERS_MAX; i++) {
        if (game->watches[i].client != NULL) {
            expect_watch(game, &game->watches[i]);
        }
    }
}

/* ---- requests ----------------------------------------------------------- */

static void ask(struct game *game, const char *method, const char *target,
                const char *form)
{
    struct reply reply =
        world_request(&game->world, method, target, NULL, form);
    char what[256];
    (void)snprintf(what, sizeof(what), "%s %s %s", method, target,
                   form == NULL ? "" : form);
    expect_same(reply.body, buf_slice(&game->twin.answer), what);
    assert_int_equal(reply.status, game->twin.status);
}

static void read_something(struct game *game)
{
    char target[128];
    bool recursive = roll(game, 2) == 0;
    const char *path = roll(game, 4) == 0 ? "/" : any_path(game);
    (void)snprintf(target, sizeof(target), "/v2/keys%s?recursive=%s", path,
                   recursive ? "true" : "false");
    twin_get(&game->twin, path, recursive);
    ask(game, "GET", target, NULL);
}

static void add_ttl(struct game *game, struct twin_write *write,
                    struct buf *form)
{
    if (write->refresh || roll(game, 3) == 0) {
        int64_t ttl_s = (int64_t)roll(game, 30);
        buf_printf(form, "&ttl=%lld", (long long)ttl_s);
        write->expire_ns = game->world.wall_ns + ttl_s * SECOND_NS;
    }
}

static void add_compare(struct game *game, struct twin_write *write,
                        struct buf *query)
{
    uint64_t which = 1 + roll(game, 3);
    if ((which & 1) != 0) {
        write->prev_value = values[1 + roll(game, 3)];
        buf_printf(query, "&prevValue=%s", write->prev_value);
    }
    if ((which & 2) != 0) {
        int64_t back = (int64_t)roll(game, 5);
        write->prev_index =
            game->twin.index > back ? game->twin.index - back : 1;
        buf_printf(query, "&prevIndex=%lld", (long long)write->prev_index);
    }
}

static void add_fields(struct game *game, struct twin_write *write,
                       struct buf *query, struct buf *form)
{
    if (write->op == TWIN_CAS || write->op == TWIN_CAD) {
        add_compare(game, write, query);
    }
    if (write->op == TWIN_CREATE || write->op == TWIN_UPDATE) {
        buf_printf(query, "&prevExist=%s",
                   write->op == TWIN_UPDATE ? "true" : "false");
    }
    if ((write->op == TWIN_SET || write->op == TWIN_UPDATE) &&
        roll(game, 6) == 0) {
        write->refresh = true;
        buf_append_str(query, "&refresh=true");
    }
    bool may_dir = write->op == TWIN_SET || write->op == TWIN_CREATE ||
                   write->op == TWIN_POST || write->op == TWIN_DELETE;
    if (may_dir && !write->refresh && roll(game, 4) == 0) {
        write->dir = true;
        buf_append_str(query, "&dir=true");
    }
    if (write->op == TWIN_DELETE && roll(game, 2) == 0) {
        write->recursive = true;
        buf_append_str(query, "&recursive=true");
    }
    if (write->op != TWIN_DELETE && write->op != TWIN_CAD) {
        add_ttl(game, write, form);
        if (!write->dir && !write->refresh) {
            write->value = values[roll(game, 4)];
            buf_printf(form, "&value=%s", write->value);
        }
    }
}

static void write_something(struct game *game)
{
    static const struct {
        enum twin_op op;
        const char *method;
    } kinds[] = {
        {TWIN_SET, "PUT"},       {TWIN_SET, "PUT"},    {TWIN_CREATE, "PUT"},
        {TWIN_UPDATE, "PUT"},    {TWIN_CAS, "PUT"},    {TWIN_POST, "POST"},
        {TWIN_DELETE, "DELETE"}, {TWIN_CAD, "DELETE"},
    };
    size_t kind = roll(game, sizeof(kinds) / sizeof(kinds[0]));
    struct twin_write write = {
        .path = any_path(game), .value = "", .prev_value = ""};
    struct buf query = {0};
    struct buf form = {0};
    write.op = kinds[kind].op;
    buf_printf(&query, "/v2/keys%s?", write.path);
    add_fields(game, &write, &query, &form);
    buf_append_char(&query, '\0');
    buf_append_char(&form, '\0');
    twin_do(&game->twin, &write);
    ask(game, kinds[kind].method, query.at,
        strcmp(kinds[kind].method, "DELETE") == 0 ? NULL : form.at);
    buf_deinit(&query);
    buf_deinit(&form);
}

/* ---- watching ----------------------------------------------------------- */

static void expect_cleared(struct game *game, const char *target, int64_t since)
{
    struct twin *twin = &game->twin;
    buf_reset(&twin->answer);
    buf_printf(&twin->answer,
               "{\"errorCode\":401,\"message\":\"The event in requested index "
               "is outdated and cleared\",\"cause\":\"the requested history "
               "has been cleared [%lld/%lld]\",\"index\":%lld}\n",
               (long long)game->compacted + 1, (long long)since,
               (long long)twin->index);
    twin->status = 400;
    ask(game, "GET", target, NULL);
}

static void watch_something(struct game *game)
{
    struct watch *watch = &game->watches[roll(game, WATCHERS_MAX)];
    char target[128];
    int64_t since = 0;
    if (watch->client != NULL) {
        client_free(watch->client);
    }
    *watch = (struct watch){
        .path = roll(game, 4) == 0 ? "/" : any_path(game),
        .recursive = roll(game, 2) == 0,
        .stream = roll(game, 2) == 0,
        .since = game->twin.index + 1,
    };
    if (roll(game, 2) == 0) {
        int64_t back = (int64_t)roll(game, 40);
        since = game->twin.index + 3 - back;
        since = since < 1 ? 1 : since;
        watch->since = since;
    }
    (void)snprintf(target, sizeof(target),
                   "/v2/keys%s?wait=true&recursive=%d&stream=%d&waitIndex=%lld",
                   watch->path, watch->recursive, watch->stream,
                   (long long)since);
    if (since != 0 && since <= game->compacted) {
        expect_cleared(game, target, since);
        return;
    }
    watch->client = client_new(&game->world);
    client_ask(watch->client, "GET", target, NULL, NULL);
    world_turn(&game->world);
}

/* ---- the world's own doings --------------------------------------------- */

static void forget_watches(struct game *game)
{
    for (size_t i = 0; i < WATCHERS_MAX; i++) {
        game->watches[i].client = NULL; /* freed with the world's clients */
    }
}

static void flush(struct game *game)
{
    assert_int_equal(world_flush(&game->world), ERR_OK);
}

static void compact(struct game *game)
{
    int64_t at = game->twin.index - (int64_t)roll(game, 20);
    if (at > game->compacted && at > 1) {
        world_compact(&game->world, at);
        game->compacted = at;
    }
}

static void crash(struct game *game)
{
    write_something(game);
    world_crash(&game->world);
    forget_watches(game);
    world_open(&game->world);
    world_turn(&game->world);
    twin_expire(&game->twin, game->world.wall_ns);
}

static void pass_time(struct game *game)
{
    int64_t ns = 1 + (int64_t)roll(game, 2 * (uint64_t)SECOND_NS);
    world_wait(&game->world, ns);
    twin_expire(&game->twin, game->world.wall_ns);
}

static void step(struct game *game)
{
    uint64_t which = roll(game, 100);
    pass_time(game);
    if (which < 60) {
        write_something(game);
    } else if (which < 80) {
        read_something(game);
    } else if (which < 93) {
        watch_something(game);
    } else if (which < 96) {
        flush(game);
    } else if (which < 98) {
        compact(game);
    } else {
        crash(game);
    }
    world_turn(&game->world);
    twin_expire(&game->twin, game->world.wall_ns);
    assert_int_equal(world_revision(&game->world), game->twin.index);
    expect_watches(game);
}

static void play(uint64_t seed)
{
    struct game game = {0};
    world_init(&game.world, seed);
    world_open(&game.world);
    twin_init(&game.twin);
    prng_init(&game.prng, seed);
    for (int i = 0; i < STEPS; i++) {
        step(&game);
    }
    world_deinit(&game.world);
    twin_deinit(&game.twin);
}

static void the_member_and_its_twin_say_the_same(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        print_message("seed %llu\n", (unsigned long long)seed);
        play(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_member_and_its_twin_say_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
