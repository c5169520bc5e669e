/* Who may ask for what, where the store has users: what is about a recipe takes
 * permission on the key that its definition is at, /_recipes/def/<name>; what
 * is about several, on all of them. Keys themselves are the service's alone. */
#include "base/check.h"
#include "runner/rest_int.h"

bool rest__may(const struct request *request, enum runner_right right,
               struct slice key, struct slice end)
{
    return runner__may(request->runner, request->asked.user, right, key, end);
}

bool rest__may_name(struct request *request, enum runner_right right,
                    struct slice name)
{
    return rest__may(request, right,
                     rest__key(request, RECIPE_KEY_DEF, name, NULL), SLICE(""));
}

static bool refuse(struct request *request, enum runner_right right,
                   struct slice key, bool is_range)
{
    struct slice user = request->asked.user;
    if (user.size == 0) {
        rest__error(request, 401, "unauthenticated",
                    "this server has users: say who you are");
        return false;
    }
    rest__error(request, 403, "forbidden",
                "%.*s may not: it takes %s permission on %.*s%s",
                (int)user.size, user.at,
                right == RUNNER_WRITE ? "write" : "read", (int)key.size, key.at,
                is_range ? " and all below it" : "");
    return false;
}

static bool check(struct request *request, enum runner_right right,
                  struct slice key, bool is_range)
{
    struct slice end = is_range ? rest__end(request, key) : SLICE("");
    return rest__may(request, right, key, end) ||
           refuse(request, right, key, is_range);
}

/* `name` empty: of all. */
bool rest__check_name(struct request *request, enum runner_right right,
                      struct slice name)
{
    bool is_all = name.size == 0;
    struct slice key = is_all
                           ? rest__keep(request, SLICE(RECIPES_PREFIX "def/"))
                           : rest__key(request, RECIPE_KEY_DEF, name, NULL);
    return check(request, right, key, is_all);
}

static bool check_secret(struct request *request, enum runner_right right)
{
    bool is_all = request->segment_count == 1;
    struct slice key =
        is_all
            ? rest__keep(request, SLICE(RECIPES_PREFIX "secret/"))
            : rest__key(request, RECIPE_KEY_SECRET, request->segments[1], NULL);
    return check(request, right, key, is_all);
}

bool rest__let_in(struct request *request, enum rest_rule rule)
{
    if (rule == REST_FREE || !runner__has_users(request->runner)) {
        return true;
    }
    switch (rule) {
    case REST_KNOWN:
    case REST_EACH:
        return request->asked.user.size > 0 ||
               refuse(request, RUNNER_READ, SLICE(""), false);
    case REST_READ_NAMED:
        return rest__check_name(request, RUNNER_READ, request->segments[1]);
    case REST_WRITE_NAMED:
        return rest__check_name(request, RUNNER_WRITE, request->segments[1]);
    case REST_READ_WANTED:
        return rest__check_name(request, RUNNER_READ,
                                rest__parameter(request, "recipe"));
    case REST_WRITE_WANTED:
        return rest__check_name(request, RUNNER_WRITE,
                                rest__parameter(request, "recipe"));
    case REST_READ_ALL:
        return rest__check_name(request, RUNNER_READ, SLICE(""));
    case REST_READ_SECRETS:
        return check_secret(request, RUNNER_READ);
    case REST_WRITE_SECRET:
        return check_secret(request, RUNNER_WRITE);
    case REST_FREE:
        break;
    }
    UNREACHABLE();
}

/* ---- owners -------------------------------------------------------------- */

/* Who has it where the document doesn't say: who had it, if that is for the
 * asker to say, else the asker; nobody where that is root. */
struct slice rest__owner_of(const struct request *request,
                            const struct def *def)
{
    struct slice user = request->asked.user;
    const struct recipe *old = def ? def->recipe : NULL;
    bool is_root = rest__may(request, RUNNER_ADMIN, SLICE(""), SLICE(""));
    if (!runner__has_users(request->runner)) {
        return SLICE("");
    }
    if (old && old->owner.size > 0 && (is_root || slice_eq(old->owner, user))) {
        return old->owner;
    }
    return slice_eq(user, SLICE("root")) ? SLICE("") : user;
}

bool rest__check_owner(struct request *request, const struct recipe *recipe)
{
    struct slice user = request->asked.user;
    struct buf why = {0};
    if (!runner__has_users(request->runner)) {
        return true;
    }
    if (recipe->owner.size == 0) {
        const struct recipe_fault fault = {
            .path = "owner",
            .text = "write whose permissions it has: root's are never a "
                    "recipe's"};
        rest__refuse(request, &fault);
        return false;
    }
    if (!slice_eq(recipe->owner, user) &&
        !rest__may(request, RUNNER_ADMIN, SLICE(""), SLICE(""))) {
        rest__error(request, 403, "forbidden",
                    "owner: only root may name another than itself");
        return false;
    }
    bool may = runner__may_recipe(request->runner, recipe->owner, recipe, &why);
    if (!may) {
        rest__error(request, 403, "forbidden", "%.*s", (int)why.size, why.at);
    }
    buf_deinit(&why);
    return may;
}

/* Of what was: who asks sees what he may read, whoever owns the recipe. */
bool rest__may_see(struct request *request, const struct recipe *recipe)
{
    for (size_t i = 0; i < recipe->trigger_count; i++) {
        if (!runner__may_trigger(request->runner, request->asked.user,
                                 &recipe->triggers[i])) {
            rest__error(request, 403, "forbidden",
                        "%.*s may not read what if[%zu] watches",
                        (int)request->asked.user.size, request->asked.user.at,
                        i);
            return false;
        }
    }
    return true;
}
