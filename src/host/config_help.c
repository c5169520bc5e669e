/* The table of flags for people: --help, --version, docs/configuration.md. */
#include "host/config_int.h"

#include "base/check.h"
#include "base/version.h"

enum {
    HELP_COLUMN = 36, /* where a flag's words begin */
    HELP_WIDTH = 79,
};

/* ---- words in lines ---------------------------------------------------- */

/* Appends a word, in a new line at `indent` where it would not fit. */
static void append_word(struct buf *out, struct slice word, size_t indent,
                        size_t *column)
{
    if (*column + 1 + word.size > HELP_WIDTH) {
        buf_append_char(out, '\n');
        for (size_t i = 0; i < indent; i++) {
            buf_append_char(out, ' ');
        }
        *column = indent;
    } else if (*column > indent) {
        buf_append_char(out, ' ');
        (*column)++;
    }
    buf_append_slice(out, word);
    *column += word.size;
}

static void append_words(struct buf *out, const char *text, size_t indent,
                         size_t *column)
{
    struct slice word;
    while (config__next_name(&text, &word)) {
        append_word(out, word, indent, column);
    }
}

static void pad(struct buf *out, size_t from, size_t to)
{
    for (; from < to; from++) {
        buf_append_char(out, ' ');
    }
}

/* ---- --help ------------------------------------------------------------ */

static void append_flag(struct buf *out, const struct config_flag *flag)
{
    size_t start = out->size;
    buf_printf(out, "  %s%s", flag->name[1] ? "--" : "-", flag->name);
    if (flag->argument) {
        buf_printf(out, " %s", flag->argument);
    }
    size_t column = out->size - start;
    if (column >= HELP_COLUMN) {
        buf_append_char(out, '\n');
        column = 0;
    }
    pad(out, column, HELP_COLUMN);
    column = HELP_COLUMN;
    append_words(out, flag->help, HELP_COLUMN, &column);
    bool is_off = strcmp(flag->fallback, "false") == 0 || !*flag->fallback;
    if (!is_off) {
        struct buf text = {0};
        buf_printf(&text, "[%s]", flag->fallback);
        append_word(out, buf_slice(&text), HELP_COLUMN, &column);
        buf_deinit(&text);
    }
    buf_append_char(out, '\n');
}

static void append_group(struct buf *out, enum config_group group)
{
    bool has_title = false;
    for (size_t i = 0; i < config__flag_count; i++) {
        const struct config_flag *flag = &config__flags[i];
        if (flag->group != group || flag->status != STATUS_EFFECTIVE) {
            continue;
        }
        if (!has_title) {
            buf_printf(out, "\n%s:\n", config__group_titles[group]);
            has_title = true;
        }
        append_flag(out, flag);
    }
}

static void append_names(struct buf *out, enum config_status status,
                         const char *title)
{
    size_t column = 2;
    buf_printf(out, "\n%s\n  ", title);
    for (size_t i = 0; i < config__flag_count; i++) {
        if (config__flags[i].status == status) {
            append_word(out, slice_str(config__flags[i].name), 2, &column);
        }
    }
    buf_append_char(out, '\n');
}

static const char usage[] =
    "etched " ETCHED_VERSION ", a key-value store that speaks etcd's API\n"
    "\n"
    "usage: etched [flags]\n"
    "       etched recipes --endpoints=<host:port,...> [flags]\n"
    "\n"
    "Examples:\n"
    "  etched                               serve localhost:2379, data in\n"
    "                                       default.etcd\n"
    "  etched --name one --data-dir /var/lib/etched\n"
    "  etched --listen-client-urls http://0.0.0.0:2379 \\\n"
    "         --advertise-client-urls http://10.0.0.1:2379\n"
    "  etched --name b --initial-advertise-peer-urls http://10.0.0.2:2380 \\\n"
    "         --listen-peer-urls http://10.0.0.2:2380 --initial-cluster \\\n"
    "         a=http://10.0.0.1:2380,b=http://10.0.0.2:2380,...\n"
    "  etched -addr 127.0.0.1:4001 -f       as with etcd 0.4\n"
    "  ETCHED_DATA_DIR=/data etched --config-file /etc/etched.yml\n"
    "  etched recipes --endpoints=10.0.0.1:2379 --name worker-1\n"
    "                                       recipes alone, on any etcd 3.4 or\n"
    "                                       later, served on 127.0.0.1:2389\n"
    "\n"
    "Flags are those of etcd 0.4, 2.x and 3.x, with one dash or two, as\n"
    "--name=value or --name value. The command line wins over the\n"
    "environment, that over the file, also where etcd 3.x takes a file alone.\n"
    "  environment  ETCHED_X or ETCD_X, X being the name in capitals with _\n"
    "               for -: ETCD_DATA_DIR. ETCHED_X wins.\n"
    "  file         --config-file, ETCD_CONFIG_FILE, or " CONFIG_FILE_DEFAULT
    ";\n"
    "               TOML as of 0.4, YAML or JSON as of 3.x, or lines of\n"
    "               ETCD_X=y. Keys are the names, with - or _.\n"
    "Defaults stand in [brackets].\n";

void config_help(struct buf *out)
{
    buf_append_str(out, usage);
    for (int group = 0; group < GROUP_COUNT; group++) {
        append_group(out, (enum config_group)group);
    }
    append_names(out, STATUS_LATER,
                 "Accepted with a warning; to come with a later version:");
    append_names(out, STATUS_NO_EFFECT,
                 "Accepted with a warning; without effect here:");
}

void config_version(struct buf *out)
{
    buf_append_str(out, "etched Version: " ETCHED_VERSION "\n"
                        "etcd API: " ETCHED_API_VERSION "\n");
}

/* ---- docs/configuration.md --------------------------------------------- */

/* `|` ends a cell, `<` begins HTML. */
static void append_cell(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|') {
            buf_append_char(out, '\\');
        }
        if (*text == '<') {
            buf_append_str(out, "&lt;");
        } else {
            buf_append_char(out, *text);
        }
    }
}

static void append_code(struct buf *out, struct slice text)
{
    buf_append_char(out, '`');
    buf_append_slice(out, text);
    buf_append_char(out, '`');
}

static void append_other_names(struct buf *out, const struct config_flag *flag)
{
    const char *lists[3] = {flag->aliases, flag->cli_names, flag->file_names};
    static const char *const words[3] = {"", "flag only: ", "in a file: "};
    bool is_first = true;
    for (int i = 0; i < 3; i++) {
        struct slice name;
        bool is_first_of_list = true;
        while (config__next_name(&lists[i], &name)) {
            buf_append_str(out, is_first ? "" : ", ");
            buf_append_str(out, is_first_of_list ? words[i] : "");
            append_code(out, name);
            is_first = false;
            is_first_of_list = false;
        }
    }
}

static const char *status_words(enum config_status status)
{
    switch (status) {
    case STATUS_EFFECTIVE:
        return "yes";
    case STATUS_LATER:
        return "later";
    case STATUS_NO_EFFECT:
        return "no effect";
    }
    UNREACHABLE();
}

static void append_env_name(struct buf *out, const struct config_flag *flag)
{
    if (flag->not_in & IN_ENV) {
        buf_append_str(out, "-");
        return;
    }
    buf_append_str(out, "`ETCD_");
    for (const char *at = flag->name; *at; at++) {
        char c = *at == '-' ? '_' : *at;
        buf_append_char(out, c >= 'a' && c <= 'z' ? (char)(c - 32) : c);
    }
    buf_append_char(out, '`');
}

static void append_row(struct buf *out, const struct config_flag *flag)
{
    buf_printf(out, "| `--%s` | ", flag->name);
    append_env_name(out, flag);
    buf_printf(out, " | %s%s%s | ", flag->not_in & IN_FILE ? "" : "`",
               flag->not_in & IN_FILE ? "-" : flag->name,
               flag->not_in & IN_FILE ? "" : "`");
    append_other_names(out, flag);
    buf_append_str(out, " | ");
    if (*flag->fallback) {
        append_code(out, slice_str(flag->fallback));
    }
    buf_append_str(out, " | ");
    append_cell(out, flag->help);
    if (flag->kind == KIND_CHOICE) {
        buf_append_str(out, ": ");
        append_cell(out, flag->argument);
    }
    buf_printf(out, " | %s |\n", status_words(flag->status));
}

static const char preface[] =
    "# Configuration\n"
    "\n"
    "etched takes the flags of etcd 0.4, 2.x and 3.x, and some of its own.\n"
    "This page is made from the program's table of flags "
    "(`src/host/config_flags.c`); a test compares the two, and with\n"
    "`UPDATE=1` writes it anew.\n"
    "\n"
    "## Where a setting comes from\n"
    "\n"
    "1. The **command line**: `--name value`, `--name=value`, with one dash\n"
    "   or two. A flag that is true or false stands alone or has `=true`,\n"
    "   `=false`. The last of several wins.\n"
    "2. The **environment**: `ETCHED_X`, then `ETCD_X`. An empty variable\n"
    "   counts as not there.\n"
    "3. The **file** that `--config-file` (0.4: `-config`) or\n"
    "   `ETCD_CONFIG_FILE` names, else `" CONFIG_FILE_DEFAULT "` if it is\n"
    "   there and can be read.\n"
    "4. The **default**.\n"
    "\n"
    "This order holds for every file. etcd 3.x lets a file replace all flags\n"
    "and the environment; here a file can be kept and one thing of it\n"
    "changed.\n"
    "\n"
    "## The file\n"
    "\n"
    "Its form is told by its ending (`.toml`, `.yaml`, `.yml`, `.json`), else\n"
    "by its first line: TOML as etcd 0.4 has it, YAML or JSON as 3.x has it,\n"
    "or lines of `ETCD_X=y` as init scripts read them. Keys are the names\n"
    "below with `-` or `_`. In 0.4's sections `[peer]` and `[cluster]` that\n"
    "word is left out of the name (`[peer]` `addr` is `peer-addr`); 3.x's\n"
    "blocks `client-transport-security` and `peer-transport-security` are\n"
    "known. Lists may be lists or text with commas. A number for a duration\n"
    "is in nanoseconds. An empty text stands for the default. An unknown key\n"
    "is an error, with its line, column and the key that is most like it.\n"
    "\n"
    "## What each flag does here\n"
    "\n"
    "*yes*: it does what it says. *later*: it is accepted with a warning; "
    "what\n"
    "it is for comes with a later version. *no effect*: it is accepted with a\n"
    "warning; there is nothing here for it to do. A value that equals the\n"
    "default makes no warning.\n"
    "\n"
    "How a member finds its cluster is told by one of `--initial-cluster`,\n"
    "`--discovery`, `--discovery-srv` and 0.4's `--peers`; `docs/cluster.md`\n"
    "has the whole story. A member that has data needs none of them and\n"
    "doesn't look at them.\n"
    "\n"
    "`--addr` and `--bind-addr` are 0.4's words for `--advertise-client-urls`\n"
    "and `--listen-client-urls` (`--peer-addr` and `--peer-bind-addr` for the\n"
    "peers' ones); where both forms come from one source, that is an error.\n"
    "The ports are 2379 and 2380 unless given, never 0.4's 4001 and 7001.\n";

void config_markdown(struct buf *out)
{
    buf_append_str(out, preface);
    for (int group = 0; group < GROUP_COUNT; group++) {
        buf_printf(out, "\n## %s\n\n", config__group_titles[group]);
        buf_append_str(out, "| flag | environment | file | other names | "
                            "default | what it is | here |\n"
                            "| --- | --- | --- | --- | --- | --- | --- |\n");
        for (size_t i = 0; i < config__flag_count; i++) {
            if (config__flags[i].group == (enum config_group)group) {
                append_row(out, &config__flags[i]);
            }
        }
    }
}
