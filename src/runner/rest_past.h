/* A recipe over the store's past: its state at a revision, and the events of
 * its triggers from there on, in order, one at a time.
 *
 * Bounded: a part of history is read and taken at a time, and what was looked
 * up for it is forgotten with it. */
#ifndef ETCHED_RUNNER_REST_PAST_H
#define ETCHED_RUNNER_REST_PAST_H

#include "base/map.h"
#include "proto/history.pb-c.h"
#include "runner/rest_int.h"

struct past_lookup;
struct past_key;
struct past {
    struct request *request;
    struct recipe *recipe; /* its own */
    int64_t uid;
    int64_t defined_at; /* a trigger that the cursor doesn't know begins here */
    int64_t next;       /* revision to be read next */
    int64_t to;         /* the last one */
    /* Called for each event of each trigger. TURN_WANTS: a lookup is fetched,
     * TURN_FULL: others have their turn; then it is called again. */
    enum turn_end (*take)(struct past *past, size_t trigger,
                          const struct recipe_event *event);
    /* All have been taken; the same goes for it. */
    enum turn_end (*end)(struct past *past);
    struct lookups lookups;
    /* Its state: */
    struct machine *machine; /* the caller's */
    int64_t state_at;        /* revision; 0: now */
    void (*loaded)(struct past *past);
    /* private: */
    bool is_known_end;
    struct arena part; /* what is read of history: whole revisions */
    struct past_record *records;
    size_t count;
    size_t capacity;
    size_t bytes;
    size_t told;   /* records, of other keys too */
    int64_t first; /* revision of the part */
    int64_t last;
    int64_t cut; /* this one isn't whole; 0: all are */
    size_t limit;
    struct map keys;                          /* of it: their newest record */
    size_t at;                                /* the record that is taken */
    size_t trigger;                           /* of it, next */
    uint32_t places[RECIPE_TRIGGERS_MAX + 1]; /* of this revision */
    struct arena found;                       /* what was looked up for it */
    struct past_lookup **buckets;
    struct past_lookup *wanted;
    int state_part;
    int64_t state_of; /* the revision that state is read at */
    struct slice cursor;
    bool has_cursor;
};

/* In the request's arena; the plan of the document. False: answered. */
bool past__init(struct past *past, struct request *request, struct slice json,
                int64_t uid);
void past__deinit(struct past *past);
/* Loads state, runs under way and the cursor as they were at state_at into
 * past->machine, then calls `loaded`; `next` is behind the cursor then. Where
 * there was no cursor, its triggers begin where `start` says. */
void past__load(struct past *past, void (*loaded)(struct past *past));
/* Reads [next, to] and gives the events. */
void past__read(struct past *past);

/* Calls `told` for each record of an answer of History. */
void past__records(const struct store_answer *answer,
                   void (*told)(void *context,
                                const Etched__V1__HistoryRecord *record),
                   void *context);
/* Asks for the records of [from, to] of a key; {0}: of all. */
void past__ask(struct request *request, struct slice key, int64_t from,
               int64_t to, int64_t limit, store_done done);
/* The same of all keys with a prefix, up to now. */
void past__ask_below(struct request *request, struct slice prefix, int64_t from,
                     int64_t limit, store_done done);

#endif
