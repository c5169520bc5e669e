#include "twin.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/time_text.h"

/* ---- nodes -------------------------------------------------------------- */

void twin_init(struct twin *twin)
{
    *twin = (struct twin){.index = 1};
}

void twin_deinit(struct twin *twin)
{
    for (size_t i = 0; i < twin->event_count; i++) {
        buf_deinit(&twin->events[i].line);
        buf_deinit(&twin->events[i].removed);
    }
    mem_free(twin->events);
    buf_deinit(&twin->answer);
}

static struct twin_node *find(struct twin *twin, const char *path)
{
    for (size_t i = 0; i < twin->count; i++) {
        if (strcmp(twin->nodes[i].path, path) == 0) {
            return &twin->nodes[i];
        }
    }
    return NULL;
}

static bool is_below(const char *path, const char *dir)
{
    size_t size = strcmp(dir, "/") == 0 ? 0 : strlen(dir);
    return strncmp(path, dir, size) == 0 && path[size] == '/' &&
           path[size + 1] != '\0';
}

static void parent_of(const char *path, char *out)
{
    size_t size = (size_t)(strrchr(path, '/') - path);
    memcpy(out, path, size);
    out[size] = '\0';
}

static void put_path(char *out, const char *path)
{
    CHECK_LT(strlen(path), TWIN_PATH_BYTES);
    memcpy(out, path, strlen(path) + 1);
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct twin_node *)a)->path,
                  ((const struct twin_node *)b)->path);
}

static struct twin_node *add(struct twin *twin, const char *path, bool dir)
{
    CHECK_LT(twin->count, TWIN_NODES_MAX);
    struct twin_node *node = &twin->nodes[twin->count++];
    *node = (struct twin_node){
        .dir = dir, .created = twin->index + 1, .modified = twin->index + 1};
    put_path(node->path, path);
    qsort(twin->nodes, twin->count, sizeof(twin->nodes[0]), compare);
    return find(twin, path);
}

/* The node and all below it. */
static void drop(struct twin *twin, const char *path, struct buf *removed)
{
    size_t kept = 0;
    for (size_t i = 0; i < twin->count; i++) {
        const char *at = twin->nodes[i].path;
        if (strcmp(at, path) == 0 || is_below(at, path)) {
            buf_printf(removed, "%s\n", at);
        } else {
            twin->nodes[kept++] = twin->nodes[i];
        }
    }
    twin->count = kept;
}

/* ---- text --------------------------------------------------------------- */

static void write_head(struct buf *out, const struct twin_node *node, bool gone)
{
    char text[TIME_TEXT_BYTES_MAX];
    buf_printf(out, "{\"key\":\"%s\"", node->path);
    if (node->dir) {
        buf_append_str(out, ",\"dir\":true");
    } else if (!gone) {
        buf_printf(out, ",\"value\":\"%s\"", node->value);
    }
    if (node->expire_ns != 0 && !gone) {
        buf_append_str(out, ",\"expiration\":\"");
        buf_append(out, text, time_to_rfc3339(node->expire_ns, text));
        buf_append_char(out, '"');
    }
}

static void write_tail(struct buf *out, int64_t modified, int64_t created)
{
    buf_printf(out, ",\"modifiedIndex\":%lld,\"createdIndex\":%lld}",
               (long long)modified, (long long)created);
}

static void write_node(struct buf *out, const struct twin_node *node)
{
    write_head(out, node, false);
    write_tail(out, node->modified, node->created);
}

static void answer_error(struct twin *twin, int status, int code,
                         const char *message, const char *cause)
{
    twin->status = status;
    buf_reset(&twin->answer);
    buf_printf(&twin->answer,
               "{\"errorCode\":%d,\"message\":\"%s\",\"cause\":\"%s\","
               "\"index\":%lld}\n",
               code, message, cause, (long long)twin->index);
}

/* The index moves on, and all learn why. `gone`: the node is no more. */
static struct twin_event *tell(struct twin *twin, const char *action,
                               const struct twin_node *node, bool gone,
                               const struct twin_node *prev)
{
    if (twin->event_count == twin->event_capacity) {
        twin->event_capacity = twin->event_capacity * 2 + 64;
        twin->events = mem_realloc(twin->events, twin->event_capacity *
                                                     sizeof(struct twin_event));
    }
    struct twin_event *event = &twin->events[twin->event_count++];
    twin->index++;
    *event = (struct twin_event){.index = twin->index};
    put_path(event->key, node->path);
    buf_printf(&event->line, "{\"action\":\"%s\",\"node\":", action);
    write_head(&event->line, node, gone);
    write_tail(&event->line, twin->index, node->created);
    if (prev != NULL) {
        buf_append_str(&event->line, ",\"prevNode\":");
        write_node(&event->line, prev);
    }
    buf_append_str(&event->line, "}\n");
    buf_reset(&twin->answer);
    buf_append_slice(&twin->answer, buf_slice(&event->line));
    twin->status = 200;
    return event;
}

/* ---- what may be wrong -------------------------------------------------- */

/* The file that stands where a directory should, above `path`. */
static const struct twin_node *file_above(struct twin *twin, const char *path)
{
    for (size_t i = 0; i < twin->count; i++) {
        if (!twin->nodes[i].dir && is_below(path, twin->nodes[i].path)) {
            return &twin->nodes[i];
        }
    }
    return NULL;
}

/* False: it is not there, and that is the answer. */
static bool must_find(struct twin *twin, const char *path)
{
    char missing[TWIN_PATH_BYTES];
    char above[TWIN_PATH_BYTES];
    if (find(twin, path) != NULL) {
        return true;
    }
    const struct twin_node *file = file_above(twin, path);
    if (file != NULL) {
        answer_error(twin, 400, 104, "Not a directory", file->path);
        return false;
    }
    put_path(missing, path);
    for (parent_of(missing, above); above[0] != '\0' && !find(twin, above);
         parent_of(missing, above)) {
        put_path(missing, above);
    }
    answer_error(twin, 404, 100, "Key not found", missing);
    return false;
}

static bool must_be_file(struct twin *twin, const char *path)
{
    if (find(twin, path)->dir) {
        answer_error(twin, 403, 102, "Not a file", path);
        return false;
    }
    return true;
}

static bool must_match(struct twin *twin, const struct twin_write *write)
{
    const struct twin_node *node = find(twin, write->path);
    char cause[128] = "";
    size_t size = 0;
    if (write->prev_value[0] != '\0' &&
        strcmp(write->prev_value, node->value) != 0) {
        size = (size_t)snprintf(cause, sizeof(cause), "[%s != %s]",
                                write->prev_value, node->value);
    }
    bool index_differs =
        write->prev_index != 0 && write->prev_index != node->modified;
    if (index_differs && (size > 0 || write->prev_value[0] == '\0')) {
        (void)snprintf(cause + size, sizeof(cause) - size, "%s[%lld != %lld]",
                       size > 0 ? " " : "", (long long)write->prev_index,
                       (long long)node->modified);
    } else if (index_differs) {
        (void)snprintf(cause, sizeof(cause), "[%lld != %lld]",
                       (long long)write->prev_index, (long long)node->modified);
    }
    if (cause[0] != '\0') {
        answer_error(twin, 412, 101, "Compare failed", cause);
        return false;
    }
    return true;
}

/* ---- writes ------------------------------------------------------------- */

static void make_parents(struct twin *twin, const char *path)
{
    char above[TWIN_PATH_BYTES];
    parent_of(path, above);
    if (above[0] != '\0' && find(twin, above) == NULL) {
        make_parents(twin, above);
        add(twin, above, true);
    }
}

static void put_new(struct twin *twin, const struct twin_write *write,
                    const char *path, const char *action)
{
    struct twin_node prev;
    const struct twin_node *file = file_above(twin, path);
    struct twin_node *old = find(twin, path);
    bool had = old != NULL;
    if (file != NULL) {
        answer_error(twin, 400, 104, "Not a directory", file->path);
        return;
    }
    if (had && write->op != TWIN_SET) {
        answer_error(twin, 412, 105, "Key already exists", path);
        return;
    }
    if (had && !must_be_file(twin, path)) {
        return;
    }
    if (had) {
        struct buf unused = {0};
        prev = *old;
        drop(twin, path, &unused);
        buf_deinit(&unused);
    }
    make_parents(twin, path);
    struct twin_node *node = add(twin, path, write->dir);
    if (!write->dir) {
        (void)snprintf(node->value, sizeof(node->value), "%s", write->value);
    }
    if (write->refresh && had) {
        (void)snprintf(node->value, sizeof(node->value), "%s", prev.value);
    }
    node->expire_ns = write->expire_ns;
    tell(twin, action, node, false, had ? &prev : NULL);
    twin->status = had ? 200 : 201;
}

static void change(struct twin *twin, const struct twin_write *write,
                   const char *action)
{
    struct twin_node *node = find(twin, write->path);
    struct twin_node prev = *node;
    if (!node->dir && !write->refresh) {
        (void)snprintf(node->value, sizeof(node->value), "%s", write->value);
    }
    node->expire_ns = write->expire_ns;
    if (!node->dir) {
        node->modified = twin->index + 1;
    }
    tell(twin, action, node, false, &prev);
}

static void end(struct twin *twin, const char *path, const char *action)
{
    struct twin_node node = *find(twin, path);
    struct twin_event *event = tell(twin, action, &node, true, &node);
    drop(twin, path, &event->removed);
}

static bool has_below(const struct twin *twin, const char *path)
{
    for (size_t i = 0; i < twin->count; i++) {
        if (is_below(twin->nodes[i].path, path)) {
            return true;
        }
    }
    return false;
}

static void do_delete(struct twin *twin, const struct twin_write *write)
{
    if (!must_find(twin, write->path)) {
        return;
    }
    bool dir = find(twin, write->path)->dir;
    if (dir && !write->dir && !write->recursive) {
        answer_error(twin, 403, 102, "Not a file", write->path);
    } else if (dir && !write->recursive && has_below(twin, write->path)) {
        answer_error(twin, 403, 108, "Directory not empty", write->path);
    } else {
        end(twin, write->path, "delete");
    }
}

static void do_update(struct twin *twin, const struct twin_write *write)
{
    if (must_find(twin, write->path) &&
        (write->value[0] == '\0' || must_be_file(twin, write->path))) {
        change(twin, write, "update");
    }
}

static void do_compare(struct twin *twin, const struct twin_write *write)
{
    if (!must_find(twin, write->path) || !must_be_file(twin, write->path) ||
        !must_match(twin, write)) {
        return;
    }
    if (write->op == TWIN_CAS) {
        change(twin, write, "compareAndSwap");
    } else {
        end(twin, write->path, "compareAndDelete");
    }
}

static void do_post(struct twin *twin, const struct twin_write *write)
{
    char path[TWIN_PATH_BYTES];
    int size = snprintf(path, sizeof(path), "%s/%020lld", write->path,
                        (long long)(twin->index + 1));
    CHECK(size > 0 && (size_t)size < sizeof(path));
    put_new(twin, write, path, "create");
}

void twin_do(struct twin *twin, const struct twin_write *write)
{
    size_t before = twin->event_count;
    switch (write->op) {
    case TWIN_SET:
        if (write->refresh && !must_find(twin, write->path)) {
            return;
        }
        put_new(twin, write, write->path, "set");
        break;
    case TWIN_CREATE:
        put_new(twin, write, write->path, "create");
        break;
    case TWIN_POST:
        do_post(twin, write);
        break;
    case TWIN_UPDATE:
        do_update(twin, write);
        break;
    case TWIN_DELETE:
        do_delete(twin, write);
        break;
    case TWIN_CAS:
    case TWIN_CAD:
        do_compare(twin, write);
        break;
    }
    if (write->refresh && twin->event_count > before) {
        /* It is not told: an event that nobody's key matches. */
        twin->events[before].key[0] = '\0';
    }
}

void twin_expire(struct twin *twin, int64_t now_ns)
{
    for (;;) {
        struct twin_node *first = NULL;
        for (size_t i = 0; i < twin->count; i++) {
            struct twin_node *node = &twin->nodes[i];
            if (node->expire_ns != 0 && node->expire_ns <= now_ns &&
                (first == NULL || node->expire_ns < first->expire_ns)) {
                first = node;
            }
        }
        if (first == NULL) {
            return;
        }
        char path[TWIN_PATH_BYTES];
        put_path(path, first->path);
        end(twin, path, "expire");
    }
}

/* ---- reads -------------------------------------------------------------- */

static bool is_child(const char *path, const char *dir)
{
    size_t size = strcmp(dir, "/") == 0 ? 0 : strlen(dir);
    return is_below(path, dir) && strchr(path + size + 1, '/') == NULL;
}

static void write_children(struct twin *twin, const char *dir, bool recursive,
                           struct buf *out)
{
    bool any = false;
    for (size_t i = 0; i < twin->count; i++) {
        const struct twin_node *node = &twin->nodes[i];
        if (!is_child(node->path, dir) || strrchr(node->path, '/')[1] == '_') {
            continue;
        }
        buf_append_str(out, any ? "," : ",\"nodes\":[");
        any = true;
        write_head(out, node, false);
        if (node->dir && recursive) {
            write_children(twin, node->path, true, out);
        }
        write_tail(out, node->modified, node->created);
    }
    if (any) {
        buf_append_char(out, ']');
    }
}

void twin_get(struct twin *twin, const char *path, bool recursive)
{
    struct buf *out = &twin->answer;
    bool is_root = strcmp(path, "/") == 0;
    if (!is_root && !must_find(twin, path)) {
        return;
    }
    buf_reset(out);
    twin->status = 200;
    buf_append_str(out, "{\"action\":\"get\",\"node\":");
    if (is_root) {
        buf_append_str(out, "{\"dir\":true");
        write_children(twin, path, recursive, out);
        buf_append_str(out, "}}\n");
        return;
    }
    const struct twin_node *node = find(twin, path);
    write_head(out, node, false);
    if (node->dir) {
        write_children(twin, path, recursive, out);
    }
    write_tail(out, node->modified, node->created);
    buf_append_str(out, "}\n");
}

/* ---- watching ----------------------------------------------------------- */

static bool hides(const char *rest)
{
    return strstr(rest, "/_") != NULL;
}

bool twin_tells(const struct twin_event *event, const char *path,
                bool recursive)
{
    char line[TWIN_PATH_BYTES + 2];
    const char *key = event->key;
    if (key[0] == '\0') {
        return false;
    }
    if (strcmp(key, path) == 0) {
        return true;
    }
    if (recursive && is_below(key, path)) {
        return !hides(key + (strcmp(path, "/") == 0 ? 0 : strlen(path)));
    }
    /* What it watches went along with a directory above it. */
    int size = snprintf(line, sizeof(line), "%s\n", path);
    const struct buf *removed = &event->removed;
    for (size_t at = 0; at < removed->size;) {
        size_t length = (size_t)((char *)memchr(removed->at + at, '\n',
                                                removed->size - at) -
                                 (removed->at + at)) +
                        1;
        if (length == (size_t)size &&
            memcmp(removed->at + at, line, length) == 0) {
            return true;
        }
        at += length;
    }
    return false;
}
