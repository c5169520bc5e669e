#include "cmd/etchctl/snapshot.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "etcdb/etcdb.h"
#include "host/restore.h"
#include "host/snapshot_map.h"

/* etcdctl's exit codes of version 3. */
enum { EXIT_V3_DONE = 0, EXIT_V3_ERROR = 1, EXIT_V3_BAD_ARGUMENTS = 128 };

/* Those that every command of version 3 has; here only the format counts. */
static const struct flag_spec common_flags[] = {
    {.name = "write-out",
     .letter = 'w',
     .kind = FLAG_STRING,
     .value = "format",
     .initial = "simple",
     .about = "fields, json, protobuf, simple or table (default simple)"},
    {.name = "help", .letter = 'h', .about = "this"},
    {.name = "endpoints", .kind = FLAG_STRING, .is_hidden = true},
    {.name = "dial-timeout", .kind = FLAG_STRING, .is_hidden = true},
    {.name = "command-timeout", .kind = FLAG_STRING, .is_hidden = true},
    {.name = "keepalive-time", .kind = FLAG_STRING, .is_hidden = true},
    {.name = "keepalive-timeout", .kind = FLAG_STRING, .is_hidden = true},
    {.name = "insecure-transport", .is_hidden = true},
    {.name = "insecure-discovery", .is_hidden = true},
    {.name = "insecure-skip-tls-verify", .is_hidden = true},
    {.name = "cert", .kind = FLAG_STRING, .is_hidden = true},
    {.name = "key", .kind = FLAG_STRING, .is_hidden = true},
    {.name = "cacert", .kind = FLAG_STRING, .is_hidden = true},
    {.name = "user", .kind = FLAG_STRING, .is_hidden = true},
    {.name = "password", .kind = FLAG_STRING, .is_hidden = true},
    {.name = "discovery-srv",
     .letter = 'd',
     .kind = FLAG_STRING,
     .is_hidden = true},
    {.name = "discovery-srv-name", .kind = FLAG_STRING, .is_hidden = true},
    {.name = "debug", .is_hidden = true},
    {.name = "hex", .is_hidden = true},
    {.name = NULL},
};

static const struct flag_spec no_flags[] = {{.name = NULL}};

static const struct flag_spec restore_flags[] = {
    {.name = "data-dir",
     .kind = FLAG_STRING,
     .value = "folder",
     .initial = "",
     .about = "the data directory to make (default <name>.etcd)"},
    {.name = "wal-dir",
     .kind = FLAG_STRING,
     .value = "folder",
     .initial = "",
     .about = "a folder of its own for the log (default: in --data-dir)"},
    {.name = "initial-cluster",
     .kind = FLAG_STRING,
     .value = "name=url,...",
     .initial = "",
     .about = "the new cluster's members (default: this one alone)"},
    {.name = "initial-cluster-token",
     .kind = FLAG_STRING,
     .value = "token",
     .initial = "etcd-cluster",
     .about =
         "what makes the new cluster's ids its own (default etcd-cluster)"},
    {.name = "initial-advertise-peer-urls",
     .kind = FLAG_STRING,
     .value = "urls",
     .initial = "http://localhost:2380",
     .about = "this member's peer URLs (default http://localhost:2380)"},
    {.name = "name",
     .kind = FLAG_STRING,
     .value = "name",
     .initial = "default",
     .about = "this member's name (default default)"},
    {.name = "skip-hash-check",
     .about = "don't check the SHA-256 (needed for a file that was copied from "
              "a data directory)"},
    {.name = "bump-revision",
     .kind = FLAG_INT,
     .value = "number",
     .initial = "0",
     .about = "add so much to the revision, so that it is above all that the "
              "old cluster's clients have seen"},
    {.name = "mark-compacted",
     .about = "forget the history up to the new revision (needed with "
              "--bump-revision)"},
    {.name = "initial-memory-map-size",
     .kind = FLAG_INT,
     .initial = "0",
     .is_hidden = true},
    {.name = NULL},
};

struct job {
    const char *program;
    struct flags common;
    struct flags own;
    struct words words; /* the subcommand's */
};

static int fail(int code, const char *text)
{
    fprintf(stderr, "Error: %s\n", text);
    return code;
}

/* ---- help ---------------------------------------------------------------- */

static void print_flags(const struct flag_spec *specs)
{
    for (; specs->name; specs++) {
        char left[64];
        if (specs->is_hidden)
            continue;
        snprintf(left, sizeof(left), "--%s%s%s", specs->name,
                 specs->value ? "=" : "", specs->value ? specs->value : "");
        printf("  %-42s %s\n", left, specs->about);
    }
}

static int print_help(const struct job *job, const char *name,
                      const char *about, const struct flag_spec *own)
{
    printf("Usage: %s snapshot %s <filename> [flags]\n\n%s\n\n", job->program,
           name, about);
    print_flags(own);
    print_flags(common_flags);
    return EXIT_V3_DONE;
}

/* ---- status -------------------------------------------------------------- */

/* As Go's humanize.Bytes: powers of 1000, one decimal below 10. */
static void append_size(struct buf *out, uint64_t bytes)
{
    static const char *const units[] = {"B",  "kB", "MB", "GB",
                                        "TB", "PB", "EB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1000 && unit + 1 < sizeof(units) / sizeof(*units)) {
        value /= 1000;
        unit++;
    }
    if (bytes >= 10)
        value = (double)(uint64_t)(value * 10 + 0.5) / 10;
    buf_printf(out, unit > 0 && value < 10 ? "%.1f %s" : "%.0f %s", value,
               units[unit]);
}

static void print_simple(const struct etcdb_status *status, struct buf *out)
{
    buf_printf(out, "%" PRIx32 ", %" PRId64 ", %" PRIu64 ", ", status->hash,
               status->revision, status->keys);
    append_size(out, status->bytes);
    if (status->version.size > 0)
        buf_printf(out, ", %.*s", (int)status->version.size,
                   status->version.at);
    buf_append_char(out, '\n');
}

static void append_text(struct buf *out, struct slice text)
{
    buf_append_char(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
            buf_printf(out, "\\u%04x", c);
        else
            buf_append_char(out, (char)c);
    }
    buf_append_char(out, '"');
}

static void print_json(const struct etcdb_status *status, struct buf *out)
{
    buf_printf(out,
               "{\"hash\":%" PRIu32 ",\"revision\":%" PRId64
               ",\"totalKey\":%" PRIu64 ",\"totalSize\":%" PRIu64,
               status->hash, status->revision, status->keys, status->bytes);
    if (status->version.size > 0) {
        buf_append_str(out, ",\"version\":");
        append_text(out, status->version);
    }
    buf_append_str(out, "}\n");
}

static void print_fields(const struct etcdb_status *status, struct buf *out)
{
    buf_printf(out,
               "\"Hash\" : %" PRIu32 "\n\"Revision\" : %" PRId64
               "\n\"Keys\" : %" PRIu64 "\n\"Size\" : %" PRIu64 "\n",
               status->hash, status->revision, status->keys, status->bytes);
    if (status->version.size > 0) {
        buf_append_str(out, "\"Version\" : ");
        append_text(out, status->version);
        buf_append_char(out, '\n');
    }
}

enum { COLUMNS_MAX = 5 };

static void append_rule(struct buf *out, const size_t *widths, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_append_char(out, '+');
        for (size_t n = 0; n < widths[i] + 2; n++)
            buf_append_char(out, '-');
    }
    buf_append_str(out, "+\n");
}

/* A heading stands in the middle, a number at the right. */
static void append_row(struct buf *out, const size_t *widths,
                       const struct slice *cells, size_t count, bool is_head)
{
    for (size_t i = 0; i < count; i++) {
        int free = (int)(widths[i] - cells[i].size);
        int left = is_head ? free / 2 : free;
        buf_printf(out, "| %*s%.*s%*s ", left, "", (int)cells[i].size,
                   cells[i].at, free - left, "");
    }
    buf_append_str(out, "|\n");
}

static void print_table(const struct etcdb_status *status, struct buf *out)
{
    struct slice heads[COLUMNS_MAX] = {SLICE("HASH"), SLICE("REVISION"),
                                       SLICE("TOTAL KEYS"), SLICE("TOTAL SIZE"),
                                       SLICE("VERSION")};
    struct buf texts[COLUMNS_MAX] = {{0}};
    struct slice cells[COLUMNS_MAX];
    size_t widths[COLUMNS_MAX];
    size_t count = status->version.size > 0 ? 5 : 4;
    buf_printf(&texts[0], "%" PRIx32, status->hash);
    buf_printf(&texts[1], "%" PRId64, status->revision);
    buf_printf(&texts[2], "%" PRIu64, status->keys);
    append_size(&texts[3], status->bytes);
    buf_append_slice(&texts[4], status->version);
    for (size_t i = 0; i < count; i++) {
        cells[i] = buf_slice(&texts[i]);
        widths[i] =
            cells[i].size > heads[i].size ? cells[i].size : heads[i].size;
    }
    append_rule(out, widths, count);
    append_row(out, widths, heads, count, true);
    append_rule(out, widths, count);
    append_row(out, widths, cells, count, false);
    append_rule(out, widths, count);
    for (size_t i = 0; i < COLUMNS_MAX; i++)
        buf_deinit(&texts[i]);
}

static const struct {
    const char *name;
    void (*print)(const struct etcdb_status *status, struct buf *out);
} formats[] = {
    {"simple", print_simple},
    {"json", print_json},
    {"fields", print_fields},
    {"table", print_table},
};

static int print_text(const struct buf *text)
{
    return fwrite(text->at, 1, text->size, stdout) == text->size &&
                   fflush(stdout) == 0
               ? EXIT_V3_DONE
               : fail(EXIT_V3_ERROR, "can't write the output");
}

static int print_status(const struct job *job,
                        const struct etcdb_status *status)
{
    const char *format = flags_text(&job->common, "write-out");
    struct buf text = {0};
    for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
        if (strcmp(format, formats[i].name) == 0) {
            formats[i].print(status, &text);
            int code = print_text(&text);
            buf_deinit(&text);
            return code;
        }
    }
    return fail(EXIT_V3_BAD_ARGUMENTS, "unsupported output format");
}

static int run_status(const struct job *job)
{
    struct snapshot_map file;
    struct etcdb_status status;
    int code;

    if (flags_bool(&job->common, "help"))
        return print_help(job, "status",
                          "Says what is in a snapshot: its hash, revision, "
                          "how many pairs, and its size.",
                          no_flags);
    if (job->words.count != 1)
        return fail(EXIT_V3_BAD_ARGUMENTS,
                    "snapshot status requires exactly one argument");
    if (snapshot_map_open(job->words.at[0], &file) != ERR_OK)
        return fail(EXIT_V3_ERROR, err_note());
    code = etcdb_status(file.bytes, &status) == ERR_OK
               ? print_status(job, &status)
               : fail(EXIT_V3_ERROR, err_note());
    snapshot_map_close(&file);
    return code;
}

/* ---- restore ------------------------------------------------------------- */

static int do_restore(const struct restore_options *options)
{
    struct etcdb_imported imported;

    if (restore_run(options, &imported) != ERR_OK)
        return fail(EXIT_V3_ERROR, err_note());
    log_info("snapshot", "restored snapshot", LOG_STR("path", options->file),
             LOG_STR("data-dir", options->data_dir),
             LOG_INT("revision", imported.revision),
             LOG_INT("compacted", imported.compacted),
             LOG_UINT("records", imported.records),
             LOG_UINT("leases", imported.leases),
             LOG_UINT("users", imported.users),
             LOG_UINT("roles", imported.roles),
             LOG_STR("auth", imported.has_auth ? "on" : "off"));
    return EXIT_V3_DONE;
}

static int run_restore(const struct job *job)
{
    const struct flags *own = &job->own;
    struct restore_options options = {
        .name = flags_text(own, "name"),
        .data_dir = flags_text(own, "data-dir"),
        .wal_dir = flags_text(own, "wal-dir"),
        .initial_cluster = flags_text(own, "initial-cluster"),
        .initial_cluster_token = flags_text(own, "initial-cluster-token"),
        .initial_advertise_peer_urls =
            flags_text(own, "initial-advertise-peer-urls"),
        .skip_hash_check = flags_bool(own, "skip-hash-check"),
        .bump = flags_number(own, "bump-revision"),
        .mark_compacted = flags_bool(own, "mark-compacted"),
    };

    if (flags_bool(&job->common, "help"))
        return print_help(job, "restore",
                          "Makes a member's data directory of a snapshot, for "
                          "a new cluster.",
                          restore_flags);
    if (job->words.count != 1)
        return fail(EXIT_V3_BAD_ARGUMENTS,
                    "snapshot restore requires exactly one argument");
    if (options.bump < 0 || (options.bump > 0) != options.mark_compacted)
        return fail(EXIT_V3_BAD_ARGUMENTS,
                    "--mark-compacted required if --revision-bump > 0");
    options.file = job->words.at[0];
    return do_restore(&options);
}

/* ---- the command line ---------------------------------------------------- */

static const struct {
    const char *name;
    const struct flag_spec *flags;
    int (*run)(const struct job *job);
} subcommands[] = {
    {"status", no_flags, run_status},
    {"restore", restore_flags, run_restore},
};

/* Reads up to the next word. */
static bool take_word(struct job *job, const struct words *in, size_t *at,
                      const char **word)
{
    struct flags_grammar grammar = {.own = &job->common};

    if (flags_parse(&grammar, in, at, &job->words) != ERR_OK ||
        *at >= in->count)
        return false;
    *word = in->at[(*at)++];
    return true;
}

/* Which one is asked for, and where its words begin; -1: neither. */
static int find_subcommand(struct job *job, struct arena *arena,
                           const struct words *in, size_t *at)
{
    const char *word;

    flags_init(&job->common, arena, common_flags);
    *at = 0;
    if (!take_word(job, in, at, &word) || strcmp(word, "snapshot") != 0 ||
        !take_word(job, in, at, &word))
        return -1;
    for (size_t i = 0; i < sizeof(subcommands) / sizeof(*subcommands); i++)
        if (strcmp(word, subcommands[i].name) == 0)
            return (int)i;
    return -1;
}

bool ctl_snapshot_is_asked(struct arena *arena, const struct words *in)
{
    struct job job = {0};
    size_t at;
    bool found = find_subcommand(&job, arena, in, &at) >= 0;

    err_clear();
    return found;
}

int ctl_snapshot(const char *program, struct arena *arena,
                 const struct words *in)
{
    struct job job = {.program = program};
    struct flags_grammar grammar = {
        .own = &job.own,
        .global = &job.common,
        .words_max = FLAGS_WORDS_ANY,
    };
    size_t at;
    int found = find_subcommand(&job, arena, in, &at);

    CHECK(found >= 0);
    job.words.at = arena_alloc(arena, (in->count + 1) * sizeof(*job.words.at));
    flags_init(&job.own, arena, subcommands[found].flags);
    if (flags_parse(&grammar, in, &at, &job.words) != ERR_OK)
        return fail(EXIT_V3_ERROR, err_note());
    return subcommands[found].run(&job);
}
