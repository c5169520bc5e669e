/* Which ingredients a recipe reads once it has fired: what nobody reads needs
 * not be kept. */
#include "recipe/machine_int.h"

static bool form_reads(const struct form *form, size_t slot)
{
    if (!form)
        return false;
    if (form->kind == FORM_TEMPLATE)
        return template_reads(form->template, slot);
    for (size_t i = 0; i < form->count; i++) {
        if (form_reads(&form->items[i], slot))
            return true;
    }
    return false;
}

static bool text_reads(const struct template *template, size_t slot)
{
    return template && template_reads(template, slot);
}

static bool actions_read(const struct action *actions, size_t count,
                         size_t slot);

static bool txn_reads(const struct action *action, size_t slot)
{
    for (size_t i = 0; i < action->compare_count; i++) {
        if (text_reads(action->compares[i].key, slot) ||
            form_reads(action->compares[i].value, slot))
            return true;
    }
    return actions_read(action->then, action->then_count, slot) ||
           actions_read(action->otherwise, action->otherwise_count, slot);
}

static bool action_reads(const struct action *action, size_t slot)
{
    const struct template *const texts[] = {
        action->key,  action->method, action->url,
        action->body, action->from,   action->subject,
        action->text, action->server, action->message,
    };
    const struct form *const forms[] = {
        action->value, action->headers,   action->json,  action->to,
        action->args,  action->arguments, action->input,
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (text_reads(texts[i], slot))
            return true;
    }
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (form_reads(forms[i], slot))
            return true;
    }
    if (action->when && expr_reads(action->when, slot))
        return true;
    return txn_reads(action, slot);
}

static bool actions_read(const struct action *actions, size_t count,
                         size_t slot)
{
    for (size_t i = 0; i < count; i++) {
        if (action_reads(&actions[i], slot))
            return true;
    }
    return false;
}

bool reads__slot(const struct recipe *recipe, size_t slot)
{
    for (size_t i = 0; i < recipe->let_count; i++) {
        if (text_reads(recipe->lets[i].value, slot))
            return true;
    }
    for (size_t i = 0; i < recipe->where_count; i++) {
        if (expr_reads(recipe->where[i].expr, slot))
            return true;
    }
    return text_reads(recipe->dedupe.key, slot) ||
           actions_read(recipe->then, recipe->then_count, slot) ||
           actions_read(recipe->on_failure, recipe->on_failure_count, slot);
}
