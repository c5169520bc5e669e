/* JSON's own grammar (RFC 8259), for json_read.c: a text is read once, from
 * front to back, without a tree. */
#ifndef ETCHED_RPC_JSON_TEXT_H
#define ETCHED_RPC_JSON_TEXT_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"

/* Values that nobody asked for may lie in each other this deep. */
enum { JSON_SKIPPED_DEPTH_MAX = 200 };

/* `at` never passes `end`. */
struct json_text {
    const char *at;
    const char *end;
    const char *start;
    struct arena *arena; /* of strings that had escapes */
};

void json_text__init(struct json_text *text, struct slice bytes,
                     struct arena *arena);
/* ERR_INVALID, where the text stands: "byte 17: ...". */
enum err json_text__error(const struct json_text *text,
                          const char *what) MUST_USE;
/* The next byte that isn't space, which stays; 0 at the end. */
char json_text__peek(struct json_text *text);
/* Only space is left. */
bool json_text__is_over(struct json_text *text);
/* True, and moved over it: that was the next byte. */
bool json_text__take(struct json_text *text, char c);
/* "true", "false" or "null" is next. */
bool json_text__take_word(struct json_text *text, const char *word);
/* A string is next: what it says, in UTF-8; without escapes it is a view of
 * the text, else in the arena. Errors: ERR_INVALID, ERR_NO_MEMORY. */
enum err json_text__string(struct json_text *text, struct slice *out) MUST_USE;
/* A number is next: its letters. */
enum err json_text__number(struct json_text *text, struct slice *out) MUST_USE;
/* Moves over any value. */
enum err json_text__skip(struct json_text *text) MUST_USE;
/* In an object or a list, before each member: *more says whether there is one;
 * the comma, or the closing bracket, is taken. */
enum err json_text__more(struct json_text *text, char close, bool *first,
                         bool *more) MUST_USE;

/* The integer that a number's letters mean, exactly; also 1.50e1. False: they
 * aren't one, or too large. */
bool json_text__integer(struct slice number, bool *negative,
                        uint64_t *magnitude);

#endif
