/* How long the recipes' trie takes to find who watches a key.
 *
 *   trie [PATTERNS [MATCHES]]
 *
 * PATTERNS (100,000) of a few dozen shapes, MATCHES (1,000,000) keys of which
 * most are watched by some. Prints nanoseconds a match, and how many patterns
 * one key had. Not built with the rest:
 *
 *   cc -O2 -std=c11 -D_GNU_SOURCE -Isrc bench/trie.c src/recipe/pattern.c \
 *      src/recipe/trie.c src/base/[a-z]*.c -pthread -o /tmp/trie
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/prng.h"
#include "recipe/pattern.h"

enum { KEYS = 4096, TEXT_BYTES_MAX = 128 };

static void count_found(void *context, void *value)
{
    (void)value;
    ++*(uint64_t *)context;
}

/* One service in ten is watched by a pattern with a capture in its place, so
 * that a key has two ways to go at several depths. */
static void write_pattern(struct prng *prng, size_t i, char *out)
{
    unsigned app = (unsigned)prng_below(prng, 1000);
    unsigned host = (unsigned)prng_below(prng, 1000);
    switch (i % 10) {
    case 0:
        snprintf(out, TEXT_BYTES_MAX, "/apps/{app}/config-%zu", i);
        break;
    case 1:
        snprintf(out, TEXT_BYTES_MAX, "/apps/app-%u/{rest...}", app);
        break;
    case 2:
        snprintf(out, TEXT_BYTES_MAX, "/apps/app-%u/hosts/", app);
        break;
    case 3:
        snprintf(out, TEXT_BYTES_MAX, "/{kind}/app-%u/hosts/{host}/m-%zu", app,
                 i);
        break;
    default:
        snprintf(out, TEXT_BYTES_MAX, "/apps/app-%u/hosts/host-%u/m-%zu", app,
                 host, i % 97);
    }
}

static void write_key(struct prng *prng, char *out)
{
    snprintf(out, TEXT_BYTES_MAX, "/apps/app-%u/hosts/host-%u/m-%u",
             (unsigned)prng_below(prng, 1000), (unsigned)prng_below(prng, 1000),
             (unsigned)prng_below(prng, 97));
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    size_t patterns = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000;
    size_t matches = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000000;
    static char keys[KEYS][TEXT_BYTES_MAX];
    struct arena arena;
    struct prng prng;
    char text[TEXT_BYTES_MAX];
    uint64_t found = 0;
    arena_init(&arena, 0);
    prng_init(&prng, 1);
    struct pattern *list = mem_alloc((patterns + 1) * sizeof *list);
    struct pattern_trie *trie = pattern_trie_new();
    double begun = seconds();
    for (size_t i = 0; i < patterns; i++) {
        write_pattern(&prng, i, text);
        enum err err = pattern_parse(&arena, slice_str(text), &list[i], NULL);
        CHECK_EQ(err, ERR_OK);
        pattern_trie_add(trie, &list[i], &list[i]);
    }
    printf("%zu patterns in %.0f ms\n", patterns, (seconds() - begun) * 1e3);
    for (size_t i = 0; i < KEYS; i++)
        write_key(&prng, keys[i]);
    begun = seconds();
    for (size_t i = 0; i < matches; i++)
        pattern_trie_match(trie, slice_str(keys[i % KEYS]), count_found,
                           &found);
    printf("%.0f ns a match, %.1f found a key\n",
           (seconds() - begun) * 1e9 / (double)matches,
           (double)found / (double)matches);
    pattern_trie_free(trie);
    mem_free(list);
    arena_deinit(&arena);
    return 0;
}
