#include "cmd/etchctl/member_list.h"

#include <string.h>

#include "cmd/etchctl/v2_response.h"
#include "doc/doc.h"

static void urls_of(struct arena *arena, const struct doc_value *map,
                    const char *name, struct url_list *out)
{
    const struct doc_value *list = doc_get(map, name);

    out->at = NULL;
    out->count = 0;
    if (!list || list->kind != DOC_LIST)
        return;
    out->at = arena_alloc(arena, (list->count + 1) * sizeof(*out->at));
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i]->kind == DOC_STRING)
            out->at[out->count++] = list->items[i]->text;
}

static bool read_member(struct arena *arena, const struct doc_value *map,
                        struct member *out)
{
    if (!map || map->kind != DOC_MAP)
        return false;
    out->id = v2_text_of(map, "id");
    out->name = v2_text_of(map, "name");
    urls_of(arena, map, "peerURLs", &out->peer_urls);
    urls_of(arena, map, "clientURLs", &out->client_urls);
    return out->id.size > 0;
}

static struct doc_value *parse(struct arena *arena, struct slice json)
{
    struct doc_value *value = NULL;
    enum err err = doc_parse_json(arena, json, &v2_response_limits, &value);
    return err == ERR_OK ? value : NULL;
}

bool member_parse(struct arena *arena, struct slice json, struct member *out)
{
    return read_member(arena, parse(arena, json), out);
}

bool member_list_parse(struct arena *arena, struct slice json,
                       struct member_list *out)
{
    const struct doc_value *root = parse(arena, json);
    const struct doc_value *list = root ? doc_get(root, "members") : NULL;

    out->count = 0;
    if (!list || list->kind != DOC_LIST)
        return false;
    out->at = arena_alloc(arena, (list->count + 1) * sizeof(*out->at));
    for (size_t i = 0; i < list->count; i++)
        if (!read_member(arena, list->items[i], &out->at[out->count++]))
            return false;
    return true;
}

void url_list_print(const struct url_list *urls, const char *separator,
                    struct buf *out)
{
    for (size_t i = 0; i < urls->count; i++) {
        if (i)
            buf_append_str(out, separator);
        buf_append_slice(out, urls->at[i]);
    }
}

void member_print(const struct member *member, struct slice leader_id,
                  struct buf *out)
{
    bool is_leader = slice_eq(member->id, leader_id);

    buf_append_slice(out, member->id);
    if (member->name.size == 0) {
        buf_append_str(out, "[unstarted]: peerURLs=");
        url_list_print(&member->peer_urls, ",", out);
    } else {
        buf_append_str(out, ": name=");
        buf_append_slice(out, member->name);
        buf_append_str(out, " peerURLs=");
        url_list_print(&member->peer_urls, ",", out);
        buf_append_str(out, " clientURLs=");
        url_list_print(&member->client_urls, ",", out);
        buf_append_str(out, is_leader ? " isLeader=true" : " isLeader=false");
    }
    buf_append_char(out, '\n');
}

/* etcd 2 says {"health": "true"}, others have said {"health": true}. */
int health_parse(struct arena *arena, struct slice json)
{
    const struct doc_value *root = parse(arena, json);
    const struct doc_value *health;

    if (!root || root->kind != DOC_MAP)
        return -1;
    health = doc_get(root, "health");
    if (!health)
        return 0;
    if (health->kind == DOC_BOOL)
        return health->boolean;
    if (health->kind == DOC_STRING)
        return slice_eq(health->text, SLICE("true"));
    return -1;
}
