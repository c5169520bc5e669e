#include "base/check.h"
#include "base/time_text.h"
#include "recipe/test_int.h"

/* What is expected of a value is in it: maps may have more members. */
static bool has_at_least(const struct value *seen, const struct value *wanted)
{
    if (wanted->kind != VALUE_MAP || seen->kind != VALUE_MAP) {
        return value_equals(seen, wanted);
    }
    for (size_t i = 0; i < wanted->map->count; i++) {
        const struct value *member =
            value_member(seen, wanted->map->keys[i].text);
        if (member == NULL || !has_at_least(member, &wanted->map->values[i])) {
            return false;
        }
    }
    return true;
}

/* A put's value: as it would be read, so '{"a": 1}' and {a: 1} are the same,
 * and "1" the number that its bytes are. */
static struct value as_stored(struct test_world *world,
                              const struct doc_value *doc)
{
    return value_from_text(&world->arena, test_world__text(world, doc));
}

static bool has_member(struct test_world *world, const struct test_deed *deed,
                       const struct doc_member *member)
{
    const struct value *seen = &deed->value;
    struct value wanted;
    int64_t ttl_ns = 0;
    if (slice_eq(member->name, SLICE("ttl"))) {
        return recipe_duration(member->value->text, &ttl_ns) &&
               ttl_ns == deed->ttl_ns;
    }
    if (slice_eq(member->name, SLICE("value"))) {
        wanted = as_stored(world, member->value);
    } else {
        seen = value_member(&deed->value, member->name);
        wanted = value_from_doc(&world->arena, member->value);
    }
    return seen != NULL && has_at_least(seen, &wanted);
}

static bool is_seen(struct test_world *world, const struct test_deed *deed,
                    const struct doc_value *row)
{
    if (!slice_eq(row->members[0].name, slice_str(deed->kind)) ||
        !slice_eq(row->members[0].value->text, deed->name)) {
        return false;
    }
    for (size_t i = 1; i < row->count; i++) {
        if (!has_member(world, deed, &row->members[i])) {
            return false;
        }
    }
    return true;
}

/* ---- saying it ----------------------------------------------------------- */

/* As a put's row would have it. */
static void write_deed(struct buf *out, const struct test_deed *deed)
{
    char ttl[TIME_TEXT_BYTES_MAX];
    buf_printf(out, "%s ", deed->kind);
    buf_append_slice(out, deed->name);
    if (deed->value.kind != VALUE_NULL) {
        buf_append_str(out, strcmp(deed->kind, "put") == 0 ? " with value "
                                                           : " with ");
        value_write_json(out, &deed->value);
    }
    if (deed->ttl_ns > 0) {
        buf_append_str(out, ", ttl ");
        buf_append(out, ttl, duration_to_text(deed->ttl_ns, ttl));
    }
}

static void write_expected(struct test_world *world, struct buf *out,
                           const struct doc_value *row)
{
    const struct doc_member *first = &row->members[0];
    buf_append_slice(out, first->name);
    buf_append_char(out, ' ');
    buf_append_slice(out, first->value->text);
    for (size_t i = 1; i < row->count; i++) {
        struct value value =
            value_from_doc(&world->arena, row->members[i].value);
        buf_append_str(out, i > 1 ? ", " : " with ");
        buf_append_slice(out, row->members[i].name);
        buf_append_char(out, ' ');
        value_write_json(out, &value);
    }
}

/* ---- the whole ----------------------------------------------------------- */

/* Logs are written beside the store: they have an order of their own. A
 * failure that is dealt with need not be expected. */
enum lane { LANE_DEEDS, LANE_LOGS, LANE_FAILURES, LANE_COUNT };

static enum lane lane_of(struct slice kind)
{
    return slice_eq(kind, SLICE("log"))      ? LANE_LOGS
           : slice_eq(kind, SLICE("failed")) ? LANE_FAILURES
                                             : LANE_DEEDS;
}

static const struct test_deed *next_deed(const struct test_world *world,
                                         enum lane lane, size_t *at)
{
    while (*at < world->deed_count) {
        const struct test_deed *deed = &world->deeds[(*at)++];
        if (lane_of(slice_str(deed->kind)) == lane) {
            return deed;
        }
    }
    return NULL;
}

static const struct doc_value *next_row(const struct doc_value *rows,
                                        enum lane lane, size_t *at)
{
    while (*at < rows->count) {
        const struct doc_value *row = rows->items[(*at)++];
        if (lane_of(row->members[0].name) == lane) {
            return row;
        }
    }
    return NULL;
}

static void say(struct test_world *world, struct buf *why,
                const struct doc_value *row, const struct test_deed *deed)
{
    buf_append_str(why, "expected ");
    if (row != NULL) {
        write_expected(world, why, row);
    } else {
        buf_append_str(why, "nothing more");
    }
    buf_append_str(why, ", saw ");
    if (deed != NULL) {
        write_deed(why, deed);
    } else {
        buf_append_str(why, "nothing");
    }
}

/* An expected failure may be only the beginning of what it says. */
static bool is_failure_seen(const struct test_deed *deed,
                            const struct doc_value *row)
{
    return slice_has_prefix(deed->name, row->members[0].value->text);
}

static bool lane_holds(struct test_world *world, const struct doc_value *rows,
                       enum lane lane, struct buf *why)
{
    size_t deed_at = 0;
    size_t row_at = 0;
    for (;;) {
        const struct doc_value *row = next_row(rows, lane, &row_at);
        const struct test_deed *deed = next_deed(world, lane, &deed_at);
        bool may_fail = lane == LANE_FAILURES && row == NULL &&
                        world->recipe.on_failure_count > 0;
        if ((row == NULL && deed == NULL) || may_fail) {
            return true;
        }
        if (row != NULL && deed != NULL &&
            (lane == LANE_FAILURES ? is_failure_seen(deed, row)
                                   : is_seen(world, deed, row))) {
            continue;
        }
        say(world, why, row, deed);
        return false;
    }
}

bool test_expect__holds(struct test_world *world, const struct doc_value *rows,
                        struct buf *why)
{
    /* What failed explains what is missing: it is said first. */
    static const enum lane order[LANE_COUNT] = {LANE_FAILURES, LANE_DEEDS,
                                                LANE_LOGS};
    for (int i = 0; i < LANE_COUNT; i++) {
        if (!lane_holds(world, rows, order[i], why)) {
            return false;
        }
    }
    return true;
}
