#include "cmd/etchctl/url.h"

#include <string.h>

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || (c && strchr("-_.~", c));
}

/* Escapes what is neither plain nor in `keep`; a blank becomes `blank`. */
static void append_escaped(struct buf *out, struct slice text, const char *keep,
                           const char *blank)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < text.size; i++) {
        char c = text.at[i];
        if (c == ' ') {
            buf_append_str(out, blank);
        } else if (is_unreserved(c) || (c && strchr(keep, c))) {
            buf_append_char(out, c);
        } else {
            buf_append_char(out, '%');
            buf_append_char(out, hex[(unsigned char)c >> 4]);
            buf_append_char(out, hex[(unsigned char)c & 15]);
        }
    }
}

/* Drops the last segment that stands after `root` bytes. */
static void drop_segment(struct buf *path, size_t root)
{
    while (path->size > root && path->at[path->size - 1] != '/')
        path->size--;
    if (path->size > root)
        path->size--;
}

void url_append_key(struct buf *out, const char *key)
{
    size_t root;

    buf_append_str(out, "/v2/keys");
    root = out->size;
    for (const char *at = key; *at;) {
        size_t size = strcspn(at, "/");
        struct slice segment = slice_of(at, size);
        if (slice_eq(segment, SLICE(".."))) {
            drop_segment(out, root);
        } else if (size && !slice_eq(segment, SLICE("."))) {
            buf_append_char(out, '/');
            append_escaped(out, segment, "$&+,:;=@", "%20");
        }
        at += size + (at[size] == '/');
    }
    if (key[0] && key[strlen(key) - 1] == '/')
        buf_append_char(out, '/');
}

void url_append_field(struct buf *out, const char *name, struct slice value)
{
    if (out->size && out->at[out->size - 1] != '?')
        buf_append_char(out, '&');
    buf_append_str(out, name);
    buf_append_char(out, '=');
    append_escaped(out, value, "", "+");
}

void url_append_number(struct buf *out, const char *name, uint64_t number)
{
    char text[20];

    url_append_field(out, name, slice_of(text, u64_to_text(number, text)));
}

void url_append_bool(struct buf *out, const char *name, bool yes)
{
    url_append_field(out, name, yes ? SLICE("true") : SLICE("false"));
}
