/* RSS and Atom, read through libxml2's reader: one node at a time, so that
 * depth and counts are bounded while it goes, and nothing of the document is
 * kept but the fields of the item that is being read.
 *
 *   RSS 0.9x, 2.0   rss/channel/item           guid title link pubDate ...
 *   RSS 1.0         rdf:RDF/item               @rdf:about title link ...
 *   Atom            feed/entry                 id title link@href updated ...
 */
#include "base/check.h"
#include "host/late_xml.h"
#include "host/recipes_feed_int.h"

#define ATOM "http://www.w3.org/2005/Atom"
#define DUBLIN "http://purl.org/dc/elements/1.1/"
#define CONTENT "http://purl.org/rss/1.0/modules/content/"
#define RDF "http://www.w3.org/1999/02/22-rdf-syntax-ns#"

/* Where a field of an item may stand. No name space: RSS's own, whichever it
 * has (0.9x and 2.0 have none). */
struct place {
    const char *name;
    const char *space;
    enum feed_field field;
    int rank;
};
static const struct place places[] = {
    {"guid", NULL, FEED_ID, 2},          {"id", ATOM, FEED_ID, 2},
    {"title", NULL, FEED_TITLE, 2},      {"title", ATOM, FEED_TITLE, 2},
    {"title", DUBLIN, FEED_TITLE, 1},    {"link", NULL, FEED_LINK, 2},
    {"pubDate", NULL, FEED_TIME, 3},     {"updated", ATOM, FEED_TIME, 2},
    {"published", ATOM, FEED_TIME, 3},   {"date", DUBLIN, FEED_TIME, 1},
    {"encoded", CONTENT, FEED_TEXT, 3},  {"content", ATOM, FEED_TEXT, 3},
    {"description", NULL, FEED_TEXT, 2}, {"summary", ATOM, FEED_TEXT, 2},
    {"author", NULL, FEED_AUTHOR, 2},    {"creator", DUBLIN, FEED_AUTHOR, 1},
};

struct reading {
    struct feed *feed;
    xmlTextReaderPtr reader;
    char error[256];
    int error_line;
    int item_depth;  /* of the item that is being read; -1: none */
    int field_depth; /* of the field; -1: none */
    enum feed_field field;
    bool is_feed; /* its root says so */
};

/* ---- names -------------------------------------------------------------- */

static struct slice text_of(const xmlChar *text)
{
    return slice_str((const char *)text);
}

static struct slice local_name(struct reading *reading)
{
    return text_of(xmlTextReaderConstLocalName(reading->reader));
}

static struct slice space_of(struct reading *reading)
{
    return text_of(xmlTextReaderConstNamespaceUri(reading->reader));
}

static bool is_known_space(struct slice space)
{
    return slice_eq(space, SLICE(ATOM)) || slice_eq(space, SLICE(DUBLIN)) ||
           slice_eq(space, SLICE(CONTENT));
}

/* RSS has a name space of its own in 1.0 and 0.90, and else none; modules
 * (media:title, itunes:author) have others. */
static bool is_rss_space(struct slice space)
{
    return space.size == 0 ||
           slice_has_prefix(space, SLICE("http://purl.org/rss/1.0/")) ||
           slice_has_prefix(space, SLICE("http://my.netscape.com/rdf/"));
}

static const struct place *find_place(struct slice name, struct slice space)
{
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        const struct place *place = &places[i];
        bool is_there = place->space != NULL
                            ? slice_eq(space, slice_str(place->space))
                            : is_rss_space(space) && !is_known_space(space);
        if (is_there && slice_eq(name, slice_str(place->name))) {
            return place;
        }
    }
    return NULL;
}

/* ---- elements ----------------------------------------------------------- */

static bool is_root(struct slice name, struct slice space)
{
    return slice_eq(name, SLICE("rss")) || slice_eq(name, SLICE("RDF")) ||
           (slice_eq(name, SLICE("feed")) && slice_eq(space, SLICE(ATOM)));
}

static bool is_item(struct slice name, struct slice space)
{
    return (slice_eq(name, SLICE("item")) && is_rss_space(space)) ||
           (slice_eq(name, SLICE("entry")) && slice_eq(space, SLICE(ATOM)));
}

/* Atom's <link rel="alternate" href="..."/>; no rel is that too. Whichever
 * comes first of the two: the address is kept, and its rank found after. */
static void take_atom_link(struct reading *reading)
{
    struct buf href = {0};
    bool is_alternate = true;
    while (xmlTextReaderMoveToNextAttribute(reading->reader) == 1) {
        struct slice name = local_name(reading);
        struct slice value = text_of(xmlTextReaderConstValue(reading->reader));
        if (slice_eq(name, SLICE("rel"))) {
            is_alternate = slice_eq(value, SLICE("alternate"));
        } else if (slice_eq(name, SLICE("href"))) {
            buf_append_slice(&href, value);
        }
    }
    (void)xmlTextReaderMoveToElement(reading->reader);
    if (href.size > 0) {
        feed__set(reading->feed, FEED_LINK, is_alternate ? 2 : 1,
                  buf_slice(&href));
    }
    buf_deinit(&href);
}

/* RSS 1.0's id. */
static void take_about(struct reading *reading)
{
    while (xmlTextReaderMoveToNextAttribute(reading->reader) == 1) {
        if (slice_eq(local_name(reading), SLICE("about")) &&
            slice_eq(space_of(reading), SLICE(RDF))) {
            feed__set(reading->feed, FEED_ID, 1,
                      text_of(xmlTextReaderConstValue(reading->reader)));
        }
    }
    (void)xmlTextReaderMoveToElement(reading->reader);
}

static void begin_field(struct reading *reading, struct slice name,
                        struct slice space, int depth, bool is_empty)
{
    struct feed *feed = reading->feed;
    const struct place *place = find_place(name, space);
    if (slice_eq(space, SLICE(ATOM)) && slice_eq(name, SLICE("link"))) {
        take_atom_link(reading);
    } else if (slice_eq(space, SLICE(ATOM)) &&
               slice_eq(name, SLICE("author"))) {
        return; /* its name is below */
    } else if (place != NULL && !is_empty &&
               feed__claim(feed, place->field, place->rank)) {
        reading->field = place->field;
        reading->field_depth = depth;
    }
}

/* Atom's author/name: two below the entry. */
static void begin_below(struct reading *reading, struct slice name,
                        struct slice space, int depth, bool is_empty)
{
    if (slice_eq(space, SLICE(ATOM)) && slice_eq(name, SLICE("name")) &&
        !is_empty && feed__claim(reading->feed, FEED_AUTHOR, 2)) {
        reading->field = FEED_AUTHOR;
        reading->field_depth = depth;
    }
}

static void begin_element(struct reading *reading, int depth)
{
    struct slice name = local_name(reading);
    struct slice space = space_of(reading);
    bool is_empty = xmlTextReaderIsEmptyElement(reading->reader) == 1;
    if (depth == 0) {
        reading->is_feed = is_root(name, space);
    } else if (reading->item_depth < 0) {
        if (is_item(name, space) && !is_empty) {
            reading->item_depth = depth;
            take_about(reading);
        }
    } else if (reading->field_depth >= 0) {
        /* Elements within a field (XHTML) part its words. */
        feed__append(reading->feed, reading->field, SLICE(" "));
    } else if (depth == reading->item_depth + 1) {
        begin_field(reading, name, space, depth, is_empty);
    } else if (depth == reading->item_depth + 2) {
        begin_below(reading, name, space, depth, is_empty);
    }
}

/* False: that was the last item that is taken. */
static bool end_element(struct reading *reading, int depth)
{
    if (depth == reading->field_depth) {
        reading->field_depth = -1;
    } else if (depth == reading->item_depth) {
        reading->item_depth = -1;
        return feed__keep_item(reading->feed);
    }
    return true;
}

/* ---- nodes -------------------------------------------------------------- */

/* With entities a small document can stand for a large one, or for a file. */
static enum err check_doctype(struct reading *reading)
{
    const xmlNode *node = xmlTextReaderCurrentNode(reading->reader);
    const xmlDtd *doctype = (const xmlDtd *)(const void *)node;
    if (node != NULL && node->type == XML_DTD_NODE &&
        (doctype->entities != NULL || doctype->pentities != NULL)) {
        return err_set(ERR_INVALID, "feed: it declares entities, which may "
                                    "not be");
    }
    return ERR_OK;
}

static enum err take_node(struct reading *reading, bool *goes_on)
{
    int depth = xmlTextReaderDepth(reading->reader);
    if (depth > RECIPES_FEED_DEPTH_MAX) {
        return err_set(ERR_INVALID, "feed: deeper than %d elements",
                       RECIPES_FEED_DEPTH_MAX);
    }
    switch (xmlTextReaderNodeType(reading->reader)) {
    case XML_READER_TYPE_DOCUMENT_TYPE:
        return check_doctype(reading);
    case XML_READER_TYPE_ELEMENT:
        begin_element(reading, depth);
        if (depth == 0 && !reading->is_feed) {
            return err_set(ERR_INVALID,
                           "feed: neither RSS nor Atom nor JSON Feed");
        }
        break;
    case XML_READER_TYPE_END_ELEMENT:
        *goes_on = end_element(reading, depth);
        break;
    case XML_READER_TYPE_TEXT:
    case XML_READER_TYPE_CDATA:
    case XML_READER_TYPE_WHITESPACE:
    case XML_READER_TYPE_SIGNIFICANT_WHITESPACE:
        if (reading->field_depth >= 0) {
            feed__append(reading->feed, reading->field,
                         text_of(xmlTextReaderConstValue(reading->reader)));
        }
        break;
    default:
        break;
    }
    return ERR_OK;
}

/* ---- the document ------------------------------------------------------- */

/* The first error is what is wrong; the rest follows from it. */
static void on_error(void *context, const char *text,
                     xmlParserSeverities severity, xmlTextReaderLocatorPtr at)
{
    struct reading *reading = context;
    (void)at;
    if (reading->error[0] != '\0' ||
        severity == XML_PARSER_SEVERITY_VALIDITY_WARNING ||
        severity == XML_PARSER_SEVERITY_WARNING) {
        return;
    }
    size_t size = strcspn(text, "\n");
    size =
        size < sizeof(reading->error) - 1 ? size : sizeof(reading->error) - 1;
    memcpy(reading->error, text, size);
    reading->error[size] = '\0';
    reading->error_line = xmlTextReaderGetParserLineNumber(reading->reader);
}

static enum err read_nodes(struct reading *reading)
{
    enum err err = ERR_OK;
    bool goes_on = true;
    int result = 1;
    while (err == ERR_OK && goes_on &&
           (result = xmlTextReaderRead(reading->reader)) == 1) {
        err = take_node(reading, &goes_on);
    }
    if (err == ERR_OK && result < 0) {
        err = err_set(ERR_INVALID, "feed: line %d: %s", reading->error_line,
                      reading->error[0] != '\0' ? reading->error
                                                : "this is no XML");
    }
    return err;
}

enum err feed__read_xml(struct feed *feed, struct slice body)
{
    struct reading reading = {
        .feed = feed, .item_depth = -1, .field_depth = -1};
    enum err err = late_load(LATE_XML);
    if (err != ERR_OK) {
        return err;
    }
    if (body.size == 0) {
        return err_set(ERR_INVALID, "feed: it is empty");
    }
    /* No network, no expansion, nothing written to stderr. */
    reading.reader =
        xmlReaderForMemory(body.at, (int)body.size, NULL, NULL,
                           XML_PARSE_NONET | XML_PARSE_NOERROR |
                               XML_PARSE_NOWARNING | XML_PARSE_NOCDATA);
    CHECK(reading.reader != NULL);
    xmlTextReaderSetErrorHandler(reading.reader, on_error, &reading);
    err = read_nodes(&reading);
    xmlFreeTextReader(reading.reader);
    return err;
}
