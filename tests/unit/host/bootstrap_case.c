#include "bootstrap_case.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"

const struct bootstrap_world impatient = {
    .ask_ms = 1000,
    .probe_ms = 300,
    .probe_total_ms = 1000,
    .retry_ms = 10,
    .retry_max_ms = 20,
    .give_up_ms = 100,
    .wait_ms = 200,
};

static enum err read_nothing(void *context, const char *path, struct buf *out)
{
    (void)context;
    (void)out;
    return err_set(ERR_NOT_FOUND, "%s: no such file", path);
}

static int split(struct bootstrap_case *one, const char *text)
{
    int count = 0;
    while (*text) {
        size_t size = strcspn(text, " ");
        CHECK(count < CASE_WORDS_MAX && size < CASE_WORD_MAX);
        memcpy(one->words[count], text, size);
        one->words[count][size] = '\0';
        one->argv[count] = one->words[count];
        count++;
        text += size;
        text += strspn(text, " ");
    }
    one->argv[count] = NULL;
    return count;
}

void case_load(struct bootstrap_case *one, const char *args, ...)
{
    struct buf text = {0};
    va_list list;
    memset(one, 0, sizeof(*one));
    arena_init(&one->arena, 0);
    buf_append_str(&text, "etched --data-dir /nowhere/at/all ");
    va_start(list, args);
    buf_vprintf(&text, args, list);
    va_end(list);
    buf_append_char(&text, '\0');
    struct config_input input = {
        .argc = split(one, text.at), .argv = one->argv, .read = read_nothing};
    buf_deinit(&text);
    enum err err = config_load(&one->config, &input);
    if (err != ERR_OK) {
        (void)fprintf(stderr, "%s: %s\n", args, err_note());
    }
    CHECK_EQ(err, ERR_OK);
}

static void describe(const struct bootstrap *out, struct buf *to)
{
    if (out->proxy_of) {
        buf_printf(to, "proxy of %s", out->proxy_of);
        return;
    }
    buf_printf(to, "cluster=%llx member=%llx",
               (unsigned long long)out->cluster_id,
               (unsigned long long)out->member_id);
    for (size_t i = 0; i < out->member_count; i++) {
        const struct node_member *member = &out->members[i];
        buf_printf(to, " [%llx:%.*s:%.*s]", (unsigned long long)member->id,
                   (int)member->name.size, member->name.at,
                   (int)member->peer_urls.size, member->peer_urls.at);
    }
}

const char *case_run(struct bootstrap_case *one,
                     const struct bootstrap_world *world)
{
    struct buf text = {0};
    err_clear();
    one->err = bootstrap__run(&one->config, world, &one->arena, &one->out);
    if (one->err) {
        buf_printf(&text, "%s: %s", err_name(one->err), err_note());
    } else {
        describe(&one->out, &text);
    }
    (void)snprintf(one->result, sizeof(one->result), "%.*s", (int)text.size,
                   text.at);
    buf_deinit(&text);
    return one->result;
}

void case_free(struct bootstrap_case *one)
{
    config_deinit(&one->config);
    arena_deinit(&one->arena);
}
