/* Listing a directory: the children's names in order, each once, from two
 * tables of keys that are in another order.
 *
 * A child is a file ("/d/name" in MVCC_KEYS), a directory with a record (the
 * same in MVCC_DIRS), or one that is implied by keys below it. What lies below
 * a child is passed over by a seek. For the first two the order of keys is
 * that of names. Not so for the third: '/' is greater than '-', so
 *
 *     keys     /d/b-c    /d/b/x          names     b    b-c
 *
 * That is the only case: a name P comes before the found name N and its keys
 * after N's only if N begins with P and what follows in N is less than '/'. So
 * it is asked whether anything lies below such a beginning of N; and a
 * directory that is met when its name is not after the last child's has been
 * told of before.
 *
 *     found N ---> the shortest P, after `last`, with keys below: tell it
 *             \--> none: tell N */
#include "base/check.h"
#include "tree/tree_int.h"

/* What one of the tables has next. */
struct child {
    bool there;
    bool implied;
    struct rev rev;    /* of its record, where it has one */
    struct slice path; /* a view of a key that begins with it */
    struct slice name;
};

void tree_list_init(struct tree_list *list, struct slice dir, revision at)
{
    CHECK(at > 0);
    *list = (struct tree_list){.dir = dir, .at = at};
    tree_range_below(dir, &list->seek, &list->end);
}

void tree_list_deinit(struct tree_list *list)
{
    buf_deinit(&list->last);
    buf_deinit(&list->seek);
    buf_deinit(&list->end);
    *list = (struct tree_list){0};
}

/* How long a child's path is before its name. */
static size_t base_size(const struct tree_list *list)
{
    return list->dir.size + !tree__is_root(list->dir);
}

static struct slice name_in(const struct tree_list *list, struct slice path)
{
    size_t base = base_size(list);
    CHECK(path.size >= base);
    return tree__first_name(slice_of(path.at + base, path.size - base));
}

static bool is_after_last(const struct tree_list *list, struct slice name)
{
    return list->last.size == 0 ||
           slice_cmp(name, name_in(list, buf_slice(&list->last))) > 0;
}

/* On to the first key that is at or after `path` followed by `c`. */
static void seek(struct tree_list *list, struct mvcc_walk *walk,
                 struct slice path, char c)
{
    buf_reset(&list->seek);
    buf_append_slice(&list->seek, path);
    buf_append_char(&list->seek, c);
    mvcc_walk_seek(walk, buf_slice(&list->seek));
}

/* A walk that begins behind the last child's own key. */
static enum err begin(struct tree_list *list, struct mvcc_walk *walk,
                      struct mvcc_reader *reader, enum mvcc_table table)
{
    if (list->last.size > 0) {
        buf_reset(&list->seek);
        buf_append_slice(&list->seek, buf_slice(&list->last));
        buf_append_char(&list->seek, '\0');
    } else {
        buf_reset(&list->seek);
        buf_append(&list->seek, list->end.at, list->end.size);
        list->seek.at[list->seek.size - 1] = '/';
    }
    return mvcc_walk_init(walk, reader, table, buf_slice(&list->seek),
                          buf_slice(&list->end), list->at);
}

/* The next key that belongs to a child that is to be told, or may be. */
static enum err next_key(struct tree_list *list, struct mvcc_walk *walk,
                         struct slice *key, struct child *child)
{
    size_t base = base_size(list);
    for (;;) {
        enum err err = mvcc_walk_next(walk, key, &child->rev);
        if (err != ERR_OK)
            return err;
        child->name = name_in(list, *key);
        child->path = tree__head(*key, base + child->name.size);
        bool below = child->path.size < key->size;
        if (child->name.size > 0 && child->name.at[0] == '_')
            seek(list, walk, tree__head(*key, base), '_' + 1);
        else if (tree__is_name(child->name) &&
                 (!below || is_after_last(list, child->name)))
            return ERR_OK;
        else if (below)
            seek(list, walk, child->path, '/' + 1);
    }
}

/* The next directory that has a record. All above it have one too, so what is
 * met below a name belongs to a directory that has been told. */
static enum err next_dir(struct tree_list *list, struct mvcc_reader *reader,
                         struct child *child)
{
    struct mvcc_walk walk;
    struct slice key;
    enum err err = begin(list, &walk, reader, MVCC_DIRS);
    if (err == ERR_OK)
        err = next_key(list, &walk, &key, child);
    child->there = err == ERR_OK;
    DCHECK(!child->there || child->path.size == key.size);
    return err == ERR_END ? ERR_OK : err;
}

static size_t common_size(struct slice a, struct slice b)
{
    size_t size = 0;
    while (size < a.size && size < b.size && a.at[size] == b.at[size])
        size++;
    return size;
}

/* The sizes that P may have, as a beginning of the found name N. */
struct beginnings {
    size_t least, most;
};

/* P is after the last child's name. What lies below P comes after N's key, and
 * between the two are only keys that begin with P as well: so P is no longer
 * than what N's key has in common with the one after it. */
static struct beginnings beginnings_of(const struct tree_list *list,
                                       const struct child *child,
                                       const struct slice *following)
{
    struct slice name = child->name;
    size_t base = base_size(list);
    struct beginnings sizes = {1, name.size - 1};
    size_t most = sizes.most;
    if (list->last.size > 0)
        sizes.least += common_size(name, name_in(list, buf_slice(&list->last)));
    if (following != NULL)
        most = following->size > base
                   ? common_size(child->path, *following) - base
                   : 0;
    sizes.most = most < sizes.most ? most : sizes.most;
    return sizes;
}

/* Puts the implied directory in place of `child` that comes before it, if
 * there is one: the shortest. They are tried from the longest down, for in
 * this order come the keys below them; so each seek goes to a key that is
 * there, and what that has in common with N is the most that the next P can
 * be. However long N is, nothing is asked in vain for each of its bytes. */
static enum err find_before(struct tree_list *list, struct mvcc_walk *walk,
                            struct child *child, struct beginnings sizes)
{
    struct slice name = child->name, path = child->path;
    size_t base = base_size(list);
    for (size_t size = sizes.most; size >= sizes.least; size--) {
        struct slice begin = tree__head(path, base + size), key;
        struct rev rev;
        if (name.at[size] >= '/' || !tree__is_name(tree__head(name, size)))
            continue;
        seek(list, walk, begin, '/');
        enum err err = mvcc_walk_next(walk, &key, &rev);
        if (err != ERR_OK)
            return err == ERR_END ? ERR_OK : err;
        size_t common = common_size(path, key) - base;
        if (common < size) {
            size = common + 1;
            continue;
        }
        bool has = key.at[base + size] == '/';
        if (has && tree__unclean_end(key, base + size + 1) != 0)
            err = tree__has_below(walk->reader, begin, list->at, &has);
        if (err != ERR_OK)
            return err;
        if (has)
            *child = (struct child){.there = true,
                                    .implied = true,
                                    .path = begin,
                                    .name = tree__head(name, size)};
    }
    return ERR_OK;
}

/* The next file or implied directory. */
static enum err next_file(struct tree_list *list, struct mvcc_reader *reader,
                          struct child *child)
{
    struct mvcc_walk walk;
    struct slice key, following = {0};
    struct rev rev;
    enum err err = begin(list, &walk, reader, MVCC_KEYS);
    while (err == ERR_OK && !child->there) {
        err = next_key(list, &walk, &key, child);
        if (err != ERR_OK)
            break;
        child->there = true;
        child->implied = child->path.size < key.size;
        if (!child->implied ||
            tree__unclean_end(key, child->path.size + 1) == 0)
            break;
        err = tree__has_below(reader, child->path, list->at, &child->there);
        if (!child->there)
            seek(list, &walk, child->path, '/' + 1);
    }
    if (err != ERR_OK)
        return err == ERR_END ? ERR_OK : err;
    if (!child->implied)
        err = mvcc_walk_next(&walk, &following, &rev);
    if (err != ERR_OK && err != ERR_END)
        return err;
    struct beginnings sizes =
        beginnings_of(list, child, child->implied ? NULL : &following);
    return find_before(list, &walk, child, sizes);
}

enum err tree_list_next(struct tree_list *list, struct mvcc_reader *reader,
                        struct tree_node *node)
{
    struct child dir = {0}, file = {0};
    enum err err = next_dir(list, reader, &dir);
    if (err == ERR_OK)
        err = next_file(list, reader, &file);
    if (err != ERR_OK)
        return err;
    if (!dir.there && !file.there)
        return ERR_END;
    /* Of one name, a file hides a directory, and a directory with a record
     * is not an implied one. */
    int order = dir.there && file.there ? slice_cmp(dir.name, file.name)
                                        : file.there - dir.there;
    const struct child *next =
        order < 0 || (order == 0 && file.implied) ? &dir : &file;
    if (next->implied)
        tree__implied(next->path, node);
    else
        err = tree__read_node(reader, next->rev, node);
    if (err == ERR_NOT_FOUND)
        err = err_set(ERR_CORRUPT, "a record of the index is not in the file");
    if (err != ERR_OK)
        return err;
    CHECK(slice_eq(node->key, next->path) && is_after_last(list, next->name));
    buf_reset(&list->last);
    buf_append_slice(&list->last, node->key);
    return ERR_OK;
}
