/* The query is the C library's; its answer is read here, since what reads
 * records there is in a library of its own. */
#include "host/dns_srv.h"

#include <arpa/nameser.h>
#include <netdb.h>
#include <resolv.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"

/* An answer (RFC 1035, section 4.1):
 *
 *   header   12 bytes, two of them each for the number of questions (at 4)
 *            and of answers (at 6)
 *   question name, type 2, class 2
 *   answer   name, type 2, class 2, time 4, size 2, data; of SRV that is
 *            priority 2, weight 2, port 2, target
 */
enum {
    ANSWER_BYTES_MAX = 64 * 1024,
    HEADER_BYTES = 12,
    QUESTION_BYTES = 4,
    RECORD_BYTES = 10,
    FIXED_BYTES = 6,
    TYPE_SRV = 33,
    QUERY_SECONDS = 2,
    QUERIES = 2,
};

/* What is left to read of an answer. */
struct message {
    const unsigned char *begin;
    const unsigned char *at;
    const unsigned char *end;
};

static int compare(const void *a, const void *b)
{
    const struct dns_srv_record *x = a;
    const struct dns_srv_record *y = b;
    int order = (x->priority > y->priority) - (x->priority < y->priority);
    order = order ? order : (x->weight < y->weight) - (x->weight > y->weight);
    order = order ? order : strcmp(x->target, y->target);
    return order ? order : (x->port > y->port) - (x->port < y->port);
}

static uint16_t get_be16(const unsigned char *from)
{
    return (uint16_t)(from[0] << 8 | from[1]);
}

/* Skips a name, and gives the `size` bytes that stand behind it; NULL: the
 * answer ends before. */
static const unsigned char *read_behind_name(struct message *message,
                                             size_t size)
{
    int name = dn_skipname(message->at, message->end);
    if (name < 0 ||
        (size_t)(message->end - message->at) - (size_t)name < size) {
        return NULL;
    }
    const unsigned char *fixed = message->at + name;
    message->at = fixed + size;
    return fixed;
}

static bool read_target(const struct message *message,
                        const unsigned char *data, const unsigned char *end,
                        struct arena *arena, struct dns_srv_record *out)
{
    char target[NS_MAXDNAME];
    if (end - data <= FIXED_BYTES ||
        dn_expand(message->begin, message->end, data + FIXED_BYTES, target,
                  sizeof(target)) < 0) {
        return false;
    }
    size_t size = strlen(target);
    if (size > 0 && target[size - 1] == '.') {
        size--;
    }
    *out = (struct dns_srv_record){
        .priority = get_be16(data),
        .weight = get_be16(data + 2),
        .port = get_be16(data + 4),
        .target = arena_printf(arena, "%.*s", (int)size, target),
    };
    /* A target of "." says that the service isn't there (RFC 2782). */
    return size > 0 && out->port != 0;
}

/* One record; what isn't an SRV (a CNAME before it) is skipped. False: the
 * answer is cut short. */
static bool read_record(struct message *message, struct arena *arena,
                        struct dns_srv_record *records, size_t *count)
{
    const unsigned char *fixed = read_behind_name(message, RECORD_BYTES);
    if (!fixed) {
        return false;
    }
    size_t size = get_be16(fixed + 8);
    const unsigned char *data = message->at;
    if ((size_t)(message->end - data) < size) {
        return false;
    }
    message->at = data + size;
    if (get_be16(fixed) == TYPE_SRV &&
        read_target(message, data, data + size, arena, &records[*count])) {
        (*count)++;
    }
    return true;
}

static bool read_records(struct message *message, struct arena *arena,
                         struct dns_srv_record **out, size_t *count)
{
    if (message->end - message->at < HEADER_BYTES) {
        return false;
    }
    int questions = get_be16(message->at + 4);
    int answers = get_be16(message->at + 6);
    bool sound = true;
    message->at += HEADER_BYTES;
    for (int i = 0; i < questions && sound; i++) {
        sound = read_behind_name(message, QUESTION_BYTES) != NULL;
    }
    *out = arena_alloc(arena, ((size_t)answers + 1) * sizeof(**out));
    for (int i = 0; i < answers && sound; i++) {
        sound = read_record(message, arena, *out, count);
    }
    return sound;
}

static enum err read_answer(const char *name, const unsigned char *answer,
                            size_t size, struct arena *arena,
                            struct dns_srv_record **out, size_t *count)
{
    struct message message = {
        .begin = answer, .at = answer, .end = answer + size};
    if (!read_records(&message, arena, out, count)) {
        return err_set(ERR_IO, "DNS: the answer for %.200s makes no sense",
                       name);
    }
    if (*count == 0) {
        return err_set(ERR_NOT_FOUND, "DNS: %.200s has no SRV records", name);
    }
    qsort(*out, *count, sizeof(**out), compare);
    return ERR_OK;
}

static enum err explain(const char *name, int why)
{
    switch (why) {
    case HOST_NOT_FOUND:
        return err_set(ERR_NOT_FOUND, "DNS: there is no %.200s", name);
    case NO_DATA:
        return err_set(ERR_NOT_FOUND, "DNS: %.200s has no SRV records", name);
    case TRY_AGAIN:
        return err_set(ERR_TIMEOUT, "DNS: no answer for %.200s", name);
    default:
        return err_set(ERR_IO, "DNS: %.200s: %s", name, hstrerror(why));
    }
}

static void ask_instead(struct __res_state *state,
                        const struct sockaddr_in *server)
{
    state->nscount = 1;
    state->nsaddr_list[0] = *server;
}

enum err dns_srv_lookup(const char *name, const struct sockaddr_in *server,
                        struct arena *arena, struct dns_srv_record **out,
                        size_t *count)
{
    struct __res_state state;
    *out = NULL;
    *count = 0;
    memset(&state, 0, sizeof(state));
    if (res_ninit(&state) != 0) {
        return err_set(ERR_IO, "DNS: the resolver can't be set up");
    }
    if (server) {
        ask_instead(&state, server);
    }
    state.retrans = QUERY_SECONDS;
    state.retry = QUERIES;
    unsigned char *answer = mem_alloc(ANSWER_BYTES_MAX);
    int size =
        res_nquery(&state, name, ns_c_in, ns_t_srv, answer, ANSWER_BYTES_MAX);
    CHECK_LE(size, ANSWER_BYTES_MAX);
    enum err err =
        size < 0 ? explain(name, state.res_h_errno)
                 : read_answer(name, answer, (size_t)size, arena, out, count);
    mem_free(answer);
    res_nclose(&state);
    return err;
}
