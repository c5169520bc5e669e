/* Feeds as people publish them, and as somebody might who means harm. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "host/recipes_feed.h"

static struct arena arena;
static struct value items;
static struct buf text; /* of items, as "id|title|link|time|text|author\n" */

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_deinit(&arena);
    buf_deinit(&text);
    text = (struct buf){0};
    return 0;
}

static void write_items(void)
{
    static const char *const names[] = {"id",   "title", "link",
                                        "time", "text",  "author"};
    buf_reset(&text);
    assert_int_equal(items.kind, VALUE_LIST);
    for (size_t i = 0; i < items.list->count; i++) {
        const struct value *item = &items.list->items[i];
        assert_int_equal(item->kind, VALUE_MAP);
        assert_int_equal(item->map->count, 6);
        for (size_t j = 0; j < 6; j++) {
            const struct value *field = &item->map->values[j];
            assert_true(slice_eq(item->map->keys[j].text, slice_str(names[j])));
            assert_int_equal(field->kind, VALUE_STRING);
            assert_true(slice_is_utf8(field->text));
            buf_append_slice(&text, field->text);
            buf_append_char(&text, j < 5 ? '|' : '\n');
        }
    }
    buf_append_char(&text, '\0');
}

static enum err read_feed(struct slice body)
{
    /* A copy of its own size: what reads beyond is seen by the sanitizer. */
    char *copy = mem_dup(body.size > 0 ? body.at : "", body.size);
    enum err err =
        recipes_feed_items(&arena, slice_of(copy, body.size), &items);
    mem_free(copy); /* nothing of the items is in it */
    if (err == ERR_OK) {
        write_items();
    }
    return err;
}

static void check(const char *body, const char *wanted)
{
    assert_int_equal(read_feed(slice_str(body)), ERR_OK);
    assert_string_equal(text.at, wanted);
}

static void refused(const char *body, const char *note)
{
    assert_int_equal(read_feed(slice_str(body)), ERR_INVALID);
    if (strstr(err_note(), note) == NULL) {
        fail_msg("\"%s\" isn't in \"%s\"", note, err_note());
    }
}

/* ---- formats ------------------------------------------------------------- */

static void rss_2(void **state)
{
    (void)state;
    check("<?xml version=\"1.0\"?>\n"
          "<rss version=\"2.0\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\""
          " xmlns:content=\"http://purl.org/rss/1.0/modules/content/\""
          " xmlns:media=\"http://search.yahoo.com/mrss/\">\n"
          "<channel><title>News</title><link>http://x/</link>"
          "<description>all of it</description>"
          "<pubDate>Mon, 01 Jan 2001 00:00:00 GMT</pubDate>\n"
          "<item><title> Two &amp; a half </title><link>http://x/2</link>"
          "<media:title>no</media:title>"
          "<guid isPermaLink=\"false\">tag:2</guid>"
          "<pubDate>Tue, 03 Mar 2026 10:20:30 +0200</pubDate>"
          "<description>short</description>"
          "<content:encoded><![CDATA[<b>long</b>]]></content:encoded>"
          "<dc:creator>Ann</dc:creator></item>\n"
          "<item><title>One</title><link>http://x/1</link>"
          "<author>b@x (Bob)</author><dc:creator>nobody</dc:creator></item>\n"
          "</channel></rss>",
          "tag:2|Two & a half|http://x/2|2026-03-03T08:20:30Z|<b>long</b>|Ann\n"
          "http://x/1|One|http://x/1|||b@x (Bob)\n");
}

static void atom(void **state)
{
    (void)state;
    check("<feed xmlns=\"http://www.w3.org/2005/Atom\"><title>T</title>"
          "<id>feed</id><updated>2001-01-01T00:00:00Z</updated>"
          "<author><name>Everybody</name></author>"
          "<entry><id>urn:1</id><title type=\"text\">First</title>"
          "<link rel=\"self\" href=\"http://x/self\"/>"
          "<link rel=\"alternate\" href=\"http://x/1?a=1&amp;b=2\"/>"
          "<link rel=\"enclosure\" href=\"http://x/e\"/>"
          "<updated>2026-03-03T10:00:00Z</updated>"
          "<published>2026-03-02T10:00:00+01:00</published>"
          "<author><email>a@x</email><name>Ann</name></author>"
          "<summary>short</summary>"
          "<content type=\"xhtml\"><div xmlns=\"http://www.w3.org/1999/xhtml\">"
          "<p>one<br/>two</p></div></content></entry>"
          "<entry><id>urn:2</id><link href=\"http://x/2\"/><title/>"
          "<updated>2026-03-01T00:00:00Z</updated>"
          "<summary>only</summary></entry></feed>",
          "urn:1|First|http://x/1?a=1&b=2|2026-03-02T09:00:00Z|one two|Ann\n"
          "urn:2||http://x/2|2026-03-01T00:00:00Z|only|\n");
}

static void rss_1_and_the_old_ones(void **state)
{
    (void)state;
    check("<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\""
          " xmlns=\"http://purl.org/rss/1.0/\""
          " xmlns:dc=\"http://purl.org/dc/elements/1.1/\">"
          "<channel rdf:about=\"http://x/\"><title>T</title></channel>"
          "<item rdf:about=\"http://x/1#a\"><title>One</title>"
          "<link>http://x/1</link><dc:date>2026-03-03T00:00:00Z</dc:date>"
          "</item></rdf:RDF>",
          "http://x/1#a|One|http://x/1|2026-03-03T00:00:00Z||\n");
    /* A DOCTYPE alone is what old feeds have; it isn't fetched. */
    check("<!DOCTYPE rss PUBLIC \"-//Netscape//DTD RSS 0.91//EN\" "
          "\"http://127.0.0.1:1/rss-0.91.dtd\">"
          "<rss version=\"0.91\"><channel><item><title>Old</title>"
          "<link>http://x/o</link></item></channel></rss>",
          "http://x/o|Old|http://x/o|||\n");
}

static void json_feed(void **state)
{
    (void)state;
    check("\xef\xbb\xbf {\"version\":\"https://jsonfeed.org/version/1.1\","
          "\"title\":\"T\",\"items\":[{\"id\":\"1\",\"url\":\"http://x/1\","
          "\"external_url\":\"http://y\",\"title\":\"One\","
          "\"content_html\":\"<p>h</p>\",\"content_text\":\"t\","
          "\"date_published\":\"2026-03-03T10:00:00+01:00\","
          "\"authors\":[{\"name\":\"Ann\"},{\"name\":\"Bob\"}]},"
          "\"not an item\","
          "{\"id\":7,\"summary\":\"s\",\"author\":{\"name\":\"Old\"},"
          "\"date_modified\":\"yesterday\"},{}]}",
          "1|One|http://x/1|2026-03-03T09:00:00Z|t|Ann\n"
          "7||||s|Old\n"
          /* Nothing to go by: a hash of nothing. */
          "7722745105e9e02e8f1aaf17f7b3aac5c56cd805|||||\n");
    refused("{\"items\":{}}", "a list \"items\"");
    refused("{\"items\":[", "feed: ");
}

static void other_encodings_come_out_as_utf_8(void **state)
{
    (void)state;
    check("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><rss><channel>"
          "<item><guid>1</guid><title>Z\xfcrich</title></item></channel></rss>",
          "1|Z\xc3\xbcrich||||\n");
    check("<?xml version=\"1.0\" encoding=\"windows-1252\"?><rss><channel>"
          "<item><guid>1</guid><title>\x93q\x94 \x80</title></item></channel>"
          "</rss>",
          "1|\xe2\x80\x9cq\xe2\x80\x9d \xe2\x82\xac||||\n");
}

static void an_item_without_an_id_keeps_the_same_one(void **state)
{
    (void)state;
    static const char form[] =
        "<rss><channel><item><title>%s</title><description>d</description>"
        "</item></channel></rss>";
    char body[256];
    char first[64];
    (void)snprintf(body, sizeof(body), form, "a");
    assert_int_equal(read_feed(slice_str(body)), ERR_OK);
    (void)snprintf(first, sizeof(first), "%.40s", text.at);
    assert_int_equal(strspn(first, "0123456789abcdef"), 40);
    assert_int_equal(read_feed(slice_str(body)), ERR_OK);
    assert_memory_equal(text.at, first, 40);
    (void)snprintf(body, sizeof(body), form, "b");
    assert_int_equal(read_feed(slice_str(body)), ERR_OK);
    assert_memory_not_equal(text.at, first, 40);
}

static void times_as_feeds_write_them(void **state)
{
    (void)state;
    static const struct {
        const char *given;
        const char *wanted;
    } cases[] = {
        {"Mon, 02 Jan 2006 15:04:05 GMT", "2006-01-02T15:04:05Z"},
        {"2 Jan 2006 15:04 +0000", "2006-01-02T15:04:00Z"},
        {"Mon, 02 Jan 06 15:04:05 EST", "2006-01-02T20:04:05Z"},
        {"Thu, 29 Feb 2024 23:59:59 -0130", "2024-03-01T01:29:59Z"},
        {"Fri, 31 Dec 1999 23:59:60 UT", "2000-01-01T00:00:00Z"},
        {"Sat, 01 Jan 2000 00:00:00 +1400", "1999-12-31T10:00:00Z"},
        {"Thu,  01 JAN 1970 00:00:00 Z", "1970-01-01T00:00:00Z"},
        {"2026-03-03T10:00:00.5+01:00", "2026-03-03T09:00:00.5Z"},
        {"", ""},
        {"soon", ""},
        {"Mon,", ""},
        {"32 Jan 2006 15:04:05 GMT", ""},
        {"2 Foo 2006 15:04:05 GMT", ""},
        {"2 Jan 2006 25:04:05 GMT", ""},
        {"2 Jan 2006 15:04:05 XYZ", ""},
        {"2 Jan 2006 15:04:05 +1", ""},
        {"2 Jan 9999 15:04:05 GMT", ""},
        {"2 Jan 2006 -1:04:05 GMT", ""},
        {"2 Jan 2006 15", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char body[256];
        char wanted[128];
        (void)snprintf(body, sizeof(body),
                       "<rss><channel><item><guid>g</guid><pubDate>%s</pubDate>"
                       "</item></channel></rss>",
                       cases[i].given);
        (void)snprintf(wanted, sizeof(wanted), "g|||%s||\n", cases[i].wanted);
        check(body, wanted);
    }
}

/* ---- harm ---------------------------------------------------------------- */

static void what_is_no_feed_is_refused(void **state)
{
    (void)state;
    refused("", "empty");
    refused("hello", "feed: line 1:");
    refused("<html><body>404</body></html>", "neither RSS nor Atom");
    refused("<feed><entry/></feed>", "neither RSS nor Atom");
    refused("<rss><channel><item></channel></rss>", "feed: line 1:");
    refused("<rss>\n<channel>\n<item>", "feed: line 3:");
    refused("<rss><channel><item><title>\x01</title></item></channel></rss>",
            "feed: line 1:");
    check("<rss/>", "");
    check("<rss><channel/></rss>", "");
}

static void entities_are_refused(void **state)
{
    (void)state;
    refused("<!DOCTYPE rss [<!ENTITY x \"y\">]><rss><channel><item><title>&x;"
            "</title></item></channel></rss>",
            "entities");
    refused("<!DOCTYPE rss [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><rss>"
            "<channel><item><title>&x;</title></item></channel></rss>",
            "entities");
    refused("<!DOCTYPE rss [<!ENTITY % p SYSTEM \"http://127.0.0.1:1/\"> %p;]>"
            "<rss/>",
            "entities");
    /* Not declared at all. */
    refused(
        "<rss><channel><item><title>&eacute;</title></item></channel></rss>",
        "feed: line 1:");
}

static int64_t now_ms(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A billion laughs: in the text, and in an attribute, which a parser expands
 * before anybody has asked for it. */
static void small_documents_stay_small(void **state)
{
    static const char *const uses[] = {"<title>&i;</title>",
                                       "<title a=\"&i;\"/>"};
    (void)state;
    for (int use = 0; use < 2; use++) {
        struct buf body = {0};
        buf_append_str(&body, "<!DOCTYPE rss [<!ENTITY a \"ha\">");
        for (char c = 'b'; c <= 'i'; c++) {
            buf_printf(&body, "<!ENTITY %c \"", c);
            for (int i = 0; i < 10; i++) {
                buf_printf(&body, "&%c;", c - 1);
            }
            buf_append_str(&body, "\">");
        }
        buf_printf(&body, "]><rss><channel><item>%s</item></channel></rss>",
                   uses[use]);
        int64_t from_ms = now_ms();
        assert_int_equal(read_feed(buf_slice(&body)), ERR_INVALID);
        assert_true(now_ms() - from_ms < 2000);
        buf_deinit(&body);
    }
}

static void depth_is_bounded(void **state)
{
    (void)state;
    struct buf body = {0};
    buf_append_str(&body, "<rss><channel>");
    for (int i = 0; i < 200; i++) {
        buf_append_str(&body, "<a>");
    }
    assert_int_equal(read_feed(buf_slice(&body)), ERR_INVALID);
    assert_non_null(strstr(err_note(), "deeper than 64"));
    buf_deinit(&body);
}

static void the_first_items_are_taken(void **state)
{
    (void)state;
    struct buf body = {0};
    buf_append_str(&body, "<rss><channel>");
    for (int i = 0; i < RECIPES_FEED_ITEMS_MAX + 5; i++) {
        buf_printf(&body, "<item><guid>%d</guid></item>", i);
    }
    /* What comes behind isn't read any more. */
    buf_append_str(&body, "<broken");
    assert_int_equal(read_feed(buf_slice(&body)), ERR_OK);
    assert_int_equal(items.list->count, RECIPES_FEED_ITEMS_MAX);
    assert_true(slice_has_prefix(buf_slice(&text), SLICE("0|")));
    buf_deinit(&body);
}

/* Cut within a letter of three bytes: that letter goes whole. */
static void long_texts_are_cut_between_letters(void **state)
{
    (void)state;
    for (int shift = 0; shift < 3; shift++) {
        struct buf body = {0};
        buf_append_str(&body, "<rss><channel><item><guid>g</guid><title>");
        for (int i = 0; i < shift; i++) {
            buf_append_char(&body, 'x');
        }
        for (int i = 0; i < RECIPES_FEED_TEXT_BYTES_MAX; i++) {
            buf_append_str(&body, "\xe2\x82\xac");
        }
        buf_append_str(&body, "</title></item></channel></rss>");
        assert_int_equal(read_feed(buf_slice(&body)), ERR_OK);
        size_t size = items.list->items[0].map->values[1].text.size;
        assert_true(size <= RECIPES_FEED_FIELD_BYTES_MAX &&
                    size > RECIPES_FEED_FIELD_BYTES_MAX - 3);
        buf_deinit(&body);
    }
}

static void what_is_too_large_is_refused(void **state)
{
    (void)state;
    struct buf body = {0};
    memset(buf_extend(&body, RECIPES_FEED_BYTES_MAX + 1), ' ',
           RECIPES_FEED_BYTES_MAX + 1);
    assert_int_equal(read_feed(buf_slice(&body)), ERR_TOO_LARGE);
    buf_deinit(&body);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        STORY(rss_2),
        STORY(atom),
        STORY(rss_1_and_the_old_ones),
        STORY(json_feed),
        STORY(other_encodings_come_out_as_utf_8),
        STORY(an_item_without_an_id_keeps_the_same_one),
        STORY(times_as_feeds_write_them),
        STORY(what_is_no_feed_is_refused),
        STORY(entities_are_refused),
        STORY(small_documents_stay_small),
        STORY(depth_is_bounded),
        STORY(the_first_items_are_taken),
        STORY(long_texts_are_cut_between_letters),
        STORY(what_is_too_large_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
