/* /v2/auth/enable: is it known who asks? */
#include "api/users.h"
#include "base/check.h"

static bool plan_enabling(struct plan *plan, const struct auth *auth)
{
    struct auth_user user;
    if (auth_is_on(auth)) {
        return plan__refuse(plan, 409, "already enabled");
    }
    if (!auth_user(auth, SLICE(AUTH_ROOT), &user)) {
        return plan__refuse(plan, 409,
                            "No root user available, please create one");
    }
    if (!roles__make_guest(plan, auth)) {
        return false;
    }
    plan__add(plan, &(struct auth_change){.op = AUTH_ENABLE});
    return true;
}

static bool plan_disabling(struct plan *plan, const struct auth *auth)
{
    if (!auth_is_on(auth)) {
        return plan__refuse(plan, 409, "already disabled");
    }
    plan__add(plan, &(struct auth_change){.op = AUTH_DISABLE});
    return true;
}

void api__auth_enable(struct api *api, struct http_exchange *exchange,
                      struct slice rest)
{
    const struct auth *auth = node_auth(api->node);
    struct plan plan = {.arena = exchange->arena};
    struct buf *out = api__body(api);
    (void)rest;
    if (exchange->request.method == HTTP_GET) {
        buf_append_str(out, auth_is_on(auth) ? "{\"enabled\":true}\n"
                                             : "{\"enabled\":false}\n");
        plan__respond(api, exchange, &plan, 200);
        return;
    }
    lock_read(node_lock(api->node));
    bool good = exchange->request.method == HTTP_PUT
                    ? plan_enabling(&plan, auth)
                    : plan_disabling(&plan, auth);
    unlock_read(node_lock(api->node));
    CHECK_EQ(good, plan.status == 0);
    plan__run(api, exchange, &plan, 200);
}
