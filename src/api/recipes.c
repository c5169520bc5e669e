/* Who asks the Recipes service, found out for it as for keys: by a password or
 * a certificate; and by a token, as in v3. What he may do is the service's to
 * say. */
#include "api/api_int.h"

static const struct slice hooks = {"/recipes/v1/hooks/", 18};
static const struct slice bearer = {"Bearer ", 7};

static void hand_on(struct api *api, struct http_exchange *exchange,
                    struct slice user)
{
    bool is_nobody = user.size > 0 && user.at[0] == '\0'; /* a guest */
    api->config.on_recipes(api->config.context, exchange,
                           is_nobody ? SLICE("") : user);
}

static void page(struct api *api, struct http_exchange *exchange,
                 struct slice rest)
{
    (void)rest;
    hand_on(api, exchange, api->caller.user);
}

static enum v3_error find_token(struct api *api, struct slice token,
                                char user[AUTH_NAME_BYTES_MAX], size_t *size)
{
    enum v3_error error = V3_INVALID_AUTH_TOKEN;
    if (api->shared->tokens != NULL) {
        lock_read(node_lock(api->node));
        error =
            auth_tokens_find(api->shared->tokens, token,
                             auth_revision(node_auth(api->node)), user, size);
        unlock_read(node_lock(api->node));
    }
    return error;
}

static void by_token(struct api *api, struct http_exchange *exchange,
                     struct slice token, struct caller *caller)
{
    char user[AUTH_NAME_BYTES_MAX];
    size_t size = 0;
    caller->how = SLICE("token");
    if (find_token(api, token, user, &size) != V3_OK) {
        access__refuse(api, exchange, caller);
        return;
    }
    hand_on(api, exchange,
            slice_of(arena_dup(exchange->arena, user, size), size));
}

void api_recipes(struct api *api, struct http_exchange *exchange)
{
    static const struct route route = {
        .path = "/recipes/v1/", .rule = ACCESS_RECIPES, .page = page};
    const struct http_request *request = &exchange->request;
    struct slice header = http_header_get(request, "Authorization");
    struct caller caller = {.route = &route};
    if (slice_has_prefix(request->path, hooks)) {
        hand_on(api, exchange, SLICE("")); /* these have signatures */
    } else if (auth_is_on(node_auth(api->node)) && header.size > bearer.size &&
               slice_eq_nocase(slice_of(header.at, bearer.size), bearer)) {
        by_token(api, exchange,
                 slice_of(header.at + bearer.size, header.size - bearer.size),
                 &caller);
    } else {
        access__serve(api, exchange, &route, SLICE(""));
    }
}
