/* The table of tokens.
 *
 *   by_digest  SHA-256 of a token -> entry
 *   ends       entries, by when they end: a lower bound, since readers put an
 *              end off without telling the heap. Whoever takes the top off
 *              looks at the entry's own end and puts it back if that is later.
 *   users      name -> those of one user, oldest first
 *
 * Invariant: an entry is in all three, or in none.
 */
#include "auth/tokens.h"

#include "auth/auth_int.h"
#include "auth/jwt.h"
#include "base/heap.h"
#include "base/list.h"

enum {
    S_NS = 1000 * 1000 * 1000,
    /* How often the heap's bounds are set right when one is to give way. With
     * many it is one that ends soon, not always the first: a writer doesn't
     * go through 64k tokens for that. */
    LOOKS_MAX = 64,
    LETTER_COUNT = 52,
    /* Bytes below it are fair dice: 4 for each letter. */
    FAIR_BYTES = 4 * LETTER_COUNT,
    INDEX_DIGITS_MAX = 20,
};

struct holder {
    struct list entries;
    size_t count;
    size_t size;
    char name[];
};

struct entry {
    struct heap_node node;
    struct list link; /* of its user's */
    struct holder *holder;
    atomic_int_least64_t ends_ns; /* monotonic */
    bool is_jwt;
    int64_t exp_s;          /* of a jwt */
    uint64_t auth_revision; /* of a jwt */
    unsigned char digest[CRYPTO_SHA256_BYTES];
};

/* Those that are in use while they are replaced live on until they aren't. */
struct keys {
    atomic_uint refs;
    struct crypto *crypto;
    struct crypto_key *sign;
    struct crypto_key *verify[AUTH_JWT_KEYS_MAX + 1]; /* `sign` too */
    size_t verify_count;
};

struct auth_tokens {
    struct crypto *crypto;
    struct clock *clock;
    struct lock *lock;
    int64_t ttl_ns;
    bool is_jwt;
    enum crypto_sign sign;
    /* Under the lock: */
    struct keys *keys;
    struct map by_digest;
    struct map users;
    struct heap ends;
};

/* ---- keys ---------------------------------------------------------------- */

static struct keys *keys_new(struct crypto *crypto, struct crypto_key *sign,
                             struct crypto_key *const *verify, size_t count)
{
    struct keys *keys = mem_alloc_zero(sizeof(*keys));
    CHECK(count <= AUTH_JWT_KEYS_MAX);
    atomic_init(&keys->refs, 1);
    keys->crypto = crypto;
    keys->sign = sign;
    if (sign != NULL) {
        keys->verify[keys->verify_count++] = sign;
    }
    for (size_t i = 0; i < count; i++) {
        CHECK(verify[i] != NULL && verify[i] != sign);
        keys->verify[keys->verify_count++] = verify[i];
    }
    return keys;
}

static void keys_unref(struct keys *keys)
{
    if (atomic_fetch_sub(&keys->refs, 1) > 1) {
        return;
    }
    for (size_t i = 0; i < keys->verify_count; i++) {
        keys->crypto->ops->key_free(keys->crypto, keys->verify[i]);
    }
    mem_free(keys);
}

static struct keys *keys_ref(struct auth_tokens *tokens)
{
    lock_read(tokens->lock);
    struct keys *keys = tokens->keys;
    atomic_fetch_add(&keys->refs, 1);
    unlock_read(tokens->lock);
    return keys;
}

/* ---- the table, under the write lock ------------------------------------- */

static struct slice digest_of_entry(const void *value)
{
    const struct entry *entry = value;
    return slice_of(entry->digest, sizeof(entry->digest));
}

static struct slice name_of_holder(const void *value)
{
    const struct holder *holder = value;
    return slice_of(holder->name, holder->size);
}

static struct holder *hold(struct auth_tokens *tokens, struct slice user)
{
    struct holder *holder = map_get(&tokens->users, user);
    if (holder == NULL) {
        holder = mem_alloc(sizeof(*holder) + user.size);
        list_init(&holder->entries);
        holder->count = 0;
        holder->size = user.size;
        memcpy(holder->name, user.at, user.size);
        (void)map_put(&tokens->users, holder);
    }
    return holder;
}

static void remove_entry(struct auth_tokens *tokens, struct entry *entry)
{
    struct holder *holder = entry->holder;
    void *removed = map_remove(&tokens->by_digest, digest_of_entry(entry));
    CHECK(removed == entry);
    heap_remove(&tokens->ends, &entry->node);
    list_remove(&entry->link);
    mem_free(entry);
    CHECK(holder->count > 0);
    if (--holder->count == 0) {
        (void)map_remove(&tokens->users, name_of_holder(holder));
        mem_free(holder);
    }
}

static int64_t end_of(struct entry *entry)
{
    return atomic_load_explicit(&entry->ends_ns, memory_order_relaxed);
}

/* The one that ends first, or soon. Needs: there is one. */
static struct entry *soonest(struct auth_tokens *tokens)
{
    struct heap *ends = &tokens->ends;
    for (int looks = 0;; looks++) {
        struct heap_node *top = heap_top(ends);
        CHECK(top != NULL);
        struct entry *entry = CONTAINER_OF(top, struct entry, node);
        if (end_of(entry) == top->key || looks == LOOKS_MAX) {
            return entry;
        }
        heap_set(ends, top, end_of(entry));
    }
}

/* The same, of the first few of one user. */
static struct entry *soonest_of(struct holder *holder)
{
    struct entry *best = NULL;
    int looks = 0;
    LIST_EACH (node, &holder->entries) {
        struct entry *entry = CONTAINER_OF(node, struct entry, link);
        if (best == NULL || end_of(entry) < end_of(best)) {
            best = entry;
        }
        if (++looks == LOOKS_MAX) {
            break;
        }
    }
    return best;
}

/* Room for one more of this user's, and those that have ended go. */
static void make_room(struct auth_tokens *tokens, struct slice user,
                      int64_t now_ns)
{
    for (int i = 0; i < LOOKS_MAX && tokens->by_digest.count > 0; i++) {
        struct entry *entry = soonest(tokens);
        if (end_of(entry) > now_ns) {
            break;
        }
        remove_entry(tokens, entry);
    }
    struct holder *holder = map_get(&tokens->users, user);
    if (holder != NULL && holder->count == AUTH_TOKENS_USER_MAX) {
        remove_entry(tokens, soonest_of(holder));
    } else if (tokens->by_digest.count == AUTH_TOKENS_MAX) {
        remove_entry(tokens, soonest(tokens));
    }
    CHECK_LT(tokens->by_digest.count, AUTH_TOKENS_MAX);
}

/* `like` is what it is to be, but for who has it. One that is there already
 * lives as long as that says. */
static void insert(struct auth_tokens *tokens, struct slice user,
                   struct entry *like, int64_t now_ns)
{
    int64_t ends_ns = end_of(like);
    struct entry *entry = map_get(&tokens->by_digest, digest_of_entry(like));
    if (entry != NULL) {
        atomic_store_explicit(&entry->ends_ns, ends_ns, memory_order_relaxed);
        heap_set(&tokens->ends, &entry->node, ends_ns);
        return;
    }
    make_room(tokens, user, now_ns);
    entry = mem_dup(like, sizeof(*like));
    entry->node = (struct heap_node){0};
    entry->holder = hold(tokens, user);
    entry->holder->count++;
    list_push_back(&entry->holder->entries, &entry->link);
    (void)map_put(&tokens->by_digest, entry);
    heap_push(&tokens->ends, &entry->node, ends_ns);
}

static void remove_all(struct auth_tokens *tokens)
{
    struct heap_node *node;
    while ((node = heap_top(&tokens->ends)) != NULL) {
        remove_entry(tokens, CONTAINER_OF(node, struct entry, node));
    }
    CHECK_EQ(tokens->by_digest.count, 0);
    CHECK_EQ(tokens->users.count, 0);
}

/* ---- beginning and end --------------------------------------------------- */

struct auth_tokens *auth_tokens_new(const struct auth_tokens_config *config)
{
    struct auth_tokens *tokens = mem_alloc_zero(sizeof(*tokens));
    uint64_t seeds[2];
    CHECK(config->crypto != NULL && config->clock != NULL);
    CHECK(config->lock != NULL);
    CHECK(config->ttl_ns > 0);
    tokens->crypto = config->crypto;
    tokens->clock = config->clock;
    tokens->lock = config->lock;
    tokens->ttl_ns = config->ttl_ns;
    tokens->is_jwt = config->is_jwt;
    tokens->sign = config->sign;
    tokens->keys = keys_new(config->crypto, config->sign_key,
                            config->verify_keys, config->verify_count);
    config->crypto->ops->random(config->crypto, seeds, sizeof(seeds));
    map_init(&tokens->by_digest, digest_of_entry, seeds[0]);
    map_init(&tokens->users, name_of_holder, seeds[1]);
    heap_init(&tokens->ends);
    return tokens;
}

void auth_tokens_free(struct auth_tokens *tokens)
{
    if (tokens == NULL) {
        return;
    }
    remove_all(tokens);
    map_deinit(&tokens->by_digest);
    map_deinit(&tokens->users);
    heap_deinit(&tokens->ends);
    keys_unref(tokens->keys);
    mem_free(tokens);
}

/* Tokens that were verified by a key that is gone aren't any more. */
void auth_tokens_set_keys(struct auth_tokens *tokens,
                          struct crypto_key *sign_key,
                          struct crypto_key *const *verify_keys,
                          size_t verify_count)
{
    CHECK(tokens->is_jwt);
    struct keys *keys =
        keys_new(tokens->crypto, sign_key, verify_keys, verify_count);
    lock_write(tokens->lock);
    struct keys *old = tokens->keys;
    tokens->keys = keys;
    remove_all(tokens);
    unlock_write(tokens->lock);
    keys_unref(old);
}

/* ---- making one ---------------------------------------------------------- */

static void append_letters(struct crypto *crypto, struct buf *out)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    unsigned char bytes[2 * AUTH_SIMPLE_LETTERS];
    size_t count = 0;
    while (count < AUTH_SIMPLE_LETTERS) {
        crypto->ops->random(crypto, bytes, sizeof(bytes));
        for (size_t i = 0; i < sizeof(bytes) && count < AUTH_SIMPLE_LETTERS;
             i++) {
            if (bytes[i] < FAIR_BYTES) {
                buf_append_char(out, letters[bytes[i] % LETTER_COUNT]);
                count++;
            }
        }
    }
    explicit_bzero(bytes, sizeof(bytes));
}

static enum err make_jwt(struct auth_tokens *tokens, struct slice user,
                         uint64_t auth_revision, struct buf *out)
{
    struct keys *keys = keys_ref(tokens);
    enum err err;
    if (keys->sign == NULL) {
        err = err_set(ERR_UNSUPPORTED, "this member has no key to sign with");
    } else {
        const struct jwt_claims claims = {
            .username = user,
            .revision = auth_revision,
            .exp_s = (clock_wall_ns(tokens->clock) + tokens->ttl_ns) / S_NS,
        };
        err = jwt_make(tokens->crypto, keys->sign, tokens->sign, &claims, out);
    }
    keys_unref(keys);
    return err;
}

enum err auth_tokens_make(struct auth_tokens *tokens, struct slice user,
                          uint64_t auth_revision, struct buf *out,
                          unsigned char digest[CRYPTO_SHA256_BYTES])
{
    size_t start = out->size;
    memset(digest, 0, CRYPTO_SHA256_BYTES);
    if (!auth__name_is_good(user)) {
        return err_set(ERR_INVALID, "no user can be called so");
    }
    if (tokens->is_jwt) {
        enum err err = make_jwt(tokens, user, auth_revision, out);
        if (err != ERR_OK) {
            out->size = start;
        }
        return err;
    }
    append_letters(tokens->crypto, out);
    tokens->crypto->ops->sha256(
        tokens->crypto, slice_of(out->at + start, AUTH_SIMPLE_LETTERS), digest);
    return ERR_OK;
}

/* ---- applied commands ---------------------------------------------------- */

void auth_tokens_add(struct auth_tokens *tokens, struct slice user,
                     struct slice digest)
{
    struct entry entry = {.is_jwt = false};
    int64_t now_ns = clock_monotonic_ns(tokens->clock);
    CHECK_EQ(digest.size, CRYPTO_SHA256_BYTES);
    if (tokens->is_jwt) {
        return; /* a member that makes simple ones: nobody shows them here */
    }
    memcpy(entry.digest, digest.at, sizeof(entry.digest));
    atomic_init(&entry.ends_ns, now_ns + tokens->ttl_ns);
    lock_write(tokens->lock);
    insert(tokens, user, &entry, now_ns);
    unlock_write(tokens->lock);
}

void auth_tokens_drop(struct auth_tokens *tokens, struct slice user)
{
    lock_write(tokens->lock);
    if (user.at == NULL) {
        remove_all(tokens);
    } else {
        /* With the last of them the holder goes. */
        struct holder *holder = map_get(&tokens->users, user);
        for (size_t left = holder == NULL ? 0 : holder->count; left > 0;
             left--) {
            struct list *first = list_first(&holder->entries);
            remove_entry(tokens, CONTAINER_OF(first, struct entry, link));
        }
    }
    unlock_write(tokens->lock);
}

/* ---- finding ------------------------------------------------------------- */

/* "kqXcnAvTdTzNTcPs.8" */
static bool is_simple(struct slice token)
{
    size_t index_at = AUTH_SIMPLE_LETTERS + 1;
    if (token.size <= index_at || token.size > index_at + INDEX_DIGITS_MAX ||
        token.at[AUTH_SIMPLE_LETTERS] != '.') {
        return false;
    }
    for (size_t i = index_at; i < token.size; i++) {
        if (token.at[i] < '0' || token.at[i] > '9') {
            return false;
        }
    }
    return true;
}

/* Used: it lives longer. A cache line that all threads read isn't written for
 * less than a thousandth of that. */
static void put_off(const struct auth_tokens *tokens, struct entry *entry,
                    int64_t now_ns)
{
    int64_t ends_ns = now_ns + tokens->ttl_ns;
    if (ends_ns - end_of(entry) > tokens->ttl_ns / 1000) {
        atomic_store_explicit(&entry->ends_ns, ends_ns, memory_order_relaxed);
    }
}

/* Needs: the read lock. */
static bool is_alive(const struct auth_tokens *tokens, struct entry *entry)
{
    int64_t now_ns = clock_monotonic_ns(tokens->clock);
    if (end_of(entry) <= now_ns) {
        return false;
    }
    if (entry->is_jwt) {
        return entry->exp_s > clock_wall_ns(tokens->clock) / S_NS;
    }
    put_off(tokens, entry, now_ns);
    return true;
}

/* Whose a token is: the caller's room for that. */
struct owner {
    char *name;
    size_t *size;
    uint64_t auth_revision; /* of a jwt */
};

static bool find_digest(struct auth_tokens *tokens,
                        const unsigned char digest[CRYPTO_SHA256_BYTES],
                        struct owner *out)
{
    lock_read(tokens->lock);
    struct entry *entry =
        map_get(&tokens->by_digest, slice_of(digest, CRYPTO_SHA256_BYTES));
    bool found = entry != NULL && is_alive(tokens, entry);
    if (found) {
        const struct holder *holder = entry->holder;
        memcpy(out->name, holder->name, holder->size);
        *out->size = holder->size;
        out->auth_revision = entry->auth_revision;
    }
    unlock_read(tokens->lock);
    return found;
}

/* No longer than `ttl`, however long it says that it is good: then it is
 * verified again. */
static void keep_jwt(struct auth_tokens *tokens, const struct keys *keys,
                     const struct jwt_claims *claims,
                     const unsigned char digest[CRYPTO_SHA256_BYTES])
{
    struct entry entry = {.is_jwt = true};
    int64_t now_ns = clock_monotonic_ns(tokens->clock);
    entry.exp_s = claims->exp_s;
    entry.auth_revision = claims->revision;
    memcpy(entry.digest, digest, sizeof(entry.digest));
    atomic_init(&entry.ends_ns, now_ns + tokens->ttl_ns);
    lock_write(tokens->lock);
    if (tokens->keys == keys) { /* else: replaced since */
        insert(tokens, claims->username, &entry, now_ns);
    }
    unlock_write(tokens->lock);
}

/* One that was never seen here: its signature is verified, and it is kept. */
static bool verify_jwt(struct auth_tokens *tokens, struct slice token,
                       const unsigned char digest[CRYPTO_SHA256_BYTES],
                       struct owner *out)
{
    struct arena arena;
    struct jwt_claims claims;
    int64_t now_s = clock_wall_ns(tokens->clock) / S_NS;
    struct keys *keys = keys_ref(tokens);
    arena_init(&arena, 0);
    bool good = jwt_read(tokens->crypto, keys->verify, keys->verify_count,
                         tokens->sign, token, now_s, &arena, &claims);
    if (good) {
        memcpy(out->name, claims.username.at, claims.username.size);
        *out->size = claims.username.size;
        out->auth_revision = claims.revision;
        keep_jwt(tokens, keys, &claims, digest);
    }
    arena_deinit(&arena);
    keys_unref(keys);
    return good;
}

enum v3_error auth_tokens_find(struct auth_tokens *tokens, struct slice token,
                               uint64_t auth_revision,
                               char user[AUTH_NAME_BYTES_MAX],
                               size_t *user_size)
{
    unsigned char digest[CRYPTO_SHA256_BYTES];
    struct owner owner = {.name = user, .size = user_size};
    *user_size = 0;
    if (!tokens->is_jwt) {
        if (!is_simple(token)) {
            return V3_INVALID_AUTH_TOKEN;
        }
        token.size = AUTH_SIMPLE_LETTERS;
    } else if (token.size == 0 || token.size > AUTH_JWT_BYTES_MAX) {
        return V3_INVALID_AUTH_TOKEN;
    }
    tokens->crypto->ops->sha256(tokens->crypto, token, digest);
    if (!tokens->is_jwt) {
        return find_digest(tokens, digest, &owner) ? V3_OK
                                                   : V3_INVALID_AUTH_TOKEN;
    }
    if (!find_digest(tokens, digest, &owner) &&
        !verify_jwt(tokens, token, digest, &owner)) {
        return V3_INVALID_AUTH_TOKEN;
    }
    if (owner.auth_revision != auth_revision) {
        *user_size = 0;
        return V3_AUTH_OLD_REVISION;
    }
    return V3_OK;
}

size_t auth_tokens_count(struct auth_tokens *tokens)
{
    lock_read(tokens->lock);
    size_t count = tokens->by_digest.count;
    unlock_read(tokens->lock);
    return count;
}
