#include "support/tree_world.h"

#include "base/check.h"
#include "base/mem.h"
#include "memory/kv_memory.h"

/* ---- open and close ------------------------------------------------------ */

static void open_store(struct tree_world *world)
{
    struct mvcc_config config = {.kv = world->kv, .seed = 7};
    CHECK_EQ(mvcc_open(&config, &world->mvcc), ERR_OK);
    CHECK_EQ(mvcc_reader_new(world->mvcc, &world->reader), ERR_OK);
    world->leases = lease_table_new();
    world->tree = (struct tree){
        .mvcc = world->mvcc, .reader = world->reader, .leases = world->leases};
    mvcc_read_begin(world->reader);
    CHECK_EQ(tree_restore_leases(&world->tree), ERR_OK);
    mvcc_read_end(world->reader);
}

static void forget_last(struct tree_world *world)
{
    tree_result_deinit(&world->result);
    if (world->commit != NULL)
        mvcc_commit_unref(world->commit);
    world->commit = NULL;
}

static void close_store(struct tree_world *world)
{
    forget_last(world);
    lease_table_free(world->leases);
    mvcc_reader_free(world->reader);
    mvcc_close(world->mvcc);
}

void tree_world_open(struct tree_world *world)
{
    *world = (struct tree_world){.now_ns = TREE_WORLD_START_NS};
    world->kv = kv_memory_new();
    open_store(world);
}

void tree_world_close(struct tree_world *world)
{
    close_store(world);
    kv_memory_free(world->kv);
    buf_deinit(&world->text);
}

void tree_world_flush(struct tree_world *world)
{
    struct mvcc_flush *flush;
    while ((flush = mvcc_flush_begin(world->mvcc, SIZE_MAX)) != NULL) {
        enum err err = mvcc_flush_write(flush);
        mvcc_flush_done(world->mvcc, flush, err);
        mvcc_flush_free(flush);
        CHECK_EQ(err, ERR_OK);
    }
}

void tree_world_reopen(struct tree_world *world)
{
    tree_world_flush(world);
    close_store(world);
    open_store(world);
}

revision tree_world_revision(const struct tree_world *world)
{
    struct mvcc_status status;
    mvcc_status(world->mvcc, &status);
    return status.current;
}

/* ---- text ---------------------------------------------------------------- */

static const char *finish(struct tree_world *world)
{
    buf_append_char(&world->text, '\0');
    return world->text.at;
}

static void add_node(struct tree_world *world, const struct tree_node *node)
{
    struct buf *out = &world->text;
    buf_append_slice(out, node->key);
    if (node->dir && node->key.size > 1)
        buf_append_char(out, '/');
    if (!node->dir) {
        buf_append_char(out, '=');
        buf_append_slice(out, node->value);
    }
    if (node->implied)
        buf_append_str(out, " implied");
    else if (node->modified != 0)
        buf_printf(out, " [%lld,%lld]", (long long)node->created,
                   (long long)node->modified);
    if (node->expire_ns != 0)
        buf_printf(out, " ttl=%lld",
                   (long long)((node->expire_ns - world->now_ns) /
                               TREE_WORLD_SECOND_NS));
}

static void add_event(struct tree_world *world, const struct tree_event *event)
{
    buf_append_str(&world->text, event->action);
    if (event->refresh)
        buf_append_str(&world->text, " (refresh)");
    buf_append_char(&world->text, ' ');
    add_node(world, &event->node);
    if (event->has_prev) {
        buf_append_str(&world->text, " was ");
        add_node(world, &event->prev);
    }
}

static void add_error(struct tree_world *world, enum tree_error error,
                      struct slice cause, revision index)
{
    buf_printf(&world->text, "%d ", (int)error);
    buf_append_slice(&world->text, cause);
    buf_printf(&world->text, " @%lld", (long long)index);
}

/* ---- writes -------------------------------------------------------------- */

static const struct {
    const char *word;
    enum tree_op op;
} verbs[] = {
    {"set", TREE_SET},
    {"create", TREE_CREATE},
    {"update", TREE_UPDATE},
    {"cas", TREE_COMPARE_AND_SWAP},
    {"delete", TREE_DELETE},
    {"cad", TREE_COMPARE_AND_DELETE},
    {"post", TREE_CREATE_IN_ORDER},
};

static struct slice next_word(struct slice *line)
{
    ptrdiff_t end = slice_find(*line, ' ');
    size_t size = end < 0 ? line->size : (size_t)end;
    struct slice word = slice_of(line->at, size);
    size += end >= 0;
    *line = slice_of(line->at + size, line->size - size);
    return word;
}

static bool option(struct slice word, const char *name, struct slice *value)
{
    struct slice prefix = slice_str(name);
    if (!slice_has_prefix(word, prefix))
        return false;
    *value = slice_of(word.at + prefix.size, word.size - prefix.size);
    return true;
}

static void parse_option(struct slice word, struct tree_command *command)
{
    struct slice value;
    if (option(word, "=", &value)) {
        command->value = value;
    } else if (option(word, "ttl=", &value)) {
        command->has_ttl = true;
        CHECK(slice_to_u64(value, &command->ttl_s));
    } else if (option(word, "prevValue=", &value)) {
        command->prev_value = value;
    } else if (option(word, "prevIndex=", &value)) {
        CHECK(slice_to_u64(value, &command->prev_index));
    } else if (slice_eq(word, SLICE("dir"))) {
        command->dir = true;
    } else if (slice_eq(word, SLICE("recursive"))) {
        command->recursive = true;
    } else {
        CHECK(slice_eq(word, SLICE("refresh")));
        command->refresh = true;
    }
}

static void parse(const char *text, struct tree_command *command)
{
    struct slice line = slice_str(text);
    struct slice verb = next_word(&line);
    *command = (struct tree_command){0};
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (slice_eq(verb, slice_str(verbs[i].word)))
            command->op = verbs[i].op;
    }
    CHECK(command->op != 0);
    command->path = next_word(&line);
    while (line.size > 0)
        parse_option(next_word(&line), command);
}

const char *tree_world_answer(struct tree_world *world,
                              const struct tree_command *command)
{
    struct tree_result *result = &world->result;
    forget_last(world);
    mvcc_read_begin(world->reader);
    enum err err = tree_write(&world->tree, command, world->now_ns, result,
                              &world->commit);
    mvcc_read_end(world->reader);
    CHECK_EQ(err, ERR_OK);
    CHECK_EQ(result->index, tree_world_revision(world));
    CHECK((world->commit != NULL) == (result->error == TREE_NONE));
    buf_reset(&world->text);
    if (result->error != TREE_NONE) {
        add_error(world, result->error, tree_result_cause(result),
                  result->index);
        return finish(world);
    }
    CHECK_EQ(result->index, world->commit->main);
    buf_append_str(&world->text, result->created ? "201 " : "200 ");
    add_event(world, &result->event);
    return finish(world);
}

const char *tree_world_do(struct tree_world *world, const char *line)
{
    struct tree_command command;
    parse(line, &command);
    return tree_world_answer(world, &command);
}

/* ---- reads --------------------------------------------------------------- */

const char *tree_world_get_at(struct tree_world *world, const char *path,
                              revision at)
{
    struct tree_node node;
    enum tree_error error;
    struct slice cause;
    buf_reset(&world->text);
    mvcc_read_begin(world->reader);
    enum err err =
        tree_get(world->reader, slice_str(path), at, &node, &error, &cause);
    if (err != ERR_OK)
        buf_append_str(&world->text, err_name(err));
    else if (error != TREE_NONE)
        add_error(world, error, cause, tree_world_revision(world));
    else
        add_node(world, &node);
    mvcc_read_end(world->reader);
    return finish(world);
}

const char *tree_world_get(struct tree_world *world, const char *path)
{
    return tree_world_get_at(world, path, 0);
}

/* Each child in a read of its own: the list keeps only its place. */
const char *tree_world_list_at(struct tree_world *world, const char *path,
                               revision at)
{
    struct tree_list list;
    struct tree_node node;
    enum err err = ERR_OK;
    size_t base = strlen(path) == 1 ? 1 : strlen(path) + 1;
    buf_reset(&world->text);
    tree_list_init(&list, slice_str(path), at);
    while (err == ERR_OK) {
        mvcc_read_begin(world->reader);
        err = tree_list_next(&list, world->reader, &node);
        if (err == ERR_OK) {
            if (world->text.size > 0)
                buf_append_char(&world->text, ' ');
            buf_append(&world->text, node.key.at + base, node.key.size - base);
            if (node.dir)
                buf_append_str(&world->text, node.implied ? "//" : "/");
        }
        mvcc_read_end(world->reader);
    }
    tree_list_deinit(&list);
    if (err != ERR_END)
        buf_append_str(&world->text, err_name(err));
    return finish(world);
}

const char *tree_world_list(struct tree_world *world, const char *path)
{
    return tree_world_list_at(world, path, tree_world_revision(world));
}

/* ---- watching ------------------------------------------------------------ */

static bool matches(const struct record *record, struct slice path,
                    bool recursive)
{
    struct buf from = {0}, end = {0};
    if (slice_eq(record->key, path))
        return true;
    tree_range_below(path, &from, &end);
    bool below = slice_cmp(record->key, buf_slice(&from)) >= 0 &&
                 slice_cmp(record->key, buf_slice(&end)) < 0;
    buf_deinit(&from);
    buf_deinit(&end);
    return recursive && below;
}

static void watch_record(struct tree_world *world, const struct record *record,
                         struct mvcc_commit *commit, struct slice path,
                         struct rev *last)
{
    struct tree_event event;
    struct rev rev = {0};
    bool told = false;
    CHECK_EQ(
        tree_event(world->reader, record, commit, path, &event, &rev, &told),
        ERR_OK);
    if (!told || (rev.main == last->main && rev.sub == last->sub))
        return;
    CHECK(rev.main == record->rev.main);
    CHECK(last->main < rev.main || last->sub < rev.sub);
    *last = rev;
    if (world->text.size > 0)
        buf_append_str(&world->text, "; ");
    add_event(world, &event);
}

const char *tree_world_watch(struct tree_world *world, const char *path,
                             bool recursive, revision from)
{
    struct rev at = {from, 0}, last = {0};
    struct record record;
    buf_reset(&world->text);
    mvcc_read_begin(world->reader);
    while (mvcc_history(world->reader, at, &record) == ERR_OK) {
        if (matches(&record, slice_str(path), recursive))
            watch_record(world, &record, NULL, slice_str(path), &last);
        at = (struct rev){record.rev.main, record.rev.sub + 1};
    }
    mvcc_read_end(world->reader);
    return finish(world);
}

const char *tree_world_watch_live(struct tree_world *world, const char *path,
                                  bool recursive)
{
    struct mvcc_commit *commit = world->commit;
    struct rev last = {0};
    buf_reset(&world->text);
    mvcc_read_begin(world->reader);
    for (uint32_t i = 0; commit != NULL && i < commit->count; i++) {
        if (matches(&commit->records[i], slice_str(path), recursive))
            watch_record(world, &commit->records[i], commit, slice_str(path),
                         &last);
    }
    mvcc_read_end(world->reader);
    return finish(world);
}

/* ---- leases and v3 ------------------------------------------------------- */

static void count_commit(void *context, struct mvcc_commit *commit)
{
    struct tree_world *world = context;
    world->expired++;
    mvcc_commit_unref(commit);
}

size_t tree_world_expire(struct tree_world *world)
{
    enum { BATCH = 8 };
    lease_id ids[BATCH];
    size_t count, total = 0;
    world->expired = 0;
    do {
        count = lease_expired(world->leases, world->now_ns, ids, BATCH);
        mvcc_read_begin(world->reader);
        for (size_t i = 0; i < count; i++)
            CHECK_EQ(tree_expire(&world->tree, ids[i], world->now_ns,
                                 count_commit, world),
                     ERR_OK);
        mvcc_read_end(world->reader);
        total += count;
    } while (count > 0);
    return total;
}

static void commit_v3(struct tree_world *world)
{
    forget_last(world);
    world->commit = mvcc_commit(world->mvcc);
}

static void detach(struct tree_world *world, struct slice key)
{
    lease_id lease;
    if (lease_of_key(world->leases, MVCC_KEYS, key, &lease))
        lease_detach(world->leases, lease, MVCC_KEYS, key);
}

void tree_world_put(struct tree_world *world, const char *key,
                    const char *value)
{
    struct mvcc_put put = {.table = MVCC_KEYS,
                           .cause = MVCC_PUT,
                           .key = slice_str(key),
                           .value = slice_str(value)};
    detach(world, put.key);
    mvcc_begin(world->mvcc, world->now_ns);
    mvcc_put(world->mvcc, &put);
    commit_v3(world);
}

bool tree_world_remove(struct tree_world *world, const char *key)
{
    detach(world, slice_str(key));
    mvcc_begin(world->mvcc, world->now_ns);
    enum err err = mvcc_delete(world->mvcc, MVCC_KEYS, slice_str(key),
                               MVCC_DELETE_RANGE, 0);
    commit_v3(world);
    CHECK(err == ERR_OK || err == ERR_NOT_FOUND);
    return err == ERR_OK;
}
