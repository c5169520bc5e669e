#include "recipe_plan.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "recipe_support.h"

/* ---- expressions, templates, forms -------------------------------------- */

static void write_uses(struct buf *out, unsigned uses)
{
    static const char *const words[] = {"store", "secret", "time"};
    for (unsigned i = 0; i < 3; i++) {
        if (uses >> i & 1)
            buf_printf(out, " %s()", words[i]);
    }
}

static void write_expr(struct buf *out, const struct recipe *recipe,
                       const struct expr *expr)
{
    buf_append_str(out, "E(");
    for (size_t i = 0; i < recipe->names.count; i++) {
        if (expr_reads(expr, i)) {
            buf_append_slice(out, recipe->names.names[i].name);
            buf_append_char(out, ' ');
        }
    }
    enum value_kind kind = expr_gives(expr);
    buf_append_str(out, kind == VALUE_LAZY ? "dyn" : value_kind_text(kind));
    write_uses(out, expr_uses(expr));
    buf_append_char(out, ')');
}

static void write_template(struct buf *out, const struct recipe *recipe,
                           const struct template *template)
{
    struct slice known = template_literal_prefix(template);
    if (template_is_literal(template)) {
        buf_printf(out, "\"%.*s\"", (int)known.size, known.at);
        return;
    }
    buf_printf(out, "T(%.*s", (int)known.size, known.at);
    for (size_t i = 0; i < recipe->names.count; i++) {
        if (template_reads(template, i)) {
            buf_append_char(out, ' ');
            buf_append_slice(out, recipe->names.names[i].name);
        }
    }
    write_uses(out, template_uses(template));
    buf_append_char(out, ')');
}

/* " name=.." where there is one. */
static void write_if(struct buf *out, const char *name,
                     const struct recipe *recipe,
                     const struct template *template)
{
    if (!template)
        return;
    buf_printf(out, " %s=", name);
    write_template(out, recipe, template);
}

static void write_form(struct buf *out, const struct recipe *recipe,
                       const struct form *form)
{
    bool is_map = form->kind == FORM_MAP;
    if (form->kind == FORM_CONSTANT) {
        value_write_json(out, &form->constant);
        return;
    }
    if (form->kind == FORM_TEMPLATE) {
        write_template(out, recipe, form->template);
        return;
    }
    buf_append_char(out, is_map ? '{' : '[');
    for (size_t i = 0; i < form->count; i++) {
        buf_append_str(out, i ? ", " : "");
        if (is_map)
            buf_printf(out, "%.*s: ", (int)form->names[i].size,
                       form->names[i].at);
        write_form(out, recipe, &form->items[i]);
    }
    buf_append_char(out, is_map ? '}' : ']');
}

static void write_form_if(struct buf *out, const char *name,
                          const struct recipe *recipe, const struct form *form)
{
    if (!form)
        return;
    buf_printf(out, " %s=", name);
    write_form(out, recipe, form);
}

/* In milliseconds, which all that is written here are whole ones of; a rest is
 * written behind a point. */
static void write_ns(struct buf *out, const char *name, int64_t ns)
{
    buf_printf(out, " %s=%lldms", name, (long long)(ns / 1000000));
    if (ns % 1000000)
        buf_printf(out, "+%lldns", (long long)(ns % 1000000));
}

static void write_shape(struct buf *out, const struct key_shape *shape)
{
    buf_append_str(out, " writes=");
    for (size_t i = 0; i < shape->count; i++) {
        const struct shape_piece *piece = &shape->pieces[i];
        if (piece->kind == SHAPE_TEXT)
            buf_append_slice(out, piece->text);
        else
            buf_append_str(out, piece->kind == SHAPE_SEGMENT ? "{}" : "*");
    }
}

/* ---- triggers ----------------------------------------------------------- */

static void write_pattern(struct buf *out, const struct recipe *recipe,
                          const struct trigger *trigger)
{
    const struct pattern *pattern = &trigger->pattern;
    size_t captured = 0;
    buf_printf(out, " %.*s", (int)pattern->text.size, pattern->text.at);
    for (size_t i = 0; i < pattern->count; i++) {
        if (pattern->segments[i].kind == SEGMENT_LITERAL)
            continue;
        size_t slot = trigger->capture_slots[captured++];
        assert_true(slot < recipe->names.count);
        struct slice name = recipe->names.names[slot].name;
        if (name.size)
            buf_printf(out, " %.*s@%zu", (int)name.size, name.at, slot);
    }
    assert_int_equal(captured, pattern->captures);
}

static void write_schedule(struct buf *out, const struct schedule *schedule)
{
    if (schedule->kind == SCHEDULE_EVERY)
        write_ns(out, "every", schedule->every_ns);
    else if (schedule->kind == SCHEDULE_AT)
        write_ns(out, "at", schedule->at_ns);
    else
        buf_printf(out, " cron=%llx/%x/%x/%x/%x%s%s zone=%d",
                   (unsigned long long)schedule->minutes, schedule->hours,
                   schedule->days, schedule->months, schedule->weekdays,
                   schedule->any_day ? " any-day" : "",
                   schedule->any_weekday ? " any-weekday" : "",
                   (int)zone_offset(schedule->zone, 1782864000));
}

static void write_hook(struct buf *out, const struct recipe *recipe,
                       const struct trigger *trigger)
{
    struct slice path = trigger->hook.path, secret = trigger->hook.secret;
    struct slice header = trigger->hook.header;
    buf_printf(out, " path=%.*s secret=%.*s header=%.*s", (int)path.size,
               path.at, (int)secret.size, secret.at, (int)header.size,
               header.at);
    write_ns(out, "remember", trigger->hook.dedupe_ns);
    if (trigger->hook.dedupe) {
        buf_append_str(out, " dedupe=");
        write_expr(out, recipe, trigger->hook.dedupe);
    }
}

static void write_fetch(struct buf *out, const struct recipe *recipe,
                        const struct trigger *trigger)
{
    write_if(out, "url", recipe, trigger->fetch.url);
    write_ns(out, "every", trigger->fetch.every_ns);
    if (trigger->kind != TRIGGER_POLL)
        return;
    buf_append_str(out, " items=");
    write_expr(out, recipe, trigger->fetch.items);
    buf_append_str(out, " id=");
    write_expr(out, recipe, trigger->fetch.id);
}

static void write_key_parts(struct buf *out, const struct recipe *recipe,
                            const struct trigger *trigger)
{
    if (trigger->changed) {
        buf_append_str(out, " changed=");
        write_expr(out, recipe, trigger->changed);
    }
    if (trigger->crosses.of) {
        buf_append_str(out, " of=");
        write_expr(out, recipe, trigger->crosses.of);
        buf_printf(out, " %s=%g reset=%g",
                   trigger->crosses.below ? "below" : "above",
                   trigger->crosses.limit, trigger->crosses.reset);
    }
    if (trigger->for_ns)
        write_ns(out, "for", trigger->for_ns);
}

void plan_write_trigger(struct buf *out, const struct recipe *recipe,
                        const struct trigger *trigger)
{
    static const char *const kinds[] = {"key",    "absent",  "every", "cron",
                                        "at",     "webhook", "feed",  "poll",
                                        "recipe", "manual",  "call"};
    static const char *const misfires[] = {"last", "skip", "all"};
    buf_append_str(out, kinds[trigger->kind]);
    write_pattern(out, recipe, trigger);
    for (unsigned bit = 1; bit <= EVENT_EXPIRE; bit *= 2) {
        if (trigger->events & bit)
            buf_printf(out, " %s", event_type_text((enum event_type)bit));
    }
    write_key_parts(out, recipe, trigger);
    if (trigger->kind >= TRIGGER_EVERY && trigger->kind <= TRIGGER_AT) {
        write_schedule(out, &trigger->schedule);
        buf_printf(out, " misfire=%s", misfires[trigger->misfire]);
    }
    if (trigger->kind == TRIGGER_WEBHOOK)
        write_hook(out, recipe, trigger);
    if (trigger->kind == TRIGGER_FEED || trigger->kind == TRIGGER_POLL)
        write_fetch(out, recipe, trigger);
    if (trigger->kind == TRIGGER_RECIPE)
        buf_printf(out, " of=%.*s outcomes=%x", (int)trigger->other.name.size,
                   trigger->other.name.at, trigger->other.outcomes);
}

/* ---- actions ------------------------------------------------------------ */

static void write_compares(struct buf *out, const struct recipe *recipe,
                           const struct action *action)
{
    static const char *const targets[] = {"value", "version", "created",
                                          "modified", "exists"};
    static const char *const operators[] = {"=", "!=", ">", "<"};
    for (size_t i = 0; i < action->compare_count; i++) {
        const struct compare *compare = &action->compares[i];
        write_if(out, "key", recipe, compare->key);
        buf_printf(out, " %s%s", targets[compare->target],
                   operators[compare->operator]);
        write_form(out, recipe, compare->value);
    }
}

static void write_branch(struct buf *out, const char *name,
                         const struct recipe *recipe,
                         const struct action *actions, size_t count)
{
    if (count == 0)
        return;
    buf_printf(out, " %s[", name);
    for (size_t i = 0; i < count; i++) {
        buf_append_str(out, i ? "; " : "");
        plan_write_action(out, recipe, &actions[i]);
    }
    buf_append_char(out, ']');
}

static void write_effort(struct buf *out, const struct action *action)
{
    if (!action_is_outside(action->kind))
        return;
    write_ns(out, "timeout", action->timeout_ns);
    buf_printf(out, " retry=%u", action->retry.max);
    write_ns(out, "base", action->retry.base_ns);
    write_ns(out, "cap", action->retry.cap_ns);
}

static void write_outside(struct buf *out, const struct recipe *recipe,
                          const struct action *action)
{
    write_if(out, "method", recipe, action->method);
    write_if(out, "url", recipe, action->url);
    write_form_if(out, "headers", recipe, action->headers);
    write_form_if(out, "json", recipe, action->json);
    write_if(out, "body", recipe, action->body);
    if (action->redirects)
        buf_append_str(out, " redirects");
    write_if(out, "server", recipe, action->server);
    write_if(out, "from", recipe, action->from);
    write_form_if(out, "to", recipe, action->to);
    write_if(out, "subject", recipe, action->subject);
    write_if(out, "text", recipe, action->text);
    write_form_if(out, "arguments", recipe, action->arguments);
    write_form_if(out, "input", recipe, action->input);
    write_effort(out, action);
}

void plan_write_action(struct buf *out, const struct recipe *recipe,
                       const struct action *action)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    buf_append_str(out, action_kind_text(action->kind));
    if (action->id.size)
        buf_printf(out, " #%.*s", (int)action->id.size, action->id.at);
    if (action->when) {
        buf_append_str(out, " if=");
        write_expr(out, recipe, action->when);
    }
    write_if(out, "key", recipe, action->key);
    write_form_if(out, "value", recipe, action->value);
    if (action->ttl_ns)
        write_ns(out, "ttl", action->ttl_ns);
    if (action->prefix)
        buf_append_str(out, " prefix");
    if (action->kind == ACTION_PUT || action->kind == ACTION_DELETE)
        write_shape(out, &action->writes);
    write_compares(out, recipe, action);
    write_branch(out, "then", recipe, action->then, action->then_count);
    write_branch(out, "else", recipe, action->otherwise,
                 action->otherwise_count);
    write_outside(out, recipe, action);
    write_if(out, "message", recipe, action->message);
    if (action->kind == ACTION_LOG)
        buf_printf(out, " level=%s", levels[action->level]);
    if (action->kind == ACTION_CALL)
        buf_printf(out, " callee=%.*s", (int)action->callee.size,
                   action->callee.at);
    write_form_if(out, "args", recipe, action->args);
    if (action->kind == ACTION_WAIT)
        write_ns(out, "wait", action->wait_ns);
}

/* ---- the whole ---------------------------------------------------------- */

static void write_actions(struct buf *out, const char *name,
                          const struct recipe *recipe,
                          const struct action *actions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, "%s ", name);
        plan_write_action(out, recipe, &actions[i]);
        buf_append_char(out, '\n');
    }
}

static void write_settings(struct buf *out, const struct recipe *recipe)
{
    buf_printf(out, "name=%.*s description=%.*s owner=%.*s labels=",
               (int)recipe->name.size, recipe->name.at,
               (int)recipe->description.size, recipe->description.at,
               (int)recipe->owner.size, recipe->owner.at);
    value_write_json(out, &recipe->labels);
    buf_printf(out, "\nenabled=%d shadow=%d order=%d mode=%d max=%u start=%d",
               recipe->enabled, recipe->shadow, (int)recipe->order,
               (int)recipe->mode, recipe->max, (int)recipe->start);
    buf_printf(out, "@%lld gap=%d depth=%u reentrant=%d",
               (long long)recipe->start_revision, (int)recipe->on_gap,
               recipe->max_depth, recipe->reentrant);
    write_if(out, "dedupe", recipe, recipe->dedupe.key);
    write_ns(out, "remember", recipe->dedupe.ttl_ns);
    write_ns(out, "debounce", recipe->debounce_ns);
    buf_printf(out, " throttle=%u", recipe->throttle.count);
    write_ns(out, "per", recipe->throttle.per_ns);
    buf_printf(out, " breaker=%u", recipe->breaker.count);
    write_ns(out, "per", recipe->breaker.per_ns);
    buf_printf(out, " keep=%u", recipe->keep_runs);
    write_ns(out, "for", recipe->keep_ns);
    buf_append_char(out, '\n');
}

void plan_write(struct buf *out, const struct recipe *recipe)
{
    write_settings(out, recipe);
    for (size_t i = 0; i < recipe->trigger_count; i++) {
        assert_int_equal(recipe->triggers[i].index, i);
        buf_append_str(out, "if ");
        plan_write_trigger(out, recipe, &recipe->triggers[i]);
        buf_append_char(out, '\n');
    }
    for (size_t i = 0; i < recipe->where_count; i++) {
        buf_printf(out, "where %.*s ", (int)recipe->where[i].text.size,
                   recipe->where[i].text.at);
        write_expr(out, recipe, recipe->where[i].expr);
        buf_append_char(out, '\n');
    }
    for (size_t i = 0; i < recipe->let_count; i++) {
        const struct let *let = &recipe->lets[i];
        buf_printf(out, "let %.*s@%zu ", (int)let->name.size, let->name.at,
                   let->slot);
        write_template(out, recipe, let->value);
        buf_append_char(out, '\n');
    }
    write_actions(out, "then", recipe, recipe->then, recipe->then_count);
    write_actions(out, "on_failure", recipe, recipe->on_failure,
                  recipe->on_failure_count);
}

void plan_expect_same(const struct recipe *a, const struct recipe *b)
{
    struct buf a_text = {0}, b_text = {0};
    plan_write(&a_text, a);
    plan_write(&b_text, b);
    if (!slice_eq(buf_slice(&a_text), buf_slice(&b_text)))
        fail_msg("two plans:\n%.*s\n%.*s", (int)a_text.size, a_text.at,
                 (int)b_text.size, b_text.at);
    if (!slice_eq(a->json, b->json))
        fail_msg("two documents:\n%.*s\n%.*s", (int)a->json.size, a->json.at,
                 (int)b->json.size, b->json.at);
    buf_deinit(&a_text);
    buf_deinit(&b_text);
}

void plan_expect_fixed_point(const struct recipe *recipe)
{
    struct recipe *again;
    struct recipe_fault fault;
    if (recipe_parse(recipe->json, &recipe_zones, &again, &fault))
        fail_msg("%s\nof the stored %.*s", err_note(), (int)recipe->json.size,
                 recipe->json.at);
    plan_expect_same(recipe, again);
    recipe_free(again);
}
