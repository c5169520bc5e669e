#include "host/restore.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/check.h"
#include "base/limits.h"
#include "host/bootstrap_int.h"
#include "host/clock_posix.h"
#include "host/data_dir.h"
#include "host/disk_posix.h"
#include "host/kv_lmdb.h"
#include "host/sha256.h"
#include "host/snapshot_map.h"
#include "snap/snap.h"

/* The log begins behind this entry, which stands for all that the snapshot
 * holds. */
enum { FIRST_INDEX = 1, FIRST_TERM = 1 };

struct restore {
    const struct restore_options *options;
    struct config config;
    struct bootstrap cluster;
    struct arena arena;
    struct snapshot_map file;
};

/* ---- the flags ----------------------------------------------------------- */

/* Those of the server that have the same meaning are read as the server reads
 * them. */
static enum err load_config(struct restore *restore)
{
    const struct restore_options *options = restore->options;
    const struct {
        const char *name, *value;
    } flags[] = {
        {"name", options->name},
        {"data-dir", options->data_dir},
        {"wal-dir", options->wal_dir},
        {"initial-cluster", options->initial_cluster},
        {"initial-cluster-token", options->initial_cluster_token},
        {"initial-advertise-peer-urls", options->initial_advertise_peer_urls},
    };
    char *argv[1 + sizeof flags / sizeof *flags] = {(char *)"restore"};
    struct config_input input = {.argc = 1, .argv = argv};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (*flags[i].value)
            argv[input.argc++] = arena_printf(&restore->arena, "--%s=%s",
                                              flags[i].name, flags[i].value);
    return config_load(&restore->config, &input);
}

static enum err find_cluster(struct restore *restore)
{
    const struct config *config = &restore->config;
    struct bootstrap *cluster = &restore->cluster;
    struct bootstrap_list list =
        bootstrap__group(&restore->arena, &config->initial_cluster);
    enum err err = bootstrap__check_list(config, &list);
    if (err == ERR_OK)
        err = bootstrap__assign_ids(&list, config->initial_cluster_token);
    if (err != ERR_OK)
        return err;
    const struct bootstrap_member *own = bootstrap__named(&list, config->name);
    CHECK(own != NULL);
    cluster->member_id = own->id;
    cluster->cluster_id = bootstrap__cluster_id(&list);
    bootstrap__fill(&list, &restore->arena, cluster);
    CHECK(cluster->cluster_id != 0 && cluster->member_count > 0);
    return ERR_OK;
}

/* ---- the file ------------------------------------------------------------ */

static enum err check_file(const struct restore *restore)
{
    if (restore->options->skip_hash_check)
        return ERR_OK;
    if (!etcdb_has_hash(restore->file.bytes))
        return err_set(ERR_INVALID, "snapshot missing hash but "
                                    "--skip-hash-check=false");
    return etcdb_check_hash(restore->file.bytes, sha256);
}

/* ---- the directory ------------------------------------------------------- */

/* A folder that isn't there is empty. */
static bool is_empty(const char *path)
{
    DIR *folder = opendir(path);
    bool empty = true;
    if (folder == NULL)
        return errno == ENOENT;
    for (struct dirent *entry; empty && (entry = readdir(folder)) != NULL;)
        empty =
            strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(folder);
    return empty;
}

static enum err check_folders(const struct config *config)
{
    if (!is_empty(config->data_dir))
        return err_set(ERR_EXISTS,
                       "data-dir \"%s\" not empty or could not be read",
                       config->data_dir);
    if (*config->wal_dir && access(config->wal_dir, F_OK) == 0)
        return err_set(ERR_EXISTS, "wal-dir \"%s\" exists", config->wal_dir);
    return ERR_OK;
}

static uint64_t random_seed(void)
{
    uint64_t seed = 0;
    ssize_t size = getrandom(&seed, sizeof seed, 0);
    CHECK_EQ(size, sizeof seed);
    return seed;
}

/* Members that are made one after the other must be the same: only where there
 * is one, there is one time of import. */
static int64_t time_of_import(const struct restore *restore)
{
    return restore->cluster.member_count > 1 ? 0 : clock_wall_ns(clock_posix());
}

static enum err fill_store(const struct restore *restore, struct kv *kv,
                           struct etcdb_imported *out)
{
    struct snap_set *set;
    enum err err = snap_set_open(kv, &set);
    if (err != ERR_OK)
        return err;
    struct etcdb_import config = {
        .file = restore->file.bytes,
        .kv = snap_set_kv(set),
        .time_ns = time_of_import(restore),
        .index = FIRST_INDEX,
        .term = FIRST_TERM,
        .bump = restore->options->bump,
        .mark_compacted = restore->options->mark_compacted,
        .cluster_id = restore->cluster.cluster_id,
        .members = restore->cluster.members,
        .member_count = restore->cluster.member_count,
        .seed = random_seed(),
    };
    err = etcdb_import(&config, out);
    snap_set_close(set);
    return err;
}

static enum err make_store(const struct restore *restore,
                           const struct data_dir *dir,
                           struct etcdb_imported *out)
{
    const struct kv_lmdb_config config = {0};
    struct kv *kv;
    enum err err = kv_lmdb_open(dir->db_path, &config, &kv);
    if (err != ERR_OK)
        return err;
    err = fill_store(restore, kv, out);
    kv_lmdb_close(kv);
    return err;
}

static enum err make_log(const struct restore *restore,
                         const struct data_dir *dir)
{
    struct disk *disk;
    enum err err = disk_posix_open(dir->wal_path, &disk);
    if (err != ERR_OK)
        return err;
    const struct node_founding_log log = {
        .disk = disk,
        .segment_bytes = LIMIT_WAL_SEGMENT_BYTES,
        .cluster_id = restore->cluster.cluster_id,
        .member_id = restore->cluster.member_id,
        .index = FIRST_INDEX,
        .term = FIRST_TERM,
    };
    err = node_found_log(&log);
    disk_posix_close(disk);
    return err;
}

static enum err make_directory(const struct restore *restore,
                               struct etcdb_imported *out)
{
    const struct config *config = &restore->config;
    struct data_dir dir;
    enum err err = check_folders(config);
    if (err == ERR_OK)
        err = data_dir_open(config->data_dir, config->wal_dir, false, &dir);
    if (err != ERR_OK)
        return err;
    /* The log last: without it nothing starts. */
    err = make_store(restore, &dir, out);
    if (err == ERR_OK)
        err = make_log(restore, &dir);
    data_dir_close(&dir);
    return err;
}

static enum err run(struct restore *restore, struct etcdb_imported *out)
{
    enum err err = load_config(restore);
    if (err != ERR_OK)
        return err;
    err = find_cluster(restore);
    if (err == ERR_OK)
        err = snapshot_map_open(restore->options->file, &restore->file);
    if (err == ERR_OK)
        err = check_file(restore);
    if (err == ERR_OK)
        err = make_directory(restore, out);
    snapshot_map_close(&restore->file);
    config_deinit(&restore->config);
    return err;
}

enum err restore_run(const struct restore_options *options,
                     struct etcdb_imported *out)
{
    struct restore restore = {.options = options};
    *out = (struct etcdb_imported){0};
    arena_init(&restore.arena, 0);
    enum err err = run(&restore, out);
    arena_deinit(&restore.arena);
    return err;
}
