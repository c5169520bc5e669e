#include "recipe_script.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "cmd/etchctl/recipe.h"
#include "redirect.h"

enum { ANSWERS_MAX = 32, REQUEST_BYTES_MAX = 256 * 1024 };

struct recipe_script {
    int listener;
    int port;
    pthread_t thread;
    pthread_mutex_t lock;
    bool stops;
    struct {
        int status;
        char *body;
    } answers[ANSWERS_MAX];
    size_t count;
    size_t next;
    struct buf seen;
};

/* ---- the server ---------------------------------------------------------- */

/* The whole request; false: the client is gone. */
static bool read_request(int fd, struct buf *out, size_t *head)
{
    const char *end = NULL;
    size_t length = 0;

    for (;;) {
        char piece[4096];
        ssize_t got;
        if (!end && out->size > 0 &&
            (end = memmem(out->at, out->size, "\r\n\r\n", 4)) != NULL) {
            const char *field =
                memmem(out->at, out->size, "Content-Length: ", 16);
            *head = (size_t)(end - out->at) + 4;
            length = field && field < end ? strtoul(field + 16, NULL, 10) : 0;
        }
        if (end && out->size >= *head + length)
            return true;
        got = recv(fd, piece, sizeof(piece), 0);
        if (got <= 0 || out->size > REQUEST_BYTES_MAX)
            return false;
        buf_append(out, piece, (size_t)got);
    }
}

static void write_field(struct buf *out, const struct buf *request, size_t head,
                        const char *name, const char *shown)
{
    const char *field = memmem(request->at, head, name, strlen(name));
    const char *value = field ? field + strlen(name) : NULL;

    if (value)
        buf_printf(out, " (%s%.*s)", shown, (int)strcspn(value, "\r"), value);
}

static void write_down(struct recipe_script *script, const struct buf *request,
                       size_t head)
{
    size_t method = strcspn(request->at, " ");
    size_t path = strcspn(request->at + method + 1, " ");

    buf_append(&script->seen, request->at, method + 1 + path);
    write_field(&script->seen, request, head, "Content-Type: ", "");
    write_field(&script->seen, request, head, "If-Match: ", "if ");
    buf_append_char(&script->seen, '\n');
    if (request->size > head) {
        buf_append(&script->seen, request->at + head, request->size - head);
        buf_append_char(&script->seen, '\n');
    }
}

static void answer(struct recipe_script *script, int fd)
{
    struct buf out = {0};
    struct buf request = {0};
    size_t head = 0;

    if (read_request(fd, &request, &head)) {
        pthread_mutex_lock(&script->lock);
        write_down(script, &request, head);
        if (script->next < script->count &&
            script->answers[script->next].status > 0) {
            const char *body = script->answers[script->next].body;
            buf_printf(&out,
                       "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n"
                       "Connection: close\r\n\r\n%s",
                       script->answers[script->next].status, strlen(body),
                       body);
        }
        script->next++;
        pthread_mutex_unlock(&script->lock);
        for (size_t sent = 0; sent < out.size;) {
            ssize_t wrote =
                send(fd, out.at + sent, out.size - sent, MSG_NOSIGNAL);
            if (wrote <= 0)
                break;
            sent += (size_t)wrote;
        }
    }
    buf_deinit(&request);
    buf_deinit(&out);
    close(fd);
}

static void *serve(void *context)
{
    struct recipe_script *script = context;
    int fd;

    while ((fd = accept(script->listener, NULL, NULL)) >= 0)
        answer(script, fd);
    return NULL;
}

struct recipe_script *recipe_script_start(void)
{
    struct recipe_script *script = mem_alloc_zero(sizeof(*script));
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);

    pthread_mutex_init(&script->lock, NULL);
    script->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(script->listener, (struct sockaddr *)&address, size) == 0);
    CHECK(listen(script->listener, 8) == 0);
    CHECK(getsockname(script->listener, (struct sockaddr *)&address, &size) ==
          0);
    script->port = ntohs(address.sin_port);
    CHECK(pthread_create(&script->thread, NULL, serve, script) == 0);
    return script;
}

void recipe_script_stop(struct recipe_script *script)
{
    shutdown(script->listener, SHUT_RDWR);
    pthread_join(script->thread, NULL);
    close(script->listener);
    for (size_t i = 0; i < script->count; i++)
        mem_free(script->answers[i].body);
    buf_deinit(&script->seen);
    pthread_mutex_destroy(&script->lock);
    mem_free(script);
}

void recipe_script_answer(struct recipe_script *script, int status,
                          const char *body)
{
    pthread_mutex_lock(&script->lock);
    CHECK(script->count < ANSWERS_MAX);
    script->answers[script->count].status = status;
    script->answers[script->count++].body = mem_strdup(body);
    pthread_mutex_unlock(&script->lock);
}

void recipe_script_expect(struct recipe_script *script, const char *lines)
{
    pthread_mutex_lock(&script->lock);
    buf_append_char(&script->seen, '\0');
    assert_string_equal(script->seen.at, lines);
    buf_reset(&script->seen);
    pthread_mutex_unlock(&script->lock);
}

/* ---- a run --------------------------------------------------------------- */

static const struct flag_spec output_flags[] = {
    {.name = "output", .letter = 'o', .kind = FLAG_STRING, .initial = ""}, {0}};

/* Words by spaces; '^' within a word is a space of it. */
static struct words split(struct arena *arena, const char *line)
{
    struct words out = {.at = arena_alloc(arena, 64 * sizeof(*out.at))};

    while (*line) {
        size_t size = strcspn(line, " ");
        char *word = arena_printf(arena, "%.*s", (int)size, line);
        for (char *at = word; *at; at++)
            *at = *at == '^' ? ' ' : *at;
        out.at[out.count++] = word;
        line += size;
        line += strspn(line, " ");
    }
    return out;
}

static int run_words(struct recipe_script *script, struct arena *arena,
                     struct words in)
{
    const struct command *const *command = command_recipe.subcommands;
    const char *endpoint =
        arena_printf(arena, "http://127.0.0.1:%d", script->port);
    struct session session = {.program = "etchctl",
                              .arena = arena,
                              .words.at =
                                  arena_alloc(arena, 64 * sizeof(char *)),
                              .stop_fd = -1};
    struct flags global;
    struct flags_grammar grammar = {
        .own = &session.flags, .global = &global, .words_max = FLAGS_WORDS_ANY};
    size_t at = 1;
    int code;

    while (*command && strcmp((*command)->name, in.at[0]) != 0)
        command++;
    CHECK(*command);
    session.command = *command;
    flags_init(&session.flags, arena, session.command->flags);
    flags_init(&global, arena, output_flags);
    CHECK(flags_parse(&grammar, &in, &at, &session.words) == ERR_OK);
    session.settings = (struct settings){
        .endpoints = arena_dup(arena, &endpoint, sizeof(endpoint)),
        .endpoint_count = 1,
        .output = strcmp(flags_text(&global, "output"), "json") == 0
                      ? OUTPUT_JSON
                      : OUTPUT_SIMPLE,
        .timeout_ms = 10000,
        .total_timeout_ms = 20000};
    code = session.command->run(&session);
    session_close(&session);
    return code;
}

/* With "{P}" in place of the port. */
static void hide_port(const struct recipe_script *script, struct buf *text)
{
    char port[16];
    int size = snprintf(port, sizeof(port), ":%d", script->port);
    struct buf out = {0};

    for (size_t i = 0; i < text->size;) {
        if (text->size - i > (size_t)size &&
            memcmp(text->at + i, port, (size_t)size) == 0) {
            buf_append_str(&out, ":{P}");
            i += (size_t)size;
        } else {
            buf_append_char(&out, text->at[i++]);
        }
    }
    buf_deinit(text);
    *text = out;
}

void recipe_run(struct recipe_script *script, const char *line,
                const char *input, int code, const char *out, const char *err)
{
    struct buf said = {0};
    struct buf errors = {0};
    struct arena arena;
    struct redirect to_in = redirect_begin(STDIN_FILENO, input ? input : "");
    struct redirect to_out = redirect_begin(STDOUT_FILENO, NULL);
    struct redirect to_err = redirect_begin(STDERR_FILENO, NULL);
    int got;

    arena_init(&arena, 0);
    got = run_words(script, &arena, split(&arena, line));
    arena_deinit(&arena);
    redirect_end(&to_err, &errors);
    redirect_end(&to_out, &said);
    redirect_end(&to_in, NULL);
    clearerr(stdin);
    hide_port(script, &errors);
    assert_string_equal(errors.at, err);
    assert_string_equal(said.at, out);
    assert_int_equal(got, code);
    buf_deinit(&said);
    buf_deinit(&errors);
}
