#include "cmd/etchctl/v2_response.h"

#include "base/limits.h"
#include "doc/json_write.h"
#include "host/http_client.h"

const struct doc_limits v2_response_limits = {
    .bytes_max = HTTP_CLIENT_BODY_BYTES_MAX,
    .depth_max = 2 * LIMIT_PATH_DEPTH_MAX + 8,
    .values_max = SIZE_MAX,
};

/* ---- reading ------------------------------------------------------------ */

struct slice v2_text_of(const struct doc_value *map, const char *name)
{
    const struct doc_value *value = doc_get(map, name);
    return value && value->kind == DOC_STRING ? value->text : SLICE("");
}

static int64_t number_of(const struct doc_value *map, const char *name)
{
    const struct doc_value *value = doc_get(map, name);
    return value && value->kind == DOC_INT ? value->integer : 0;
}

static bool bool_of(const struct doc_value *map, const char *name)
{
    const struct doc_value *value = doc_get(map, name);
    return value && value->kind == DOC_BOOL && value->boolean;
}

static bool read_node(struct arena *arena, const struct doc_value *map,
                      struct v2_node *out)
{
    const struct doc_value *nodes;

    *out = (struct v2_node){0};
    if (map->kind != DOC_MAP)
        return false;
    out->key = v2_text_of(map, "key");
    out->value = v2_text_of(map, "value");
    out->is_dir = bool_of(map, "dir");
    out->created_index = (uint64_t)number_of(map, "createdIndex");
    out->modified_index = (uint64_t)number_of(map, "modifiedIndex");
    out->ttl = number_of(map, "ttl");
    out->expiration = v2_text_of(map, "expiration");
    nodes = doc_get(map, "nodes");
    if (!nodes || nodes->kind != DOC_LIST || nodes->count == 0)
        return true;
    out->nodes = arena_alloc(arena, nodes->count * sizeof(*out->nodes));
    out->node_count = nodes->count;
    for (size_t i = 0; i < nodes->count; i++)
        if (!read_node(arena, nodes->items[i], &out->nodes[i]))
            return false;
    return true;
}

static bool read_root_node(struct arena *arena, const struct doc_value *root,
                           const char *name, struct v2_node **out)
{
    const struct doc_value *map = doc_get(root, name);

    *out = NULL;
    if (!map || map->kind == DOC_NULL)
        return true;
    *out = arena_alloc(arena, sizeof(**out));
    return read_node(arena, map, *out);
}

static struct doc_value *parse_map(struct arena *arena, struct slice json)
{
    struct doc_value *root = NULL;
    enum err err = doc_parse_json(arena, json, &v2_response_limits, &root);
    return err == ERR_OK && root->kind == DOC_MAP ? root : NULL;
}

bool v2_response_parse(struct arena *arena, struct slice json,
                       struct v2_response *out)
{
    const struct doc_value *root = parse_map(arena, json);

    *out = (struct v2_response){0};
    if (!root)
        return false;
    out->action = v2_text_of(root, "action");
    return read_root_node(arena, root, "node", &out->node) &&
           read_root_node(arena, root, "prevNode", &out->prev_node) &&
           out->node != NULL;
}

bool v2_error_parse(struct arena *arena, struct slice json,
                    struct v2_error *out)
{
    const struct doc_value *root = parse_map(arena, json);

    if (!root)
        return false;
    out->code = number_of(root, "errorCode");
    out->message = v2_text_of(root, "message");
    out->cause = v2_text_of(root, "cause");
    out->index = (uint64_t)number_of(root, "index");
    return true;
}

/* ---- printing ----------------------------------------------------------- */

void v2_error_print(const struct v2_error *error, struct buf *out)
{
    buf_append_i64(out, error->code);
    buf_append_str(out, ": ");
    buf_append_slice(out, error->message);
    buf_append_str(out, " (");
    buf_append_slice(out, error->cause);
    buf_append_str(out, ") [");
    buf_append_u64(out, error->index);
    buf_append_char(out, ']');
}

/* The fields and their order are those of Go's client.Node. */
static void json_node(const struct v2_node *node, struct buf *out)
{
    if (!node) {
        buf_append_str(out, "null");
        return;
    }
    buf_append_str(out, "{\"key\":");
    json_write_string(out, node->key);
    if (node->is_dir)
        buf_append_str(out, ",\"dir\":true");
    buf_append_str(out, ",\"value\":");
    json_write_string(out, node->value);
    buf_append_str(out, node->node_count ? ",\"nodes\":[" : ",\"nodes\":null");
    for (size_t i = 0; i < node->node_count; i++) {
        if (i)
            buf_append_char(out, ',');
        json_node(&node->nodes[i], out);
    }
    if (node->node_count)
        buf_append_char(out, ']');
    buf_append_str(out, ",\"createdIndex\":");
    buf_append_u64(out, node->created_index);
    buf_append_str(out, ",\"modifiedIndex\":");
    buf_append_u64(out, node->modified_index);
    if (node->expiration.size) {
        buf_append_str(out, ",\"expiration\":");
        json_write_string(out, node->expiration);
    }
    if (node->ttl) {
        buf_append_str(out, ",\"ttl\":");
        buf_append_i64(out, node->ttl);
    }
    buf_append_char(out, '}');
}

static void print_json(const struct v2_response *response, struct buf *out)
{
    buf_append_str(out, "{\"action\":");
    json_write_string(out, response->action);
    buf_append_str(out, ",\"node\":");
    json_node(response->node, out);
    buf_append_str(out, ",\"prevNode\":");
    json_node(response->prev_node, out);
    buf_append_str(out, "}\n");
}

static void line_text(struct buf *out, const char *name, struct slice text)
{
    buf_append_str(out, name);
    buf_append_slice(out, text);
    buf_append_char(out, '\n');
}

static void line_number(struct buf *out, const char *name, int64_t number)
{
    buf_append_str(out, name);
    buf_append_i64(out, number);
    buf_append_char(out, '\n');
}

/* Deleted by name, it shows what was there; not so where it was compared or
 * expired: that is how etcdctl has it. */
static bool is_delete(const struct v2_response *response)
{
    return slice_eq(response->action, SLICE("delete"));
}

static void print_extended(const struct v2_response *response, struct buf *out)
{
    const struct v2_node *node = response->node;

    line_text(out, "Key: ", node->key);
    line_number(out, "Created-Index: ", (int64_t)node->created_index);
    line_number(out, "Modified-Index: ", (int64_t)node->modified_index);
    if (response->prev_node)
        line_text(out, "PrevNode.Value: ", response->prev_node->value);
    line_number(out, "TTL: ", node->ttl);
    line_number(out, "Index: ", (int64_t)response->index);
    if (!is_delete(response))
        line_text(out, "\n", node->value);
}

void v2_response_print(const struct v2_response *response,
                       enum output_format format, struct buf *out)
{
    if (format == OUTPUT_JSON)
        print_json(response, out);
    else if (format == OUTPUT_EXTENDED)
        print_extended(response, out);
    else if (!is_delete(response))
        line_text(out, "", response->node->value);
    else
        line_text(out, "PrevNode.Value: ",
                  response->prev_node ? response->prev_node->value : SLICE(""));
}

static void list_node(const struct v2_node *node, bool slash, struct buf *out)
{
    buf_append_slice(out, node->key);
    buf_append_str(out, slash && node->is_dir ? "/\n" : "\n");
    for (size_t i = 0; i < node->node_count; i++)
        list_node(&node->nodes[i], slash, out);
}

void v2_listing_print(const struct v2_response *response, bool slash,
                      struct buf *out)
{
    const struct v2_node *node = response->node;

    if (!node->is_dir)
        line_text(out, "", node->key);
    for (size_t i = 0; i < node->node_count; i++)
        list_node(&node->nodes[i], slash, out);
}
