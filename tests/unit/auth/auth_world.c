#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "proto/message.h"
#include "tests/unit/auth/auth_world.h"

struct auth *auth;
struct mvcc *store;
struct lease_table *leases;
struct arena arena;
size_t refused;
static struct kv *kv;
static struct buf shown;

enum { CHANGES_MAX = 16, WORDS_MAX = 6, OPS_MAX = 4 };

int world_begin(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    kv = kv_memory_new();
    struct mvcc_config config = {.kv = kv, .seed = 7};
    assert_int_equal(mvcc_open(&config, &store), ERR_OK);
    leases = lease_table_new();
    auth = auth_new();
    assert_int_equal(auth_load(auth, store), ERR_OK);
    return 0;
}

int world_end(void **state)
{
    (void)state;
    auth_free(auth);
    lease_table_free(leases);
    mvcc_close(store);
    kv_memory_free(kv);
    buf_deinit(&shown);
    arena_deinit(&arena);
    return 0;
}

/* ---- commands ------------------------------------------------------------ */

static struct slice word_bytes(const char *word)
{
    if (strcmp(word, "-") == 0)
        return SLICE("");
    if (strcmp(word, "..") == 0)
        return SLICE("\0");
    return slice_str(word);
}

/* The next part of *text that isn't empty, cut off at `end`; NULL: no more. */
static char *cut(char **text, char end)
{
    while (**text == end)
        (*text)++;
    char *part = *text;
    if (*part == '\0')
        return NULL;
    while (**text != '\0' && **text != end)
        (*text)++;
    if (**text == end)
        *(*text)++ = '\0';
    return part;
}

static size_t split(char *text, char *words[WORDS_MAX])
{
    static char none[] = "-";
    size_t count = 0;
    for (char *word; (word = cut(&text, ' ')) != NULL;) {
        assert_true(count < WORDS_MAX);
        words[count++] = word;
    }
    for (size_t i = count; i < WORDS_MAX; i++)
        words[i] = none;
    return count;
}

static uint32_t access_of(const char *word)
{
    if (strcmp(word, "rw") == 0)
        return AUTH_READWRITE;
    return strcmp(word, "w") == 0 ? AUTH_WRITE : AUTH_READ;
}

static void read_user(char *words[WORDS_MAX], struct auth_change *change)
{
    change->user = word_bytes(words[2]);
    if (strcmp(words[1], "add") == 0) {
        change->op = AUTH_USER_ADD;
        change->no_password = strcmp(words[3], "without") == 0;
        change->hash = change->no_password ? SLICE("") : SLICE("#");
    } else if (strcmp(words[1], "delete") == 0) {
        change->op = AUTH_USER_DELETE;
    } else if (strcmp(words[1], "password") == 0) {
        change->op = AUTH_USER_PASSWORD;
        change->hash = word_bytes(words[3]);
    } else {
        change->op =
            strcmp(words[1], "grant") == 0 ? AUTH_USER_GRANT : AUTH_USER_REVOKE;
        change->role = word_bytes(words[3]);
    }
}

static void read_role(char *words[WORDS_MAX], struct auth_change *change)
{
    change->role = word_bytes(words[2]);
    if (strcmp(words[1], "add") == 0) {
        change->op = AUTH_ROLE_ADD;
    } else if (strcmp(words[1], "delete") == 0) {
        change->op = AUTH_ROLE_DELETE;
    } else if (strcmp(words[1], "grant") == 0) {
        change->op = AUTH_ROLE_GRANT;
        change->access = access_of(words[3]);
        change->key = word_bytes(words[4]);
        change->range_end = word_bytes(words[5]);
    } else {
        change->op = AUTH_ROLE_REVOKE;
        change->key = word_bytes(words[3]);
        change->range_end = word_bytes(words[4]);
    }
}

static void read_change(char *text, struct auth_change *change)
{
    char *words[WORDS_MAX];
    assert_true(split(text, words) > 0);
    *change = (struct auth_change){.op = AUTH_ENABLE};
    if (strcmp(words[0], "off") == 0) {
        change->op = AUTH_DISABLE;
    } else if (strcmp(words[0], "token") == 0) {
        change->op = AUTH_TOKEN;
        change->user = word_bytes(words[1]);
    } else if (strcmp(words[0], "user") == 0) {
        read_user(words, change);
    } else if (strcmp(words[0], "role") == 0) {
        read_role(words, change);
    } else {
        IS(words[0], "on");
    }
}

const char *text_of(enum v3_error error)
{
    const char *text = v3_error_text(error);
    struct slice prefix = SLICE("etcdserver: ");
    return slice_has_prefix(slice_str(text), prefix) ? text + prefix.size
                                                     : text;
}

enum v3_error apply(const struct auth_change *changes, size_t count)
{
    enum v3_error error;
    struct auth_command command = {changes, count};
    auth_apply(auth, store, &command, &error, &refused);
    return error;
}

const char *tell(const char *command)
{
    struct auth_change changes[CHANGES_MAX];
    size_t count = 0;
    char *text = arena_dup(&arena, command, strlen(command) + 1);
    for (char *part; (part = cut(&text, ';')) != NULL;) {
        assert_true(count < CHANGES_MAX);
        read_change(part, &changes[count++]);
    }
    return text_of(apply(changes, count));
}

/* ---- what is there ------------------------------------------------------- */

static void show_bytes(struct slice bytes)
{
    for (size_t i = 0; i < bytes.size; i++) {
        if (bytes.at[i] == '\0')
            buf_append_str(&shown, "\\0");
        else
            buf_append_char(&shown, bytes.at[i]);
    }
}

static bool show_user(void *context, const struct auth_user *user)
{
    (void)context;
    show_bytes(user->name);
    buf_append_char(&shown, user->no_password ? '!' : ':');
    show_bytes(user->hash);
    for (size_t i = 0; i < user->role_count; i++) {
        buf_append_char(&shown, ' ');
        show_bytes(user->roles[i]);
    }
    buf_append_char(&shown, '\n');
    return true;
}

static bool show_role(void *context, const struct auth_role *role)
{
    static const char *const access[] = {"r", "w", "rw"};
    (void)context;
    show_bytes(role->name);
    buf_append_char(&shown, '=');
    for (size_t i = 0; i < role->permission_count; i++) {
        buf_printf(&shown, " %s(", access[role->permissions[i].access]);
        show_bytes(role->permissions[i].key);
        if (role->permissions[i].range_end.size > 0)
            buf_append_char(&shown, ' ');
        show_bytes(role->permissions[i].range_end);
        buf_append_char(&shown, ')');
    }
    buf_append_char(&shown, '\n');
    return true;
}

const char *show(void)
{
    buf_reset(&shown);
    auth_users(auth, show_user, NULL);
    auth_roles(auth, show_role, NULL);
    buf_append_char(&shown, '\0');
    return shown.at;
}

void load_anew(void)
{
    auth_free(auth);
    auth = auth_new();
    assert_int_equal(auth_load(auth, store), ERR_OK);
}

bool may(const char *user, enum auth_access access, const char *key,
         const char *end)
{
    enum v3_error error = auth_may(auth, word_bytes(user), access,
                                   word_bytes(key), word_bytes(end));
    assert_true(error == V3_OK || error == V3_PERMISSION_DENIED);
    return error == V3_OK;
}

/* ---- requests ------------------------------------------------------------ */

static void *make(const ProtobufCMessageDescriptor *type)
{
    void *message = arena_alloc(&arena, type->sizeof_message);
    protobuf_c_message_init(type, message);
    return message;
}

static ProtobufCBinaryData data_of(const char *word)
{
    struct slice bytes = word_bytes(word);
    return message_data(
        slice_of(arena_dup(&arena, bytes.at, bytes.size), bytes.size));
}

Etcdserverpb__RangeRequest *range_of(const char *key, const char *end)
{
    Etcdserverpb__RangeRequest *range =
        make(&etcdserverpb__range_request__descriptor);
    range->key = data_of(key);
    range->range_end = data_of(end);
    return range;
}

Etcdserverpb__PutRequest *put_of(const char *key)
{
    Etcdserverpb__PutRequest *put =
        make(&etcdserverpb__put_request__descriptor);
    put->key = data_of(key);
    put->value = data_of("value");
    return put;
}

Etcdserverpb__DeleteRangeRequest *delete_of(const char *key, const char *end)
{
    Etcdserverpb__DeleteRangeRequest *delete =
        make(&etcdserverpb__delete_range_request__descriptor);
    delete->key = data_of(key);
    delete->range_end = data_of(end);
    return delete;
}

Etcdserverpb__TxnRequest *txn_of(void)
{
    Etcdserverpb__TxnRequest *txn =
        make(&etcdserverpb__txn_request__descriptor);
    txn->compare = arena_alloc(&arena, OPS_MAX * sizeof *txn->compare);
    txn->success = arena_alloc(&arena, OPS_MAX * sizeof *txn->success);
    txn->failure = arena_alloc(&arena, OPS_MAX * sizeof *txn->failure);
    return txn;
}

static Etcdserverpb__RequestOp *add_op(Etcdserverpb__RequestOp **ops,
                                       size_t *count)
{
    assert_true(*count < OPS_MAX);
    return ops[(*count)++] = make(&etcdserverpb__request_op__descriptor);
}

Etcdserverpb__RequestOp *then_do(Etcdserverpb__TxnRequest *txn)
{
    return add_op(txn->success, &txn->n_success);
}

Etcdserverpb__RequestOp *else_do(Etcdserverpb__TxnRequest *txn)
{
    return add_op(txn->failure, &txn->n_failure);
}

void do_range(Etcdserverpb__RequestOp *op, Etcdserverpb__RangeRequest *range)
{
    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    op->request_range = range;
}

void do_put(Etcdserverpb__RequestOp *op, Etcdserverpb__PutRequest *put)
{
    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    op->request_put = put;
}

void do_delete(Etcdserverpb__RequestOp *op,
               Etcdserverpb__DeleteRangeRequest *delete)
{
    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    op->request_delete_range = delete;
}

void do_txn(Etcdserverpb__RequestOp *op, Etcdserverpb__TxnRequest *txn)
{
    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN;
    op->request_txn = txn;
}

void compare(Etcdserverpb__TxnRequest *txn, const char *key, const char *end)
{
    assert_true(txn->n_compare < OPS_MAX);
    Etcdserverpb__Compare *one = make(&etcdserverpb__compare__descriptor);
    one->key = data_of(key);
    one->range_end = data_of(end);
    txn->compare[txn->n_compare++] = one;
}
