/* Feeds: RSS (0.9x, 1.0, 2.0), Atom (RFC 4287) by libxml2, and JSON Feed
 * (jsonfeed.org, 1.1) by doc/, as one list of items.
 *
 * What comes from the network is bounded: depth, count, length of each text.
 * Nothing else is fetched, and a document that declares entities is refused.
 *
 * Threads: one at a time.
 */
#ifndef ETCHED_HOST_RECIPES_FEED_H
#define ETCHED_HOST_RECIPES_FEED_H

#include "expr/expr.h"

enum {
    RECIPES_FEED_BYTES_MAX = 4 * 1024 * 1024,
    RECIPES_FEED_DEPTH_MAX = 64,
    RECIPES_FEED_ITEMS_MAX = 1000, /* the first ones; newest stand first */
    RECIPES_FEED_FIELD_BYTES_MAX = 4 * 1024,
    RECIPES_FEED_TEXT_BYTES_MAX = 32 * 1024, /* of an item's text */
};

/* A list of maps {id, title, link, time, text, author}, in the feed's order.
 * All are strings, "" where the feed has none; `time` is RFC 3339 in UTC. An
 * item without an id has its link for one, else a hash of what it says.
 * Owns:   all lives in the arena.
 * Errors: ERR_INVALID: no feed, or a broken one; ERR_TOO_LARGE;
 *         ERR_UNSUPPORTED: libxml2 isn't installed. */
enum err recipes_feed_items(struct arena *arena, struct slice body,
                            struct value *out) MUST_USE;

#endif
