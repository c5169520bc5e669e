/* What v3 asks of a node, and what is to be seen of it: for any test. */
#ifndef ETCHED_TESTS_SUPPORT_NODE_REQUESTS_H
#define ETCHED_TESTS_SUPPORT_NODE_REQUESTS_H

#include "node/node_int.h"

/* Commands; good until the next of these is called. */
struct command ask_put(const char *key, const char *value, lease_id lease);
struct command ask_message(enum command_type type,
                           const ProtobufCMessage *message);
/* `end` NULL: one key. */
struct command ask_delete(const char *key, const char *end);
/* If the key isn't there it is put; else it is deleted. */
struct command ask_toggle(const char *key);
struct command ask_grant(lease_id id, int64_t ttl_s);
struct command ask_revoke(lease_id id);
struct command ask_renew(lease_id id);
struct command ask_compact(revision at);
struct command ask_raise(member_id member, uint32_t type);
struct command ask_end(member_id member, uint32_t type);

/* A number in an answer's body; 0: it isn't there. */
int64_t answer_number(const struct txn_answer *answer, uint32_t field);

/* What is seen at a node, as text: good until the next of the same.
 *
 * A record: "1 [create,mod] v1 put", and " lease=77" or " lease=v2:5" where it
 * has one; "none" where there is no such key. */
const char *record_text(struct node *node, const char *key);
/* As v2 shows it: "/a=1 [created,modified]", "/a/ [...]", " ttl=5" (whole
 * seconds from `now_ns` on); "100" and its like where there is nothing. */
const char *node_text(struct node *node, const char *path, int64_t now_ns);
/* The v2 events at a revision, as watchers of "/" see them: "set /a=1", joined
 * with ' '. */
const char *event_text(struct node *node, revision at);
/* The keys of a lease, each with a ' ' behind it; "none". */
const char *lease_text(struct node *node, lease_id id);
/* "member:type " each, in hex. */
const char *alarm_text(struct node *node);

#endif
