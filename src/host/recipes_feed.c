#include "host/recipes_feed.h"

#include "base/check.h"
#include "base/sha1.h"
#include "base/time_text.h"
#include "host/recipes_feed_int.h"

static const struct slice names[FEED_FIELDS] = {
    [FEED_ID] = {"id", 2},     [FEED_TITLE] = {"title", 5},
    [FEED_LINK] = {"link", 4}, [FEED_TIME] = {"time", 4},
    [FEED_TEXT] = {"text", 4}, [FEED_AUTHOR] = {"author", 6},
};

/* ---- items -------------------------------------------------------------- */

bool feed__claim(struct feed *feed, enum feed_field field, int rank)
{
    CHECK(rank > 0 && field < FEED_FIELDS);
    if (rank <= feed->item.ranks[field]) {
        return false;
    }
    feed->item.ranks[field] = rank;
    buf_reset(&feed->item.fields[field]);
    return true;
}

void feed__append(struct feed *feed, enum feed_field field, struct slice text)
{
    struct buf *out = &feed->item.fields[field];
    size_t max = field == FEED_TEXT ? RECIPES_FEED_TEXT_BYTES_MAX
                                    : RECIPES_FEED_FIELD_BYTES_MAX;
    size_t room = max - out->size;
    buf_append(out, text.at, text.size < room ? text.size : room);
}

void feed__set(struct feed *feed, enum feed_field field, int rank,
               struct slice text)
{
    if (feed__claim(feed, field, rank)) {
        feed__append(feed, field, text);
    }
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Without blanks at its ends, and without half a letter where it was cut. */
static struct slice tidy(struct slice text)
{
    while (text.size > 0 && is_blank(text.at[0])) {
        text = slice_of(text.at + 1, text.size - 1);
    }
    for (int i = 0; i < 3 && text.size > 0 && !slice_is_utf8(text); i++) {
        text.size--;
    }
    while (text.size > 0 && is_blank(text.at[text.size - 1])) {
        text.size--;
    }
    return slice_is_utf8(text) ? text : slice_of("", 0);
}

static struct slice keep(struct feed *feed, struct slice text)
{
    return slice_of(
        arena_dup(feed->arena, text.size > 0 ? text.at : "", text.size),
        text.size);
}

static struct slice keep_time(struct feed *feed, struct slice text)
{
    char out[TIME_TEXT_BYTES_MAX];
    int64_t time_ns;
    if (!feed__time(text, &time_ns)) {
        return slice_of("", 0);
    }
    return keep(feed, slice_of(out, time_to_rfc3339(time_ns, out)));
}

/* Of an item that has neither id nor link: what it says. */
static struct slice make_id(struct feed *feed, const struct slice *texts)
{
    unsigned char hash[SHA1_BYTES];
    struct buf all = {0};
    struct buf hex = {0};
    for (int i = 0; i < FEED_FIELDS; i++) {
        buf_append_slice(&all, texts[i]);
        buf_append_char(&all, '\0');
    }
    sha1(buf_slice(&all), hash);
    for (size_t i = 0; i < sizeof(hash); i++) {
        buf_printf(&hex, "%02x", hash[i]);
    }
    struct slice id = keep(feed, buf_slice(&hex));
    buf_deinit(&all);
    buf_deinit(&hex);
    return id;
}

static struct value make_item(struct feed *feed)
{
    struct slice texts[FEED_FIELDS];
    struct value_map *map = arena_alloc(feed->arena, sizeof(*map));
    map->count = FEED_FIELDS;
    map->keys = arena_alloc(feed->arena, FEED_FIELDS * sizeof(*map->keys));
    map->values = arena_alloc(feed->arena, FEED_FIELDS * sizeof(*map->values));
    for (int i = 0; i < FEED_FIELDS; i++) {
        struct slice text = tidy(buf_slice(&feed->item.fields[i]));
        texts[i] = i == FEED_TIME ? keep_time(feed, text) : keep(feed, text);
    }
    if (texts[FEED_ID].size == 0) {
        texts[FEED_ID] =
            texts[FEED_LINK].size > 0 ? texts[FEED_LINK] : make_id(feed, texts);
    }
    for (int i = 0; i < FEED_FIELDS; i++) {
        map->keys[i] = (struct value){.kind = VALUE_STRING, .text = names[i]};
        map->values[i] = (struct value){.kind = VALUE_STRING, .text = texts[i]};
    }
    return (struct value){.kind = VALUE_MAP, .map = map};
}

bool feed__keep_item(struct feed *feed)
{
    CHECK_LT(feed->count, RECIPES_FEED_ITEMS_MAX);
    if (feed->count == feed->capacity) {
        feed->capacity = feed->capacity > 0 ? feed->capacity * 2 : 16;
        feed->items =
            mem_realloc(feed->items, feed->capacity * sizeof(*feed->items));
    }
    feed->items[feed->count++] = make_item(feed);
    for (int i = 0; i < FEED_FIELDS; i++) {
        buf_reset(&feed->item.fields[i]);
        feed->item.ranks[i] = 0;
    }
    return feed->count < RECIPES_FEED_ITEMS_MAX;
}

/* ---- JSON Feed ---------------------------------------------------------- */

static void take_member(struct feed *feed, const struct doc_value *item,
                        const char *name, enum feed_field field, int rank)
{
    const struct doc_value *value = doc_get(item, name);
    if (value != NULL && value->kind == DOC_STRING && value->text.size > 0) {
        feed__set(feed, field, rank, value->text);
    } else if (value != NULL && value->kind == DOC_INT) {
        char digits[24];
        struct buf text = {0};
        buf_append_i64(&text, value->integer);
        memcpy(digits, text.at, text.size);
        feed__set(feed, field, rank, slice_of(digits, text.size));
        buf_deinit(&text);
    }
}

/* "authors" of version 1.1, "author" of 1. */
static void take_author(struct feed *feed, const struct doc_value *item)
{
    const struct doc_value *authors = doc_get(item, "authors");
    const struct doc_value *author = doc_get(item, "author");
    if (authors != NULL && authors->kind == DOC_LIST && authors->count > 0) {
        take_member(feed, authors->items[0], "name", FEED_AUTHOR, 2);
    }
    if (author != NULL) {
        take_member(feed, author, "name", FEED_AUTHOR, 1);
    }
}

static bool take_json_item(struct feed *feed, const struct doc_value *item)
{
    take_member(feed, item, "id", FEED_ID, 1);
    take_member(feed, item, "title", FEED_TITLE, 1);
    take_member(feed, item, "url", FEED_LINK, 2);
    take_member(feed, item, "external_url", FEED_LINK, 1);
    take_member(feed, item, "date_published", FEED_TIME, 2);
    take_member(feed, item, "date_modified", FEED_TIME, 1);
    take_member(feed, item, "content_text", FEED_TEXT, 3);
    take_member(feed, item, "content_html", FEED_TEXT, 2);
    take_member(feed, item, "summary", FEED_TEXT, 1);
    take_author(feed, item);
    return feed__keep_item(feed);
}

static enum err read_json(struct feed *feed, struct slice body)
{
    static const struct doc_limits limits = {
        .bytes_max = RECIPES_FEED_BYTES_MAX,
        .depth_max = RECIPES_FEED_DEPTH_MAX,
        .values_max = 200 * 1000,
    };
    struct doc_value *document;
    struct arena arena; /* of the document: only its items are kept */
    arena_init(&arena, 0);
    enum err err = doc_parse_json(&arena, body, &limits, &document);
    const struct doc_value *items =
        err == ERR_OK ? doc_get(document, "items") : NULL;
    if (err == ERR_OK && (items == NULL || items->kind != DOC_LIST)) {
        err = err_set(ERR_INVALID, "a JSON Feed has a list \"items\"");
    }
    for (size_t i = 0; err == ERR_OK && i < items->count; i++) {
        if (items->items[i]->kind == DOC_MAP &&
            !take_json_item(feed, items->items[i])) {
            break;
        }
    }
    arena_deinit(&arena);
    return err_wrap(err, "feed");
}

/* ---- any feed ----------------------------------------------------------- */

/* Some write a byte order mark in front. */
static struct slice skip_mark(struct slice body)
{
    return slice_has_prefix(body, SLICE("\xef\xbb\xbf"))
               ? slice_of(body.at + 3, body.size - 3)
               : body;
}

static bool is_json(struct slice body)
{
    size_t at = 0;
    while (at < body.size && is_blank(body.at[at])) {
        at++;
    }
    return at < body.size && body.at[at] == '{';
}

static void set_list(struct feed *feed, struct value *out)
{
    struct value_list *list = arena_alloc(feed->arena, sizeof(*list));
    list->count = feed->count;
    list->items = feed->count > 0
                      ? arena_dup(feed->arena, feed->items,
                                  feed->count * sizeof(*feed->items))
                      : NULL;
    *out = (struct value){.kind = VALUE_LIST, .list = list};
}

enum err recipes_feed_items(struct arena *arena, struct slice body,
                            struct value *out)
{
    struct feed feed = {.arena = arena};
    *out = (struct value){.kind = VALUE_NULL};
    if (body.size > RECIPES_FEED_BYTES_MAX) {
        return err_set(ERR_TOO_LARGE, "feed: larger than %d bytes",
                       RECIPES_FEED_BYTES_MAX);
    }
    struct slice json = skip_mark(body);
    enum err err =
        is_json(json) ? read_json(&feed, json) : feed__read_xml(&feed, body);
    if (err == ERR_OK) {
        set_list(&feed, out);
    }
    for (int i = 0; i < FEED_FIELDS; i++) {
        buf_deinit(&feed.item.fields[i]);
    }
    mem_free(feed.items);
    return err;
}
