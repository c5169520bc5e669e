/* Answers of the v3 API as text: one writer a format. Pure but for v3_print.
 *
 *   v3_simple.c   for people and scripts
 *   v3_fields.c   "Name" : value
 *   v3_json.c     as Go's encoding/json writes etcd's structs
 *   v3_table.c    boxes, where there are rows
 *   (protobuf)    the message itself
 */
#ifndef ETCHED_CMD_ETCHCTL_V3_PRINT_H
#define ETCHED_CMD_ETCHCTL_V3_PRINT_H

#include "cmd/etchctl/v3.h"

/* An answer, and what the request was about where the answer doesn't say. */
struct v3_result {
    const void *message; /* of protobuf-c */
    uint64_t id;         /* of a lease or member; the leader that was */
    uint64_t target;     /* the leader that is */
    bool is_value_only;  /* get --print-value-only */
    bool has_keys;       /* lease timetolive --keys */
    bool is_hex;
    const char *name; /* of a user or role */
    const char *line; /* simple: says this, whatever the answer; NULL: none */
};

/* To stdout, in the format that was chosen; returns an exit code. */
int v3_print(struct v3 *v3, const struct v3_result *result);

/* False: the format has no words for this message. */
bool v3_simple_write(const struct v3_result *result, struct buf *out);
bool v3_fields_write(const struct v3_result *result, struct buf *out);
void v3_json_write(const struct v3_result *result, struct buf *out);
bool v3_table_write(const struct v3_result *result, struct buf *out);
void v3_protobuf_write(const struct v3_result *result, struct buf *out);

/* "json not supported as output format". */
int v3_fail_format(const struct v3 *v3);

/* ---- parts -------------------------------------------------------------- */

/* Any message; fields that are zero are left out. */
void v3_json_message(const ProtobufCMessage *message, struct buf *out);
/* The header's lines of the format `fields`. */
void v3_fields_header(const Etcdserverpb__ResponseHeader *header,
                      struct buf *out);
/* printf's way to a line. */
void v3_line(struct buf *out, const char *format, ...) PRINTF_LIKE(2, 3);

/* Rows of text, as lists of lines or in a box. */
struct v3_rows {
    const char *const *heads;
    size_t columns;
    const char **cells; /* columns of each row */
    size_t count;       /* rows */
};
/* v3_auth_print.c: users and roles. */
void v3_simple_user(const struct v3_result *result, struct buf *out);
void v3_simple_users(const struct v3_result *result, struct buf *out);
void v3_simple_role(const struct v3_result *result, struct buf *out);
void v3_simple_roles(const struct v3_result *result, struct buf *out);
void v3_simple_auth_status(const struct v3_result *result, struct buf *out);
/* False: not one of them. */
bool v3_fields_auth(const void *message, struct buf *out);

/* "a, b, c" */
void v3_rows_list(const struct v3_rows *rows, struct buf *out);
void v3_rows_table(const struct v3_rows *rows, struct buf *out);
/* The members of a list, as rows; they live in the arena. */
struct v3_rows v3_member_rows(const Etcdserverpb__MemberListResponse *answer,
                              struct arena *arena);
/* The texts with commas between them. */
char *v3_join(struct arena *arena, char *const *texts, size_t count,
              const char *separator);

#endif
