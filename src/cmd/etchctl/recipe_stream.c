/* Server-sent events (HTML, section 9.2), taken apart: "event:" and "data:"
 * lines, an empty one ends the event; the rest is passed over. */
#include "cmd/etchctl/recipe.h"

enum { EVENT_BYTES_MAX = 8 << 20 };

void recipe_stream_deinit(struct recipe_stream *stream)
{
    buf_deinit(&stream->line);
    buf_deinit(&stream->event);
    buf_deinit(&stream->data);
}

/* "data: text": the blank after the colon is no part of it. */
static bool field(struct slice line, const char *name, struct slice *text)
{
    struct slice head = slice_str(name);

    if (!slice_has_prefix(line, head))
        return false;
    *text = slice_of(line.at + head.size, line.size - head.size);
    if (text->size > 0 && text->at[0] == ' ') {
        text->at++;
        text->size--;
    }
    return true;
}

static bool end_event(struct recipe_stream *stream)
{
    bool goes_on = true;

    if (stream->data.size > 0)
        goes_on = stream->on_event(stream->context, buf_slice(&stream->event),
                                   buf_slice(&stream->data));
    buf_reset(&stream->event);
    buf_reset(&stream->data);
    return goes_on;
}

static bool take_line(struct recipe_stream *stream)
{
    struct slice line = buf_slice(&stream->line);
    struct slice text;

    if (line.size > 0 && line.at[line.size - 1] == '\r')
        line.size--;
    if (line.size == 0)
        return end_event(stream);
    if (field(line, "event:", &text)) {
        buf_reset(&stream->event);
        buf_append_slice(&stream->event, text);
    } else if (field(line, "data:", &text)) {
        if (stream->data.size > 0)
            buf_append_char(&stream->data, '\n');
        buf_append_slice(&stream->data, text);
    }
    return stream->data.size <= EVENT_BYTES_MAX;
}

bool recipe_stream_take(struct recipe_stream *stream, struct slice piece)
{
    while (piece.size > 0) {
        ptrdiff_t end = slice_find(piece, '\n');
        size_t size = end < 0 ? piece.size : (size_t)end;
        buf_append(&stream->line, piece.at, size);
        if (stream->line.size > EVENT_BYTES_MAX)
            return false;
        if (end < 0)
            return true;
        piece = slice_of(piece.at + size + 1, piece.size - size - 1);
        if (!take_line(stream))
            return false;
        buf_reset(&stream->line);
    }
    return true;
}
