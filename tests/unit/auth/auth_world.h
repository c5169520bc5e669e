/* A store of users and roles, and a small language to change it:
 *
 *   IS(tell("user add ann"), "");
 *   IS(tell("role grant editor rw /a /b"), "role name not found");
 *
 * on | off | user add NAME [without] | user delete NAME
 * user password NAME HASH | user grant NAME ROLE | user revoke NAME ROLE
 * role add NAME | role delete NAME | role grant NAME r|w|rw KEY [END]
 * role revoke NAME KEY [END] | token NAME
 *
 * "-" is an empty word, END ".." is an open end. Several changes of one command
 * stand between semicolons. An error reads as the API's text, without
 * "etcdserver: ".
 */
#ifndef ETCHED_TESTS_UNIT_AUTH_AUTH_WORLD_H
#define ETCHED_TESTS_UNIT_AUTH_AUTH_WORLD_H

#include "auth/auth.h"
#include "memory/kv_memory.h"

extern struct auth *auth;
extern struct mvcc *store;
extern struct lease_table *leases;
extern struct arena arena; /* until the test's end */
extern size_t refused;     /* which change of the last command */

#define IS(text, want) assert_string_equal(text, want)
#define WORLD(name) \
    cmocka_unit_test_setup_teardown(name, world_begin, world_end)

int world_begin(void **state);
int world_end(void **state);

const char *tell(const char *command);
enum v3_error apply(const struct auth_change *changes, size_t count);
const char *text_of(enum v3_error error);

/* "ann: editor, viewer" and such; one line for each, with all that is in it. */
const char *show(void);
/* A second store of users, made from the meta; `auth` is it from now on. */
void load_anew(void);

/* auth_may with words of the same language. */
bool may(const char *user, enum auth_access access, const char *key,
         const char *end);

/* Requests; "" stands for no range end, ".." for an open one. */
Etcdserverpb__RangeRequest *range_of(const char *key, const char *end);
Etcdserverpb__PutRequest *put_of(const char *key);
Etcdserverpb__DeleteRangeRequest *delete_of(const char *key, const char *end);
Etcdserverpb__TxnRequest *txn_of(void);
/* Into a branch, up to four each; and a compare. */
Etcdserverpb__RequestOp *then_do(Etcdserverpb__TxnRequest *txn);
Etcdserverpb__RequestOp *else_do(Etcdserverpb__TxnRequest *txn);
void do_range(Etcdserverpb__RequestOp *op, Etcdserverpb__RangeRequest *range);
void do_put(Etcdserverpb__RequestOp *op, Etcdserverpb__PutRequest *put);
void do_delete(Etcdserverpb__RequestOp *op,
               Etcdserverpb__DeleteRangeRequest *delete);
void do_txn(Etcdserverpb__RequestOp *op, Etcdserverpb__TxnRequest *txn);
void compare(Etcdserverpb__TxnRequest *txn, const char *key, const char *end);

#endif
