/* txn: comparisons and what to do, read from stdin. */
#include <stdio.h>
#include <string.h>

#include "cmd/etchctl/go_text.h"
#include "cmd/etchctl/v3_compare.h"
#include "cmd/etchctl/v3_keys.h"
#include "cmd/etchctl/v3_lines.h"
#include "cmd/etchctl/v3_print.h"

static const struct pflag_spec flags[] = {
    {"interactive", 'i', PFLAG_BOOL, NULL, "say what is to be typed next"},
    {0},
};

enum { PARTS_MAX = 4096 };

/* ---- lines -------------------------------------------------------------- */

/* The next line without the spaces around it; NULL at the end. */
static char *read_line(struct v3 *v3, struct v3_lines *lines)
{
    char *line = v3_lines_take(lines, v3->arena);

    while (!line && !lines->ended) {
        v3_lines_read(lines);
        line = v3_lines_take(lines, v3->arena);
    }
    return line ? v3_trim(line) : NULL;
}

static int fail_end(struct v3 *v3)
{
    return v3_fail(v3, V3_INVALID_INPUT, "EOF");
}

static void prompt(struct v3 *v3, const char *text)
{
    if (!pflags_bool(&v3->flags, "interactive"))
        return;
    puts(text);
    fflush(stdout);
}

/* ---- comparisons -------------------------------------------------------- */

static int read_compares(struct v3 *v3, struct v3_lines *lines,
                         Etcdserverpb__TxnRequest *request)
{
    const char *line;

    request->compare =
        arena_alloc(v3->arena, PARTS_MAX * sizeof(*request->compare));
    prompt(v3, "compares:");
    for (;;) {
        Etcdserverpb__Compare *compare;
        line = read_line(v3, lines);
        if (!line)
            return fail_end(v3);
        if (!line[0])
            return V3_DONE;
        if (request->n_compare == PARTS_MAX)
            return v3_fail(v3, V3_INVALID_INPUT, "too many comparisons");
        compare = arena_alloc(v3->arena, sizeof(*compare));
        if (v3_compare_parse(v3->arena, line, compare) != ERR_OK)
            return v3_fail(v3, V3_INVALID_INPUT, "%s", err_note());
        request->compare[request->n_compare++] = compare;
    }
}

/* ---- operations --------------------------------------------------------- */

static int fill_get(struct v3 *v3, const struct pflags *given,
                    const struct words *words, Etcdserverpb__RequestOp *op)
{
    op->request_range = arena_alloc(v3->arena, sizeof(*op->request_range));
    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    return v3_get_request(v3, given, words, op->request_range);
}

static int fill_put(struct v3 *v3, const struct pflags *given,
                    const struct words *words, Etcdserverpb__RequestOp *op)
{
    op->request_put = arena_alloc(v3->arena, sizeof(*op->request_put));
    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    return v3_put_request(v3, given, words, op->request_put);
}

static int fill_del(struct v3 *v3, const struct pflags *given,
                    const struct words *words, Etcdserverpb__RequestOp *op)
{
    op->request_delete_range =
        arena_alloc(v3->arena, sizeof(*op->request_delete_range));
    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    return v3_del_request(v3, given, words, op->request_delete_range);
}

static const struct {
    const struct v3_command *command;
    int (*fill)(struct v3 *v3, const struct pflags *given,
                const struct words *words, Etcdserverpb__RequestOp *op);
} operations[] = {
    {&v3_command_get, fill_get},
    {&v3_command_put, fill_put},
    {&v3_command_del, fill_del},
};

static int fail_operation(struct v3 *v3, const char *line)
{
    return v3_fail(v3, V3_INVALID_INPUT, "invalid txn request: %s", line);
}

/* Which of them its first word begins; -1: none. */
static int find_operation(const char *name)
{
    for (int i = 0; i < 3; i++)
        if (name[0] &&
            strncmp(operations[i].command->name, name, strlen(name)) == 0)
            return i;
    return -1;
}

static int parse_operation(struct v3 *v3, const char *line,
                           Etcdserverpb__RequestOp *op)
{
    struct words words;
    struct words left;
    struct pflags given;
    size_t at;
    int which;

    if (go_split(v3->arena, slice_str(line), &words) != ERR_OK)
        return v3_fail(v3, V3_INVALID_INPUT, "%s", err_note());
    if (words.count < 2)
        return v3_fail(v3, V3_INVALID_INPUT, "invalid txn compare request: %s",
                       line);
    pflags_init(&given, v3->arena);
    at = pflags_first_word(&given, &words);
    which = at < words.count ? find_operation(words.at[at]) : -1;
    if (which < 0)
        return fail_operation(v3, line);
    memmove(&words.at[at], &words.at[at + 1],
            (words.count - at - 1) * sizeof(*words.at));
    words.count--;
    left = (struct words){
        .at = arena_alloc(v3->arena, (words.count + 1) * sizeof(*left.at))};
    pflags_add(&given, operations[which].command->flags);
    if (pflags_parse(&given, &words, &left) != ERR_OK)
        return fail_operation(v3, line);
    return operations[which].fill(v3, &given, &left, op);
}

static int read_operations(struct v3 *v3, struct v3_lines *lines,
                           const char *title, Etcdserverpb__RequestOp ***out,
                           size_t *count)
{
    const char *line;

    *out = arena_alloc(v3->arena, PARTS_MAX * sizeof(**out));
    *count = 0;
    prompt(v3, title);
    for (;;) {
        Etcdserverpb__RequestOp *op;
        int code;
        line = read_line(v3, lines);
        if (!line)
            return fail_end(v3);
        if (!line[0])
            return V3_DONE;
        if (*count == PARTS_MAX)
            return v3_fail(v3, V3_INVALID_INPUT, "too many requests");
        op = arena_alloc(v3->arena, sizeof(*op));
        etcdserverpb__request_op__init(op);
        code = parse_operation(v3, line, op);
        if (code != V3_DONE)
            return code;
        (*out)[(*count)++] = op;
    }
}

/* ---- the command -------------------------------------------------------- */

static int read_request(struct v3 *v3, Etcdserverpb__TxnRequest *request)
{
    struct v3_lines lines = {.fd = 0};
    int code = read_compares(v3, &lines, request);

    if (code == V3_DONE)
        code = read_operations(v3, &lines, "success requests (get, put, del):",
                               &request->success, &request->n_success);
    if (code == V3_DONE)
        code = read_operations(v3, &lines, "failure requests (get, put, del):",
                               &request->failure, &request->n_failure);
    v3_lines_deinit(&lines);
    return code;
}

static int run(struct v3 *v3)
{
    Etcdserverpb__TxnRequest request = ETCDSERVERPB__TXN_REQUEST__INIT;
    struct v3_call call = {
        .method = "KV/Txn",
        .request = &request.base,
        .answer = &etcdserverpb__txn_response__descriptor,
    };
    struct v3_result result = {0};
    int code;

    if (v3->words.count > 0)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "txn command does not accept argument");
    code = v3_connect(v3);
    if (code == V3_DONE)
        code = read_request(v3, &request);
    if (code != V3_DONE)
        return code;
    call.deadline_ms = v3_deadline(v3);
    result.message = v3_call(v3, &call);
    if (!result.message)
        return v3_fail(v3, V3_ERROR, "%s", v3->failure);
    return v3_print(v3, &result);
}

const struct v3_command v3_command_txn = {
    .name = "txn",
    .arguments = "[flags]",
    .summary = "compares and changes keys in one step",
    .about =
        "Read from stdin, each part ended by an empty line:\n"
        "  comparisons, of which all must hold: value(\"k\") = \"text\", with\n"
        "    version, create, mod, value or lease, and = != < >\n"
        "  what is done if they do: get, put and del, with their flags\n"
        "  what is done if they don't\n",
    .flags = flags,
    .run = run,
};
