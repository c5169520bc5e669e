/* 0.4's way: a list of peers, any of which takes this member into their
 * cluster (POST /join). The cluster says whether it votes or stands by. */
#include "base/check.h"
#include "base/log.h"
#include "doc/doc.h"
#include "doc/json_write.h"
#include "host/bootstrap_int.h"

enum { VERSION_0_4 = 2, NO_MORE_PEERS = 103, PEER_EXISTS = 109 };

/* What came of the attempts so far. */
struct attempts {
    bool heard; /* there is a cluster */
    bool asked; /* it may have taken this member in, its answer got lost */
};

static const struct config_url *own_url(const struct bootstrap_run *run)
{
    CHECK_LT(0, run->config->initial_advertise_peer_urls.count);
    return &run->config->initial_advertise_peer_urls.at[0];
}

static bool is_own(const struct bootstrap_run *run,
                   const struct config_url *peer)
{
    const struct config_urls *own = &run->config->initial_advertise_peer_urls;
    for (size_t i = 0; i < own->count; i++) {
        if (strcmp(own->at[i].text, peer->text) == 0) {
            return true;
        }
    }
    return false;
}

static const char *join_body(struct bootstrap_run *run)
{
    struct buf body = {0};
    buf_printf(&body,
               "{\"minVersion\":%d,\"maxVersion\":%d,\"name\":", VERSION_0_4,
               VERSION_0_4);
    json_write_string(&body, slice_str(run->config->name));
    buf_append_str(&body, ",\"raftURL\":");
    json_write_string(&body, slice_str(own_url(run)->text));
    buf_append_str(&body, ",\"etcdURL\":");
    json_write_string(&body,
                      slice_str(run->config->advertise_client_urls.at[0].text));
    buf_append_str(&body, "}");
    buf_append_char(&body, '\0');
    const char *copy = arena_dup(run->arena, body.at, body.size);
    buf_deinit(&body);
    return copy;
}

/* The cluster said no. */
static enum err refuse(struct bootstrap_run *run, const char *url)
{
    struct doc_value *doc;
    int64_t code = 0;
    int status = run->response.status;
    struct slice text = buf_slice(&run->response.body);
    if (!doc_parse_json(run->arena, text, &doc_limits_default, &doc)) {
        const struct doc_value *number = doc_get(doc, "errorCode");
        code = number && number->kind == DOC_INT ? number->integer : 0;
    }
    if (code == NO_MORE_PEERS) {
        return err_set(ERR_FULL,
                       "%.200s: the cluster takes no more machines (error "
                       "103); raise its active size, or remove one",
                       url);
    }
    if (code == PEER_EXISTS) {
        return err_set(ERR_EXISTS,
                       "%.200s: another machine of the cluster has this name "
                       "or this -peer-addr (error 109); choose another, or "
                       "remove that one",
                       url);
    }
    if (status == 410) {
        return err_set(ERR_GONE, "%.200s: this member was removed", url);
    }
    return err_set(status >= 500 ? ERR_TIMEOUT : ERR_INVALID,
                   "%.200s: status %d: %.*s", url, status,
                   (int)(text.size < 150 ? text.size : 150), text.at);
}

static enum err learn_ids(const struct bootstrap_view *view,
                          const struct node_member *found,
                          struct bootstrap *out)
{
    out->cluster_id = view->cluster_id;
    out->member_id = found->id;
    log_info("bootstrap",
             found->is_learner ? "joined a cluster, as a standby"
                               : "joined a cluster",
             LOG_HEX("cluster", out->cluster_id),
             LOG_HEX("member", out->member_id),
             LOG_UINT("members", view->count));
    return ERR_OK;
}

/* The one who answered the join may be told of it a moment later. */
static enum err wait_to_be_listed(struct bootstrap_run *run, const char *peer,
                                  const struct config_urls *own,
                                  struct bootstrap *out)
{
    int64_t until_ms = http_client_now_ms() + run->world->ask_ms;
    struct bootstrap_view view;
    for (int n = 1;; n++) {
        enum err err =
            bootstrap__ask_members(run, peer, run->world->ask_ms, &view);
        const struct node_member *found =
            err ? NULL : bootstrap__find_by_urls(run->arena, &view, own);
        if (found) {
            return learn_ids(&view, found, out);
        }
        if (http_client_now_ms() >= until_ms) {
            return err ? err
                       : err_set(ERR_TIMEOUT,
                                 "%s said that this member has joined, but "
                                 "doesn't list it",
                                 peer);
        }
        bootstrap__pause(run, n);
    }
}

static enum err join_by(struct bootstrap_run *run,
                        const struct config_url *peer, struct attempts *so_far,
                        struct bootstrap *out)
{
    /* As one URL: 0.4's join knows no more. */
    struct config_urls own = {.at = (struct config_url[]){*own_url(run)},
                              .count = 1};
    struct bootstrap_view view;
    enum err err =
        bootstrap__ask_members(run, peer->text, run->world->ask_ms, &view);
    if (err) {
        return err;
    }
    so_far->heard = true;
    const struct node_member *found =
        bootstrap__find_by_urls(run->arena, &view, &own);
    if (found) {
        return found->client_urls.size > 0 && !so_far->asked
                   ? bootstrap__refuse_forgetful(run, found)
                   : learn_ids(&view, found, out);
    }
    const char *url = arena_printf(run->arena, "%s/join", peer->text);
    so_far->asked = true;
    err = bootstrap__ask(run, "POST", url, join_body(run), run->world->ask_ms);
    if (err) {
        return err_wrap(err, "%.200s", url);
    }
    return run->response.status == 200
               ? wait_to_be_listed(run, peer->text, &own, out)
               : refuse(run, url);
}

static bool is_passing(enum err err)
{
    return err == ERR_CLOSED || err == ERR_TIMEOUT || err == ERR_IO;
}

/* One round over the peers: ERR_OK, an error that another try won't mend, or
 * the last passing one. */
static enum err join_round(struct bootstrap_run *run, struct attempts *so_far,
                           struct bootstrap *out)
{
    const struct config_urls *peers = &run->config->peers;
    enum err err = ERR_TIMEOUT;
    for (size_t i = 0; i < peers->count; i++) {
        if (is_own(run, &peers->at[i])) {
            continue;
        }
        err = join_by(run, &peers->at[i], so_far, out);
        if (!err || !is_passing(err)) {
            return err;
        }
        log_warn("bootstrap", "can't join by this peer",
                 LOG_STR("peer", peers->at[i].text),
                 LOG_STR("why", err_note()));
    }
    return err;
}

/* Nobody was there: this member is the first. */
static enum err start_alone(struct bootstrap_run *run, struct bootstrap *out)
{
    const struct config *config = run->config;
    struct bootstrap_member own = {
        .name = config->name,
        .urls = bootstrap__sort_urls(run->arena,
                                     &config->initial_advertise_peer_urls)};
    struct bootstrap_list list = {.at = &own, .count = 1};
    enum err err = bootstrap__assign_ids(&list, config->initial_cluster_token);
    if (err) {
        return err;
    }
    out->member_id = own.id;
    out->cluster_id = bootstrap__cluster_id(&list);
    bootstrap__fill(&list, run->arena, out);
    log_warn("bootstrap",
             "none of --peers answers: this member begins a new cluster of "
             "one, which the others may join",
             LOG_HEX("cluster", out->cluster_id),
             LOG_HEX("member", out->member_id));
    return ERR_OK;
}

static bool has_others(const struct bootstrap_run *run)
{
    for (size_t i = 0; i < run->config->peers.count; i++) {
        if (!is_own(run, &run->config->peers.at[i])) {
            return true;
        }
    }
    return false;
}

enum err bootstrap__join_peers(struct bootstrap_run *run, struct bootstrap *out)
{
    const struct config *config = run->config;
    struct attempts so_far = {0};
    if (!has_others(run)) {
        return start_alone(run, out);
    }
    for (int64_t tries = 0;; tries++) {
        enum err err = join_round(run, &so_far, out);
        if (!err || !is_passing(err)) {
            return err_wrap(err, "--peers");
        }
        if (tries >= config->max_retry_attempts) {
            return so_far.heard ? err_wrap(err, "--peers: after %lld attempts",
                                           (long long)tries + 1)
                                : start_alone(run, out);
        }
        log_info("bootstrap", "trying to join again",
                 LOG_INT("in_ms", config->retry_interval_ns / 1000000));
        (void)http_client_wait(run->client,
                               config->retry_interval_ns / 1000000);
    }
}
