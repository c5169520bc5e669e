/* Random steps of two members and of the net between them: what the receiver
 * shows is always what it had, or what the sender had when the snapshot was
 * opened; and however bad the net is, a snapshot comes through at last. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/prng.h"
#include "memory/kv_memory.h"
#include "support/snap_world.h"

enum { SEEDS = 5, STEPS = 1000 };

struct model {
    struct prng prng;
    struct kv *from_file, *to_file;
    struct snap_set *from, *to;
    /* The snapshot under way; NULL: none. */
    struct snap_source *source;
    struct snap_header header;
    uint64_t sent; /* digest of what is in it */
    struct snap_sink *sink;
    bool complete;
    struct buf chunk, last; /* the one that is under way, and the one before */
    uint64_t shown;         /* digest of what the receiver has active */
    unsigned activated, refused, resumed;
};

static uint64_t below(struct model *model, uint64_t bound)
{
    return prng_below(&model->prng, bound);
}

static void write_some(struct model *model, struct kv *kv)
{
    kv_table table = (kv_table)below(model, SNAP_SET_TABLES);
    uint64_t first = below(model, 300);
    uint64_t count = 1 + below(model, 40);
    size_t bytes = below(model, 12) ? below(model, 3000) : below(model, 400000);
    snap_world_fill(kv, table, first, bytes > 3000 ? 3 : count, bytes);
}

static void remove_some(struct model *model, struct kv *kv)
{
    struct kv_txn *txn;
    kv_table table = (kv_table)below(model, SNAP_SET_TABLES);
    assert_int_equal(kv->ops->begin_write(kv, &txn), ERR_OK);
    if (below(model, 10) == 0)
        assert_int_equal(kv->ops->clear(kv, txn, table), ERR_OK);
    for (unsigned i = 0; i < 20; i++) {
        char key[8];
        put_be64(key, below(model, 340));
        enum err err = kv->ops->del(kv, txn, table, slice_of(key, 8));
        assert_true(err == ERR_OK || err == ERR_NOT_FOUND);
    }
    assert_int_equal(kv->ops->commit(kv, txn), ERR_OK);
}

/* ---- the transfer -------------------------------------------------------- */

static void new_snapshot(struct model *model)
{
    snap_sink_close(model->sink);
    model->sink = NULL;
    buf_reset(&model->last); /* a connection is for one snapshot */
    snap_source_close(model->source);
    model->source = snap_world_source(model->from);
    model->header.id++;
    model->sent = snap_world_digest(snap_source_kv(model->source));
    assert_true(model->sent == snap_world_digest(snap_set_kv(model->from)));
}

static void connect(struct model *model)
{
    if (model->source == NULL)
        new_snapshot(model);
    if (model->sink == NULL)
        model->sink = snap_world_sink(model->to, &model->header);
    model->complete = false;
    model->resumed += snap_sink_place(model->sink).size > 0;
    assert_int_equal(
        snap_source_seek(model->source, snap_sink_place(model->sink)), ERR_OK);
}

static void damage(struct model *model)
{
    uint64_t at = below(model, model->chunk.size * 8);
    model->chunk.at[at / 8] ^= (char)(1 << at % 8);
}

/* One chunk comes, or another one than it should be. */
static void send_chunk(struct model *model)
{
    bool right = true;
    struct slice bytes;
    buf_reset(&model->chunk);
    enum err err = snap_source_next(model->source, &model->chunk);
    if (err == ERR_END) { /* the receiver has not understood: ask again */
        connect(model);
        return;
    }
    assert_int_equal(err, ERR_OK);
    bytes = buf_slice(&model->chunk);
    switch (below(model, 12)) {
    case 0:
        right = false;
        damage(model);
        break;
    case 1:
        right = false;
        bytes.size = below(model, bytes.size);
        break;
    case 2: /* the one before once more, and this one is lost */
        right = false;
        bytes = buf_slice(&model->last);
        break;
    default:
        break;
    }
    err = snap_sink_write(model->sink, bytes, &model->complete);
    if (right) {
        assert_int_equal(err, ERR_OK);
    } else if (err != ERR_OK) {
        assert_int_equal(err, ERR_CORRUPT);
        assert_false(model->complete);
        model->refused++;
    } /* else an empty last one came twice, which does no harm */
    buf_reset(&model->last);
    buf_append_slice(&model->last, buf_slice(&model->chunk));
    if (!right)
        connect(model);
}

static void take_it(struct model *model)
{
    assert_true(snap_world_digest(snap_sink_kv(model->sink)) == model->sent);
    assert_int_equal(snap_sink_activate(model->sink), ERR_OK);
    snap_sink_close(model->sink);
    model->sink = NULL;
    model->shown = model->sent;
    model->complete = false;
    model->activated++;
    snap_source_close(model->source);
    model->source = NULL;
}

/* ---- what befalls them --------------------------------------------------- */

static void receiver_crashes(struct model *model)
{
    snap_sink_close(model->sink);
    model->sink = NULL;
    snap_set_close(model->to);
    model->to_file = kv_memory_reopen(model->to_file);
    model->to = snap_world_set(model->to_file);
}

static void receiver_writes(struct model *model)
{
    struct kv *kv = snap_set_kv(model->to);
    if (below(model, 2))
        write_some(model, kv);
    else
        remove_some(model, kv);
    model->shown = snap_world_digest(kv);
}

static void receiver_cleans(struct model *model)
{
    bool more;
    if (model->sink == NULL)
        assert_int_equal(snap_set_clean(model->to, &more), ERR_OK);
}

static void step(struct model *model)
{
    switch (below(model, 40)) {
    case 0:
        new_snapshot(model);
        break;
    case 1:
        receiver_crashes(model);
        break;
    case 2: /* the connection breaks */
        snap_sink_close(model->sink);
        model->sink = NULL;
        break;
    case 3:
        receiver_cleans(model);
        break;
    case 4:
    case 5:
        receiver_writes(model);
        break;
    case 6:
    case 7:
    case 8:
        write_some(model, snap_set_kv(model->from));
        break;
    case 9:
        remove_some(model, snap_set_kv(model->from));
        break;
    default:
        if (model->sink == NULL)
            connect(model);
        else if (model->complete)
            take_it(model);
        else
            send_chunk(model);
    }
    if (below(model, 4) == 0)
        assert_true(snap_world_digest(snap_set_kv(model->to)) == model->shown);
}

static void play(uint64_t seed, unsigned *activated, unsigned *refused,
                 unsigned *resumed)
{
    struct model model = {.header = snap_world_header};
    prng_init(&model.prng, seed);
    model.from_file = kv_memory_new();
    model.to_file = kv_memory_new();
    model.from = snap_world_set(model.from_file);
    model.to = snap_world_set(model.to_file);
    model.shown = snap_world_digest(snap_set_kv(model.to));
    for (unsigned i = 0; i < STEPS; i++)
        step(&model);
    *activated += model.activated;
    *refused += model.refused;
    *resumed += model.resumed;
    snap_sink_close(model.sink);
    snap_source_close(model.source);
    snap_world_clean(model.to);
    assert_true(snap_world_digest(snap_set_kv(model.to)) == model.shown);
    assert_true(snap_world_count(model.to_file, 0, 8) ==
                snap_world_count(snap_set_kv(model.to), 0, SNAP_SET_TABLES));
    snap_set_close(model.from);
    snap_set_close(model.to);
    kv_memory_free(model.from_file);
    kv_memory_free(model.to_file);
    buf_deinit(&model.chunk);
    buf_deinit(&model.last);
}

static void random_steps_show_the_old_or_the_new(void **state)
{
    (void)state;
    unsigned activated = 0, refused = 0, resumed = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        play(seed, &activated, &refused, &resumed);
    /* The steps met what they are for. */
    assert_true(activated > 5 * SEEDS);
    assert_true(refused > 5 * SEEDS);
    assert_true(resumed > 5 * SEEDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_steps_show_the_old_or_the_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
