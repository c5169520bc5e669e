/* Documents that are right: those of recipes/, and some that between them have
 * every field that there is. */
#ifndef ETCHED_TESTS_RECIPE_CORPUS_H
#define ETCHED_TESTS_RECIPE_CORPUS_H

#include "base/bytes.h"

/* The text at a place, from 0 on; valid until the next call. False: no more.
 * Tests run in the top folder. */
bool corpus_text(size_t index, struct slice *out);

#endif
