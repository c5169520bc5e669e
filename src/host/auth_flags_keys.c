#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/sha1.h"
#include "host/auth_flags.h"

enum { FILE_BYTES_MAX = 64 * 1024 };

/* ---- files --------------------------------------------------------------- */

static enum err fail(const char *path)
{
    int number = errno;
    return err_set(err_from_errno(number), "%s: %s", path, strerror(number));
}

static enum err read_all(int fd, const char *path, struct buf *out)
{
    buf_reserve(out, FILE_BYTES_MAX + 1); /* it doesn't move: no copies */
    for (;;) {
        ssize_t got =
            read(fd, out->at + out->size, FILE_BYTES_MAX + 1 - out->size);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return fail(path);
        }
        if (got == 0) {
            return ERR_OK;
        }
        out->size += (size_t)got;
        if (out->size > FILE_BYTES_MAX) {
            return err_set(ERR_INVALID, "%s: that long, it is no key", path);
        }
    }
}

static enum err read_key(const struct auth_flags *flags, struct crypto *crypto,
                         const char *path, bool is_private,
                         struct crypto_key **out)
{
    struct buf pem = {0};
    /* A pipe that nobody writes to would hold up the start. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return fail(path);
    }
    enum err err = read_all(fd, path, &pem);
    close(fd);
    if (err == ERR_OK) {
        err = crypto->ops->key_new(crypto, flags->sign, buf_slice(&pem),
                                   is_private, out);
        err = err_wrap(err, "%s", path);
    }
    explicit_bzero(pem.at, pem.capacity);
    buf_deinit(&pem);
    return err;
}

/* ---- keys ---------------------------------------------------------------- */

void auth_flags_free_keys(struct crypto *crypto, struct auth_flags_keys *keys)
{
    crypto->ops->key_free(crypto, keys->sign);
    for (size_t i = 0; i < keys->verify_count; i++) {
        crypto->ops->key_free(crypto, keys->verify[i]);
    }
    *keys = (struct auth_flags_keys){0};
}

/* Other members, who may have the public ones only, would refuse what this one
 * makes. */
static enum err check_pair(struct crypto *crypto,
                           const struct auth_flags_keys *keys)
{
    struct buf signature = {0};
    struct slice text = SLICE("is it yours?");
    bool found = keys->sign == NULL || keys->verify_count == 0;
    enum err err = ERR_OK;
    if (!found) {
        err = crypto->ops->sign(crypto, keys->sign, text, &signature);
    }
    for (size_t i = 0; err == ERR_OK && !found && i < keys->verify_count; i++) {
        found = crypto->ops->verify(crypto, keys->verify[i], text,
                                    buf_slice(&signature));
    }
    buf_deinit(&signature);
    if (err == ERR_OK && !found) {
        err = err_set(ERR_INVALID, "no pub-key belongs to the priv-key");
    }
    return err;
}

enum err auth_flags_read_keys(const struct auth_flags *flags,
                              struct crypto *crypto,
                              struct auth_flags_keys *out)
{
    enum err err = ERR_OK;
    CHECK(flags->is_jwt);
    *out = (struct auth_flags_keys){0};
    if (flags->private_key != NULL) {
        err = read_key(flags, crypto, flags->private_key, true, &out->sign);
    }
    for (size_t i = 0; err == ERR_OK && i < flags->public_count; i++) {
        err = read_key(flags, crypto, flags->public_keys[i], false,
                       &out->verify[i]);
        out->verify_count += err == ERR_OK;
    }
    if (err == ERR_OK) {
        err = check_pair(crypto, out);
    }
    if (err != ERR_OK) {
        auth_flags_free_keys(crypto, out);
    }
    return err;
}

/* ---- have they changed? -------------------------------------------------- */

static void add_file(const char *path, struct buf *out)
{
    struct stat stat_of;
    uint64_t parts[5] = {0};
    if (stat(path, &stat_of) == 0) {
        parts[0] = (uint64_t)stat_of.st_dev;
        parts[1] = (uint64_t)stat_of.st_ino;
        parts[2] = (uint64_t)stat_of.st_size;
        parts[3] = (uint64_t)stat_of.st_mtim.tv_sec;
        parts[4] = (uint64_t)stat_of.st_mtim.tv_nsec;
    }
    buf_append(out, parts, sizeof(parts));
}

uint64_t auth_flags_stamp(const struct auth_flags *flags)
{
    struct buf parts = {0};
    unsigned char hash[SHA1_BYTES];
    if (flags->private_key != NULL) {
        add_file(flags->private_key, &parts);
    }
    for (size_t i = 0; i < flags->public_count; i++) {
        add_file(flags->public_keys[i], &parts);
    }
    sha1(buf_slice(&parts), hash);
    buf_deinit(&parts);
    return get_be64(hash);
}
