/* quota: set, list, remove. */
#include "cmd/etchctl/go_text.h"
#include "cmd/etchctl/v3_auth.h"
#include "cmd/etchctl/v3_keys.h"
#include "proto/quota.pb-c.h"

static int call_set(struct v3 *v3, Etched__V1__QuotaSetRequest *request,
                    const char *line)
{
    struct v3_call call = {
        .method = "etched.v1.Quota/Set",
        .request = &request->base,
        .answer = &etched__v1__quota_set_response__descriptor,
    };
    struct v3_result result = {.line = line};

    request->prefix = v3_text(v3_word(v3, 0));
    return v3_auth_finish(v3, &call, &result);
}

/* ---- set ---------------------------------------------------------------- */

static const struct pflag_spec set_flags[] = {
    {"keys", 0, PFLAG_INT, "0", "keys, at the most; 0 for any number"},
    {"bytes", 0, PFLAG_INT, "0",
     "bytes of keys and values, at the most; 0 for any number"},
    {0},
};

static int run_set(struct v3 *v3)
{
    Etched__V1__QuotaSetRequest request = ETCHED__V1__QUOTA_SET_REQUEST__INIT;
    int64_t keys = pflags_number(&v3->flags, "keys");
    int64_t bytes = pflags_number(&v3->flags, "bytes");

    if (v3->words.count != 1)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "quota set command requires a prefix as its argument");
    if (keys < 0 || bytes < 0 || (keys == 0 && bytes == 0))
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "quota set command requires --keys or --bytes, more "
                       "than 0");
    request.keys_max = (uint64_t)keys;
    request.bytes_max = (uint64_t)bytes;
    return call_set(v3, &request,
                    arena_printf(v3->arena, "Quota of %s set", v3_word(v3, 0)));
}

static const struct v3_command set = {
    .name = "set",
    .arguments = "[flags] <prefix>",
    .summary = "bounds what lives below a prefix",
    .about =
        "In place of the quota that the prefix has. What is too much already\n"
        "stays; only what would add to it is refused.\n",
    .flags = set_flags,
    .run = run_set,
};

/* ---- remove ------------------------------------------------------------- */

static int run_remove(struct v3 *v3)
{
    Etched__V1__QuotaSetRequest request = ETCHED__V1__QUOTA_SET_REQUEST__INIT;

    if (v3->words.count != 1)
        return v3_fail(
            v3, V3_BAD_ARGUMENTS,
            "quota remove command requires a prefix as its argument");
    return call_set(
        v3, &request,
        arena_printf(v3->arena, "Quota of %s removed", v3_word(v3, 0)));
}

static const struct v3_command remove_command = {
    .name = "remove",
    .arguments = "<prefix>",
    .summary = "takes the bounds of a prefix away",
    .run = run_remove,
};

/* ---- list --------------------------------------------------------------- */

static const char *bound(struct v3 *v3, uint64_t max)
{
    return max == 0 ? "any"
                    : arena_printf(v3->arena, "%llu", (unsigned long long)max);
}

static const char *number(struct v3 *v3, uint64_t value)
{
    return arena_printf(v3->arena, "%llu", (unsigned long long)value);
}

static struct v3_rows rows_of(struct v3 *v3,
                              const Etched__V1__QuotaListResponse *answer)
{
    static const char *const heads[] = {"Prefix", "Keys", "Keys Max", "Bytes",
                                        "Bytes Max"};
    struct v3_rows rows = {
        .heads = heads, .columns = 5, .count = answer->n_quotas};

    rows.cells = arena_alloc(v3->arena, (rows.count * rows.columns + 1) *
                                            sizeof(*rows.cells));
    for (size_t i = 0; i < rows.count; i++) {
        const Etched__V1__PrefixQuota *quota = answer->quotas[i];
        const char **cells = &rows.cells[i * rows.columns];
        cells[0] = arena_printf(v3->arena, "%.*s", (int)quota->prefix.len,
                                (const char *)quota->prefix.data);
        cells[1] = number(v3, quota->keys);
        cells[2] = bound(v3, quota->keys_max);
        cells[3] = number(v3, quota->bytes);
        cells[4] = bound(v3, quota->bytes_max);
    }
    return rows;
}

static int print_list(struct v3 *v3, const void *answer)
{
    struct v3_result result = {.message = answer};
    struct v3_rows rows = rows_of(v3, answer);
    struct buf text = {0};

    if (v3->format == V3_SIMPLE)
        v3_rows_list(&rows, &text);
    else if (v3->format == V3_TABLE)
        v3_rows_table(&rows, &text);
    else
        return v3_print(v3, &result);
    return v3_write(&text);
}

static int run_list(struct v3 *v3)
{
    Etched__V1__QuotaListRequest request = ETCHED__V1__QUOTA_LIST_REQUEST__INIT;
    struct v3_call call = {
        .method = "etched.v1.Quota/List",
        .request = &request.base,
        .answer = &etched__v1__quota_list_response__descriptor,
        .is_repeatable = true,
    };
    const void *answer;
    int code;

    if (v3->words.count != 0)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "quota list command requires no arguments");
    code = v3_connect(v3);
    if (code != V3_DONE)
        return code;
    call.deadline_ms = v3_deadline(v3);
    answer = v3_call(v3, &call);
    return answer ? print_list(v3, answer)
                  : v3_fail(v3, V3_ERROR, "%s", v3->failure);
}

static const struct v3_command list = {
    .name = "list",
    .arguments = "",
    .summary = "all quotas, and what they are used for",
    .run = run_list,
};

static const struct v3_command *const subcommands[] = {&list, &remove_command,
                                                       &set, NULL};

const struct v3_command v3_command_quota = {
    .name = "quota",
    .arguments = "<command>",
    .summary = "how much may live below a prefix",
    .subcommands = subcommands,
};
