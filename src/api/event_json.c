/* Nodes and events as JSON: the fields in the order in which etcd has them,
 * those left out that it leaves out.
 *
 *   {"key","value","dir","expiration","ttl","nodes","modifiedIndex",
 *    "createdIndex"}
 *
 * The root has no key. A directory has no value; neither has a node that is
 * no more. */
#include "api/api_int.h"
#include "base/check.h"
#include "base/time_text.h"
#include "doc/json_write.h"

enum { SECOND_NS = 1000000000 };

#define APPEND(out, literal) buf_append(out, literal, sizeof(literal) - 1)

/* Whole seconds, rounded up; a ttl of 0 is left out, like any number. */
static void write_expiration(struct buf *out, int64_t expire_ns,
                             struct clock *clock)
{
    char text[TIME_TEXT_BYTES_MAX];
    int64_t left_ns = expire_ns - clock_wall_ns(clock);
    int64_t ttl_s = left_ns / SECOND_NS + (left_ns % SECOND_NS > 0 ? 1 : 0);
    APPEND(out, ",\"expiration\":\"");
    buf_append(out, text, time_to_rfc3339(expire_ns, text));
    buf_append_char(out, '"');
    if (ttl_s != 0) {
        APPEND(out, ",\"ttl\":");
        buf_append_i64(out, ttl_s);
    }
}

void json__node_begin(struct buf *out, const struct tree_node *node,
                      bool with_value, struct clock *clock)
{
    bool is_root = node->key.size == 1;
    CHECK(node->key.size > 0 && node->key.at[0] == '/');
    buf_append_char(out, '{');
    if (!is_root) {
        APPEND(out, "\"key\":");
        json_write_string(out, node->key);
    }
    if (node->dir) {
        buf_append_str(out, is_root ? "\"dir\":true" : ",\"dir\":true");
    } else if (with_value) {
        APPEND(out, ",\"value\":");
        json_write_string(out, node->value);
    }
    if (node->expire_ns != 0) {
        write_expiration(out, node->expire_ns, clock);
    }
}

void json__node_end(struct buf *out, revision created, revision modified)
{
    if (modified != 0) {
        APPEND(out, ",\"modifiedIndex\":");
        buf_append_u64(out, (uint64_t)modified);
    }
    if (created != 0) {
        APPEND(out, ",\"createdIndex\":");
        buf_append_u64(out, (uint64_t)created);
    }
    buf_append_char(out, '}');
}

static void write_node(struct buf *out, const struct tree_node *node,
                       bool with_value, struct clock *clock)
{
    json__node_begin(out, node, with_value, clock);
    json__node_end(out, node->created, node->modified);
}

void json__node(struct buf *out, const struct tree_node *node,
                struct clock *clock)
{
    write_node(out, node, true, clock);
}

/* True for an event whose node is gone after it. */
static bool is_removal(const char *action)
{
    return strcmp(action, "delete") == 0 ||
           strcmp(action, "compareAndDelete") == 0 ||
           strcmp(action, "expire") == 0;
}

void json__event(struct buf *out, const struct tree_event *event,
                 struct clock *clock)
{
    APPEND(out, "{\"action\":\"");
    buf_append_str(out, event->action);
    APPEND(out, "\",\"node\":");
    write_node(out, &event->node, !is_removal(event->action), clock);
    if (event->has_prev) {
        APPEND(out, ",\"prevNode\":");
        write_node(out, &event->prev, true, clock);
    }
    APPEND(out, "}\n");
}
