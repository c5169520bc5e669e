/* Paths: names, cleanness, what lies below, what is hidden. */
#include "base/check.h"
#include "tree/tree_int.h"

struct slice tree__first_name(struct slice path)
{
    ptrdiff_t end = slice_find(path, '/');
    return end < 0 ? path : tree__head(path, (size_t)end);
}

size_t tree__unclean_end(struct slice key, size_t from)
{
    CHECK(from > 0 && from <= key.size && key.at[from - 1] == '/');
    for (;;) {
        struct slice name =
            tree__first_name(slice_of(key.at + from, key.size - from));
        size_t end = from + name.size;
        if (!tree__is_name(name))
            return end;
        if (end == key.size)
            return 0;
        from = end + 1;
    }
}

bool tree__is_clean(struct slice key)
{
    return key.size > 1 && key.at[0] == '/' && tree__unclean_end(key, 1) == 0;
}

struct slice tree__parent(struct slice path)
{
    size_t size = path.size;
    CHECK(size > 1 && path.at[0] == '/');
    while (path.at[size - 1] != '/')
        size--;
    return tree__head(path, size > 1 ? size - 1 : 1);
}

void tree_range_below(struct slice path, struct buf *from, struct buf *end)
{
    CHECK(path.size > 0 && path.at[0] == '/');
    size_t size = tree__is_root(path) ? 0 : path.size;
    buf_reset(from);
    buf_append(from, path.at, size);
    buf_append_char(from, '/');
    buf_reset(end);
    buf_append(end, path.at, size);
    buf_append_char(end, '/' + 1);
}

/* Of `key` only what is below `path` counts: who watches a hidden directory
 * sees what happens in it. A watcher below a directory that is removed has
 * the longer path. */
bool tree_is_hidden(struct slice path, struct slice key)
{
    if (path.size > key.size)
        return false;
    bool at_start = true;
    for (size_t i = path.size; i < key.size; i++) {
        if (at_start && key.at[i] == '_')
            return true;
        at_start = key.at[i] == '/';
    }
    return false;
}

const char *tree_error_text(enum tree_error error)
{
    switch (error) {
#define X(name, code, text) \
    case TREE_##name:       \
        return text;
        TREE_ERROR_TABLE(X)
#undef X
    }
    UNREACHABLE();
}
