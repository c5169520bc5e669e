/* The static cluster: a list that stands on every member's command line, or in
 * DNS.
 *
 *   new       all members compute the same ids of it; those that run already
 *             tell whether it is really new
 *   existing  one of those listed tells what the cluster is
 */
#include "base/check.h"
#include "base/log.h"
#include "host/bootstrap_int.h"

/* ---- members that are there already -------------------------------------- */

enum err bootstrap__refuse_forgetful(const struct bootstrap_run *run,
                                     const struct node_member *member)
{
    unsigned long long id = member->id;
    return err_set(
        ERR_EXISTS,
        "member %llx has already been bootstrapped, but its data is not in "
        "%.100s: a member must not vote anew on what it forgot. If the data "
        "is lost, remove the member and add it again (etchctl member remove "
        "%llx; etchctl member add)",
        id, run->config->data_dir, id);
}

static bool is_own(const struct bootstrap_member *own, const char *url)
{
    for (size_t i = 0; i < own->urls.count; i++) {
        if (strcmp(own->urls.at[i].text, url) == 0) {
            return true;
        }
    }
    return false;
}

/* Another member runs: is it in the cluster that the flags speak of, and am I
 * new to it? */
static enum err judge_running(struct bootstrap_run *run, const char *url,
                              const struct bootstrap_view *view,
                              const struct bootstrap *mine, bool *absent)
{
    *absent = true;
    if (view->cluster_id != mine->cluster_id) {
        return err_set(
            ERR_WRONG_CLUSTER,
            "the member at %s belongs to cluster %llx, but these flags make "
            "cluster %llx: give all members the same --initial-cluster and "
            "--initial-cluster-token, or, to join one that exists, add this "
            "member to it and give --initial-cluster-state existing",
            url, (unsigned long long)view->cluster_id,
            (unsigned long long)mine->cluster_id);
    }
    for (size_t i = 0; i < view->count; i++) {
        if (view->members[i].id == mine->member_id) {
            *absent = false;
            return view->members[i].client_urls.size > 0
                       ? bootstrap__refuse_forgetful(run, &view->members[i])
                       : ERR_OK;
        }
    }
    return ERR_OK;
}

static enum err refuse_removed(const char *url, uint64_t id)
{
    return err_set(ERR_GONE,
                   "member %llx was removed from its cluster, as %s says; to "
                   "bring this machine back, add it as a new member (etchctl "
                   "member add) and give --initial-cluster-state existing",
                   (unsigned long long)id, url);
}

/* Of a cluster that begins, the others may be there before this member, or
 * not yet. Those that are tell whether it really begins. One that has just
 * begun may not know its own members yet, so it is asked twice. */
static enum err probe(struct bootstrap_run *run, const char *url,
                      const struct bootstrap *mine, bool *answered)
{
    struct bootstrap_view view;
    bool absent = false;
    for (int i = 0; i < 2; i++) {
        if (bootstrap__ask_members(run, url, run->world->probe_ms, &view)) {
            return ERR_OK;
        }
        *answered = true;
        enum err err = judge_running(run, url, &view, mine, &absent);
        if (err || !absent) {
            return err;
        }
        bootstrap__pause(run, 2);
    }
    return refuse_removed(url, mine->member_id);
}

static enum err probe_others(struct bootstrap_run *run,
                             const struct bootstrap_list *list,
                             const struct bootstrap_member *own,
                             const struct bootstrap *mine)
{
    int64_t until_ms = http_client_now_ms() + run->world->probe_total_ms;
    bool answered = false;
    enum err err = ERR_OK;
    for (size_t i = 0; i < list->count; i++) {
        const struct config_urls *urls = &list->at[i].urls;
        for (size_t j = 0; j < urls->count && !err && !answered; j++) {
            if (!is_own(own, urls->at[j].text) &&
                http_client_now_ms() < until_ms) {
                err = probe(run, urls->at[j].text, mine, &answered);
            }
        }
    }
    return err;
}

/* ---- the static cluster, new --------------------------------------------- */

static enum err start_new(struct bootstrap_run *run,
                          struct bootstrap_list *list, struct bootstrap *out)
{
    const struct config *config = run->config;
    enum err err = bootstrap__assign_ids(list, config->initial_cluster_token);
    if (err) {
        return err;
    }
    const struct bootstrap_member *own = bootstrap__named(list, config->name);
    CHECK(own);
    out->member_id = own->id;
    out->cluster_id = bootstrap__cluster_id(list);
    err = probe_others(run, list, own, out);
    if (err) {
        return err;
    }
    bootstrap__fill(list, run->arena, out);
    log_info("bootstrap", "a new cluster", LOG_HEX("cluster", out->cluster_id),
             LOG_HEX("member", out->member_id),
             LOG_UINT("members", out->member_count));
    return ERR_OK;
}

/* ---- the static cluster, existing ---------------------------------------- */

static enum err accept_found(struct bootstrap_run *run,
                             const struct bootstrap_view *view,
                             const struct node_member *found,
                             struct bootstrap *out)
{
    const struct config *config = run->config;
    if (found->name.size > 0 &&
        !slice_eq(found->name, slice_str(config->name))) {
        return err_set(ERR_INVALID,
                       "the cluster knows the member with these peer URLs as "
                       "\"%.*s\", but --name is \"%.60s\"",
                       (int)(found->name.size < 60 ? found->name.size : 60),
                       found->name.at, config->name);
    }
    if (found->client_urls.size > 0) {
        return bootstrap__refuse_forgetful(run, found);
    }
    out->cluster_id = view->cluster_id;
    out->member_id = found->id;
    log_info("bootstrap", "joining a cluster that exists",
             LOG_HEX("cluster", out->cluster_id),
             LOG_HEX("member", out->member_id),
             LOG_UINT("members", view->count));
    return ERR_OK;
}

/* What the list on the command line says of the others is for finding them;
 * the cluster's own word counts. Where they differ it is worth a line. */
static void warn_of_others(struct bootstrap_run *run,
                           const struct bootstrap_list *list,
                           const struct bootstrap_view *view)
{
    for (size_t i = 0; i < list->count; i++) {
        if (!bootstrap__find_by_urls(run->arena, view, &list->at[i].urls)) {
            log_warn("bootstrap",
                     "--initial-cluster names a member that the cluster "
                     "doesn't have with these URLs",
                     LOG_STR("name", list->at[i].name));
        }
    }
    if (list->count < view->count) {
        log_warn("bootstrap",
                 "the cluster has more members than --initial-cluster names",
                 LOG_UINT("members", view->count),
                 LOG_UINT("named", list->count));
    }
}

/* One round over the members that are listed. *heard: one of them answered. A
 * follower may not know yet that this member was added, so all are asked. */
static enum err ask_round(struct bootstrap_run *run,
                          const struct bootstrap_list *list,
                          const struct bootstrap_member *own, bool *heard,
                          struct bootstrap *out)
{
    struct bootstrap_view view;
    for (size_t i = 0; i < list->count; i++) {
        const struct config_urls *urls = &list->at[i].urls;
        for (size_t j = 0; j < urls->count; j++) {
            const char *url = urls->at[j].text;
            if (is_own(own, url)) {
                continue;
            }
            if (bootstrap__ask_members(run, url, run->world->ask_ms, &view)) {
                log_warn("bootstrap", "a member doesn't answer",
                         LOG_STR("why", err_note()));
                continue;
            }
            *heard = true;
            const struct node_member *found =
                bootstrap__find_by_urls(run->arena, &view, &own->urls);
            if (found) {
                warn_of_others(run, list, &view);
                return accept_found(run, &view, found, out);
            }
        }
    }
    return ERR_OK;
}

static enum err join_existing(struct bootstrap_run *run,
                              const struct bootstrap_list *list,
                              struct bootstrap *out)
{
    const struct bootstrap_member *own =
        bootstrap__named(list, run->config->name);
    int64_t until_ms = http_client_now_ms() + run->world->give_up_ms;
    bool heard = false;
    CHECK(own);
    if (list->count == 1) {
        return err_set(ERR_INVALID,
                       "--initial-cluster-state existing needs the cluster's "
                       "other members in --initial-cluster");
    }
    for (int round = 1; out->member_id == 0 && !heard; round++) {
        enum err err = ask_round(run, list, own, &heard, out);
        if (err) {
            return err;
        }
        if (!heard && http_client_now_ms() >= until_ms) {
            return err_set(ERR_TIMEOUT,
                           "cannot fetch cluster info from peer urls: no "
                           "member in --initial-cluster answers; are they "
                           "running, and are these their peer URLs?");
        }
        if (!heard) {
            bootstrap__pause(run, round);
        }
    }
    if (out->member_id == 0) {
        return err_set(ERR_GONE,
                       "no member of the cluster has the peer URLs %s: was it "
                       "added with member add? One that was removed has to be "
                       "added again",
                       bootstrap__join(run->arena, &own->urls));
    }
    return ERR_OK;
}

/* ---- both ---------------------------------------------------------------- */

enum err bootstrap__start_static(struct bootstrap_run *run,
                                 const struct config_cluster *cluster,
                                 struct bootstrap *out)
{
    struct bootstrap_list list = bootstrap__group(run->arena, cluster);
    if (*run->config->discovery_srv &&
        !bootstrap__named(&list, run->config->name)) {
        return err_set(ERR_INVALID,
                       "cannot find local etcd member \"%.60s\" in SRV "
                       "records: none of them has the host and port of "
                       "--initial-advertise-peer-urls",
                       run->config->name);
    }
    enum err err = bootstrap__check_list(run->config, &list);
    if (err) {
        return err;
    }
    return run->config->initial_cluster_existing
               ? join_existing(run, &list, out)
               : start_new(run, &list, out);
}
