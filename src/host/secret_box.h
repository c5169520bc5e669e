/* Secrets as they may be stored: AES-256-GCM (NIST SP 800-38D), by the crypto
 * library. The keys come from outside (--recipes-secret-key-file): the first
 * one seals, all of them open, so that a key can be replaced: a new line above
 * the old one, and the old one goes when all secrets were written anew.
 *
 *   byte 0       1, the form
 *   byte 1       which key: the first byte of its SHA-1
 *   byte 2..13   nonce, random
 *   then         what was sealed, as long as it was
 *   last 16      tag, over that, bytes 0 and 1, and the secret's name
 *
 * Threads: any, once it is made.
 */
#ifndef ETCHED_HOST_SECRET_BOX_H
#define ETCHED_HOST_SECRET_BOX_H

#include "base/bytes.h"
#include "base/err.h"

enum {
    SECRET_BOX_KEY_BYTES = 32,
    SECRET_BOX_KEYS_MAX = 16,
    /* What is sealed is so much longer. */
    SECRET_BOX_BYTES_MORE = 2 + 12 + 16,
};

struct secret_box;

/* One key a line, 64 hex digits each; blank lines and those that begin with #
 * are passed over.
 * Errors: ERR_INVALID; the note says which line, and never has a key. */
enum err secret_box_new(struct slice lines, struct secret_box **out) MUST_USE;
/* The lines of a file. Errors: those above, and of reading it. */
enum err secret_box_open(const char *path, struct secret_box **out) MUST_USE;
void secret_box_free(struct secret_box *box); /* NULL is fine */

/* Appends. `box` NULL: there is no key.
 * Errors: ERR_UNSUPPORTED: no key was given (the note says how to), or no
 *         crypto library; secret_box_unseal: ERR_CORRUPT: of another key,
 *         another name, or changed. */
enum err secret_box_seal(const struct secret_box *box, struct slice name,
                         struct slice text, struct buf *out) MUST_USE;
enum err secret_box_unseal(const struct secret_box *box, struct slice name,
                           struct slice sealed, struct buf *out) MUST_USE;

#endif
