/* del: removes a key, or a range of keys. */
#include "cmd/etchctl/v3_keys.h"
#include "cmd/etchctl/v3_print.h"

static const struct pflag_spec flags[] = {
    {"prefix", 0, PFLAG_BOOL, NULL, "all keys that begin with <key>"},
    {"from-key", 0, PFLAG_BOOL, NULL, "all keys from <key> on, bytewise"},
    {"prev-kv", 0, PFLAG_BOOL, NULL, "show what was removed"},
    {0},
};

int v3_del_request(struct v3 *v3, const struct pflags *given,
                   const struct words *words,
                   Etcdserverpb__DeleteRangeRequest *out)
{
    bool is_prefix = pflags_bool(given, "prefix");
    bool is_from = pflags_bool(given, "from-key");
    struct v3_range range;

    etcdserverpb__delete_range_request__init(out);
    if (words->count == 0 || words->count > 2)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "del command needs one argument as key and an optional "
                       "argument as range_end");
    if (is_prefix && is_from)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "`--prefix` and `--from-key` cannot be set at the same "
                       "time, choose one");
    if (words->count > 1 && (is_prefix || is_from))
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "too many arguments, only accept one argument when "
                       "`--prefix` or `--from-key` is set");
    range.key = v3_text(words->at[0]);
    range.end = v3_text(words->count > 1 ? words->at[1] : "");
    if (is_prefix)
        range = v3_prefix_range(v3->arena, words->at[0]);
    if (is_from)
        range = v3_from_range(words->at[0]);
    out->key = range.key;
    out->range_end = range.end;
    out->prev_kv = pflags_bool(given, "prev-kv");
    return V3_DONE;
}

static int run(struct v3 *v3)
{
    Etcdserverpb__DeleteRangeRequest request;
    struct v3_call call = {
        .method = "KV/DeleteRange",
        .request = &request.base,
        .answer = &etcdserverpb__delete_range_response__descriptor,
    };
    struct v3_result result = {0};
    int code = v3_del_request(v3, &v3->flags, &v3->words, &request);

    call.deadline_ms = v3_deadline(v3);
    if (code == V3_DONE)
        code = v3_connect(v3);
    if (code != V3_DONE)
        return code;
    result.message = v3_call(v3, &call);
    if (!result.message)
        return v3_fail(v3, V3_ERROR, "%s", v3->failure);
    return v3_print(v3, &result);
}

const struct v3_command v3_command_del = {
    .name = "del",
    .arguments = "[flags] <key> [range_end]",
    .summary = "removes a key, or the keys of a range",
    .flags = flags,
    .run = run,
};
