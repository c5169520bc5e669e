/* /v2/keys: the key that a request is about, and who handles it. */
#include "api/api_int.h"
#include "base/check.h"

/* True for a key that can be one. What v2 tells of it goes to logs, listings
 * and JSON, so it is text; and it is no longer and no deeper than what the
 * rest is built for. */
static bool check_key(struct api *api, struct http_exchange *exchange,
                      struct slice key, struct v2_error *error)
{
    size_t depth = 0;
    const char *cause = NULL;
    for (size_t i = 0; i < key.size; i++) {
        depth += key.at[i] == '/';
    }
    if (key.size > api->shared->key_bytes_max) {
        cause =
            arena_printf(exchange->arena, "the key is longer than %zu bytes",
                         api->shared->key_bytes_max);
    } else if (depth > LIMIT_PATH_DEPTH_MAX) {
        cause = arena_printf(exchange->arena,
                             "the key is deeper than %d directories",
                             LIMIT_PATH_DEPTH_MAX);
    } else if (!slice_is_utf8(key)) {
        cause = "the key is not UTF-8";
    }
    *error =
        (struct v2_error){.code = V2_INVALID_FIELD, .cause = slice_str(cause)};
    return cause == NULL;
}

static void serve(struct api *api, struct http_exchange *exchange,
                  struct slice key, const struct keys_params *params)
{
    enum http_method method = exchange->request.method;
    bool writes = method != HTTP_GET && method != HTTP_HEAD;
    /* What POST makes in a directory lies below it. */
    bool is_deep = params->recursive ? !writes || method == HTTP_DELETE
                                     : method == HTTP_POST;
    if (!access__key(api, exchange, writes ? AUTH_WRITE : AUTH_READ, key,
                     is_deep)) {
        return;
    }
    if (writes) {
        keys__write(api, exchange, key, params);
    } else if (params->wait) {
        keys__watch(api, exchange, key, params);
    } else {
        keys__read(api, exchange, key, params);
    }
}

void api__keys(struct api *api, struct http_exchange *exchange,
               struct slice path)
{
    struct form form;
    struct keys_params params;
    struct v2_error error;
    bool is_get = exchange->request.method == HTTP_GET;
    struct slice key = path.size == 0 ? SLICE("/") : path;
    CHECK(key.at[0] == '/');
    if (key.size > 1 && key.at[key.size - 1] == '/') {
        key.size--;
    }
    if (!keys__form(exchange, &form, &error) ||
        !check_key(api, exchange, key, &error) ||
        !keys__params(&form, is_get, &params, &error)) {
        /* Nothing was looked up, so no index is told: etcd says 0. */
        api__respond_error(api, exchange, 0, &error, 0);
        return;
    }
    serve(api, exchange, key, &params);
}
