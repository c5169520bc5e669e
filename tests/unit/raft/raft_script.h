/* Stories of a cluster as text, as in tests/golden/raft. */
#ifndef ETCHED_TESTS_UNIT_RAFT_RAFT_SCRIPT_H
#define ETCHED_TESTS_UNIT_RAFT_RAFT_SCRIPT_H

#include "base/bytes.h"

/* Lines "> command" are run, and what then happens is written behind each,
 * indented. Indented lines of the script are its old answers and are left
 * out; the rest is the story's own words and stays.
 *
 * Before the cluster:
 *   config NAME N         pre_vote, check_quorum, lease_reads, log, entries
 *                         (of an append), window (appends on their way)
 *   cluster N [M]         N voters, ids from 1 on, and M learners
 * Time:
 *   settle                all happens that can without time
 *   wait MS               time passes, and all happens that is due in it
 *   clock MS              time passes, and nobody looks at the clock
 * Of one member:
 *   tick N                it looks at the clock
 *   campaign N            it stands for election
 *   elect N               the same, and all that follows, without a word
 *   propose N WORD...     one entry for each word
 *   read N                a linearizable read there
 *   change N OP M ...     add M, learner M, remove M: in one change
 *   leave N               proposes the end of the joint change; `manual`: only
 *                         so, for it is done by itself else
 *   transfer N M          N hands over to M (0: to whom it likes)
 *   lost N M              N's connection to M breaks
 *   unreachable N M       N hears that messages to M may have been lost
 *   send|write|apply N    a part of its turn; turn N: all of it
 *   crash N, start N
 *   pause N, resume N     takes no turns, and what comes to it waits
 *   compact N INDEX       its state is saved, and its log forgotten so far
 *   add                   a new member that knows of nobody
 * The network:
 *   cut A B, cut A > B    both ways, one way; heal: all is well again
 *   isolate N             cut off from everybody
 *   deliver A > B         the oldest message that is on its way
 *   overtake A > B        the newest comes, before those that are older
 *   double A > B          a copy of it comes, and it stays on its way
 *   aside A > B           the oldest is held back; bring: it is sent on
 *   drop A > B            all that are on their way are lost
 * To look:
 *   status, peers N, log N, members N
 *   show heartbeats, hide heartbeats
 * new                     another cluster, for the next story
 */
void raft_script_play(const char *script, struct buf *out);

#endif
