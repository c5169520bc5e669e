/* What the roles of a user allow, all together, as spans that lie apart: so a
 * check is one binary search, and a range that several permissions cover
 * between them needs no walk. */
#include <stdlib.h>

#include "auth/auth_int.h"

/* ---- spans --------------------------------------------------------------- */

static bool is_open(struct slice range_end)
{
    return range_end.size == 1 && range_end.at[0] == '\0';
}

/* False: there is no key in it. */
static bool span_of(const struct auth_permission *permission,
                    struct auth__span *out)
{
    out->from = permission->key;
    out->end = permission->range_end;
    if (permission->range_end.size == 0) {
        /* The zero that stands behind each key of a role. */
        CHECK(permission->key.at[permission->key.size] == '\0');
        out->end = slice_of(permission->key.at, permission->key.size + 1);
        return permission->key.size > 0;
    }
    if (is_open(permission->range_end)) {
        out->end = slice_of(NULL, 0);
        return true;
    }
    return slice_cmp(out->from, out->end) < 0;
}

static int compare_spans(const void *a, const void *b)
{
    const struct auth__span *one = a;
    const struct auth__span *other = b;
    return slice_cmp(one->from, other->from);
}

static bool ends_before(struct slice end, struct slice other)
{
    return end.at != NULL && (other.at == NULL || slice_cmp(end, other) < 0);
}

static bool are_in_order(const struct auth__spans *spans)
{
    for (size_t i = 1; i < spans->count; i++)
        if (compare_spans(&spans->at[i - 1], &spans->at[i]) > 0)
            return false;
    return true; /* as those of one role are */
}

/* Those that overlap, or meet, become one. */
static void join_spans(struct auth__spans *spans)
{
    size_t kept = 0;
    if (!are_in_order(spans))
        qsort(spans->at, spans->count, sizeof *spans->at, compare_spans);
    for (size_t i = 0; i < spans->count; i++) {
        struct auth__span *span = &spans->at[i];
        struct auth__span *last = kept > 0 ? &spans->at[kept - 1] : NULL;
        if (last == NULL || ends_before(last->end, span->from))
            spans->at[kept++] = *span;
        else if (ends_before(last->end, span->end))
            last->end = span->end;
    }
    spans->count = kept;
}

static void add_spans(const struct auth__role *role, enum auth_access access,
                      struct auth__spans *spans)
{
    for (size_t i = 0; i < role->view.permission_count; i++) {
        const struct auth_permission *permission = &role->view.permissions[i];
        bool counts = permission->access == access ||
                      permission->access == AUTH_READWRITE;
        if (counts && span_of(permission, &spans->at[spans->count]))
            spans->count++;
    }
}

static void make_spans(const struct auth *auth,
                       const struct auth__grants *grants,
                       enum auth_access access, struct auth__spans *spans)
{
    size_t most = 0;
    spans->count = 0;
    for (size_t i = 0; i < grants->role_count; i++) {
        const struct auth__role *role =
            auth__names_get(&auth->roles, grants->roles[i]);
        most += role ? role->view.permission_count : 0;
    }
    if (most == 0) {
        mem_free(spans->at);
        spans->at = NULL;
        return;
    }
    spans->at = mem_realloc(spans->at, most * sizeof *spans->at);
    for (size_t i = 0; i < grants->role_count; i++) {
        const struct auth__role *role =
            auth__names_get(&auth->roles, grants->roles[i]);
        if (role != NULL && !slice_eq(role->thing.name, SLICE(AUTH_ROOT)))
            add_spans(role, access, spans);
    }
    CHECK_LE(spans->count, most);
    join_spans(spans);
}

/* The last that begins at or before `key`; NULL: none. */
static const struct auth__span *span_at(const struct auth__spans *spans,
                                        struct slice key)
{
    size_t low = 0;
    size_t high = spans->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_cmp(spans->at[middle].from, key) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? &spans->at[low - 1] : NULL;
}

bool auth__spans_cover(const struct auth__spans *spans, struct slice from,
                       struct slice end)
{
    DCHECK(end.at == NULL || slice_cmp(from, end) < 0);
    const struct auth__span *span = span_at(spans, from);
    /* One span or none: between two there is a key that none of them has. */
    return span != NULL && !ends_before(span->end, end);
}

bool auth__spans_have(const struct auth__spans *spans, struct slice key)
{
    const struct auth__span *span = span_at(spans, key);
    return span != NULL &&
           (span->end.at == NULL || slice_cmp(key, span->end) < 0);
}

/* ---- grants -------------------------------------------------------------- */

static void make(const struct auth *auth, struct auth__grants *grants)
{
    make_spans(auth, grants, AUTH_READ, &grants->may[AUTH_READ]);
    make_spans(auth, grants, AUTH_WRITE, &grants->may[AUTH_WRITE]);
    grants->is_stale = false;
}

static struct auth__grants *grants_new(struct slice name,
                                       const struct slice *roles, size_t count)
{
    size_t lists = count * sizeof *roles;
    struct auth__grants *grants = mem_alloc(sizeof *grants + lists + name.size);
    char *at = (char *)(grants + 1) + lists;
    *grants = (struct auth__grants){
        .name = slice_of(at, name.size),
        .role_count = count,
    };
    if (name.size > 0)
        memcpy(at, name.at, name.size);
    for (size_t i = 0; i < count; i++) {
        grants->roles[i] = slice_of(at, roles[i].size);
        grants->is_root |= slice_eq(roles[i], SLICE(AUTH_ROOT));
        at += roles[i].size + 1;
    }
    CHECK(at == grants->name.at + name.size);
    return grants;
}

struct auth__grants *auth__grants_ref(struct auth *auth,
                                      const struct slice *roles, size_t count)
{
    struct buf name = {0};
    for (size_t i = 0; i < count; i++) {
        buf_append_slice(&name, roles[i]);
        buf_append_char(&name, '\0');
    }
    struct auth__grants *grants =
        auth__names_get(&auth->grants, buf_slice(&name));
    if (grants == NULL) {
        grants = grants_new(buf_slice(&name), roles, count);
        make(auth, grants);
        CHECK(auth__names_set(&auth->grants, grants->name, grants) == NULL);
    }
    buf_deinit(&name);
    grants->refs++;
    return grants;
}

void auth__grants_unref(struct auth *auth, struct auth__grants *grants)
{
    if (grants == NULL)
        return;
    CHECK_LT(0, grants->refs);
    if (--grants->refs > 0)
        return;
    CHECK(auth__names_set(&auth->grants, grants->name, NULL) == grants);
    mem_free(grants->may[AUTH_READ].at);
    mem_free(grants->may[AUTH_WRITE].at);
    mem_free(grants);
}

void auth__grants_spoil(struct auth *auth, struct slice role)
{
    size_t place;
    for (size_t i = 0; i < auth->grants.count; i++) {
        struct auth__grants *grants = auth->grants.sorted[i];
        if (auth__find_name(grants->roles, grants->role_count, role, &place))
            grants->is_stale = true;
    }
}

void auth__grants_renew(struct auth *auth)
{
    for (size_t i = 0; i < auth->grants.count; i++) {
        struct auth__grants *grants = auth->grants.sorted[i];
        if (grants->is_stale)
            make(auth, grants);
    }
}
