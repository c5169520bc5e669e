/* A fuzz target as a test, without a fuzzer: plays back every file of the
 * target's corpus, and of each some prefixes and some copies with a byte
 * changed, the same ones each time.
 *
 *   fuzz_<target>_replay TARGET CORPUS_DIRECTORY
 *
 * Prints `ok TARGET`; what goes wrong aborts. A corpus that isn't there is as
 * good as one with an empty file in it.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/prng.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum {
    INPUT_BYTES_MAX = 1024 * 1024,
    PREFIXES_MAX = 256,
    CHANGES = 64,
};

/* On the heap, to the byte, so that a read beyond the end is seen. */
static void play(const char *bytes, size_t size)
{
    uint8_t *copy = mem_dup(bytes, size);
    LLVMFuzzerTestOneInput(copy, size);
    mem_free(copy);
}

static void play_prefixes(struct slice input)
{
    size_t step = input.size / PREFIXES_MAX + 1;
    for (size_t size = 0; size < input.size; size += step) {
        play(input.at, size);
    }
}

static void play_changes(struct slice input, struct prng *prng)
{
    char *copy = mem_dup(input.at, input.size);
    for (int i = 0; i < CHANGES && input.size > 0; i++) {
        size_t at = (size_t)prng_below(prng, input.size);
        char before = copy[at];
        copy[at] = (char)prng_below(prng, 256);
        play(copy, input.size);
        copy[at] = before;
    }
    mem_free(copy);
}

static void read_file(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL);
    char *room = buf_extend(out, INPUT_BYTES_MAX);
    out->size = fread(room, 1, INPUT_BYTES_MAX, file);
    CHECK(!ferror(file));
    fclose(file);
}

static size_t play_corpus(const char *path, struct prng *prng)
{
    DIR *dir = opendir(path);
    if (!dir) {
        return 0;
    }
    size_t count = 0;
    struct buf input = {0};
    char file_path[1024];
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        int size = snprintf(file_path, sizeof(file_path), "%s/%s", path,
                            entry->d_name);
        CHECK_LT(size, (int)sizeof(file_path));
        /* Named before it is played: the last line says which one failed. */
        fprintf(stderr, "%s\n", file_path);
        buf_reset(&input);
        read_file(file_path, &input);
        play(input.at, input.size);
        play_prefixes(buf_slice(&input));
        play_changes(buf_slice(&input), prng);
        count++;
    }
    buf_deinit(&input);
    closedir(dir);
    return count;
}

int main(int argc, char **argv)
{
    CHECK_EQ(argc, 3);
    struct prng prng;
    prng_init(&prng, 1);
    play("", 0);
    size_t count = play_corpus(argv[2], &prng);
    printf("ok %s (%zu inputs and changes of them)\n", argv[1], count);
    return 0;
}
