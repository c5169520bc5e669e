/* get: a key, or a range of keys. */
#include <strings.h>

#include "cmd/etchctl/v3_keys.h"
#include "cmd/etchctl/v3_print.h"

static const struct pflag_spec flags[] = {
    {"consistency", 0, PFLAG_STRING, "l",
     "l: what a majority knows; s: what the asked member knows"},
    {"order", 0, PFLAG_STRING, NULL, "ASCEND or DESCEND"},
    {"sort-by", 0, PFLAG_STRING, NULL, "CREATE, KEY, MODIFY, VALUE or VERSION"},
    {"limit", 0, PFLAG_INT, NULL, "not more keys than this (0: all)"},
    {"prefix", 0, PFLAG_BOOL, NULL, "all keys that begin with <key>"},
    {"from-key", 0, PFLAG_BOOL, NULL, "all keys from <key> on, bytewise"},
    {"rev", 0, PFLAG_INT, NULL, "as of this revision"},
    {"keys-only", 0, PFLAG_BOOL, NULL, "without values"},
    {"count-only", 0, PFLAG_BOOL, NULL,
     "only how many there are (needs -w fields)"},
    {"print-value-only", 0, PFLAG_BOOL, NULL,
     "only the values (in the format simple)"},
    {"min-create-rev", 0, PFLAG_INT, NULL,
     "keys made at this revision, or later"},
    {"max-create-rev", 0, PFLAG_INT, NULL,
     "keys made at this revision, or before"},
    {"min-mod-rev", 0, PFLAG_INT, NULL,
     "keys changed last at this revision, or later"},
    {"max-mod-rev", 0, PFLAG_INT, NULL,
     "keys changed last at this revision, or before"},
    {0},
};

/* ---- ranges ------------------------------------------------------------- */

static const char all[] = ""; /* one byte, zero: the first key, and no end */

static ProtobufCBinaryData zero(void)
{
    return message_data(slice_of(all, 1));
}

struct v3_range v3_from_range(const char *key)
{
    return (struct v3_range){key[0] ? v3_text(key) : zero(), zero()};
}

/* The end is the prefix with its last byte one higher; bytes that can't be are
 * cut off. */
struct v3_range v3_prefix_range(struct arena *arena, const char *key)
{
    struct slice end = slice_str(key);
    char *copy = arena_dup(arena, key, end.size + 1);

    while (end.size > 0 && (uint8_t)key[end.size - 1] == 0xff)
        end.size--;
    if (end.size == 0)
        return v3_from_range(key);
    copy[end.size - 1]++;
    return (struct v3_range){v3_text(key),
                             message_data(slice_of(copy, end.size))};
}

/* ---- the request -------------------------------------------------------- */

static int set_range(struct v3 *v3, const struct pflags *given,
                     const struct words *words, Etcdserverpb__RangeRequest *out)
{
    bool is_prefix = pflags_bool(given, "prefix");
    bool is_from = pflags_bool(given, "from-key");
    struct v3_range range;

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
    return V3_DONE;
}

static int set_order(struct v3 *v3, const char *text,
                     Etcdserverpb__RangeRequest *out)
{
    if (strcasecmp(text, "ASCEND") == 0)
        out->sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND;
    else if (strcasecmp(text, "DESCEND") == 0)
        out->sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    else if (text[0])
        return v3_fail(v3, V3_BAD_FEATURE, "bad sort order %s", text);
    return V3_DONE;
}

static int set_target(struct v3 *v3, const char *text,
                      Etcdserverpb__RangeRequest *out)
{
    static const char *const names[] = {"KEY", "VERSION", "CREATE", "MODIFY",
                                        "VALUE"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcasecmp(text, names[i]) == 0) {
            out->sort_target = (Etcdserverpb__RangeRequest__SortTarget)i;
            return V3_DONE;
        }
    }
    if (text[0])
        return v3_fail(v3, V3_BAD_FEATURE, "bad sort target %s", text);
    return V3_DONE;
}

static int set_consistency(struct v3 *v3, const char *text,
                           Etcdserverpb__RangeRequest *out)
{
    out->serializable = strcmp(text, "s") == 0;
    if (out->serializable || strcmp(text, "l") == 0)
        return V3_DONE;
    return v3_fail(v3, V3_BAD_FEATURE, "unknown consistency flag \"%s\"", text);
}

static void set_numbers(const struct pflags *given,
                        Etcdserverpb__RangeRequest *out)
{
    int64_t revision = pflags_number(given, "rev");

    out->revision = revision > 0 ? revision : 0;
    out->limit = pflags_number(given, "limit");
    out->keys_only = pflags_bool(given, "keys-only");
    out->count_only = pflags_bool(given, "count-only");
    out->min_create_revision = pflags_number(given, "min-create-rev");
    out->max_create_revision = pflags_number(given, "max-create-rev");
    out->min_mod_revision = pflags_number(given, "min-mod-rev");
    out->max_mod_revision = pflags_number(given, "max-mod-rev");
    /* Keys come in this order anyway, and without being sorted first. */
    if (out->sort_target == ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY &&
        out->sort_order == ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND)
        out->sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__NONE;
}

int v3_get_request(struct v3 *v3, const struct pflags *given,
                   const struct words *words, Etcdserverpb__RangeRequest *out)
{
    int code;

    etcdserverpb__range_request__init(out);
    if (words->count == 0)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "get command needs one argument as key and an optional "
                       "argument as range_end");
    if (pflags_bool(given, "prefix") && pflags_bool(given, "from-key"))
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "`--prefix` and `--from-key` cannot be set at the same "
                       "time, choose one");
    code = set_consistency(v3, pflags_text(given, "consistency"), out);
    if (code == V3_DONE)
        code = set_range(v3, given, words, out);
    if (code == V3_DONE)
        code = set_order(v3, pflags_text(given, "order"), out);
    if (code == V3_DONE)
        code = set_target(v3, pflags_text(given, "sort-by"), out);
    set_numbers(given, out);
    return code;
}

/* ---- the command -------------------------------------------------------- */

static int run(struct v3 *v3)
{
    Etcdserverpb__RangeRequest request;
    struct v3_call call = {
        .method = "KV/Range",
        .request = &request.base,
        .answer = &etcdserverpb__range_response__descriptor,
        .is_repeatable = true,
    };
    struct v3_result result = {.is_value_only =
                                   pflags_bool(&v3->flags, "print-value-only")};
    int code = v3_get_request(v3, &v3->flags, &v3->words, &request);

    call.deadline_ms = v3_deadline(v3);
    if (code == V3_DONE)
        code = v3_connect(v3);
    if (code != V3_DONE)
        return code;
    result.message = v3_call(v3, &call);
    if (!result.message)
        return v3_fail(v3, V3_ERROR, "%s", v3->failure);
    if (request.count_only && v3->format != V3_FIELDS)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "--count-only is only for `--write-out=fields`");
    if (result.is_value_only && v3->format != V3_SIMPLE)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "print-value-only is only for `--write-out=simple`");
    return v3_print(v3, &result);
}

const struct v3_command v3_command_get = {
    .name = "get",
    .arguments = "[flags] <key> [range_end]",
    .summary = "a key, or the keys of a range",
    .about = "With [range_end]: the keys from <key> up to it, without it.\n",
    .flags = flags,
    .run = run,
};
