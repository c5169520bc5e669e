/* What holds a firing back: it was seen (dedupe), it isn't quiet yet
 * (debounce), there were too many (throttle); and what stops a recipe that
 * recipes make run in circles (the breaker).
 *
 * All count in the events' times. */
#include "base/check.h"
#include "base/sha1.h"
#include "recipe/machine_int.h"

static int64_t later(int64_t time_ns, int64_t by_ns)
{
    return by_ns < INT64_MAX - 1 - time_ns ? time_ns + by_ns : INT64_MAX - 1;
}

/* ---- dedupe ------------------------------------------------------------- */

enum { DEDUPE_TEXT_BYTES_MAX = 200 };

/* As it is where it is short, so that people can read it; a digest of it else.
 */
static struct slice dedupe_id(struct arena *arena, struct slice text)
{
    if (text.size <= DEDUPE_TEXT_BYTES_MAX) {
        char *plain = arena_alloc(arena, text.size + 1);
        plain[0] = '=';
        if (text.size)
            memcpy(plain + 1, text.at, text.size);
        return slice_of(plain, text.size + 1);
    }
    unsigned char digest[SHA1_BYTES];
    char *hex = arena_alloc(arena, 2 * sizeof digest + 2);
    sha1(text, digest);
    hex[0] = '#';
    for (size_t i = 0; i < sizeof digest; i++) {
        hex[1 + 2 * i] = "0123456789abcdef"[digest[i] >> 4];
        hex[2 + 2 * i] = "0123456789abcdef"[digest[i] & 15];
    }
    return slice_of(hex, 2 * sizeof digest + 1);
}

static void remember(struct unit *unit, struct slice id, int64_t until_ns)
{
    struct slice value =
        form__printf(unit->arena, "{\"until\":%lld}", (long long)until_ns);
    struct memo *memo =
        memo__new(unit->machine, MEMO_DEDUPE, SIZE_MAX, id, value);
    memo->dedupe.until_ns = until_ns;
    unit__set(unit, memo);
}

bool limit__dedupe(struct unit *unit, struct scene *scene,
                   const struct run_id *id)
{
    const struct recipe *recipe = unit->machine->recipe;
    struct slice text;
    struct slice why;
    int64_t now_ns = unit->now_ns;
    if (!recipe->dedupe.key)
        return true;
    if (!form__text(scene, recipe->dedupe.key, &text, &why)) {
        if (!unit->wants)
            run__record_failed(unit, scene->trigger, &scene->event, id,
                               form__printf(unit->arena, "dedupe: %.*s",
                                            (int)why.size, why.at));
        return false;
    }
    struct slice memo_id = dedupe_id(unit->arena, text);
    struct memo *memo =
        memo__find(unit->machine, MEMO_DEDUPE, SIZE_MAX, memo_id);
    if (memo && memo->dedupe.until_ns > now_ns) {
        unit->skipped++;
        account__outcome(unit->account, "seen before (dedupe)");
        return false;
    }
    remember(unit, memo_id, later(now_ns, recipe->dedupe.ttl_ns));
    return true;
}

static bool drop_expired(struct machine *machine, int64_t now_ns,
                         struct turn *turn)
{
    struct heap_node *node = heap_top(&machine->expiry);
    if (!node || node->key > now_ns)
        return false;
    struct memo *memo = CONTAINER_OF(node, struct memo, dedupe.node);
    struct turn_operation delete = {.kind = TURN_DELETE, .key = memo->key};
    turn__add(turn, &delete);
    memo__detach(machine, memo);
    memo__free(memo);
    return true;
}

/* By the clock where the world is quiet. Under load that never is, so by the
 * events' time where they are many; a trigger that lags may then see again
 * what the others' time has passed. */
void limit__expire(struct machine *machine, struct turn *turn)
{
    int64_t now_ns = machine->clock_ns;
    if (machine->memos.count > MACHINE_MEMOS_MAX / 4 &&
        machine->latest_ns > now_ns)
        now_ns = machine->latest_ns;
    while (turn->count < TURN_OPERATIONS_MAX && turn->bytes < TURN_BYTES_MAX &&
           drop_expired(machine, now_ns, turn))
        ;
}

/* ---- debounce ----------------------------------------------------------- */

/* Of a key trigger: each key's own quiet, but where the order is strict. */
static struct slice quiet_id(const struct unit *unit, const struct scene *scene)
{
    const struct recipe *recipe = unit->machine->recipe;
    enum trigger_kind kind = recipe->triggers[scene->trigger].kind;
    bool has_keys = kind == TRIGGER_KEY || kind == TRIGGER_ABSENT;
    return has_keys && recipe->order != ORDER_STRICT ? scene->event.event.key
                                                     : SLICE("");
}

bool limit__debounce(struct unit *unit, struct scene *scene)
{
    const struct recipe *recipe = unit->machine->recipe;
    const struct scene_event *event = &scene->event;
    struct buf value = {0};
    if (recipe->debounce_ns == 0)
        return true;
    if (unit->level != UNIT_NORMAL) {
        struct run_id id =
            run__id(scene->trigger, &event->event.id, RUN_TAG_QUIET);
        run__record_failed(unit, scene->trigger, event, &id,
                           slice_str(unit->refusal));
        return false;
    }
    int64_t due_ns = later(unit->now_ns, recipe->debounce_ns);
    buf_printf(&value, "{\"due\":%lld,\"event\":", (long long)due_ns);
    record__write_event(unit->machine, &value, event);
    buf_append_char(&value, '}');
    struct memo *memo = memo__new(unit->machine, MEMO_DEBOUNCE, scene->trigger,
                                  quiet_id(unit, scene), buf_slice(&value));
    buf_deinit(&value);
    memo->due_ns = due_ns;
    unit__set(unit, memo);
    account__outcome(unit->account, "waits until it is quiet (debounce)");
    return false;
}

/* By the clock: the key may have been put meanwhile, so that it isn't quiet. (A
 * put that the trigger doesn't want is no matter, once it was seen.) What isn't
 * a user's key is never written again. */
static void guard(struct unit *unit, size_t trigger, struct slice key)
{
    const struct machine *machine = unit->machine;
    if (machine->recipe->triggers[trigger].kind != TRIGGER_KEY)
        return;
    unit->guard = (struct turn_compare){
        .key = key,
        .target = TURN_MOD_REVISION,
        .operator= TURN_LESS,
        .number = machine->positions[trigger].revision + 1,
        .value = SLICE("")};
    unit->has_guard = true;
}

void debounce__fire(struct unit *unit, struct memo *memo)
{
    struct doc_value *doc;
    struct scene_event event;
    size_t trigger = memo->trigger;
    enum err err = record__parse(unit->arena, memo->value, &doc);
    if (!err)
        err = record__read_event(unit->arena, doc_get(doc, "event"), &event);
    unit__drop(unit, memo);
    if (err)
        return; /* not ours: nothing is known of it */
    if (unit->is_by_clock)
        guard(unit, trigger, event.event.key);
    struct run_id id = run__id(trigger, &event.event.id, RUN_TAG_QUIET);
    if (limit__throttle(unit) && limit__breaker(unit, &event))
        run__begin(unit, trigger, &event, &id);
}

/* ---- throttle ----------------------------------------------------------- */

/* The times that still count, oldest first. */
static size_t read_times(struct unit *unit, const struct memo *memo,
                         int64_t after_ns, int64_t *times)
{
    struct doc_value *doc;
    size_t count = 0;
    if (!memo || record__parse(unit->arena, memo->value, &doc))
        return 0;
    const struct doc_value *list = doc_get(doc, "times");
    if (!list || list->kind != DOC_LIST)
        return 0;
    for (size_t i = 0; i < list->count && count < THROTTLE_TIMES_MAX; i++) {
        if (list->items[i]->kind == DOC_INT &&
            list->items[i]->integer > after_ns)
            times[count++] = list->items[i]->integer;
    }
    return count;
}

static void set_throttle(struct unit *unit, struct slice value)
{
    unit__set(unit, memo__new(unit->machine, MEMO_THROTTLE, SIZE_MAX,
                              SLICE("all"), value));
}

/* At most `count` in any time of this length. */
static bool throttle_exactly(struct unit *unit, const struct memo *memo,
                             int64_t now_ns)
{
    const struct recipe *recipe = unit->machine->recipe;
    int64_t times[THROTTLE_TIMES_MAX];
    struct buf value = {0};
    size_t count =
        read_times(unit, memo, now_ns - recipe->throttle.per_ns, times);
    if (count >= recipe->throttle.count)
        return false;
    buf_append_str(&value, "{\"times\":[");
    for (size_t i = 0; i < count; i++)
        buf_printf(&value, "%lld,", (long long)times[i]);
    buf_printf(&value, "%lld]}", (long long)now_ns);
    set_throttle(unit, buf_slice(&value));
    buf_deinit(&value);
    return true;
}

/* At most `count` in the time that the first of them began. */
static bool throttle_in_windows(struct unit *unit, const struct memo *memo,
                                int64_t now_ns)
{
    const struct recipe *recipe = unit->machine->recipe;
    struct doc_value *doc;
    int64_t start_ns = now_ns;
    int64_t count = 0;
    if (memo && !record__parse(unit->arena, memo->value, &doc) &&
        record__number(doc, "start", &start_ns))
        record__number(doc, "count", &count);
    if (start_ns <= now_ns - recipe->throttle.per_ns) {
        start_ns = now_ns;
        count = 0;
    }
    if (count >= recipe->throttle.count)
        return false;
    set_throttle(unit,
                 form__printf(unit->arena, "{\"start\":%lld,\"count\":%lld}",
                              (long long)start_ns, (long long)count + 1));
    return true;
}

bool limit__throttle(struct unit *unit)
{
    int64_t now_ns = unit->now_ns;
    const struct recipe *recipe = unit->machine->recipe;
    if (recipe->throttle.count == 0)
        return true;
    const struct memo *memo =
        memo__find(unit->machine, MEMO_THROTTLE, SIZE_MAX, SLICE("all"));
    if (recipe->throttle.count <= THROTTLE_TIMES_MAX
            ? throttle_exactly(unit, memo, now_ns)
            : throttle_in_windows(unit, memo, now_ns))
        return true;
    unit->skipped++;
    account__outcome(unit->account, "too many (throttle)");
    return false;
}

/* ---- the breaker -------------------------------------------------------- */

bool limit__breaker(struct unit *unit, const struct scene_event *event)
{
    const struct recipe *recipe = unit->machine->recipe;
    int64_t now_ns = unit->now_ns;
    if (event->event.depth == 0 || recipe->breaker.count == 0)
        return true;
    const struct memo *memo =
        memo__find(unit->machine, MEMO_BREAKER, SIZE_MAX, SLICE("all"));
    int64_t start_ns = memo ? memo->breaker.start_ns : now_ns;
    uint64_t count = memo ? memo->breaker.count : 0;
    if (start_ns <= now_ns - recipe->breaker.per_ns) {
        start_ns = now_ns;
        count = 0;
    }
    if (count >= recipe->breaker.count) {
        unit->stop = form__printf(
            unit->arena,
            "loop: more than %u runs of events that recipes made, within %lld "
            "s",
            recipe->breaker.count,
            (long long)(recipe->breaker.per_ns / 1000000000));
        account__outcome(unit->account, "the breaker has tripped");
        return false;
    }
    struct slice value =
        form__printf(unit->arena, "{\"start\":%lld,\"count\":%llu}",
                     (long long)start_ns, (unsigned long long)count + 1);
    struct memo *new =
        memo__new(unit->machine, MEMO_BREAKER, SIZE_MAX, SLICE("all"), value);
    new->breaker.start_ns = start_ns;
    new->breaker.count = count + 1;
    unit__set(unit, new);
    return true;
}
