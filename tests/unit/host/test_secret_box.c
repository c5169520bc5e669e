/* Secrets sealed and opened: what was changed, moved to another name, or
 * sealed with another key doesn't open, and keys can be replaced. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

#include "host/secret_box.h"

#define KEY_A "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define KEY_B "F0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFFE0E1E2E3E4E5E6E7E8E9EAEBECEDEEEF"

static struct secret_box *box_of(const char *lines)
{
    struct secret_box *box = NULL;
    assert_int_equal(secret_box_new(slice_str(lines), &box), ERR_OK);
    assert_non_null(box);
    return box;
}

static struct buf sealed_with(const char *lines, const char *name,
                              const char *text)
{
    struct secret_box *box = box_of(lines);
    struct buf sealed = {0};
    assert_int_equal(
        secret_box_seal(box, slice_str(name), slice_str(text), &sealed),
        ERR_OK);
    secret_box_free(box);
    return sealed;
}

static enum err opened(const char *lines, const char *name, struct slice sealed,
                       struct buf *out)
{
    struct secret_box *box = box_of(lines);
    buf_reset(out);
    enum err err = secret_box_unseal(box, slice_str(name), sealed, out);
    secret_box_free(box);
    return err;
}

static void what_is_sealed_opens(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "x", "hunter2",
                                        "https://hooks.example/T0/B1/s3cr3t"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct buf sealed = sealed_with(KEY_A, "pager", texts[i]);
        struct buf text = {0};
        assert_int_equal(sealed.size, strlen(texts[i]) + SECRET_BOX_BYTES_MORE);
        assert_true(
            strlen(texts[i]) < 4 ||
            memmem(sealed.at, sealed.size, texts[i], strlen(texts[i])) == NULL);
        assert_int_equal(opened(KEY_A, "pager", buf_slice(&sealed), &text),
                         ERR_OK);
        assert_int_equal(text.size, strlen(texts[i]));
        assert_true(slice_eq(buf_slice(&text), slice_str(texts[i])));
        buf_deinit(&sealed);
        buf_deinit(&text);
    }
}

/* The nonce is new each time: equal secrets don't look equal. */
static void twice_is_not_the_same(void **state)
{
    (void)state;
    struct buf one = sealed_with(KEY_A, "n", "same");
    struct buf two = sealed_with(KEY_A, "n", "same");
    assert_false(slice_eq(buf_slice(&one), buf_slice(&two)));
    buf_deinit(&one);
    buf_deinit(&two);
}

static void any_changed_byte_is_seen(void **state)
{
    (void)state;
    struct buf sealed = sealed_with(KEY_A, "n", "text");
    struct buf text = {0};
    for (size_t i = 0; i < sealed.size; i++) {
        sealed.at[i] = (char)(sealed.at[i] ^ 0x10);
        assert_int_equal(opened(KEY_A, "n", buf_slice(&sealed), &text),
                         ERR_CORRUPT);
        assert_int_equal(text.size, 0);
        sealed.at[i] = (char)(sealed.at[i] ^ 0x10);
    }
    for (size_t size = 0; size < sealed.size; size++) {
        assert_int_equal(opened(KEY_A, "n", slice_of(sealed.at, size), &text),
                         ERR_CORRUPT);
    }
    assert_int_equal(opened(KEY_A, "n", buf_slice(&sealed), &text), ERR_OK);
    buf_deinit(&sealed);
    buf_deinit(&text);
}

/* Who can write keys can't give one recipe another one's secret. */
static void a_secret_belongs_to_its_name(void **state)
{
    (void)state;
    struct buf sealed = sealed_with(KEY_A, "mine", "text");
    struct buf text = {0};
    assert_int_equal(opened(KEY_A, "yours", buf_slice(&sealed), &text),
                     ERR_CORRUPT);
    assert_non_null(strstr(err_note(), "another name"));
    assert_int_equal(opened(KEY_A, "", buf_slice(&sealed), &text), ERR_CORRUPT);
    assert_int_equal(opened(KEY_A, "mine", buf_slice(&sealed), &text), ERR_OK);
    buf_deinit(&sealed);
    buf_deinit(&text);
}

static void a_key_is_replaced_in_three_steps(void **state)
{
    (void)state;
    struct buf old = sealed_with(KEY_A, "n", "text");
    struct buf text = {0};
    /* A new first line: it seals, and the old ones still open. */
    struct buf new =
        sealed_with("# October\n" KEY_B "\r\n\n" KEY_A "\n", "n", "text");
    assert_int_equal(opened(KEY_B "\n" KEY_A, "n", buf_slice(&old), &text),
                     ERR_OK);
    assert_int_equal(opened(KEY_B "\n" KEY_A, "n", buf_slice(&new), &text),
                     ERR_OK);
    /* Once the old line is gone, what it sealed says which key is missing. */
    assert_int_equal(opened(KEY_B, "n", buf_slice(&new), &text), ERR_OK);
    assert_int_equal(opened(KEY_B, "n", buf_slice(&old), &text), ERR_CORRUPT);
    assert_non_null(strstr(err_note(), "isn't among those"));
    buf_deinit(&old);
    buf_deinit(&new);
    buf_deinit(&text);
}

static void without_a_key_it_says_how_to_make_one(void **state)
{
    (void)state;
    struct buf out = {0};
    assert_int_equal(secret_box_seal(NULL, SLICE("n"), SLICE("t"), &out),
                     ERR_UNSUPPORTED);
    assert_non_null(strstr(err_note(), "openssl rand -hex 32"));
    assert_non_null(strstr(err_note(), "--recipes-secret-key-file"));
    assert_int_equal(secret_box_unseal(NULL, SLICE("n"), SLICE("t"), &out),
                     ERR_UNSUPPORTED);
    assert_int_equal(out.size, 0);
}

static void bad_keys_are_named_by_line_and_not_shown(void **state)
{
    (void)state;
    static const struct {
        const char *lines;
        const char *note;
    } cases[] = {
        {"", "there is no key"},
        {"# only a comment\n\n", "there is no key"},
        {"abc", "line 1:"},
        {KEY_A "\n" KEY_A "0", "line 2:"},
        {KEY_A "\n\n  zz" KEY_A, "line 3:"},
        {"g00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
         "line 1:"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct secret_box *box;
        assert_int_equal(secret_box_new(slice_str(cases[i].lines), &box),
                         ERR_INVALID);
        assert_null(box);
        assert_non_null(strstr(err_note(), cases[i].note));
        assert_null(strstr(err_note(), "0405"));
    }
    struct buf many = {0};
    for (int i = 0; i <= SECRET_BOX_KEYS_MAX; i++) {
        buf_append_str(&many, KEY_A "\n");
    }
    struct secret_box *box;
    assert_int_equal(secret_box_new(buf_slice(&many), &box), ERR_INVALID);
    assert_non_null(strstr(err_note(), "more than 16 keys"));
    buf_deinit(&many);
}

static void a_file_has_the_keys(void **state)
{
    (void)state;
    char path[] = "/tmp/etched-key-XXXXXX";
    struct secret_box *box;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, KEY_A "\n", 65), 65);
    close(fd);
    assert_int_equal(secret_box_open(path, &box), ERR_OK);
    struct buf sealed = {0};
    struct buf text = {0};
    assert_int_equal(secret_box_seal(box, SLICE("n"), SLICE("t"), &sealed),
                     ERR_OK);
    assert_int_equal(opened(KEY_A, "n", buf_slice(&sealed), &text), ERR_OK);
    secret_box_free(box);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(secret_box_open(path, &box), ERR_NOT_FOUND);
    assert_non_null(strstr(err_note(), path));
    assert_int_equal(secret_box_open("/dev/zero", &box), ERR_INVALID);
    assert_non_null(strstr(err_note(), "larger than"));
    buf_deinit(&sealed);
    buf_deinit(&text);
}

static void what_is_too_large_is_refused(void **state)
{
    (void)state;
    struct secret_box *box = box_of(KEY_A);
    struct buf text = {0};
    struct buf sealed = {0};
    memset(buf_extend(&text, (1 << 20) + 1), 'x', (1 << 20) + 1);
    assert_int_equal(
        secret_box_seal(box, SLICE("n"), buf_slice(&text), &sealed),
        ERR_TOO_LARGE);
    assert_int_equal(sealed.size, 0);
    secret_box_free(box);
    buf_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sealed_opens),
        cmocka_unit_test(twice_is_not_the_same),
        cmocka_unit_test(any_changed_byte_is_seen),
        cmocka_unit_test(a_secret_belongs_to_its_name),
        cmocka_unit_test(a_key_is_replaced_in_three_steps),
        cmocka_unit_test(without_a_key_it_says_how_to_make_one),
        cmocka_unit_test(bad_keys_are_named_by_line_and_not_shown),
        cmocka_unit_test(a_file_has_the_keys),
        cmocka_unit_test(what_is_too_large_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
