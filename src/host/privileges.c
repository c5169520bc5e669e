#include "host/privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"

enum { ENTRY_BYTES_MAX = 16 * 1024 };

static enum err look_up(const char *user, struct privileges *out)
{
    char bytes[ENTRY_BYTES_MAX];
    struct passwd entry;
    struct passwd *found = NULL;
    uint64_t number;
    int failed;
    if (slice_to_u64(slice_str(user), &number) && number < UINT32_MAX) {
        failed =
            getpwuid_r((uid_t)number, &entry, bytes, sizeof(bytes), &found);
    } else {
        failed = getpwnam_r(user, &entry, bytes, sizeof(bytes), &found);
    }
    if (found == NULL) {
        return err_set(ERR_NOT_FOUND, "--user %.60s: %s", user,
                       failed != 0 ? strerror(failed)
                                   : "there is no user of that name");
    }
    out->uid = found->pw_uid;
    out->gid = found->pw_gid;
    (void)snprintf(out->name, sizeof(out->name), "%s", found->pw_name);
    return ERR_OK;
}

enum err privileges_find(const char *user, struct privileges *out)
{
    *out = (struct privileges){.uid = geteuid(), .gid = getegid()};
    if (user[0] == '\0') {
        return ERR_OK;
    }
    enum err err = look_up(user, out);
    if (err != ERR_OK) {
        return err;
    }
    if (out->uid == geteuid() && out->uid != 0) {
        return ERR_OK; /* it is that user already */
    }
    if (geteuid() != 0) {
        return err_set(ERR_PERMISSION,
                       "--user %s: only root can become another user, and "
                       "this is user %u; start it as root, or as %s",
                       out->name, (unsigned)geteuid(), out->name);
    }
    if (out->uid == 0) {
        return err_set(ERR_INVALID,
                       "--user %s is root, so that nothing would be dropped; "
                       "name a user of the server's own",
                       out->name);
    }
    out->change = true;
    return ERR_OK;
}

static enum err fail(const struct privileges *who, const char *what)
{
    return err_set(ERR_PERMISSION, "--user %s: %s: %s", who->name, what,
                   strerror(errno));
}

/* glibc's calls are those of all threads. */
enum err privileges_drop(const struct privileges *who)
{
    if (!who->change) {
        return ERR_OK;
    }
    CHECK(who->uid != 0);
    if (initgroups(who->name, who->gid) != 0) {
        return fail(who, "take on its groups");
    }
    if (setresgid(who->gid, who->gid, who->gid) != 0) {
        return fail(who, "take on its group");
    }
    if (setresuid(who->uid, who->uid, who->uid) != 0) {
        return fail(who, "become that user");
    }
    /* What can be undone wasn't done. */
    CHECK(setresuid(0, 0, 0) != 0);
    CHECK_EQ(geteuid(), who->uid);
    return ERR_OK;
}
