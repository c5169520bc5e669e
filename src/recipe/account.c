/* Why, and why not: an account is written while the event is taken, in the
 * same steps that decide. */
#include <stdarg.h>
#include <stdio.h>

#include "recipe/machine_int.h"

enum { SHOWN_BYTES_MAX = 300 };

void account_init(struct account *account)
{
    *account = (struct account){0};
}

void account_deinit(struct account *account)
{
    buf_deinit(&account->json);
}

static void write_event(struct buf *out, const struct recipe_event *event)
{
    buf_printf(out,
               "{\"type\":\"%s\",\"cause\":", event_type_text(event->type));
    record__string(out, event->cause);
    buf_printf(out, ",\"revision\":%lld,\"depth\":%u,\"time\":",
               (long long)event->id.revision, event->depth);
    record__time(out, event->time_ns);
    buf_append_char(out, '}');
}

void account__begin(struct account *account, size_t trigger,
                    const struct recipe_event *event)
{
    char id[RUN_ID_BYTES_MAX];
    if (!account)
        return;
    struct run_id run = run__id(trigger, &event->id, 0);
    size_t size = run_id_to_text(&run, id);
    buf_reset(&account->json);
    account->fired = false;
    account->checks = 0;
    account->outcome[0] = '\0';
    buf_printf(&account->json,
               "{\"trigger\":%zu,\"run\":\"%.*s\",\"key\":", trigger, (int)size,
               id);
    record__string(&account->json, event->key);
    buf_append_str(&account->json, ",\"event\":");
    write_event(&account->json, event);
    buf_append_str(&account->json, ",\"checks\":[");
}

void account__check(struct account *account, const char *check,
                    struct slice text, struct slice saw, bool result,
                    const char *why)
{
    if (!account)
        return;
    struct buf *out = &account->json;
    buf_printf(out, "%s{\"check\":\"%s\"", account->checks++ ? "," : "", check);
    if (text.size) {
        buf_append_str(out, ",\"text\":");
        record__string(out, text);
    }
    buf_append_str(out, ",\"saw\":");
    buf_append_slice(out, saw.size ? saw : SLICE("{}"));
    buf_printf(out, ",\"result\":%s", result ? "true" : "false");
    if (why) {
        buf_append_str(out, ",\"why\":");
        record__string(out, slice_str(why));
    }
    buf_append_char(out, '}');
}

/* All of it where it is short, else the beginning of its text. */
static void show(struct buf *out, const struct value *value)
{
    struct buf text = {0};
    if (value->kind == VALUE_ERROR || value->kind == VALUE_LAZY ||
        value->kind == VALUE_ABSENT) {
        buf_append_str(out, "{\"error\":");
        record__string(out, value->kind == VALUE_ERROR
                                ? form__shorten(value->text, SHOWN_BYTES_MAX)
                                : SLICE("nothing"));
        buf_append_char(out, '}');
        return;
    }
    value_write_json(&text, value);
    if (text.size <= SHOWN_BYTES_MAX)
        buf_append_slice(out, buf_slice(&text));
    else
        record__string(out, form__shorten(buf_slice(&text), SHOWN_BYTES_MAX));
    buf_deinit(&text);
}

void account__check_values(struct account *account, const char *check,
                           struct slice text, const char *name,
                           const struct value *value, const char *other_name,
                           const struct value *other, bool result,
                           const char *why)
{
    struct buf saw = {0};
    if (!account)
        return;
    buf_printf(&saw, "{\"%s\":", name);
    show(&saw, value);
    if (other) {
        buf_printf(&saw, ",\"%s\":", other_name);
        show(&saw, other);
    }
    buf_append_char(&saw, '}');
    account__check(account, check, text, buf_slice(&saw), result, why);
    buf_deinit(&saw);
}

struct slice account__saw(const struct scene *scene, const struct expr *expr)
{
    struct buf saw = {0};
    const struct expr_names *names = &scene->unit->machine->recipe->names;
    bool is_first = true;
    if (!scene->unit->account)
        return SLICE("");
    buf_append_char(&saw, '{');
    for (size_t i = 0; i < names->count; i++) {
        if (names->names[i].name.size == 0 || !expr_reads(expr, i) ||
            scene->slots[i].kind == VALUE_LAZY)
            continue;
        if (!is_first)
            buf_append_char(&saw, ',');
        is_first = false;
        record__string(&saw, names->names[i].name);
        buf_append_char(&saw, ':');
        show(&saw, &scene->slots[i]);
    }
    buf_append_char(&saw, '}');
    struct slice copy = turn__copy(scene->unit->arena, buf_slice(&saw));
    buf_deinit(&saw);
    return copy;
}

void account__outcome(struct account *account, const char *format, ...)
{
    va_list args;
    if (!account || account->outcome[0])
        return;
    va_start(args, format);
    vsnprintf(account->outcome, sizeof account->outcome, format, args);
    va_end(args);
}

void account__fired(struct account *account)
{
    if (!account)
        return;
    account->fired = true;
    account__outcome(account, "fired");
}

void account__end(struct account *account)
{
    if (!account)
        return;
    account__outcome(account, "nothing to do");
    buf_append_str(&account->json, "],\"outcome\":");
    struct slice outcome = slice_str(account->outcome);
    record__string(&account->json,
                   slice_is_utf8(outcome) ? outcome : SLICE("failed"));
    buf_append_char(&account->json, '}');
}
