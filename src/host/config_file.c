/* The configuration file. Which of the four forms it has is told by its
 * name's ending, else by its first line that says something:
 *
 *   {                     JSON (3.x)
 *   ETCD_NAME=x           variables, as init scripts have them
 *   name = "x"   [peer]   TOML (0.4)
 *   name: x      ---      YAML (3.x)
 *
 * A key is a flag's name with - or _. In 0.4's sections [peer] and [cluster]
 * that word is left out of it; 3.x's blocks client-transport-security and
 * peer-transport-security have names of their own (`file_names`). */
#include "host/config_int.h"

#include "base/check.h"
#include "doc/doc.h"

enum form { FORM_TOML, FORM_YAML, FORM_JSON, FORM_ENV };

static const struct doc_limits file_limits = {
    .bytes_max = CONFIG_FILE_BYTES_MAX,
    .depth_max = 16,
    .values_max = 10000,
};

/* ---- form -------------------------------------------------------------- */

static bool has_suffix(const char *path, const char *suffix)
{
    size_t size = strlen(suffix);
    size_t path_size = strlen(path);
    return path_size > size &&
           slice_eq_nocase(slice_of(path + path_size - size, size),
                           slice_of(suffix, size));
}

/* The first line that is neither blank nor a comment, without indent. */
static struct slice first_line(struct slice text)
{
    while (text.size) {
        ptrdiff_t newline = slice_find(text, '\n');
        size_t size = newline < 0 ? text.size : (size_t)newline;
        struct slice line = slice_of(text.at, size);
        while (line.size && strchr(" \t\r", line.at[0])) {
            line = slice_of(line.at + 1, line.size - 1);
        }
        if (line.size && line.at[0] != '#') {
            return line;
        }
        size_t gone = newline < 0 ? size : size + 1;
        text = slice_of(text.at + gone, text.size - gone);
    }
    return text;
}

static enum form form_of(const char *path, struct slice text)
{
    if (has_suffix(path, ".toml")) {
        return FORM_TOML;
    }
    if (has_suffix(path, ".json")) {
        return FORM_JSON;
    }
    if (has_suffix(path, ".yaml") || has_suffix(path, ".yml")) {
        return FORM_YAML;
    }
    struct slice line = first_line(text);
    if (slice_has_prefix(line, SLICE("{"))) {
        return FORM_JSON;
    }
    if (slice_has_prefix(line, SLICE("ETCD_")) ||
        slice_has_prefix(line, SLICE("ETCHED_")) ||
        slice_has_prefix(line, SLICE("export "))) {
        return FORM_ENV;
    }
    ptrdiff_t equals = slice_find(line, '=');
    ptrdiff_t colon = slice_find(line, ':');
    bool is_toml = slice_has_prefix(line, SLICE("[")) ||
                   (equals >= 0 && (colon < 0 || equals < colon));
    return is_toml ? FORM_TOML : FORM_YAML;
}

/* ---- values as text ---------------------------------------------------- */

/* NULL when there is a zero byte in it. */
static const char *plain_text(struct arena *arena, struct slice text)
{
    if (memchr(text.at, '\0', text.size)) {
        return NULL;
    }
    return arena_printf(arena, "%.*s", (int)text.size, text.at);
}

static bool takes_text(const struct config_flag *flag)
{
    int64_t number;
    return !config__number(flag->kind, "0", &number);
}

/* NULL for a kind that no flag takes. Where text is wanted, YAML's plain
 * scalar is what it says: the name 0123 is no number. */
static const char *scalar_text(struct arena *arena,
                               const struct config_flag *flag,
                               const struct doc_value *value)
{
    bool has_text = value->kind == DOC_STRING || value->text.at;
    if (value->kind != DOC_NULL && has_text && takes_text(flag)) {
        return plain_text(arena, value->text);
    }
    switch (value->kind) {
    case DOC_BOOL:
        return value->boolean ? "true" : "false";
    case DOC_INT:
        /* etcd's YAML has durations as nanoseconds. */
        if (flag->kind == KIND_DURATION || flag->kind == KIND_DURATION_MS) {
            return arena_printf(arena, "%lldns", (long long)value->integer);
        }
        return arena_printf(arena, "%lld", (long long)value->integer);
    case DOC_DOUBLE:
        return arena_printf(arena, "%.15g", value->number);
    case DOC_STRING:
        return plain_text(arena, value->text);
    case DOC_NULL:
    case DOC_LIST:
    case DOC_MAP:
        return NULL;
    }
    UNREACHABLE();
}

/* A list as text: its items with commas between. */
static const char *list_text(struct arena *arena,
                             const struct config_flag *flag,
                             const struct doc_value *list)
{
    struct buf text = {0};
    for (size_t i = 0; i < list->count; i++) {
        const char *item = scalar_text(arena, flag, list->items[i]);
        if (!item) {
            buf_deinit(&text);
            return NULL;
        }
        buf_append_str(&text, i ? "," : "");
        buf_append_str(&text, item);
    }
    buf_append_char(&text, '\0');
    const char *copy = arena_dup(arena, text.at, text.size);
    buf_deinit(&text);
    return copy;
}

static bool takes_a_list(const struct config_flag *flag)
{
    return flag->kind == KIND_LIST || flag->kind == KIND_URLS ||
           flag->kind == KIND_STRING;
}

/* ---- members ----------------------------------------------------------- */

static enum err file_error(const struct config_loader *loader, int line,
                           int column, const char *key, const char *text)
{
    const struct config_setting setting = {
        .rank = RANK_FILE, .name = key, .line = line, .column = column};
    err_set(ERR_INVALID, "%s", text);
    return err_wrap(ERR_INVALID, "%s", config__place(loader, &setting));
}

/* A value's place, or its key's where the value doesn't know. */
static enum err put_member(struct config_loader *loader,
                           const struct config_flag *flag, const char *key,
                           const struct doc_member *member, bool is_alias)
{
    struct arena *arena = &loader->config->arena;
    const struct doc_value *value = member->value;
    int line = value->line ? value->line : member->line;
    int column = value->line ? value->column : member->column;
    if (value->kind == DOC_NULL) {
        return ERR_OK;
    }
    const char *text = value->kind == DOC_LIST && takes_a_list(flag)
                           ? list_text(arena, flag, value)
                           : scalar_text(arena, flag, value);
    if (!text) {
        return file_error(loader, line, column, key,
                          arena_printf(arena, "%s is not what this key takes",
                                       doc_kind_text(value->kind)));
    }
    const struct config_setting setting = {
        .rank = is_alias ? RANK_FILE_ALIAS : RANK_FILE,
        .text = text,
        .name = key,
        .line = line,
        .column = column,
    };
    config__put(loader, flag, &setting);
    return ERR_OK;
}

static enum err refuse_key(const struct config_loader *loader,
                           const struct doc_member *member, const char *key,
                           struct slice flag_name)
{
    const char *nearest = config__nearest(flag_name, IN_FILE);
    const char *text =
        nearest ? arena_printf(&loader->config->arena,
                               "unknown key; did you mean %s?", nearest)
                : "unknown key";
    return file_error(loader, member->line, member->column, key, text);
}

/* The flag of `key` in `section` (NULL: at the top). *name is what it would
 * be called as a flag. */
static const struct config_flag *find_key(struct arena *arena,
                                          const char *section, struct slice key,
                                          struct slice *name)
{
    *name = key;
    if (!section) {
        return config__find(key, IN_FILE);
    }
    bool is_old =
        strcmp(section, "peer") == 0 || strcmp(section, "cluster") == 0;
    char *joined = arena_printf(arena, "%s%c%.*s", section, is_old ? '-' : '.',
                                (int)key.size, key.at);
    if (is_old) {
        *name = slice_str(joined);
    }
    return config__find(slice_str(joined), IN_FILE);
}

static bool is_section(struct slice name)
{
    return slice_eq(name, SLICE("peer")) || slice_eq(name, SLICE("cluster")) ||
           slice_eq(name, SLICE("client-transport-security")) ||
           slice_eq(name, SLICE("peer-transport-security"));
}

/* Sections don't nest: `section` is NULL at the top. */
static enum err read_members(struct config_loader *loader,
                             const struct doc_value *map, const char *section)
{
    struct arena *arena = &loader->config->arena;
    CHECK_EQ(map->kind, DOC_MAP);
    for (size_t i = 0; i < map->count; i++) {
        const struct doc_member *member = &map->members[i];
        const char *key = arena_printf(
            arena, "%s%s%.*s", section ? section : "", section ? "." : "",
            (int)member->name.size, member->name.at);
        struct slice flag_name;
        const struct config_flag *flag =
            find_key(arena, section, member->name, &flag_name);
        enum err err = ERR_OK;
        if (!section && is_section(member->name)) {
            if (member->value->kind == DOC_MAP) {
                err = read_members(loader, member->value, key);
            } else if (member->value->kind != DOC_NULL) {
                err = file_error(loader, member->line, member->column, key,
                                 "a section with keys of its own is wanted");
            }
        } else if (flag) {
            bool is_alias = flag_name.size != strlen(flag->name);
            err = put_member(loader, flag, key, member, is_alias);
        } else {
            err = refuse_key(loader, member, key, flag_name);
        }
        if (err) {
            return err;
        }
    }
    return ERR_OK;
}

/* ---- the file ---------------------------------------------------------- */

static enum err parse_form(struct arena *arena, enum form form,
                           struct slice text, struct doc_value **out)
{
    switch (form) {
    case FORM_TOML:
        return doc_parse_toml(arena, text, &file_limits, out);
    case FORM_YAML:
        return doc_parse_yaml(arena, text, &file_limits, out);
    case FORM_JSON:
        return doc_parse_json(arena, text, &file_limits, out);
    case FORM_ENV:
        break;
    }
    UNREACHABLE();
}

static enum err read_text(struct config_loader *loader, struct slice text)
{
    const char *path = loader->config->file;
    enum form form = form_of(path, text);
    if (form == FORM_ENV) {
        return err_wrap(config__read_env_lines(loader, text), "%s", path);
    }
    struct doc_value *root;
    enum err err = parse_form(&loader->config->arena, form, text, &root);
    if (err) {
        return err_wrap(err, "%s", path);
    }
    if (root->kind == DOC_NULL) {
        return ERR_OK; /* YAML with nothing but comments */
    }
    if (root->kind != DOC_MAP) {
        return err_set(ERR_INVALID, "%s: keys with values are wanted, not %s",
                       path, doc_kind_text(root->kind));
    }
    return read_members(loader, root, NULL);
}

enum err config__read_file(struct config_loader *loader)
{
    const struct config_input *input = loader->input;
    struct config *config = loader->config;
    bool is_named = config__is_given(loader, "config-file");
    const char *path =
        is_named ? config__text(loader, "config-file") : input->default_file;
    if (!path || !input->read) {
        return ERR_OK;
    }
    struct buf text = {0};
    enum err err = input->read(input->context, path, &text);
    if (err && is_named) {
        err_wrap(err, "the configuration file %s", path);
    } else if (err && err != ERR_NOT_FOUND) {
        config__warn(loader, "%s is passed over: %s", path, err_note());
        err = ERR_OK;
    } else if (err) {
        err = ERR_OK;
    } else {
        config->file = arena_printf(&config->arena, "%s", path);
        err = read_text(loader, buf_slice(&text));
    }
    buf_deinit(&text);
    return err;
}
