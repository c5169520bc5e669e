/* Headers, and answers of one piece. */
#include "api/api_int.h"
#include "base/check.h"
#include "doc/json_write.h"

const struct slice api__type_json = {"application/json", 16};
const struct slice api__type_text = {"text/plain; charset=utf-8", 25};

void answer__add(struct answer *answer, struct slice name, struct slice value)
{
    size_t max = sizeof(answer->headers) / sizeof(answer->headers[0]);
    CHECK_LT(answer->count, max);
    answer->headers[answer->count++] = (struct http_header){name, value};
}

void answer__add_number(struct answer *answer, struct slice name,
                        uint64_t number)
{
    char *digits = answer->digits + answer->digit_count;
    CHECK_LE(answer->digit_count + 20, sizeof(answer->digits));
    size_t size = u64_to_text(number, digits);
    answer->digit_count += size;
    answer__add(answer, name, slice_of(digits, size));
}

void answer__init(struct answer *answer, struct api *api,
                  struct http_exchange *exchange, struct slice type)
{
    answer->count = 0;
    answer->digit_count = 0;
    if (api->shared->cors_count > 0) {
        api__add_cors(answer, api->shared, &exchange->request);
    }
    if (type.at != NULL) {
        answer__add(answer, SLICE("Content-Type"), type);
    }
    answer__add(answer, SLICE("X-Content-Type-Options"), SLICE("nosniff"));
}

void answer__add_cluster(struct answer *answer, struct api *api)
{
    answer__add(answer, SLICE("X-Etcd-Cluster-Id"), api->cluster_id);
}

void answer__init_keys(struct answer *answer, struct api *api,
                       struct http_exchange *exchange, revision index,
                       raft_index log_index, raft_term term)
{
    answer__init(answer, api, exchange, api__type_json);
    answer__add_cluster(answer, api);
    answer__add_number(answer, SLICE("X-Etcd-Index"), (uint64_t)index);
    if (log_index == 0) {
        struct node_progress progress;
        node_progress(api->node, &progress);
        log_index = progress.committed;
        term = progress.term;
    }
    answer__add_number(answer, SLICE("X-Raft-Index"), log_index);
    answer__add_number(answer, SLICE("X-Raft-Term"), term);
}

void answer__send(const struct answer *answer, struct api *api,
                  struct http_exchange *exchange, int status)
{
    CHECK(!api->reading);
    CHECK(status >= 200 && status < 600);
    http_respond(exchange, status, answer->headers, answer->count,
                 buf_slice(&api->out));
    if (api->out.capacity > API_OUT_BYTES_KEPT) {
        buf_deinit(&api->out);
    }
}

struct buf *api__body(struct api *api)
{
    buf_reset(&api->out);
    return &api->out;
}

void api__respond(struct api *api, struct http_exchange *exchange, int status,
                  struct slice type)
{
    struct answer answer;
    answer__init(&answer, api, exchange, type);
    answer__send(&answer, api, exchange, status);
}

void api__respond_text(struct api *api, struct http_exchange *exchange,
                       int status, const char *text)
{
    struct buf *out = api__body(api);
    buf_append_str(out, text);
    buf_append_char(out, '\n');
    api__respond(api, exchange, status, api__type_text);
}

void api__respond_message(struct api *api, struct http_exchange *exchange,
                          int status, const char *message)
{
    struct buf *out = api__body(api);
    buf_append_str(out, "{\"message\":");
    json_write_string(out, slice_str(message));
    buf_append_char(out, '}');
    api__respond(api, exchange, status, api__type_json);
}

void api__respond_not_found(struct api *api, struct http_exchange *exchange)
{
    api__respond_text(api, exchange, 404, "404 page not found");
}

void api__respond_not_allowed(struct api *api, struct http_exchange *exchange,
                              const char *allow)
{
    struct answer answer;
    buf_append_str(api__body(api), "Method Not Allowed\n");
    answer__init(&answer, api, exchange, api__type_text);
    answer__add(&answer, SLICE("Allow"), slice_str(allow));
    answer__send(&answer, api, exchange, 405);
}
