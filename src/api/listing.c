/* A directory and, if asked for, all below it, in pieces: each is made when
 * the client has read what was made before, and only while it is made is the
 * lock held. The revision is pinned at the beginning, so the whole is one
 * state of the store; if it is compacted away meanwhile the answer breaks off.
 *
 *   {"action":"get","node":{"key":"/a","dir":true      level 0 opened
 *     ,"nodes":[{"key":"/a/b","dir":true                 level 1 opened
 *       ,"nodes":[{...},{...}]                             its children
 *       ,"modifiedIndex":7,"createdIndex":7}             level 1 closed
 *     ],"modifiedIndex":3,"createdIndex":3}            level 0 closed
 *   }
 *
 * What fits the first piece is answered whole, with its length. */
#include "api/api_int.h"
#include "base/check.h"

#define APPEND(out, literal) buf_append(out, literal, sizeof(literal) - 1)

/* A directory whose children are being written. */
struct level {
    struct buf path; /* which `list` has a view of */
    struct tree_list list;
    revision created;
    revision modified;
    bool has_nodes; /* one was written */
};

struct listing {
    struct api *api;
    revision at;
    bool recursive;
    size_t depth; /* levels that are open */
    size_t capacity;
    struct level *levels;
};

static void open_level(struct listing *listing, const struct tree_node *node)
{
    CHECK(node->dir && listing->depth < LIMIT_PATH_DEPTH_MAX);
    if (listing->depth == listing->capacity) {
        listing->capacity = listing->capacity * 2 + 4;
        listing->levels = mem_realloc(listing->levels,
                                      listing->capacity * sizeof(struct level));
    }
    struct level *level = &listing->levels[listing->depth++];
    *level = (struct level){
        .created = node->created,
        .modified = node->modified,
    };
    buf_append_slice(&level->path, node->key);
    tree_list_init(&level->list, buf_slice(&level->path), listing->at);
}

static void drop_level(struct listing *listing)
{
    CHECK_LT(0, listing->depth);
    struct level *level = &listing->levels[--listing->depth];
    tree_list_deinit(&level->list);
    buf_deinit(&level->path);
}

static void close_level(struct listing *listing, struct buf *out)
{
    const struct level *level = &listing->levels[listing->depth - 1];
    if (level->has_nodes) {
        buf_append_char(out, ']');
    }
    json__node_end(out, level->created, level->modified);
    drop_level(listing);
}

static void listing_deinit(struct listing *listing)
{
    while (listing->depth > 0) {
        drop_level(listing);
    }
    mem_free(listing->levels);
}

static void write_child(struct listing *listing, const struct tree_node *node,
                        struct buf *out)
{
    struct level *level = &listing->levels[listing->depth - 1];
    if (level->has_nodes) {
        buf_append_char(out, ',');
    } else {
        APPEND(out, ",\"nodes\":[");
        level->has_nodes = true;
    }
    json__node_begin(out, node, true, listing->api->shared->clock);
    /* Deeper than v2 goes, only v3 can have made keys: they are not shown. */
    if (node->dir && listing->recursive &&
        listing->depth < LIMIT_PATH_DEPTH_MAX) {
        open_level(listing, node);
    } else {
        json__node_end(out, node->created, node->modified);
    }
}

/* Writes the next piece. ERR_OK: there is more; ERR_END: that was the last.
 * Needs: api__read_begin. */
static enum err write_piece(struct listing *listing, struct buf *out)
{
    size_t end = out->size + LIMIT_HTTP_OUT_LOW_BYTES;
    while (listing->depth > 0 && out->size < end) {
        struct level *level = &listing->levels[listing->depth - 1];
        struct tree_node node;
        enum err err =
            tree_list_next(&level->list, listing->api->reader, &node);
        if (err == ERR_OK) {
            write_child(listing, &node, out);
        } else if (err == ERR_END) {
            close_level(listing, out);
        } else {
            return err;
        }
    }
    if (listing->depth > 0) {
        return ERR_OK;
    }
    APPEND(out, "}\n");
    return ERR_END;
}

/* ---- the pieces after the first ----------------------------------------- */

static void listing_free(struct listing *listing)
{
    listing_deinit(listing);
    mem_free(listing);
}

static void on_gone(struct http_exchange *exchange)
{
    listing_free(exchange->context);
}

static enum http_more produce(struct http_exchange *exchange, void *context,
                              struct buf *out)
{
    struct listing *listing = context;
    CHECK(exchange->context == listing && listing->depth > 0);
    api__read_begin(listing->api);
    enum err err = write_piece(listing, out);
    api__read_end(listing->api);
    if (err == ERR_OK) {
        return HTTP_MORE;
    }
    exchange->on_gone = NULL;
    listing_free(listing);
    if (err != ERR_END) {
        http_fail(exchange);
    }
    return HTTP_LAST;
}

static void respond_in_pieces(struct listing *listing,
                              struct http_exchange *exchange,
                              const struct answer *answer)
{
    if (exchange->request.method == HTTP_HEAD) {
        listing_deinit(listing);
        http_begin(exchange, 200, answer->headers, answer->count);
        http_end(exchange);
        return;
    }
    struct listing *kept = mem_dup(listing, sizeof(*listing));
    exchange->context = kept;
    exchange->on_gone = on_gone;
    http_begin(exchange, 200, answer->headers, answer->count);
    http_send(exchange, buf_slice(&kept->api->out));
    http_produce_body(exchange, produce, kept);
}

void api__list(struct api *api, struct http_exchange *exchange,
               const struct tree_node *node, bool recursive)
{
    struct answer answer;
    struct buf *out = api__body(api);
    struct listing listing = {
        .api = api, .at = api__revision(api), .recursive = recursive};
    CHECK(node->dir && api->reading);
    APPEND(out, "{\"action\":\"get\",\"node\":");
    json__node_begin(out, node, true, api->shared->clock);
    open_level(&listing, node);
    enum err err = write_piece(&listing, out);
    api__read_end(api);
    answer__init_keys(&answer, api, exchange, listing.at, 0, 0);
    if (err == ERR_OK) {
        respond_in_pieces(&listing, exchange, &answer);
        return;
    }
    listing_deinit(&listing);
    if (err == ERR_END) {
        answer__send(&answer, api, exchange, 200);
    } else {
        api__respond_failure(api, exchange, err);
    }
}
