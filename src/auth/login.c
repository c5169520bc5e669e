#include "auth/login.h"

#include <stdatomic.h>

#include "base/check.h"

enum { COST_MIN = 4, COST_MAX = 31, HASH_BYTES = 60 };

/* Salt and hash, by dice. Somebody would have to find a password for it. */
#define NOBODYS_LETTERS "wVZ5dUw2X1Nq0dLk3oJqPuT8mS4rYbHc6eGfAiBjCkDlEmFnGoHpI"

static atomic_uint login_count;

bool auth_login_enter(void)
{
    if (atomic_fetch_add(&login_count, 1) < AUTH_LOGINS_MAX) {
        return true;
    }
    atomic_fetch_sub(&login_count, 1);
    return false;
}

void auth_login_leave(void)
{
    CHECK(atomic_fetch_sub(&login_count, 1) > 0);
}

unsigned auth_login_count(void)
{
    return atomic_load(&login_count);
}

void auth_login_nobody(int cost, struct buf *out)
{
    size_t start = out->size;
    cost = cost > 0 ? cost : AUTH_BCRYPT_COST;
    CHECK(cost >= COST_MIN && cost <= COST_MAX);
    buf_printf(out, "$2a$%02d$%s", cost, NOBODYS_LETTERS);
    CHECK_EQ(out->size - start, HASH_BYTES);
}

void auth_wipe(void *bytes, size_t size)
{
    if (size > 0) {
        explicit_bzero(bytes, size);
    }
}

void auth_wipe_buf(struct buf *buf)
{
    auth_wipe(buf->at, buf->capacity);
    buf_deinit(buf);
}
