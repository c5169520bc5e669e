/* Documents: JSON (jansson), YAML (libyaml) and TOML (ours: the subset that
 * etcd 0.4's configuration used) read into one tree of values.
 *
 * Each value knows the line and column where it stands, so that whoever
 * rejects it can say where. Integers are exact to 64 bits.
 *
 * Limits: size, depth and count of values are bounded (struct doc_limits);
 *         YAML aliases are refused (they can grow without bound).
 * Errors: ERR_INVALID with a note "line 3, column 7: ..."; ERR_TOO_LARGE.
 * Owns:   everything lives in the arena that was given.
 */
#ifndef ETCHED_DOC_DOC_H
#define ETCHED_DOC_DOC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"

enum doc_kind {
    DOC_NULL,
    DOC_BOOL,
    DOC_INT,
    DOC_DOUBLE,
    DOC_STRING,
    DOC_LIST,
    DOC_MAP,
};

struct doc_value;

struct doc_member {
    struct slice name;
    int line; /* of the name */
    int column;
    struct doc_value *value;
};

struct doc_value {
    enum doc_kind kind;
    int line; /* from 1; 0: not known (JSON gives it for syntax errors only) */
    int column;
    bool boolean;
    int64_t integer;
    double number;            /* DOC_DOUBLE, and DOC_INT too */
    struct slice text;        /* DOC_STRING; scalars of YAML keep theirs too */
    size_t count;             /* DOC_LIST, DOC_MAP */
    struct doc_value **items; /* DOC_LIST */
    struct doc_member *members; /* DOC_MAP, in the document's order */
};

struct doc_limits {
    size_t bytes_max;
    int depth_max;
    size_t values_max;
};

/* 1 MiB, 64 deep, 100,000 values. */
extern const struct doc_limits doc_limits_default;

enum err doc_parse_json(struct arena *arena, struct slice text,
                        const struct doc_limits *limits,
                        struct doc_value **out) MUST_USE;
enum err doc_parse_yaml(struct arena *arena, struct slice text,
                        const struct doc_limits *limits,
                        struct doc_value **out) MUST_USE;
enum err doc_parse_toml(struct arena *arena, struct slice text,
                        const struct doc_limits *limits,
                        struct doc_value **out) MUST_USE;

/* The member of a map by name; NULL when it isn't one or has none such. */
struct doc_value *doc_get(const struct doc_value *map, const char *name);
/* Its kind in words ("a string"), for messages. */
const char *doc_kind_text(enum doc_kind kind);

#endif
