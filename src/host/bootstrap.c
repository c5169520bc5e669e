#include "host/bootstrap.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/sha1.h"

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static uint64_t first_8_of_sha1(struct slice input)
{
    unsigned char digest[SHA1_BYTES];
    sha1(input, digest);
    return get_be64(digest);
}

void bootstrap_ids(const struct config *config, struct bootstrap *out)
{
    const struct config_urls *urls = &config->initial_advertise_peer_urls;
    struct buf input = {0};
    char id[8];
    CHECK(urls->count > 0);
    const char **texts = mem_alloc(urls->count * sizeof(*texts));
    for (size_t i = 0; i < urls->count; i++) {
        texts[i] = urls->at[i].text;
    }
    qsort(texts, urls->count, sizeof(*texts), compare_texts);
    for (size_t i = 0; i < urls->count; i++) {
        buf_append_str(&input, texts[i]);
    }
    mem_free(texts);
    buf_append_str(&input, config->initial_cluster_token);
    out->member_id = first_8_of_sha1(buf_slice(&input));
    buf_deinit(&input);
    put_be64(id, out->member_id);
    out->cluster_id = first_8_of_sha1(slice_of(id, sizeof(id)));
}

char *bootstrap_join_urls(const struct config_urls *urls)
{
    struct buf out = {0};
    for (size_t i = 0; i < urls->count; i++) {
        if (i > 0) {
            buf_append_char(&out, ',');
        }
        buf_append_str(&out, urls->at[i].text);
    }
    buf_append_char(&out, '\0');
    return out.at;
}
