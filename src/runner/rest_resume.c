/* Resume: the status goes, and the recipe goes on where it was; or, with
 * {"from": "now" | "beginning" | a revision}, from there.
 *
 * To go on from elsewhere is to write the cursor in the place of its owner. The
 * transaction that does it compares the cursor that it was made from, as every
 * turn does: so of the two only one is done, and the owner, whose machine
 * is of the old one, loads it anew.
 *
 * Only what watches the user's keys, or another recipe, is moved. What came in
 * from outside has been promised to be worked: the inbox goes on where it
 * was. */
#include "base/check.h"
#include "runner/rest_int.h"

enum { RESUME_TRIES = 5 };

enum resume_from { FROM_WHERE_IT_WAS, FROM_NOW, FROM_BEGINNING, FROM_REVISION };

struct resume {
    enum resume_from from;
    int64_t revision; /* FROM_REVISION */
    int tries;
};

static void read_cursor(struct request *request);

static void resumed(struct runner *runner, void *context,
                    const struct store_answer *answer)
{
    struct request *request = context;
    struct resume *resume = request->state;
    struct buf json = {0};
    (void)runner;
    request->call = 0;
    if (answer->code != 0) {
        rest__store_error(request, answer);
        return;
    }
    if (!answer->txn->succeeded && resume->from == FROM_WHERE_IT_WAS) {
        rest__error(request, 404, "not_found", "there is no recipe \"%.*s\"",
                    (int)request->segments[1].size, request->segments[1].at);
        return;
    }
    if (!answer->txn->succeeded) {
        if (++resume->tries >= RESUME_TRIES) {
            rest__error(request, 409, "conflict",
                        "it was changed meanwhile: pause it, and try again");
        } else {
            read_cursor(request);
        }
        return;
    }
    buf_append_char(&json, '{');
    rest__text(&json, "name", request->segments[1]);
    buf_append_char(&json, '}');
    rest__answer(request, 200, &json);
}

static void compare(struct request *request, struct store_txn *txn,
                    enum recipe_key kind, unsigned target, unsigned operator,
                    int64_t number)
{
    const struct turn_compare its = {
        .key = rest__key(request, kind, request->segments[1], NULL),
        .target = target,
        .operator= operator,
        .number = number };
    store_txn__compare(txn, &its);
}

/* ---- from elsewhere ------------------------------------------------------ */

static bool is_moved(const struct trigger *trigger)
{
    return trigger->kind == TRIGGER_KEY || trigger->kind == TRIGGER_ABSENT ||
           trigger->kind == TRIGGER_RECIPE;
}

/* All up to and with this revision is passed over. */
static int64_t passed(const struct resume *resume, int64_t now)
{
    return resume->from == FROM_NOW        ? now
           : resume->from == FROM_REVISION ? resume->revision - 1
                                           : 0;
}

static void move(const struct recipe *recipe, const struct doc_value *triggers,
                 int64_t revision, struct buf *out)
{
    const struct run_id id = {.revision = revision, .place = UINT32_MAX};
    char text[RUN_ID_BYTES_MAX];
    struct slice at = slice_of(text, run_id_to_text(&id, text));
    CHECK_EQ(triggers->count, recipe->trigger_count);
    buf_append_str(out, "{\"depth\":0,\"triggers\":[");
    for (size_t i = 0; i < triggers->count; i++) {
        const struct doc_value *its = triggers->items[i];
        buf_append_str(out, i > 0 ? ",{" : "{");
        rest__text(out, "watches", doc_get(its, "watches")->text);
        rest__text(out, "tag", doc_get(its, "tag")->text);
        rest__text(out, "at",
                   is_moved(&recipe->triggers[i]) ? at
                                                  : doc_get(its, "at")->text);
        buf_append_char(out, '}');
    }
    buf_append_str(out, "]}");
}

/* The cursor as the machine writes it, moved. False: the old one can't be
 * read. */
static bool make_cursor(struct request *request, const struct def *def,
                        struct slice old, int64_t revision, struct buf *out)
{
    const struct machine_config config = {
        .recipe = def->recipe,
        .uid = def->uid,
        .zones = runner__config(request->runner)->zones};
    struct machine *machine = machine_new(&config);
    bool is_read =
        machine_load_cursor(machine, old, def->mod_revision) == ERR_OK;
    if (is_read) {
        struct buf text = {0};
        struct turn turn;
        struct doc_value *doc;
        turn_init(&turn);
        machine_write_cursor(machine, &turn, &text);
        turn_deinit(&turn);
        enum err err = doc_parse_json(&request->arena, buf_slice(&text),
                                      &rest__record_limits, &doc);
        CHECK_EQ(err, ERR_OK);
        move(def->recipe, doc_get(doc, "triggers"), revision, out);
        buf_deinit(&text);
    }
    machine_free(machine);
    return is_read;
}

static void send_moved(struct request *request, const struct def *def,
                       int64_t mod_revision, struct slice cursor)
{
    struct slice name = request->segments[1];
    struct store_txn txn;
    store_txn__begin(&txn);
    compare(request, &txn, RECIPE_KEY_DEF, TURN_MOD_REVISION, TURN_EQUAL,
            def->mod_revision);
    compare(request, &txn, RECIPE_KEY_STATUS, TURN_VERSION, TURN_GREATER, 0);
    compare(request, &txn, RECIPE_KEY_CURSOR, TURN_MOD_REVISION, TURN_EQUAL,
            mod_revision);
    store_txn__put(&txn, rest__key(request, RECIPE_KEY_CURSOR, name, NULL),
                   cursor, 0);
    store_txn__delete(&txn, rest__key(request, RECIPE_KEY_STATUS, name, NULL),
                      (struct slice){0});
    rest__txn(request, &txn, resumed);
}

static void cursor_read(struct runner *runner, void *context,
                        const struct store_answer *answer)
{
    struct request *request = context;
    const struct resume *resume = request->state;
    struct buf cursor = {0};
    (void)runner;
    request->call = 0;
    if (answer->code != 0) {
        rest__store_error(request, answer);
        return;
    }
    const Etcdserverpb__RangeResponse *range = answer->range;
    int64_t now = range->header ? range->header->revision : 0;
    const struct def *def = rest__def(request, request->segments[1]);
    if (def == NULL) {
        return;
    }
    if (def->recipe == NULL) {
        rest__error(request, 409, "broken", "its definition can't be read");
        return;
    }
    if (resume->from == FROM_REVISION && resume->revision > now + 1) {
        rest__error(request, 400, "invalid",
                    "from: there is no revision %lld yet, the newest is %lld",
                    (long long)resume->revision, (long long)now);
        return;
    }
    const Mvccpb__KeyValue *kv = range->n_kvs > 0 ? range->kvs[0] : NULL;
    struct slice old = kv ? message_bytes(kv->value) : (struct slice){0};
    if (make_cursor(request, def, old, passed(resume, now), &cursor)) {
        send_moved(request, def, kv ? kv->mod_revision : 0, buf_slice(&cursor));
    } else {
        rest__error(request, 500, "corrupt", "its cursor: %s", err_note());
    }
    buf_deinit(&cursor);
}

static void read_cursor(struct request *request)
{
    rest__range(
        request,
        rest__key(request, RECIPE_KEY_CURSOR, request->segments[1], NULL), NULL,
        0, 0, cursor_read);
}

/* ---- the request --------------------------------------------------------- */

static bool read_from(struct request *request, struct resume *out)
{
    struct doc_value *body;
    if (!rest__body(request, &body) || !rest__members(request, body, "from")) {
        return false;
    }
    const struct doc_value *from = doc_get(body, "from");
    if (from == NULL) {
        return true;
    }
    if (from->kind == DOC_STRING && slice_eq(from->text, SLICE("now"))) {
        out->from = FROM_NOW;
    } else if (from->kind == DOC_STRING &&
               slice_eq(from->text, SLICE("beginning"))) {
        out->from = FROM_BEGINNING;
    } else if (from->kind == DOC_INT && from->integer > 0 &&
               from->integer < INT64_MAX) {
        out->from = FROM_REVISION;
        out->revision = from->integer;
    } else {
        rest__error(request, 400, "invalid",
                    "from: write now, beginning, or a revision, 1234");
        return false;
    }
    return true;
}

void rest__resume_def(struct request *request)
{
    struct resume *resume = arena_alloc(&request->arena, sizeof(*resume));
    struct store_txn txn;
    *resume = (struct resume){0};
    request->state = resume;
    const struct def *def = rest__def(request, request->segments[1]);
    if (def == NULL || !read_from(request, resume)) {
        return;
    }
    if (resume->from == FROM_WHERE_IT_WAS) {
        store_txn__begin(&txn);
        compare(request, &txn, RECIPE_KEY_DEF, TURN_VERSION, TURN_GREATER, 0);
        store_txn__delete(
            &txn,
            rest__key(request, RECIPE_KEY_STATUS, request->segments[1], NULL),
            (struct slice){0});
        rest__txn(request, &txn, resumed);
    } else if (def->state == DEF_RUNS) {
        rest__error(request, 409, "running",
                    "it runs: pause it first, to go on from elsewhere");
    } else {
        read_cursor(request);
    }
}
