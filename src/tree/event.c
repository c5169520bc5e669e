/* Events: what v2 is told of a record. */
#include "base/check.h"
#include "tree/tree_int.h"

static const char *action_of(const struct record *record)
{
    bool ended = (record->flags & MVCC_TOMBSTONE) != 0;
    switch (record->cause) {
    case MVCC_SET:
    case MVCC_CREATE:
    case MVCC_UPDATE:
    case MVCC_COMPARE_AND_SWAP:
    case MVCC_DELETE:
    case MVCC_COMPARE_AND_DELETE:
    case MVCC_EXPIRE:
        return mvcc_cause_text(record->cause);
    case MVCC_PUT:
    case MVCC_DELETE_RANGE:
    case MVCC_REVOKE:
    case MVCC_RECIPE:
        break; /* what others did, v2 tells in its own words */
    }
    return mvcc_cause_text(ended ? MVCC_DELETE : MVCC_SET);
}

void tree__make_event(const struct record *head, const struct tree_node *prev,
                      struct tree_event *event)
{
    *event = (struct tree_event){
        .action = action_of(head),
        .refresh = (head->flags & MVCC_REFRESH) != 0,
        .has_prev = prev != NULL,
    };
    if (prev != NULL) {
        event->prev = *prev;
        event->prev.key = head->key;
    }
    if ((head->flags & MVCC_TOMBSTONE) == 0) {
        tree__node_of(head, &event->node);
    } else {
        event->node = (struct tree_node){
            .key = head->key,
            .dir = head->table == MVCC_DIRS,
            .created = prev ? prev->created : 0,
        };
    }
    event->node.modified = head->rev.main;
}

/* Another record of the same commit, from it or, where a watcher reads the
 * past, from the store. */
static enum err read_sibling(struct mvcc_reader *reader,
                             const struct mvcc_commit *commit, struct rev rev,
                             struct record *out)
{
    if (commit == NULL)
        return mvcc_get_rev(reader, rev, out);
    CHECK_EQ(commit->main, rev.main);
    if (rev.sub >= commit->count)
        return ERR_NOT_FOUND;
    *out = commit->records[rev.sub];
    return ERR_OK;
}

/* A part of a removal leads to its head, which stands before all that lies
 * below (remove.c). */
static enum err find_head(struct mvcc_reader *reader,
                          const struct mvcc_commit *commit,
                          struct record *record)
{
    struct rev rev = {record->rev.main, 0};
    while (rev.sub < record->rev.sub) {
        struct record sibling;
        enum err err = read_sibling(reader, commit, rev, &sibling);
        if (err != ERR_OK)
            return err;
        if ((sibling.flags & MVCC_PART) == 0) {
            *record = sibling;
            return ERR_OK;
        }
        rev.sub++;
    }
    return ERR_NOT_FOUND;
}

/* A directory that took a file's place: the file's end is the part before. */
static enum err replaced_file(struct mvcc_reader *reader,
                              const struct record *head,
                              const struct mvcc_commit *commit,
                              struct rev *prev)
{
    struct record part;
    if (head->rev.sub == 0)
        return ERR_OK;
    struct rev before = {head->rev.main, head->rev.sub - 1};
    enum err err = read_sibling(reader, commit, before, &part);
    if (err == ERR_OK && part.table == MVCC_KEYS &&
        (part.flags & MVCC_TOMBSTONE) != 0 && slice_eq(part.key, head->key))
        *prev = part.prev;
    return err;
}

/* True where the head found a directory without a record: it was updated and
 * got one, or removed, for which it got one just before. */
static bool was_implied(const struct record *head)
{
    if (head->table != MVCC_DIRS)
        return false;
    return head->cause == MVCC_UPDATE ? head->prev.main == 0
                                      : head->prev.main == head->rev.main;
}

/* The node before the head. ERR_NOT_FOUND: there was none. */
static enum err find_prev(struct mvcc_reader *reader, const struct record *head,
                          const struct mvcc_commit *commit,
                          struct tree_node *node)
{
    struct rev prev = head->prev;
    if (was_implied(head)) {
        tree__implied(head->key, node);
        return ERR_OK;
    }
    if (head->table == MVCC_DIRS && head->cause == MVCC_SET) {
        /* Its own would be the directory that the file had hidden. */
        enum err err = replaced_file(reader, head, commit, &prev);
        if (err != ERR_OK)
            return err;
    }
    return prev.main == 0 ? ERR_NOT_FOUND : tree__read_node(reader, prev, node);
}

static bool is_removal_part(const struct record *record)
{
    return (record->flags & MVCC_TOMBSTONE) != 0 &&
           (record->cause == MVCC_DELETE || record->cause == MVCC_EXPIRE);
}

static bool is_gone(enum err err)
{
    return err == ERR_NOT_FOUND || err == ERR_COMPACTED;
}

enum err tree_event(struct mvcc_reader *reader, const struct record *record,
                    struct mvcc_commit *commit, struct slice path,
                    struct tree_event *event, struct rev *event_rev, bool *told)
{
    struct record head = *record;
    struct tree_node prev;
    enum err err = ERR_OK;
    *told = false;
    if ((head.flags & MVCC_PART) != 0) {
        if (!is_removal_part(&head))
            return ERR_OK;
        err = find_head(reader, commit, &head);
    }
    if (err != ERR_OK)
        return is_gone(err) ? ERR_OK : err;
    if ((head.flags & MVCC_REFRESH) != 0 || !tree__is_clean(head.key) ||
        tree_is_hidden(path, head.key))
        return ERR_OK;
    err = find_prev(reader, &head, commit, &prev);
    if (err != ERR_OK && !is_gone(err))
        return err;
    tree__make_event(&head, err == ERR_OK ? &prev : NULL, event);
    *event_rev = head.rev;
    *told = true;
    return ERR_OK;
}
