/* The tree against a naive twin: nodes within nodes, as v2 thinks of them,
 * each visited whenever something is to be known. Both get the same random
 * writes of v2 and v3, expiries, flushes, compactions and restarts; answers,
 * events, nodes, listings now and in the past, and leases must be the same. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/prng.h"
#include "support/tree_world.h"

enum { STEPS = 240000, VALUE_BYTES = 4, NAME_BYTES = 24, PATH_BYTES = 128 };

/* ---- the twin ------------------------------------------------------------ */

/* What makes a node a file or a directory with a record; a node may be both,
 * for v3 knows of no directories, and neither. */
struct life {
    bool there;
    revision created, modified;
    int64_t expire_ns;
    char value[VALUE_BYTES];
};

struct node {
    char name[NAME_BYTES];
    struct node *parent;
    struct node *children; /* by name */
    struct node *next;
    struct life file, dir;
};

struct twin {
    struct node root;
    revision now;
    int64_t now_ns;
    struct buf answer;
    /* Who watches, and what was told. */
    const struct node *watched;
    bool recursive;
    struct buf told;
};

static struct node *child_of(struct node *node, struct slice name)
{
    struct node **at = &node->children;
    while (*at != NULL && slice_cmp(slice_str((*at)->name), name) < 0)
        at = &(*at)->next;
    if (*at != NULL && slice_eq(slice_str((*at)->name), name))
        return *at;
    struct node *child = mem_alloc_zero(sizeof *child);
    CHECK(name.size < NAME_BYTES);
    memcpy(child->name, name.at, name.size);
    child->parent = node;
    child->next = *at;
    *at = child;
    return child;
}

/* A place for everything that is asked for. */
static struct node *node_at(struct twin *twin, struct slice path)
{
    struct node *node = &twin->root;
    size_t from = 1;
    for (size_t i = 1; i <= path.size && path.size > 1; i++) {
        if (i < path.size && path.at[i] != '/')
            continue;
        node = child_of(node, slice_of(path.at + from, i - from));
        from = i + 1;
    }
    return node;
}

static bool is_root(const struct node *node)
{
    return node->parent == NULL;
}

static void add_path(struct buf *out, const struct node *node)
{
    if (is_root(node)) {
        if (out->size == 0 || out->at[out->size - 1] == ' ')
            buf_append_char(out, '/');
        return;
    }
    if (!is_root(node->parent))
        add_path(out, node->parent);
    buf_append_char(out, '/');
    buf_append_str(out, node->name);
}

static bool has_files_below(const struct node *node)
{
    for (const struct node *c = node->children; c != NULL; c = c->next) {
        if (c->file.there || has_files_below(c))
            return true;
    }
    return false;
}

static bool has_any_below(const struct node *node)
{
    for (const struct node *c = node->children; c != NULL; c = c->next) {
        if (c->file.there || c->dir.there || has_any_below(c))
            return true;
    }
    return false;
}

static bool exists(const struct node *node)
{
    return is_root(node) || node->file.there || node->dir.there ||
           has_files_below(node);
}

static bool is_dir(const struct node *node)
{
    return exists(node) && !node->file.there;
}

static size_t count_leases(const struct node *node)
{
    size_t count = (size_t)(node->file.there && node->file.expire_ns != 0) +
                   (size_t)(node->dir.there && node->dir.expire_ns != 0);
    for (const struct node *c = node->children; c != NULL; c = c->next)
        count += count_leases(c);
    return count;
}

static bool is_bare(const struct node *node)
{
    return !node->file.there && !node->dir.there && node->children == NULL;
}

static void prune(struct node *node, bool all)
{
    for (struct node **at = &node->children; *at != NULL;) {
        struct node *child = *at;
        prune(child, all);
        if (all || is_bare(child)) {
            *at = child->next;
            mem_free(child);
        } else {
            at = &child->next;
        }
    }
}

/* ---- its words ----------------------------------------------------------- */

static void add_times(const struct twin *twin, struct buf *out,
                      revision created, revision modified, int64_t expire_ns)
{
    if (modified != 0)
        buf_printf(out, " [%lld,%lld]", (long long)created,
                   (long long)modified);
    if (expire_ns != 0)
        buf_printf(
            out, " ttl=%lld",
            (long long)((expire_ns - twin->now_ns) / TREE_WORLD_SECOND_NS));
}

/* The node as a get shows it. */
static void add_shown(const struct twin *twin, struct buf *out,
                      const struct node *node)
{
    add_path(out, node);
    if (is_root(node))
        return;
    buf_append_char(out, node->file.there ? '=' : '/');
    const struct life *life = node->file.there ? &node->file : &node->dir;
    if (node->file.there)
        buf_append_str(out, life->value);
    if (life->there)
        add_times(twin, out, life->created, life->modified, life->expire_ns);
    else
        buf_append_str(out, " implied");
}

static const char *text_of(struct buf *buf)
{
    buf_append_char(buf, '\0');
    return buf->at;
}

static const char *refuse(struct twin *twin, int code, const struct node *cause)
{
    buf_reset(&twin->answer);
    buf_printf(&twin->answer, "%d ", code);
    if (cause != NULL)
        add_path(&twin->answer, cause);
    buf_printf(&twin->answer, " @%lld", (long long)twin->now);
    return text_of(&twin->answer);
}

static const char *refuse_missing(struct twin *twin, const struct node *node)
{
    while (!exists(node->parent))
        node = node->parent;
    return node->parent->file.there ? refuse(twin, 104, node->parent)
                                    : refuse(twin, 100, node);
}

/* ---- its events ---------------------------------------------------------- */

static bool is_below(const struct node *node, const struct node *above)
{
    for (node = node->parent; node != NULL; node = node->parent) {
        if (node == above)
            return true;
    }
    return false;
}

static bool is_hidden(const struct node *watched, const struct node *node)
{
    if (node != watched && !is_below(node, watched))
        return false;
    for (; node != watched; node = node->parent) {
        if (node->name[0] == '_')
            return true;
    }
    return false;
}

static bool matches(const struct twin *twin, const struct node *node)
{
    return node == twin->watched ||
           (twin->recursive && is_below(node, twin->watched));
}

static bool sees_below(const struct twin *twin, const struct node *node)
{
    for (const struct node *c = node->children; c != NULL; c = c->next) {
        if (((c->file.there || c->dir.there) && matches(twin, c)) ||
            sees_below(twin, c))
            return true;
    }
    return false;
}

/* True when the watcher sees this node, or one below it that is removed. */
static bool sees(const struct twin *twin, const struct node *node, bool removed)
{
    return matches(twin, node) || (removed && sees_below(twin, node));
}

static void tell(struct twin *twin, const struct node *node,
                 const struct buf *event)
{
    if (is_hidden(twin->watched, node))
        return;
    if (twin->told.size > 0)
        buf_append_str(&twin->told, "; ");
    buf_append_slice(&twin->told, buf_slice(event));
}

/* ---- its writes ---------------------------------------------------------- */

/* One write, from the node as it is to the node as it was. */
struct step {
    struct buf was; /* how it was shown; empty: it was not there */
    const char *action;
    bool created;
    bool refresh;
};

static const char *done(struct twin *twin, struct step *step, struct node *node,
                        struct buf *shown, bool seen)
{
    struct buf event = {0};
    buf_reset(&twin->answer);
    buf_printf(&twin->answer, "%s %s ", step->created ? "201" : "200",
               step->action);
    buf_printf(&event, "%s ", step->action);
    if (step->refresh)
        buf_append_str(&twin->answer, "(refresh) ");
    if (step->was.size > 0) {
        buf_append_str(shown, " was ");
        buf_append_slice(shown, buf_slice(&step->was));
    }
    buf_append_slice(&twin->answer, buf_slice(shown));
    buf_append_slice(&event, buf_slice(shown));
    if (seen && !step->refresh)
        tell(twin, node, &event);
    buf_deinit(&event);
    buf_deinit(shown);
    buf_deinit(&step->was);
    return text_of(&twin->answer);
}

/* A directory is shown at the index that made it, but not by its event. */
static const char *done_put(struct twin *twin, struct step *step,
                            struct node *node, bool dir)
{
    struct buf shown = {0};
    const struct life *life = dir ? &node->dir : &node->file;
    add_path(&shown, node);
    buf_append_char(&shown, dir ? '/' : '=');
    if (!dir)
        buf_append_str(&shown, life->value);
    add_times(twin, &shown, life->created, twin->now, life->expire_ns);
    return done(twin, step, node, &shown, sees(twin, node, false));
}

static void erase_below(struct node *node)
{
    for (struct node *c = node->children; c != NULL; c = c->next) {
        c->file = c->dir = (struct life){0};
        erase_below(c);
    }
}

static const char *done_remove(struct twin *twin, struct step *step,
                               struct node *node, bool dir)
{
    struct buf shown = {0};
    bool seen = sees(twin, node, dir);
    struct life *life = dir ? &node->dir : &node->file;
    twin->now++;
    add_path(&shown, node);
    buf_append_char(&shown, dir ? '/' : '=');
    add_times(twin, &shown, life->there ? life->created : 0, twin->now, 0);
    *life = (struct life){0};
    if (dir)
        erase_below(node);
    return done(twin, step, node, &shown, seen);
}

static void remember(const struct twin *twin, struct step *step,
                     const struct node *node)
{
    if (exists(node))
        add_shown(twin, &step->was, node);
}

static int64_t end_of(const struct twin *twin,
                      const struct tree_command *command)
{
    return command->has_ttl
               ? twin->now_ns + (int64_t)command->ttl_s * TREE_WORLD_SECOND_NS
               : 0;
}

static void set_value(struct life *life, struct slice value)
{
    CHECK(value.size < VALUE_BYTES);
    memset(life->value, 0, sizeof life->value);
    if (value.size > 0)
        memcpy(life->value, value.at, value.size);
}

static void make_parents(struct twin *twin, struct node *node)
{
    for (node = node->parent; !is_root(node); node = node->parent) {
        if (!node->dir.there)
            node->dir = (struct life){
                .there = true, .created = twin->now, .modified = twin->now};
    }
}

static const char *put_new(struct twin *twin, struct node *node,
                           const struct tree_command *command,
                           struct step *step)
{
    bool found = exists(node);
    if (!found) {
        const struct node *above = node->parent;
        while (!exists(above))
            above = above->parent;
        if (above->file.there)
            return refuse(twin, 104, above);
    }
    step->created = !found || command->op != TREE_SET;
    remember(twin, step, node);
    twin->now++;
    make_parents(twin, node);
    struct life *life = command->dir ? &node->dir : &node->file;
    struct life old = *life;
    *life = (struct life){.there = true,
                          .created = twin->now,
                          .modified = twin->now,
                          .expire_ns = end_of(twin, command)};
    if (step->refresh && !command->dir)
        set_value(life, slice_str(old.value));
    else if (!command->dir)
        set_value(life, command->value);
    if (command->dir)
        node->file = (struct life){0};
    return done_put(twin, step, node, command->dir);
}

static const char *do_set(struct twin *twin, struct node *node,
                          const struct tree_command *command)
{
    struct step step = {.action = "set", .refresh = command->refresh};
    if (is_dir(node))
        return refuse(twin, 102, node);
    if (!exists(node) && command->refresh)
        return refuse_missing(twin, node);
    return put_new(twin, node, command, &step);
}

static const char *do_create(struct twin *twin, struct node *node,
                             const struct tree_command *command)
{
    struct step step = {.action = "create"};
    if (exists(node))
        return refuse(twin, 105, node);
    return put_new(twin, node, command, &step);
}

static const char *do_post(struct twin *twin, struct node *node,
                           const struct tree_command *command)
{
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "%020lld", (long long)twin->now + 1);
    return do_create(twin, child_of(node, slice_str(name)), command);
}

static const char *put_on(struct twin *twin, struct node *node,
                          const struct tree_command *command,
                          const char *action)
{
    struct step step = {.action = action, .refresh = command->refresh};
    bool dir = is_dir(node);
    struct life *life = dir ? &node->dir : &node->file;
    remember(twin, &step, node);
    twin->now++;
    if (dir && !life->there) {
        make_parents(twin, node);
        *life = (struct life){
            .there = true, .created = twin->now, .modified = twin->now};
    }
    if (!dir && !command->refresh)
        set_value(life, command->value);
    if (!dir)
        life->modified = twin->now;
    life->expire_ns = end_of(twin, command);
    return done_put(twin, &step, node, dir);
}

static const char *do_update(struct twin *twin, struct node *node,
                             const struct tree_command *command)
{
    if (!exists(node))
        return refuse_missing(twin, node);
    if (is_dir(node) && command->value.size > 0)
        return refuse(twin, 102, node);
    return put_on(twin, node, command, "update");
}

static const char *do_compare(struct twin *twin, struct node *node,
                              const struct tree_command *command)
{
    struct step step = {.action = "compareAndDelete"};
    if (!exists(node))
        return refuse_missing(twin, node);
    if (is_dir(node))
        return refuse(twin, 102, is_root(node) ? NULL : node);
    const char *value = node->file.value;
    revision index = node->file.modified;
    struct slice wanted = command->prev_value;
    bool other_value = wanted.size > 0 && !slice_eq(wanted, slice_str(value));
    bool other_index =
        command->prev_index != 0 && command->prev_index != (uint64_t)index;
    if (other_value || other_index) {
        buf_reset(&twin->answer);
        buf_append_str(&twin->answer, "101 ");
        if (other_value)
            buf_printf(&twin->answer, "[%.*s != %s]", (int)wanted.size,
                       wanted.at, value);
        if (other_value && other_index)
            buf_append_char(&twin->answer, ' ');
        if (other_index)
            buf_printf(&twin->answer, "[%lld != %lld]",
                       (long long)command->prev_index, (long long)index);
        buf_printf(&twin->answer, " @%lld", (long long)twin->now);
        return text_of(&twin->answer);
    }
    if (command->op == TREE_COMPARE_AND_SWAP)
        return put_on(twin, node, command, "compareAndSwap");
    remember(twin, &step, node);
    return done_remove(twin, &step, node, false);
}

static const char *do_delete(struct twin *twin, struct node *node,
                             const struct tree_command *command)
{
    struct step step = {.action = "delete"};
    if (!exists(node))
        return refuse_missing(twin, node);
    if (is_dir(node) && !command->dir && !command->recursive)
        return refuse(twin, 102, node);
    if (is_dir(node) && !command->recursive && has_any_below(node))
        return refuse(twin, 108, node);
    remember(twin, &step, node);
    return done_remove(twin, &step, node, is_dir(node));
}

static const char *twin_write(struct twin *twin,
                              const struct tree_command *command)
{
    struct node *node = node_at(twin, command->path);
    bool read_only = is_root(node) && command->op != TREE_CREATE_IN_ORDER &&
                     command->op != TREE_COMPARE_AND_DELETE;
    if (read_only)
        return refuse(twin, 107, node);
    switch (command->op) {
    case TREE_SET:
        return do_set(twin, node, command);
    case TREE_CREATE:
        return do_create(twin, node, command);
    case TREE_UPDATE:
        return do_update(twin, node, command);
    case TREE_DELETE:
        return do_delete(twin, node, command);
    case TREE_CREATE_IN_ORDER:
        return do_post(twin, node, command);
    case TREE_COMPARE_AND_SWAP:
    case TREE_COMPARE_AND_DELETE:
        return do_compare(twin, node, command);
    }
    UNREACHABLE();
}

static void twin_v3_put(struct twin *twin, struct node *node, const char *value)
{
    struct step step = {.action = "set"};
    /* To v3 only the file was there before. */
    if (node->file.there)
        remember(twin, &step, node);
    twin->now++;
    node->file = (struct life){.there = true,
                               .created = node->file.there ? node->file.created
                                                           : twin->now,
                               .modified = twin->now};
    set_value(&node->file, slice_str(value));
    done_put(twin, &step, node, false);
}

static void twin_v3_remove(struct twin *twin, struct node *node)
{
    struct step step = {.action = "delete"};
    if (!node->file.there)
        return;
    remember(twin, &step, node);
    done_remove(twin, &step, node, false);
}

static void find_soonest(struct node *node, struct node **soonest, bool *dir,
                         int64_t *expire_ns)
{
    const struct life *lives[] = {&node->file, &node->dir};
    for (size_t i = 0; i < 2; i++) {
        if (lives[i]->there && lives[i]->expire_ns != 0 &&
            lives[i]->expire_ns <= *expire_ns) {
            *expire_ns = lives[i]->expire_ns;
            *soonest = node;
            *dir = i == 1;
        }
    }
    for (struct node *c = node->children; c != NULL; c = c->next)
        find_soonest(c, soonest, dir, expire_ns);
}

static void twin_expire(struct twin *twin)
{
    for (;;) {
        struct node *node = NULL;
        bool dir = false;
        int64_t expire_ns = twin->now_ns;
        struct step step = {.action = "expire"};
        find_soonest(&twin->root, &node, &dir, &expire_ns);
        if (node == NULL)
            return;
        /* A file over a directory does not show; the end is the directory's. */
        struct life file = node->file;
        if (dir)
            node->file = (struct life){0};
        remember(twin, &step, node);
        done_remove(twin, &step, node, dir);
        if (dir)
            node->file = file;
    }
}

static const char *twin_get(struct twin *twin, struct node *node)
{
    if (!exists(node))
        return refuse_missing(twin, node);
    buf_reset(&twin->answer);
    add_shown(twin, &twin->answer, node);
    return text_of(&twin->answer);
}

static const char *twin_list(struct twin *twin, const struct node *node)
{
    buf_reset(&twin->answer);
    for (const struct node *c = node->children; c != NULL; c = c->next) {
        if (c->name[0] == '_' || !exists(c))
            continue;
        if (twin->answer.size > 0)
            buf_append_char(&twin->answer, ' ');
        buf_append_str(&twin->answer, c->name);
        if (!c->file.there)
            buf_append_str(&twin->answer, c->dir.there ? "/" : "//");
    }
    return text_of(&twin->answer);
}

/* ---- the game ------------------------------------------------------------ */

struct past {
    revision at;
    char path[PATH_BYTES];
    struct buf names;
};

struct game {
    struct prng prng;
    struct tree_world world;
    struct twin twin;
    struct past past[64];
    revision compacted;
    size_t failures, successes, expiries;
};

static size_t pick(struct game *game, size_t bound)
{
    return (size_t)prng_below(&game->prng, bound);
}

/* Few names, so that paths meet; many that begin with another and go on with
 * a byte that is less than a slash. */
static const char *const names[] = {"a",  "b", "b-", "b-c", "b.", "b c",
                                    "_h", "c", "-",  "a_",  "b0"};
static const char *const values[] = {"", "1", "2", "33"};
static const char *const unclean[] = {"/b//x", "/b/", "/b-/./a", "/a/..",
                                      "a/b",   "//",  "/-//",    "/c/a/"};

static void pick_path(struct game *game, char *out)
{
    size_t depth = 1 + pick(game, 4) % 3, size = 0;
    out[0] = '/';
    out[1] = '\0';
    if (pick(game, 60) == 0)
        return;
    for (size_t i = 0; i < depth; i++)
        size += (size_t)snprintf(out + size, PATH_BYTES - size, "/%s",
                                 names[pick(game, 11)]);
}

static void pick_command(struct game *game, struct tree_command *command,
                         char *path)
{
    static const enum tree_op ops[] = {TREE_SET,
                                       TREE_SET,
                                       TREE_SET,
                                       TREE_CREATE,
                                       TREE_UPDATE,
                                       TREE_COMPARE_AND_SWAP,
                                       TREE_DELETE,
                                       TREE_DELETE,
                                       TREE_COMPARE_AND_DELETE,
                                       TREE_CREATE_IN_ORDER};
    pick_path(game, path);
    *command = (struct tree_command){
        .op = ops[pick(game, 10)],
        .path = slice_str(path),
        .value = slice_str(values[pick(game, 4)]),
        .dir = pick(game, 4) == 0,
        .recursive = pick(game, 3) == 0,
        .refresh = pick(game, 8) == 0,
        .has_ttl = pick(game, 4) == 0,
        .ttl_s = pick(game, 40),
        .prev_value = slice_str(values[pick(game, 4)]),
    };
    const struct node *node = node_at(&game->twin, command->path);
    if (pick(game, 3) == 0)
        command->prev_index = (uint64_t)node->file.modified;
    else if (pick(game, 4) == 0)
        command->prev_index = pick(game, 1000) + 1;
    if (command->op == TREE_CREATE_IN_ORDER && pick(game, 4) != 0)
        command->op = TREE_SET;
}

static void play_v2(struct game *game)
{
    char path[PATH_BYTES];
    struct tree_command command;
    pick_command(game, &command, path);
    const char *expected = twin_write(&game->twin, &command);
    const char *answer = tree_world_answer(&game->world, &command);
    assert_string_equal(answer, expected);
    *(answer[0] == '1' ? &game->failures : &game->successes) += 1;
}

static void play_v3(struct game *game)
{
    char path[PATH_BYTES];
    bool stays = pick(game, 3) == 0;
    if (pick(game, 4) == 0) {
        const char *key = unclean[pick(game, 8)];
        if (stays)
            tree_world_put(&game->world, key, "u");
        else if (!tree_world_remove(&game->world, key))
            return;
        game->twin.now++;
        return;
    }
    pick_path(game, path);
    struct node *node = node_at(&game->twin, slice_str(path));
    if (is_root(node))
        return;
    if (stays) {
        const char *value = values[pick(game, 4)];
        twin_v3_put(&game->twin, node, value);
        tree_world_put(&game->world, path, value);
    } else {
        bool there = node->file.there;
        twin_v3_remove(&game->twin, node);
        assert_true(tree_world_remove(&game->world, path) == there);
    }
}

static void play_expire(struct game *game)
{
    twin_expire(&game->twin);
    game->expiries += tree_world_expire(&game->world);
}

/* A write and who watches it. */
static void play(struct game *game, int step)
{
    char watched[PATH_BYTES];
    struct twin *twin = &game->twin;
    revision before = twin->now;
    pick_path(game, watched);
    twin->watched = node_at(twin, slice_str(watched));
    twin->recursive = pick(game, 2) == 0;
    buf_reset(&twin->told);
    twin->now_ns += (pick(game, 10) == 0) * TREE_WORLD_SECOND_NS + 1;
    game->world.now_ns = twin->now_ns;
    if (pick(game, 30) == 0)
        play_expire(game);
    else if (pick(game, 4) == 0)
        play_v3(game);
    else
        play_v2(game);
    assert_int_equal(tree_world_revision(&game->world), twin->now);
    const char *told =
        tree_world_watch(&game->world, watched, twin->recursive, before + 1);
    assert_string_equal(told, text_of(&twin->told));
    if (twin->now == before + 1 && step % 2 == 0 && game->world.commit &&
        game->world.commit->main == twin->now)
        assert_string_equal(
            tree_world_watch_live(&game->world, watched, twin->recursive),
            twin->told.at);
}

static void compare_reads(struct game *game)
{
    char path[PATH_BYTES];
    pick_path(game, path);
    struct node *node = node_at(&game->twin, slice_str(path));
    const char *shown = twin_get(&game->twin, node);
    assert_string_equal(tree_world_get(&game->world, path), shown);
    const char *listed = twin_list(&game->twin, node);
    assert_string_equal(tree_world_list(&game->world, path), listed);
    assert_int_equal(lease_count(game->world.leases),
                     count_leases(&game->twin.root));
}

/* A listing is kept, and looked at again when much has happened. */
static void compare_past(struct game *game, int step)
{
    struct past *past = &game->past[step / 50 % 64];
    if (past->at > 0 && past->at >= game->compacted)
        assert_string_equal(
            tree_world_list_at(&game->world, past->path, past->at),
            past->names.at);
    past->at = game->twin.now;
    pick_path(game, past->path);
    struct node *node = node_at(&game->twin, slice_str(past->path));
    buf_reset(&past->names);
    buf_append_str(&past->names, twin_list(&game->twin, node));
    buf_append_char(&past->names, '\0');
}

static void compact(struct game *game)
{
    revision at = game->twin.now - 1000;
    if (at <= game->compacted)
        return;
    assert_int_equal(mvcc_compact(game->world.mvcc, at), ERR_OK);
    while (mvcc_compact_slice(game->world.mvcc, 100))
        continue;
    game->compacted = at;
}

static void run(uint64_t seed, int steps)
{
    struct game *game = mem_alloc_zero(sizeof *game);
    prng_init(&game->prng, seed);
    tree_world_open(&game->world);
    game->twin.now = 1;
    game->twin.now_ns = game->world.now_ns;
    for (int step = 0; step < steps; step++) {
        play(game, step);
        compare_reads(game);
        if (step % 50 == 0)
            compare_past(game, step);
        if (step % 64 == 0)
            prune(&game->twin.root, false);
        if (step % 777 == 0)
            tree_world_flush(&game->world);
        if (step % 5000 == 4999)
            compact(game);
        if (step % 20000 == 19999)
            tree_world_reopen(&game->world);
    }
    /* The game has been played: all of it happened, and often. */
    assert_true(game->failures > (size_t)steps / 10);
    assert_true(game->successes > (size_t)steps / 10);
    assert_true(game->expiries > (size_t)steps / 100);
    prune(&game->twin.root, true);
    buf_deinit(&game->twin.answer);
    buf_deinit(&game->twin.told);
    for (size_t i = 0; i < 64; i++)
        buf_deinit(&game->past[i].names);
    tree_world_close(&game->world);
    mem_free(game);
}

static void the_tree_and_its_twin_agree(void **state)
{
    (void)state;
    run(1, STEPS / 2);
    for (uint64_t seed = 2; seed < 14; seed++)
        run(seed, STEPS / 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tree_and_its_twin_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
