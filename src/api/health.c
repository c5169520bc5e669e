/* /health, and /livez and /readyz with their checks:
 *
 *   livez    serializable_read
 *   readyz   data_corruption serializable_read linearizable_read non_learner
 *
 * A full store fails /health (as in etcd, an operator must act), but neither
 * of the others: restarting the member or taking it out of service would not
 * help, and reads are served. */
#include "api/api_int.h"
#include "doc/json_write.h"

/* ---- /health ------------------------------------------------------------ */

/* True when `query` has exclude=`what`. */
static bool is_excluded(const struct form *form, const char *what)
{
    for (size_t i = 0; i < form->count; i++) {
        if (slice_eq(form->fields[i].name, SLICE("exclude")) &&
            slice_eq(form->fields[i].value, slice_str(what))) {
            return true;
        }
    }
    return false;
}

/* What can be read of the query; the rest is of no concern here. */
static struct form read_query(struct http_exchange *exchange)
{
    struct form form = {0};
    if (form_parse(exchange->arena, exchange->request.query, &form) != ERR_OK) {
        err_clear();
    }
    return form;
}

void api__health(struct api *api, struct http_exchange *exchange,
                 struct slice rest)
{
    struct node_progress progress;
    struct form form = read_query(exchange);
    const char *reason = NULL;
    (void)rest;
    node_progress(api->node, &progress);
    if (progress.no_space && !is_excluded(&form, "NOSPACE")) {
        reason = "ALARM NOSPACE";
    } else if (progress.leader == 0) {
        reason = "RAFT NO LEADER";
    }
    struct buf *out = api__body(api);
    meter__count(reason == NULL ? METER_HEALTH_SUCCESS : METER_HEALTH_FAILURES);
    if (reason == NULL) {
        buf_append_str(out, "{\"health\":\"true\"}");
    } else {
        buf_append_str(out, "{\"health\":\"false\",\"reason\":");
        json_write_string(out, slice_str(reason));
        buf_append_str(out, "}\n");
    }
    api__respond(api, exchange, reason == NULL ? 200 : 503, api__type_text);
}

/* ---- /livez and /readyz ------------------------------------------------- */

struct check {
    const char *name;
    /* NULL: all is well; else what is wrong. */
    const char *(*run)(struct api *api);
};

static const char *read_store(struct api *api)
{
    struct tree_node node;
    struct slice cause;
    enum tree_error error;
    api__read_begin(api);
    enum err err = tree_get(api->reader, SLICE("/"), 0, &node, &error, &cause);
    api__read_end(api);
    return err == ERR_OK ? NULL : err_text(err);
}

static const char *read_latest(struct api *api)
{
    struct node_progress progress;
    node_progress(api->node, &progress);
    return progress.leader == 0 ? "no leader" : read_store(api);
}

/* Of a corruption that it finds a member stops by itself. */
static const char *no_corruption(struct api *api)
{
    (void)api;
    return NULL;
}

static const char *no_learner(struct api *api)
{
    struct node_progress progress;
    node_progress(api->node, &progress);
    return progress.is_learner ? "the member is a learner" : NULL;
}

static const struct check livez_checks[] = {
    {"serializable_read", read_store},
};

static const struct check readyz_checks[] = {
    {"data_corruption", no_corruption},
    {"serializable_read", read_store},
    {"linearizable_read", read_latest},
    {"non_learner", no_learner},
};

static void run_check(struct api *api, const struct check *check,
                      const struct form *form, struct buf *out, bool *failed)
{
    if (is_excluded(form, check->name)) {
        buf_printf(out, "[+]%s excluded: ok\n", check->name);
        return;
    }
    const char *wrong = check->run(api);
    if (wrong == NULL) {
        buf_printf(out, "[+]%s ok\n", check->name);
    } else {
        buf_printf(out, "[-]%s failed: %s\n", check->name, wrong);
        *failed = true;
    }
}

/* `rest` "": all; else the one of that name. */
static void run_checks(struct api *api, struct http_exchange *exchange,
                       const struct check *checks, size_t count,
                       struct slice rest)
{
    struct form form = read_query(exchange);
    bool failed = false;
    bool found = rest.size == 0;
    struct buf *out = api__body(api);
    for (size_t i = 0; i < count; i++) {
        if (rest.size == 0 || slice_eq(rest, slice_str(checks[i].name))) {
            run_check(api, &checks[i], &form, out, &failed);
            found = true;
        }
    }
    if (!found) {
        api__respond_not_found(api, exchange);
        return;
    }
    if (!failed && form_get(&form, "verbose") == NULL) {
        buf_reset(out);
    }
    if (!failed) {
        buf_append_str(out, "ok\n");
    }
    api__respond(api, exchange, failed ? 503 : 200, api__type_text);
}

void api__livez(struct api *api, struct http_exchange *exchange,
                struct slice rest)
{
    run_checks(api, exchange, livez_checks,
               sizeof(livez_checks) / sizeof(livez_checks[0]), rest);
}

void api__readyz(struct api *api, struct http_exchange *exchange,
                 struct slice rest)
{
    run_checks(api, exchange, readyz_checks,
               sizeof(readyz_checks) / sizeof(readyz_checks[0]), rest);
}
