/* Rows: as lists of lines, and as boxes (the format `table`). */
#include <string.h>

#include "cmd/etchctl/v3_print.h"

enum {
    /* A cell that is wider has its words on lines below each other. */
    CELL_COLUMNS = 30,
};

/* ---- rows of members ---------------------------------------------------- */

char *v3_join(struct arena *arena, char *const *texts, size_t count,
              const char *separator)
{
    struct buf text = {0};
    char *out;

    for (size_t i = 0; i < count; i++) {
        buf_append_str(&text, i > 0 ? separator : "");
        buf_append_str(&text, texts[i]);
    }
    buf_append_char(&text, '\0');
    out = arena_dup(arena, text.at, text.size);
    buf_deinit(&text);
    return out;
}

struct v3_rows v3_member_rows(const Etcdserverpb__MemberListResponse *answer,
                              struct arena *arena)
{
    static const char *const heads[] = {
        "ID", "Status", "Name", "Peer Addrs", "Client Addrs", "Is Learner"};
    struct v3_rows rows = {.heads = heads, .columns = 6};

    rows.cells = arena_alloc(arena, (answer->n_members * rows.columns + 1) *
                                        sizeof(*rows.cells));
    rows.count = answer->n_members;
    for (size_t i = 0; i < answer->n_members; i++) {
        const Etcdserverpb__Member *member = answer->members[i];
        const char **cells = &rows.cells[i * rows.columns];
        cells[0] = arena_printf(arena, "%llx", (unsigned long long)member->id);
        cells[1] = member->name[0] ? "started" : "unstarted";
        cells[2] = member->name;
        cells[3] = v3_join(arena, member->peerurls, member->n_peerurls, ",");
        cells[4] =
            v3_join(arena, member->clienturls, member->n_clienturls, ",");
        cells[5] = member->islearner ? "true" : "false";
    }
    return rows;
}

/* ---- lists -------------------------------------------------------------- */

void v3_rows_list(const struct v3_rows *rows, struct buf *out)
{
    for (size_t i = 0; i < rows->count; i++) {
        for (size_t j = 0; j < rows->columns; j++) {
            buf_append_str(out, j > 0 ? ", " : "");
            buf_append_str(out, rows->cells[i * rows->columns + j]);
        }
        buf_append_char(out, '\n');
    }
}

/* ---- boxes -------------------------------------------------------------- */

static size_t columns_of(struct slice text)
{
    size_t columns = 0;

    for (size_t i = 0; i < text.size; i++)
        columns += ((uint8_t)text.at[i] & 0xc0) != 0x80;
    return columns;
}

/* Takes the next line of a cell: as many words as fit, one at least. */
static bool take_line(const char **text, struct slice *line)
{
    const char *end = *text;
    const char *at = *text;

    if (**text == '\0') {
        *line = SLICE("");
        return false;
    }
    if (strlen(*text) <= CELL_COLUMNS) {
        *line = slice_str(*text);
        *text += line->size;
        return true;
    }
    while (*at) {
        at += strcspn(at, " ");
        if (end > *text && at - *text > CELL_COLUMNS)
            break;
        end = at;
        at += strspn(at, " ");
    }
    *line = slice_of(*text, (size_t)(end - *text));
    *text = end + strspn(end, " ");
    return true;
}

static size_t width_of(const struct v3_rows *rows, size_t column)
{
    size_t width = columns_of(slice_str(rows->heads[column]));

    for (size_t i = 0; i < rows->count; i++) {
        const char *text = rows->cells[i * rows->columns + column];
        struct slice line;
        while (take_line(&text, &line))
            if (columns_of(line) > width)
                width = columns_of(line);
    }
    return width;
}

static void repeat(struct buf *out, char c, size_t count)
{
    for (; count > 0; count--)
        buf_append_char(out, c);
}

static void border(const struct v3_rows *rows, struct buf *out)
{
    for (size_t j = 0; j < rows->columns; j++) {
        buf_append_char(out, '+');
        repeat(out, '-', width_of(rows, j) + 2);
    }
    buf_append_str(out, "+\n");
}

/* Headings stand in the middle. */
static void headings(const struct v3_rows *rows, struct buf *out)
{
    for (size_t j = 0; j < rows->columns; j++) {
        const char *head = rows->heads[j];
        size_t space = width_of(rows, j) - strlen(head);
        buf_append_str(out, "| ");
        repeat(out, ' ', space / 2);
        for (; *head; head++)
            buf_append_char(out, (char)(*head >= 'a' && *head <= 'z'
                                            ? *head - 'a' + 'A'
                                            : *head));
        repeat(out, ' ', space - space / 2 + 1);
    }
    buf_append_str(out, "|\n");
}

/* One line of a row; false when all cells have come to their end. */
static bool row_line(const struct v3_rows *rows, const char **rest,
                     bool is_first, struct buf *out)
{
    size_t start = out->size;
    bool has_text = is_first;

    for (size_t j = 0; j < rows->columns; j++) {
        struct slice line;
        if (take_line(&rest[j], &line))
            has_text = true;
        buf_append_str(out, "| ");
        repeat(out, ' ', width_of(rows, j) - columns_of(line));
        buf_append_slice(out, line);
        buf_append_char(out, ' ');
    }
    buf_append_str(out, "|\n");
    if (!has_text)
        out->size = start;
    return has_text;
}

void v3_rows_table(const struct v3_rows *rows, struct buf *out)
{
    const char *rest[16];

    border(rows, out);
    headings(rows, out);
    border(rows, out);
    for (size_t i = 0; i < rows->count; i++) {
        memcpy(rest, &rows->cells[i * rows->columns],
               rows->columns * sizeof(*rest));
        bool is_first = true;
        while (row_line(rows, rest, is_first, out))
            is_first = false;
    }
    if (rows->count > 0)
        border(rows, out);
}

bool v3_table_write(const struct v3_result *result, struct buf *out)
{
    const ProtobufCMessage *message = result->message;
    struct arena arena;
    struct v3_rows rows;

    if (message->descriptor != &etcdserverpb__member_list_response__descriptor)
        return false;
    arena_init(&arena, 0);
    rows = v3_member_rows(result->message, &arena);
    v3_rows_table(&rows, out);
    arena_deinit(&arena);
    return true;
}
