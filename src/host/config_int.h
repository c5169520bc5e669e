/* The configuration's own header: the table of flags, and what is collected
 * from the three sources before it becomes fields.
 *
 *   config.c        load: collect, parse, resolve, check; and the settings
 *   config_flags.c  THE table
 *   config_find.c   finding a flag in it, and the one that is like it
 *   config_args.c   from the command line
 *   config_env.c    from the environment, and files of such lines
 *   config_file.c   from TOML, YAML and JSON
 *   config_value.c  from text to typed fields
 *   config_url.c    URLs, host:port, initial-cluster
 *   config_check.c  what follows from several flags, and what is refused
 *   config_cluster.c  how the member finds the others, and 0.4's cluster
 *   config_addr.c   the four lists of URLs, from 3.x's flags and 0.4's
 *   config_help.c   the table as --help and as docs/configuration.md
 */
#ifndef ETCHED_HOST_CONFIG_INT_H
#define ETCHED_HOST_CONFIG_INT_H

#include "host/config.h"

/* ---- the table --------------------------------------------------------- */

enum config_kind {
    KIND_BOOL,        /* bool; Go's words: true, t, 1, ... */
    KIND_INT,         /* int64_t, between min and max */
    KIND_INT32,       /* int, the same */
    KIND_SECONDS,     /* int64_t nanoseconds; a number of seconds: "2.5" */
    KIND_DURATION,    /* int64_t nanoseconds; Go's "1m30s" */
    KIND_DURATION_MS, /* int64_t milliseconds; Go's "100ms" */
    KIND_STRING,      /* const char * */
    KIND_CHOICE,      /* const char *, one of `argument`, "a|b|c" */
    KIND_LIST,        /* struct config_list, by commas */
    KIND_URLS,        /* struct config_urls, by commas */
};

enum config_status {
    STATUS_EFFECTIVE,
    STATUS_LATER,     /* accepted; its feature comes with a later version */
    STATUS_NO_EFFECT, /* accepted; there is nothing here for it to do */
};

enum config_group {
    GROUP_MEMBER,
    GROUP_CLUSTER,
    GROUP_OLD,
    GROUP_SECURITY,
    GROUP_LOG,
    GROUP_START,
    GROUP_OWN,
    GROUP_RECIPES,
    GROUP_DISCOVERY,
    GROUP_PROXY,
    GROUP_PROFILING,
    GROUP_EXPERIMENTAL,
    GROUP_COUNT,
};

enum config_where { IN_ARGS = 1, IN_ENV = 2, IN_FILE = 4 };

/* Names in lists are separated by one blank; NULL: none. The environment has
 * the name and the aliases in capitals with _ for -; the file has them with
 * - or _, and below a section by `file_names` ("section.key"). */
struct config_flag {
    const char *name;
    const char *aliases;    /* everywhere */
    const char *cli_names;  /* on the command line only: 0.4's -C */
    const char *file_names; /* in the file only */
    enum config_group group;
    enum config_kind kind;
    enum config_status status;
    int not_in;   /* enum config_where, or-ed: where it can't be given */
    bool adds_up; /* a list: on the command line each adds to those before */
    bool has_field;
    size_t offset; /* of the field in struct config */
    int64_t min;
    int64_t max;
    const char *fallback; /* the default, as text; "": none */
    const char *argument; /* "<path>", or the choices; NULL: a bool */
    const char *help;
};

extern const struct config_flag config__flags[];
extern const size_t config__flag_count;
extern const char *const config__group_titles[GROUP_COUNT];

/* NULL when there is none of that name there. `name` may have - or _. */
const struct config_flag *config__find(struct slice name,
                                       enum config_where where);
/* By its very name. Needs: there is one. */
const struct config_flag *config__flag(const char *name);
/* The name most like `name` that there is; NULL when none is much like it. */
const char *config__nearest(struct slice name, enum config_where where);
/* Takes the first name off a list of them; false at the end. */
bool config__next_name(const char **list, struct slice *name);

/* ---- what was given ---------------------------------------------------- */

/* A setting of a higher rank, or a later one of the same, wins. Tens are the
 * source: the file, the environment, the command line. */
enum config_rank {
    RANK_NONE = 0,
    RANK_PRESET = 1, /* a default of this way to run the program */
    RANK_FILE_ALIAS = 10,
    RANK_FILE = 11,
    RANK_ENV_ALIAS = 20,
    RANK_ENV = 21,
    RANK_ENV_OWN_ALIAS = 22,
    RANK_ENV_OWN = 23,
    RANK_ARGS = 30,
};

struct config_setting {
    enum config_rank rank;
    const char *text; /* what was given; NULL with RANK_NONE */
    const char *name; /* "--addr", "ETCD_ADDR", "peer.addr": as given */
    int line;         /* in the file; 0: not known */
    int column;
};

struct config_loader {
    struct config *config;
    const struct config_input *input;
    struct config_setting *settings; /* one a flag, in the table's order */
};

/* Invariant: afterwards the flag's setting is of this rank or a higher. */
void config__put(struct config_loader *loader, const struct config_flag *flag,
                 const struct config_setting *setting);
struct config_setting *config__setting(const struct config_loader *loader,
                                       const struct config_flag *flag);
/* Given, and not as "" (which stands for the default). */
bool config__is_given(const struct config_loader *loader, const char *name);
/* What was given, else the default. */
const char *config__text(const struct config_loader *loader, const char *name);
/* 0 when not given; else greater for a source that wins. */
int config__source(const struct config_loader *loader, const char *name);

void config__warn(struct config_loader *loader, const char *format, ...)
    PRINTF_LIKE(2, 3);
/* "--addr", "ETCD_ADDR" or "/etc/x.yml: line 3, column 1: addr". */
const char *config__place(const struct config_loader *loader,
                          const struct config_setting *setting);
/* The note becomes "<place of the flag>: <text>". */
enum err config__refuse(const struct config_loader *loader, const char *flag,
                        enum err err, const char *format, ...)
    PRINTF_LIKE(4, 5) MUST_USE;

/* ---- the steps --------------------------------------------------------- */

enum err config__read_args(struct config_loader *loader) MUST_USE;
void config__read_env(struct config_loader *loader);
enum err config__read_file(struct config_loader *loader) MUST_USE;
/* A file of NAME=value lines. */
enum err config__read_env_lines(struct config_loader *loader,
                                struct slice text) MUST_USE;
enum err config__apply(struct config_loader *loader) MUST_USE;
enum err config__resolve_addresses(struct config_loader *loader) MUST_USE;
enum err config__check(struct config_loader *loader) MUST_USE;
/* A part of that. Needs: the name is checked. */
enum err config__check_cluster(struct config_loader *loader) MUST_USE;

/* ---- values ------------------------------------------------------------ */

/* A number for the kinds that are one (BOOL to DURATION_MS); false when the
 * text isn't one. */
bool config__number(enum config_kind kind, const char *text, int64_t *out);
bool config__is_true(const struct config_loader *loader, const char *name);
/* The part up to the next comma, without blanks around it. */
bool config__next_part(struct slice *rest, struct slice *part);
/* Errors, all: ERR_INVALID with a note that quotes the text. */
enum err config__parse_list(struct arena *arena, const char *text,
                            struct config_list *out) MUST_USE;
enum err config__parse_url(struct arena *arena, struct slice text,
                           struct config_url *out) MUST_USE;
enum err config__parse_urls(struct arena *arena, const char *text,
                            struct config_urls *out) MUST_USE;
enum err config__parse_cluster(struct arena *arena, const char *text,
                               struct config_cluster *out) MUST_USE;
/* 0.4's [host][:port]: what is missing comes from `host` and `port`; NULL or
 * -1 when it may not be. */
enum err config__parse_address(struct arena *arena, const char *text,
                               const char *host, int port,
                               struct config_url *out) MUST_USE;
struct config_url config__make_url(struct arena *arena, bool tls,
                                   const char *host, int port);
bool config__is_ip(const char *host);
/* 0.0.0.0 and ::, which mean "every address of this machine". */
bool config__is_any_ip(const char *host);

#endif
