/* Actions outside: the request is made and written down with the turn, goes
 * out when that was committed, and its answer makes another turn. One that is
 * lost in between goes out again, with the same Idempotency-Key.
 *
 *   begin -> ACTIVE_OUTSIDE -> (out) -> answer -> ok: the next step
 *                 ^                       |
 *                 +---- later, again -----+-> given up: dead/, on_failure */
#include "base/check.h"
#include "base/prng.h"
#include "recipe/machine_int.h"

struct active_outside {
    struct arena arena;
    struct outside told;
    struct value parts;
};

void outside__free(struct active_outside *outside)
{
    if (!outside)
        return;
    arena_deinit(&outside->arena);
    mem_free(outside);
}

/* ---- requests ----------------------------------------------------------- */

struct request {
    struct scene *scene; /* that shows secrets */
    struct slice *why;
    struct slice names[8];
    struct value values[8];
    size_t count;
    bool has_failed;
};

static void add_value(struct request *request, const char *name,
                      struct value value)
{
    CHECK_LT(request->count, sizeof request->values / sizeof(struct value));
    request->names[request->count] = slice_str(name);
    request->values[request->count++] = value;
}

static void add_text(struct request *request, const char *name,
                     const struct template *template)
{
    struct slice text;
    if (request->has_failed || !template)
        return;
    if (form__text(request->scene, template, &text, request->why))
        add_value(request, name, value_string(text));
    else
        request->has_failed = true;
}

static void add_form(struct request *request, const char *name,
                     const struct form *form)
{
    struct value value;
    if (request->has_failed || !form)
        return;
    if (form__value(request->scene, form, &value, request->why))
        add_value(request, name, value);
    else
        request->has_failed = true;
}

/* A text of anything: strings as they are, else JSON. */
static void add_input(struct request *request, const char *name,
                      const struct form *form)
{
    struct slice text;
    if (request->has_failed || !form)
        return;
    if (form__put_text(request->scene, form, &text, request->why))
        add_value(request, name, value_string(text));
    else
        request->has_failed = true;
}

static void fill(struct request *request, const struct action *action)
{
    switch (action->kind) {
    case ACTION_HTTP:
        add_text(request, "method", action->method);
        add_text(request, "url", action->url);
        add_form(request, "headers", action->headers);
        add_form(request, "json", action->json);
        add_text(request, "body", action->body);
        if (action->redirects)
            add_value(request, "redirects", value_bool(true));
        return;
    case ACTION_EMAIL:
        add_text(request, "server", action->server);
        add_text(request, "from", action->from);
        add_form(request, "to", action->to);
        add_text(request, "subject", action->subject);
        add_text(request, "text", action->text);
        return;
    default:
        CHECK_EQ(action->kind, ACTION_EXEC);
        add_form(request, "arguments", action->arguments);
        add_input(request, "input", action->input);
    }
}

/* Takes the nonce out of what stands for a secret, and every other \x01. */
static struct slice clean(const struct machine *machine, struct arena *arena,
                          struct slice text)
{
    struct slice nonce = slice_of(machine->nonce, sizeof machine->nonce);
    if (slice_find(text, '\x01') < 0)
        return text;
    char *to = arena_alloc(arena, text.size + 1);
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        struct slice rest = slice_of(text.at + i + 1, text.size - i - 1);
        bool is_ours = text.at[i] == '\x01' && rest.size > nonce.size &&
                       slice_has_prefix(rest, nonce) &&
                       rest.at[nonce.size] == ':';
        if (text.at[i] != '\x01' || is_ours)
            to[size++] = text.at[i];
        if (is_ours)
            i += nonce.size + 1;
    }
    return slice_of(to, size);
}

static struct value clean_value(const struct machine *machine,
                                struct arena *arena, struct value value)
{
    if (value.kind == VALUE_STRING) {
        value.text = clean(machine, arena, value.text);
    } else if (value.kind == VALUE_LIST) {
        struct value_list *list = arena_alloc(arena, sizeof *list);
        list->count = value.list->count;
        list->items = arena_alloc(arena, (list->count + 1) * sizeof value);
        for (size_t i = 0; i < list->count; i++)
            list->items[i] = clean_value(machine, arena, value.list->items[i]);
        value.list = list;
    } else if (value.kind == VALUE_MAP) {
        struct value_map *map = arena_alloc(arena, sizeof *map);
        map->count = value.map->count;
        map->keys = arena_alloc(arena, (map->count + 1) * sizeof value);
        map->values = arena_alloc(arena, (map->count + 1) * sizeof value);
        for (size_t i = 0; i < map->count; i++) {
            map->keys[i] = clean_value(machine, arena, value.map->keys[i]);
            map->values[i] = clean_value(machine, arena, value.map->values[i]);
        }
        value.map = map;
    }
    return value;
}

static struct slice write_request(struct unit *unit,
                                  const struct request *request)
{
    struct buf text = {0};
    for (size_t i = 0; i < request->count; i++) {
        struct value value =
            clean_value(unit->machine, unit->arena, request->values[i]);
        buf_printf(&text, "%s\"%.*s\":", i ? "," : "{",
                   (int)request->names[i].size, request->names[i].at);
        value_write_json(&text, &value);
    }
    buf_append_str(&text, request->count ? "}" : "{}");
    struct slice copy = turn__copy(unit->arena, buf_slice(&text));
    buf_deinit(&text);
    return copy;
}

/* What an expression made can be deeper than JSON may be, or have a name twice.
 */
static bool is_readable(struct slice request)
{
    struct arena arena;
    struct doc_value *doc;
    arena_init(&arena, 0);
    bool is_ok = record__parse(&arena, request, &doc) == ERR_OK;
    arena_deinit(&arena);
    return is_ok;
}

enum step_end outside__begin(struct unit *unit, struct run *run,
                             const struct action *action, struct slice *why,
                             struct slice *more)
{
    struct scene scene;
    struct request request = {.scene = &scene, .why = why};
    scene__init_outside(&scene, &run->scene);
    fill(&request, action);
    if (unit->wants)
        return STEP_WANTS;
    if (request.has_failed)
        return STEP_FAILED;
    run->request = write_request(unit, &request);
    if (!is_readable(run->request)) {
        *why = SLICE("the request can't be written as JSON");
        return STEP_FAILED;
    }
    run->kind = action->kind;
    run->timeout_ns = action->timeout_ns;
    run->attempt = 0;
    run->not_before_ns = unit->now_ns;
    *more = record__of_request(unit->arena, action->kind, run->request);
    return unit->machine->recipe->shadow ? STEP_DONE : STEP_SUSPENDED;
}

/* ---- out ---------------------------------------------------------------- */

static void make_key(const struct machine *machine, const struct run *run,
                     struct arena *arena, struct outside *told)
{
    char id[RUN_ID_BYTES_MAX];
    size_t size = run_id_to_text(&run->origin, id);
    told->idempotency_key =
        form__printf(arena, "%lld/%.*s/%.*s", (long long)machine->config.uid,
                     (int)size, id, (int)run->step.size, run->step.at);
}

static const struct outside *make_told(const struct machine *machine,
                                       struct memo *memo)
{
    struct active_outside *outside = mem_alloc_zero(sizeof *outside);
    struct doc_value *doc = NULL;
    struct arena *arena = &outside->arena;
    arena_init(arena, 0);
    struct run *run = arena_alloc(arena, sizeof *run);
    enum err err = record__parse(arena, memo->value, &doc);
    if (!err)
        err = record__read_active(machine, arena, doc, run);
    CHECK_EQ(err, ERR_OK);
    struct outside *told = &outside->told;
    *told = (struct outside){.run = run->id,
                             .step = run->step,
                             .kind = run->kind,
                             .attempt = run->attempt,
                             .not_before_ns = run->not_before_ns,
                             .timeout_ns = run->timeout_ns,
                             .request = run->request,
                             .parts = &outside->parts};
    err = record__parse(arena, run->request, &doc);
    CHECK_EQ(err, ERR_OK);
    outside->parts = value_from_doc(arena, doc);
    make_key(machine, run, arena, told);
    memo->active.outside = outside;
    return told;
}

bool machine_next_outside(struct machine *machine, int64_t now_ns,
                          const struct outside **out)
{
    struct heap_node *node = heap_top(&machine->outs);
    if (!node || node->key > now_ns)
        return false;
    struct memo *memo = CONTAINER_OF(node, struct memo, active.ready);
    heap_remove(&machine->outs, node);
    memo->active.is_out = true;
    *out = make_told(machine, memo);
    return true;
}

int64_t machine_next_outside_at(const struct machine *machine)
{
    const struct heap_node *node = heap_top(&machine->outs);
    return node ? node->key : INT64_MAX;
}

/* ---- answers ------------------------------------------------------------ */

enum verdict { VERDICT_OK, VERDICT_AGAIN, VERDICT_FINAL };

static enum verdict judge(enum action_kind kind,
                          const struct outside_answer *answer)
{
    int status = answer->status;
    if (kind != ACTION_HTTP || status == 0)
        return answer->is_ok      ? VERDICT_OK
               : answer->is_final ? VERDICT_FINAL
                                  : VERDICT_AGAIN;
    if (status >= 200 && status < 300)
        return VERDICT_OK;
    if (status == 408 || status == 425 || status == 429)
        return VERDICT_AGAIN;
    bool is_final = status >= 300 && status < 500;
    return is_final || answer->is_final ? VERDICT_FINAL : VERDICT_AGAIN;
}

/* Full jitter (Brooker, "Exponential Backoff And Jitter", AWS, 2015): any time
 * up to twice as long as before. */
static int64_t pause_of(const struct machine *machine,
                        const struct action *action, const struct run *run,
                        const struct outside_answer *answer)
{
    struct prng prng;
    int64_t most_ns = action->retry.base_ns;
    for (unsigned i = 0; i < run->attempt && most_ns < action->retry.cap_ns;
         i++)
        most_ns = most_ns > INT64_MAX / 2 ? INT64_MAX : most_ns * 2;
    if (most_ns > action->retry.cap_ns)
        most_ns = action->retry.cap_ns;
    prng_init(&prng, machine->config.seed ^ (uint64_t)run->id.revision << 20 ^
                         (uint64_t)run->id.place << 8 ^ run->attempt);
    int64_t pause_ns = most_ns > 0 ? prng_between(&prng, 0, most_ns) : 0;
    return pause_ns > answer->retry_after_ns ? pause_ns
                                             : answer->retry_after_ns;
}

static void keep_answer(struct unit *unit, struct run *run,
                        const struct outside_answer *answer)
{
    struct doc_value *doc;
    struct value_map *map = arena_alloc(unit->arena, sizeof *map);
    struct value *both = arena_alloc(unit->arena, 6 * sizeof *both);
    bool reads = unit->machine->reads_steps;
    struct slice body =
        reads ? form__shorten(answer->body, ANSWER_BODY_BYTES_MAX) : SLICE("");
    *map = (struct value_map){.count = 3, .keys = both, .values = both + 3};
    both[0] = value_string(SLICE("status"));
    both[1] = value_string(SLICE("headers"));
    both[2] = value_string(SLICE("body"));
    both[3] = value_int(answer->status);
    both[4] = (struct value){.kind = VALUE_NULL};
    both[5] = value_string(turn__copy(unit->arena, body));
    if (!slice_is_utf8(body))
        both[5].kind = VALUE_BYTES;
    if (reads && answer->headers.size &&
        !record__parse(unit->arena, answer->headers, &doc))
        both[4] = value_from_doc(unit->arena, doc);
    CHECK_LT(run->answer_count, RUN_ACTIONS_MAX);
    run->answers[run->answer_count++] =
        (struct scene_answer){run->step, {.kind = VALUE_MAP, .map = map}};
    run->scene.answer_count = run->answer_count;
    scene__forget_steps(&run->scene);
}

static struct slice say_why(struct unit *unit, const struct run *run,
                            const struct outside_answer *answer)
{
    const char *what = run->kind == ACTION_EXEC ? "exit" : "status";
    if (answer->error.size == 0)
        return form__printf(unit->arena, "%s %d", what, answer->status);
    struct slice error = form__shorten(answer->error, ERROR_BYTES_MAX);
    return form__printf(unit->arena, "%.*s", (int)error.size, error.at);
}

static struct slice more_of(struct unit *unit, const struct run *run,
                            int status, struct slice error)
{
    struct buf text = {0};
    struct slice request =
        record__of_request(unit->arena, run->kind, run->request);
    buf_append_slice(&text, request);
    if (status)
        buf_printf(&text, ",\"code\":%d", status);
    buf_printf(&text, ",\"attempts\":%u", run->attempt + 1);
    if (error.size) {
        buf_append_str(&text, ",\"error\":");
        record__string(&text, error);
    }
    struct slice more = turn__copy(unit->arena, buf_slice(&text));
    buf_deinit(&text);
    return more;
}

/* The dead letter has all that it needs to be tried again. */
static void bury(struct unit *unit, struct run *run, struct slice why)
{
    struct buf key = {0};
    struct buf value = {0};
    char id[RUN_ID_BYTES_MAX];
    struct slice rest = form__printf(unit->arena, "%.*s.%.*s",
                                     (int)run_id_to_key(&run->origin, id), id,
                                     (int)run->step.size, run->step.at);
    recipe_key_write(&key, RECIPE_KEY_DEAD, unit->machine->recipe->name, &rest);
    record__write_dead(unit, run, why, &value);
    unit__put_own(unit, turn__copy(unit->arena, buf_slice(&key)),
                  turn__copy(unit->arena, buf_slice(&value)));
    buf_deinit(&key);
    buf_deinit(&value);
}

struct answering {
    struct memo *memo;
    const struct outside_answer *answer;
};

static void give_up(struct unit *unit, struct run *run,
                    const struct action *action,
                    const struct outside_answer *answer)
{
    struct slice why = say_why(unit, run, answer);
    struct slice step = run->step;
    if (unit->level == UNIT_NORMAL)
        bury(unit, run, why);
    run__note(unit, run, action, "failed",
              more_of(unit, run, answer->status, why));
    run__fail(unit, run,
              form__printf(unit->arena, "step %.*s (%s): %.*s", (int)step.size,
                           step.at, action_kind_text(run->kind), (int)why.size,
                           why.at));
}

static void take_answer(struct unit *unit, void *context)
{
    const struct answering *answering = context;
    const struct outside_answer *answer = answering->answer;
    struct run *run = run__resume(unit, answering->memo);
    if (!run)
        return;
    const struct action *action = run__action(unit, run);
    enum verdict verdict = judge(run->kind, answer);
    if (unit->level != UNIT_NORMAL) {
        run__fail(unit, run, slice_str(unit->refusal));
    } else if (verdict == VERDICT_OK) {
        run__note(unit, run, action, "ok",
                  more_of(unit, run, answer->status, SLICE("")));
        keep_answer(unit, run, answer);
        run->next++;
        run__go_on(unit, run);
    } else if (verdict == VERDICT_AGAIN && run->attempt < action->retry.max) {
        run->not_before_ns =
            unit->now_ns + pause_of(unit->machine, action, run, answer);
        run->attempt++;
        run__suspend(unit, run, ACTIVE_OUTSIDE);
    } else {
        give_up(unit, run, action, answer);
    }
}

/* The ones that were replaced while they were out. */
static void forget_gone(struct machine *machine, const struct run_id *id)
{
    LIST_EACH (node, &machine->gone) {
        struct memo *memo = CONTAINER_OF(node, struct memo, dirty);
        if (run_id_compare(&memo->active.id, id) == 0)
            memo__free(memo);
    }
}

enum turn_end machine_answer(struct machine *machine, const struct run_id *run,
                             struct slice step,
                             const struct outside_answer *answer,
                             const struct lookups *lookups, struct turn *turn)
{
    CHECK(machine->is_loaded);
    if (machine->has_stopped)
        return turn_is_empty(turn) ? TURN_TAKEN : TURN_FULL;
    struct run_id id = *run; /* it may be a part of what goes */
    struct answering answering = {memo__find_run(machine, run), answer};
    struct unit_config config = {.machine = machine,
                                 .turn = turn,
                                 .lookups = lookups,
                                 .now_ns = answer->time_ns};
    const struct memo *memo = answering.memo;
    enum turn_end end = TURN_TAKEN;
    if (memo && memo->active.is_out &&
        slice_eq(memo->active.outside->told.step, step))
        end = unit__do(&config, take_answer, &answering);
    if (end == TURN_TAKEN)
        forget_gone(machine, &id);
    return end;
}

/* ---- the dead ----------------------------------------------------------- */

struct reviving {
    struct slice key;
    struct slice value;
};

static void revive(struct unit *unit, void *context)
{
    const struct reviving *reviving = context;
    struct doc_value *doc;
    struct run *run = arena_alloc(unit->arena, sizeof *run);
    if (record__parse(unit->arena, reviving->value, &doc) ||
        record__read_active(unit->machine, unit->arena, doc_get(doc, "run"),
                            run) ||
        !action_is_outside(run->kind))
        return;
    run->id = run->origin;
    run->id.tag += run->in_failure ? 2 * RUN_TAG_AGAIN : RUN_TAG_AGAIN;
    if (memo__find_run(unit->machine, &run->id))
        return;
    run->scope = SLICE("");
    run->sequence = 0;
    run->attempt = 0;
    run->not_before_ns = unit->now_ns;
    run->started_ns = unit->now_ns;
    run->error = run->in_failure ? run->error : SLICE("");
    run__set_scene(unit, run);
    unit__delete_own(unit, reviving->key);
    run__suspend(unit, run, ACTIVE_OUTSIDE);
}

enum turn_end machine_revive(struct machine *machine, struct slice key,
                             struct slice value, int64_t now_ns,
                             struct turn *turn)
{
    struct reviving reviving = {key, value};
    struct unit_config config = {
        .machine = machine, .turn = turn, .now_ns = now_ns};
    CHECK(machine->is_loaded);
    if (machine->has_stopped)
        return turn_is_empty(turn) ? TURN_TAKEN : TURN_FULL;
    return unit__do(&config, revive, &reviving);
}
