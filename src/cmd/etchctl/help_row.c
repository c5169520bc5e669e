#include "cmd/etchctl/help_row.h"

#include <string.h>

static void pad(struct buf *out, size_t from, size_t to)
{
    for (; from < to; from++)
        buf_append_char(out, ' ');
}

/* `text` after column `indent`, wrapped between words. */
static void wrapped(struct buf *out, const char *text, size_t indent)
{
    size_t column = indent;

    while (*text) {
        size_t size = strcspn(text, " ");
        if (column > indent && column + 1 + size > HELP_COLUMNS) {
            buf_append_char(out, '\n');
            pad(out, 0, indent);
            column = indent;
        } else if (column > indent) {
            buf_append_char(out, ' ');
            column++;
        }
        buf_append(out, text, size);
        column += size;
        text += size;
        while (*text == ' ')
            text++;
    }
    buf_append_char(out, '\n');
}

void help_row(struct buf *out, const char *left, const char *right,
              size_t width)
{
    size_t size = strlen(left);

    buf_append_str(out, "  ");
    buf_append_str(out, left);
    if (size > width) {
        buf_append_char(out, '\n');
        pad(out, 0, width + 4);
    } else {
        pad(out, size, width + 2);
    }
    wrapped(out, right, width + 4);
}
