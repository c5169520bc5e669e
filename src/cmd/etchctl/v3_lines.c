#include "cmd/etchctl/v3_lines.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { READ_BYTES = 4096 };

void v3_lines_deinit(struct v3_lines *lines)
{
    buf_deinit(&lines->text);
}

char *v3_lines_take(struct v3_lines *lines, struct arena *arena)
{
    ptrdiff_t size = slice_find(buf_slice(&lines->text), '\n');
    char *line;

    if (size < 0)
        return NULL;
    line = arena_dup(arena, lines->text.at, (size_t)size + 1);
    line[size] = '\0';
    buf_consume(&lines->text, (size_t)size + 1);
    return line;
}

void v3_lines_read(struct v3_lines *lines)
{
    ssize_t got;

    buf_reserve(&lines->text, READ_BYTES);
    do
        got = read(lines->fd, lines->text.at + lines->text.size, READ_BYTES);
    while (got < 0 && errno == EINTR);
    if (got > 0)
        lines->text.size += (size_t)got;
    else
        lines->ended = true;
}

char *v3_trim(char *line)
{
    static const char spaces[] = " \t\r\n\v\f";
    size_t size;

    line += strspn(line, spaces);
    size = strlen(line);
    while (size > 0 && strchr(spaces, line[size - 1]))
        size--;
    line[size] = '\0';
    return line;
}
