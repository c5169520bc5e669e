/* What recipes_feed.c, recipes_feed_xml.c and recipes_feed_time.c share. */
#ifndef ETCHED_HOST_RECIPES_FEED_INT_H
#define ETCHED_HOST_RECIPES_FEED_INT_H

#include "host/recipes_feed.h"

enum feed_field {
    FEED_ID,
    FEED_TITLE,
    FEED_LINK,
    FEED_TIME,
    FEED_TEXT,
    FEED_AUTHOR,
    FEED_FIELDS,
};

/* One item while it is read. */
struct feed_item {
    struct buf fields[FEED_FIELDS];
    int ranks[FEED_FIELDS]; /* of several places for a field, the best wins */
};

struct feed {
    struct arena *arena;
    struct feed_item item;
    struct value *items;
    size_t count;
    size_t capacity;
};

/* The item is whole: kept, and `item` is empty again. False: there are as
 * many as there may be. */
bool feed__keep_item(struct feed *feed);
/* Empties a field if `rank` is higher than what it has: true, to be filled. */
bool feed__claim(struct feed *feed, enum feed_field field, int rank);
/* Appends, within the field's bound. */
void feed__append(struct feed *feed, enum feed_field field, struct slice text);
void feed__set(struct feed *feed, enum feed_field field, int rank,
               struct slice text);

/* recipes_feed_xml.c. */
enum err feed__read_xml(struct feed *feed, struct slice body) MUST_USE;

/* recipes_feed_time.c: RFC 3339, or RFC 822 as RSS has it ("Mon, 02 Jan 2006
 * 15:04:05 -0700"), to nanoseconds since 1970. */
bool feed__time(struct slice text, int64_t *out);

#endif
