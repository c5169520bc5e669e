/* A walk over all cursors. It is made once for each compaction by time or by
 * count, so that each of ten thousand is read as it stands. */
#include "host/recipes_history.h"

#include "base/log.h"
#include "recipe/keys.h"
#include "recipe/machine.h"

static const struct slice first = {"/_recipes/cursor/", 17};
static const struct slice end = {"/_recipes/cursor0", 17};

static enum err read_cursor(struct mvcc_reader *reader, struct rev rev,
                            revision *oldest)
{
    struct record record;
    enum err err = mvcc_get_rev(reader, rev, &record);
    if (err == ERR_OK) {
        revision at = machine_cursor_oldest(record.value);
        *oldest = at < *oldest ? at : *oldest;
    }
    return err;
}

revision recipes_oldest_cursor(struct mvcc_reader *reader)
{
    struct mvcc_walk walk;
    struct slice key;
    struct rev rev;
    revision oldest = INT64_MAX;
    enum err err = mvcc_walk_init(&walk, reader, MVCC_KEYS, first, end, 0);
    while (err == ERR_OK) {
        err = mvcc_walk_next(&walk, &key, &rev);
        if (err == ERR_OK) {
            err = read_cursor(reader, rev, &oldest);
        }
    }
    if (err != ERR_END) {
        /* Compaction goes on; a recipe that is behind is told of a gap. */
        log_warn("recipes", "can't read how far recipes have come",
                 LOG_STR("error", err_note()));
    }
    return oldest;
}
