/* Why, and why not: what a machine saw while it took an event; and whole
 * spans of history through a machine that nobody commits.
 *
 * An account is the JSON that REST shows:
 *   {"trigger": 0, "run": "1234", "key": ..., "event": {...},
 *    "checks": [{"check": "crosses", "text": "value.used above 90",
 *                "saw": {"value.used": 95}, "result": true,
 *                "why": "rose over 90 and was armed"}, ...],
 *    "outcome": "fired" | "held until ..." | "condition 1 is false" | ...}
 */
#ifndef ETCHED_RECIPE_EXPLAIN_H
#define ETCHED_RECIPE_EXPLAIN_H

#include "recipe/machine.h"

struct account {
    struct buf json; /* complete after machine_event returned TURN_TAKEN */
    bool fired;
    /* private: */
    int checks;
    char outcome[256]; /* empty: not known yet */
};
void account_init(struct account *account);
void account_deinit(struct account *account);

/* A recipe over its past. Feed it events of all triggers in order of (revision,
 * place); it lets time pass between, commits nothing, and takes answers of
 * actions outside for granted (status 200, an empty body). Ticks are the
 * inbox keys of history where they are given; with `own_ticks` it makes those
 * of `at`, `cron` and `every` itself and passes over the inbox's. */
struct backtest;
struct backtest_config {
    struct machine_config machine;
    int64_t from_ns;
    int64_t to_ns;
    bool own_ticks;
    bool goes_on; /* from a state that is loaded, and what led from there to
                     `from`: its time is that of its events from the first on */
};
struct backtest *backtest_new(const struct backtest_config *config);
void backtest_free(struct backtest *backtest);
/* The state to begin with, as machine_load; without: as new. */
struct machine *backtest_machine(struct backtest *backtest);
/* TURN_WANTS: fetch, and the same event again. TURN_FULL: the same again, when
 * others have had their turn: much time passes before it. */
enum turn_end backtest_event(struct backtest *backtest, size_t trigger,
                             const struct recipe_event *event,
                             const struct lookups *lookups);
enum turn_end backtest_end(struct backtest *backtest,
                           const struct lookups *lookups);
/* {"runs": [...], "run_count": n, "effects": [...], "effect_count": n,
 *  "fired": n, "skipped": n, "failed": n, "loops": n, "per_hour": x,
 *  "tripped": why}; of the two lists no more than the first 10,000. */
void backtest_write(const struct backtest *backtest, struct buf *out);
/* Its runs' ids, in order, to be compared with those that took place; the
 * first million. */
size_t backtest_runs(const struct backtest *backtest,
                     const struct run_id **out);

#endif
