/* put: writes a key. */
#include "cmd/etchctl/go_text.h"
#include "cmd/etchctl/v3_keys.h"
#include "cmd/etchctl/v3_print.h"

static const struct pflag_spec flags[] = {
    {"lease", 0, PFLAG_STRING, "0",
     "the lease (in hexadecimal) with whose end the key goes"},
    {"prev-kv", 0, PFLAG_BOOL, NULL, "show the key as it was before"},
    {"ignore-value", 0, PFLAG_BOOL, NULL, "leave the value as it is"},
    {"ignore-lease", 0, PFLAG_BOOL, NULL, "leave the lease as it is"},
    {0},
};

static int fail_words(struct v3 *v3)
{
    return v3_fail(v3, V3_BAD_ARGUMENTS,
                   "put command needs 1 argument and input from stdin or 2 "
                   "arguments");
}

int v3_put_request(struct v3 *v3, const struct pflags *given,
                   const struct words *words, Etcdserverpb__PutRequest *out)
{
    struct slice value = SLICE("");

    etcdserverpb__put_request__init(out);
    if (words->count == 0)
        return fail_words(v3);
    out->key = v3_text(words->at[0]);
    out->prev_kv = pflags_bool(given, "prev-kv");
    out->ignore_value = pflags_bool(given, "ignore-value");
    out->ignore_lease = pflags_bool(given, "ignore-lease");
    if (out->ignore_value && words->count > 1)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "put command needs only 1 argument when 'ignore-value' "
                       "is set");
    if (!out->ignore_value && words->count > 1) {
        value = slice_str(words->at[1]);
    } else if (!out->ignore_value) {
        value = v3_read_stdin(v3);
        if (value.size == 0)
            return fail_words(v3);
    }
    out->value = message_data(value);
    if (go_parse_int(pflags_text(given, "lease"), 16, &out->lease) != ERR_OK)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "bad lease ID (%s), expecting ID in Hex", err_note());
    return V3_DONE;
}

static int run(struct v3 *v3)
{
    Etcdserverpb__PutRequest request;
    struct v3_call call = {
        .method = "KV/Put",
        .request = &request.base,
        .answer = &etcdserverpb__put_response__descriptor,
    };
    struct v3_result result = {0};
    int code = v3_put_request(v3, &v3->flags, &v3->words, &request);

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

const struct v3_command v3_command_put = {
    .name = "put",
    .arguments = "[flags] <key> <value>",
    .summary = "writes a key",
    .about = "Without <value> it is read from stdin, to the end and as it is.\n"
             "A <value> that begins with '-' stands behind '--'.\n",
    .flags = flags,
    .run = run,
};
