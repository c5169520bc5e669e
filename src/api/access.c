/* Who asks, and whether he may.
 *
 *   access__serve --- auth is off, or the route is anyone's ---> page
 *        |
 *        |-- no Authorization ------> certificate's user, or guest --.
 *        |-- password is known -----> user --------------------------|
 *        `-- else: a worker's bcrypt -> user, or 401                  v
 *                                                        rule ---> page, 401
 *
 * As etcd's v2 has it: with no Authorization header one is the user that the
 * client's certificate names, if there is such a user, or else a guest, who
 * has the role "guest" and no other. A header that isn't understood, a user
 * that there isn't and a wrong password are the same 401.
 *
 * A write is let in here and decided where it is applied, as of the users and
 * roles of then; where those have changed in between it comes back and is
 * asked for once more.
 */
#include "api/api_int.h"
#include "auth/login.h"
#include "base/check.h"

static const char no_credentials[] = "Insufficient credentials";

const char *access__rule_text(enum access_rule rule)
{
    switch (rule) {
    case ACCESS_ANYONE:
        return "anyone";
    case ACCESS_ROOT_CHANGES:
        return "root changes";
    case ACCESS_ROOT:
        return "root";
    case ACCESS_KEYS:
        return "keys";
    case ACCESS_RECIPES:
        return "recipes";
    default:
        UNREACHABLE(); /* a route without a rule */
    }
}

/* ---- the audit log ------------------------------------------------------- */

/* Guests are nobody to those who read it. */
static struct slice shown_user(struct slice user)
{
    return user.size > 0 && user.at[0] == '\0' ? SLICE("") : user;
}

void access__note(struct api *api, const struct http_exchange *exchange,
                  const struct caller *caller, struct slice key,
                  const char *why)
{
    const struct http_request *request = &exchange->request;
    if (api->shared->audit == NULL) {
        return;
    }
    struct audit_event event = {
        .user = shown_user(caller->user),
        .how = caller->how,
        .what = slice_str(arena_printf(
            exchange->arena, "%.*s %.*s", (int)request->method_text.size,
            request->method_text.at, (int)request->path.size,
            request->path.at)),
        .key = key,
        .range_end = SLICE(""),
        .from = request->peer,
        .allowed = why == NULL,
        .why = slice_str(why == NULL ? "" : why),
    };
    audit_write(api->shared->audit, &event);
}

/* ---- the rules ----------------------------------------------------------- */

static bool is_look(const struct http_exchange *exchange)
{
    enum http_method method = exchange->request.method;
    return method == HTTP_GET || method == HTTP_HEAD;
}

static bool needs_caller(const struct route *route,
                         const struct http_exchange *exchange)
{
    CHECK_NE(route->rule, ACCESS_UNSAID);
    return route->rule == ACCESS_KEYS || route->rule == ACCESS_RECIPES ||
           route->rule == ACCESS_ROOT ||
           (route->rule == ACCESS_ROOT_CHANGES && !is_look(exchange));
}

void access__refuse_key(struct api *api, struct http_exchange *exchange,
                        const struct caller *caller, struct slice key)
{
    struct v2_error error = {
        .code = TREE_UNAUTHORIZED,
        .cause = slice_str(no_credentials),
    };
    access__note(api, exchange, caller, key, no_credentials);
    api__respond_error(api, exchange, 0, &error, 0);
}

void access__refuse(struct api *api, struct http_exchange *exchange,
                    const struct caller *caller)
{
    if (caller->route->rule == ACCESS_KEYS) {
        access__refuse_key(api, exchange, caller, caller->rest);
        return;
    }
    access__note(api, exchange, caller, SLICE(""), no_credentials);
    api__respond_message(api, exchange, 401, no_credentials);
}

static bool is_root(struct api *api, struct slice user)
{
    lock_read(node_auth_lock(api->node));
    enum v3_error error = auth_may_admin(node_auth(api->node), user);
    unlock_read(node_auth_lock(api->node));
    return error == V3_OK;
}

/* It is known who asks. What a key's rule is its page finds out, with the
 * key. */
static void go_on(struct api *api, struct http_exchange *exchange,
                  const struct caller *caller)
{
    const struct route *route = caller->route;
    bool is_of_keys =
        route->rule == ACCESS_KEYS || route->rule == ACCESS_RECIPES;
    CHECK_EQ(caller->auth_revision != 0, caller->user.size > 0);
    if (!is_of_keys && needs_caller(route, exchange) &&
        caller->auth_revision != 0 && !is_root(api, caller->user)) {
        access__refuse(api, exchange, caller);
        return;
    }
    if (!is_of_keys) {
        access__note(api, exchange, caller, SLICE(""), NULL);
    }
    api->caller = *caller;
    route->page(api, exchange, caller->rest);
}

/* ---- a password ---------------------------------------------------------- */

static void check_password(struct chore *chore, struct crypto *crypto)
{
    chore->matches = crypto->ops->password_matches(
        crypto, buf_slice(&chore->hash), buf_slice(&chore->password));
}

static void password_checked(struct api *api, struct chore *chore)
{
    struct http_exchange *exchange = chore->exchange;
    struct caller caller = chore->caller;
    if (!chore->matches) {
        caller.user = SLICE("");
        access__refuse(api, exchange, &caller);
        return;
    }
    if (api->shared->credentials != NULL) {
        auth_credentials_add(api->shared->credentials, buf_slice(&chore->user),
                             buf_slice(&chore->password),
                             buf_slice(&chore->hash));
    }
    go_on(api, exchange, &caller);
}

/* The hash is in the exchange's arena. */
static bool find_user(struct api *api, struct arena *arena, struct slice name,
                      struct slice *hash)
{
    struct auth_user user;
    *hash = SLICE("");
    lock_read(node_auth_lock(api->node));
    bool found = auth_user(node_auth(api->node), name, &user);
    if (found && !user.no_password && user.hash.size > 0) {
        *hash = slice_of(arena_dup(arena, user.hash.at, user.hash.size),
                         user.hash.size);
    }
    unlock_read(node_auth_lock(api->node));
    return found;
}

static void ask_password(struct api *api, struct http_exchange *exchange,
                         struct caller *caller, struct slice password)
{
    struct auth_credentials *known = api->shared->credentials;
    struct slice hash;
    bool found = find_user(api, exchange->arena, caller->user, &hash);
    if (found && hash.size > 0 && known != NULL &&
        auth_credentials_know(known, caller->user, password, hash)) {
        go_on(api, exchange, caller);
        return;
    }
    api->caller = *caller;
    struct chore *chore = chore__new(api, exchange);
    if (chore == NULL) {
        return;
    }
    chore->run = check_password;
    chore->done = password_checked;
    if (hash.size > 0) {
        buf_append_slice(&chore->hash, hash);
    } else {
        auth_login_nobody(api->shared->bcrypt_cost, &chore->hash);
    }
    buf_append_slice(&chore->user, caller->user);
    buf_append_slice(&chore->password, password);
    chore__submit(chore);
}

/* ---- who asks ------------------------------------------------------------ */

/* Appends what four letters of base64 say. False: they aren't. */
static bool decode_four(const char *four, bool is_last, struct buf *out)
{
    uint32_t bits = 0;
    size_t count = 4;
    while (is_last && count > 2 && four[count - 1] == '=') {
        count--;
    }
    for (size_t i = 0; i < 4; i++) {
        char c = i < count ? four[i] : 'A';
        int digit = c >= 'A' && c <= 'Z'   ? c - 'A'
                    : c >= 'a' && c <= 'z' ? c - 'a' + 26
                    : c >= '0' && c <= '9' ? c - '0' + 52
                    : c == '+'             ? 62
                    : c == '/'             ? 63
                                           : -1;
        if (digit < 0) {
            return false;
        }
        bits = bits << 6 | (uint32_t)digit;
    }
    for (size_t i = 0; i + 1 < count; i++) {
        buf_append_char(out, (char)(bits >> (16 - 8 * i) & 0xff));
    }
    return true;
}

static bool decode_base64(struct slice text, struct buf *out)
{
    bool good = text.size % 4 == 0;
    for (size_t i = 0; i < text.size && good; i += 4) {
        good = decode_four(text.at + i, i + 4 == text.size, out);
    }
    return good;
}

bool access__read_basic(struct arena *arena, struct slice header,
                        struct slice *user, struct slice *password)
{
    const struct slice scheme = SLICE("Basic ");
    struct buf text = {0};
    bool good = header.size >= scheme.size &&
                slice_eq_nocase(slice_of(header.at, scheme.size), scheme) &&
                decode_base64(slice_of(header.at + scheme.size,
                                       header.size - scheme.size),
                              &text);
    ptrdiff_t colon = slice_find(buf_slice(&text), ':');
    good = good && colon >= 0;
    if (good) {
        char *kept = arena_dup(arena, text.at, text.size);
        size_t size = (size_t)colon;
        *user = slice_of(kept, size);
        *password = slice_of(kept + size + 1, text.size - size - 1);
    }
    buf_deinit(&text);
    /* Names with a NUL are those that nobody can log in with. */
    return good && user->size > 0 && user->size <= AUTH_NAME_BYTES_MAX &&
           slice_find(*user, '\0') < 0;
}

/* The certificate of a connection that this process made to itself says who
 * it is, not who has asked it to (CVE-2018-16886). */
static bool has_certificate(const struct http_request *request)
{
    struct slice name = request->certificate;
    return !request->is_own && name.size > 0 &&
           name.size <= AUTH_NAME_BYTES_MAX && slice_find(name, '\0') < 0;
}

static void identify(struct api *api, struct http_exchange *exchange,
                     struct caller *caller)
{
    const struct http_request *request = &exchange->request;
    struct slice header = http_header_get(request, "Authorization");
    struct slice password, hash;
    if (header.size > 0) {
        caller->how = SLICE("password");
        if (access__read_basic(exchange->arena, header, &caller->user,
                               &password)) {
            ask_password(api, exchange, caller, password);
        } else {
            caller->user = SLICE("");
            access__refuse(api, exchange, caller);
        }
        return;
    }
    caller->user = AUTH_GUEST;
    if (has_certificate(request) &&
        find_user(api, exchange->arena, request->certificate, &hash)) {
        caller->user = request->certificate;
        caller->how = SLICE("certificate");
    }
    go_on(api, exchange, caller);
}

static void serve(struct api *api, struct http_exchange *exchange,
                  struct caller *caller)
{
    const struct auth *auth = node_auth(api->node);
    caller->user = SLICE("");
    caller->how = SLICE("");
    caller->auth_revision = 0;
    if (!auth_is_on(auth) || !needs_caller(caller->route, exchange)) {
        go_on(api, exchange, caller);
        return;
    }
    /* Taken before anything is looked up: what changes after it is noticed
     * where the write is applied. */
    caller->auth_revision = auth_revision(auth);
    identify(api, exchange, caller);
}

void access__serve(struct api *api, struct http_exchange *exchange,
                   const struct route *route, struct slice rest)
{
    struct caller caller = {.route = route, .rest = rest};
    serve(api, exchange, &caller);
}

bool access__again(struct api *api, struct http_exchange *exchange,
                   const struct caller *caller)
{
    const struct auth *auth = node_auth(api->node);
    uint64_t now = auth_is_on(auth) ? auth_revision(auth) : 0;
    struct caller again = *caller;
    if (caller->is_again || caller->auth_revision == now || api->stopping) {
        return false;
    }
    again.is_again = true;
    serve(api, exchange, &again);
    return true;
}

/* ---- keys ---------------------------------------------------------------- */

bool access__may(const struct api *api, struct slice user,
                 enum auth_access access, struct slice key, bool recursive)
{
    return auth_may_path(node_auth(api->node), user, access, key, recursive) ==
           V3_OK;
}

bool access__key(struct api *api, struct http_exchange *exchange,
                 enum auth_access access, struct slice key, bool recursive)
{
    bool may = true;
    if (api->caller.auth_revision != 0) {
        lock_read(node_auth_lock(api->node));
        may = access__may(api, api->caller.user, access, key, recursive);
        unlock_read(node_auth_lock(api->node));
    }
    if (may) {
        access__note(api, exchange, &api->caller, key, NULL);
    } else {
        access__refuse_key(api, exchange, &api->caller, key);
    }
    return may;
}
