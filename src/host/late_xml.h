/* libxml2, loaded late (host/late.h): with it comes ICU, and 30 MB of tables.
 *
 * Only its reader is here: it goes through a document without keeping it. */
#ifndef ETCHED_HOST_LATE_XML_H
#define ETCHED_HOST_LATE_XML_H

#include <libxml/xmlreader.h>

#include "host/late.h"

#define LATE_XML_TABLE(X)               \
    X(xmlReaderForMemory)               \
    X(xmlFreeTextReader)                \
    X(xmlTextReaderSetErrorHandler)     \
    X(xmlTextReaderRead)                \
    X(xmlTextReaderNodeType)            \
    X(xmlTextReaderDepth)               \
    X(xmlTextReaderIsEmptyElement)      \
    X(xmlTextReaderConstLocalName)      \
    X(xmlTextReaderConstNamespaceUri)   \
    X(xmlTextReaderConstValue)          \
    X(xmlTextReaderMoveToNextAttribute) \
    X(xmlTextReaderMoveToElement)       \
    X(xmlTextReaderCurrentNode)         \
    X(xmlTextReaderGetParserLineNumber)

struct late_xml {
#define X(name) __typeof__(&name) name;
    LATE_XML_TABLE(X)
#undef X
};
extern struct late_xml late_xml;

#ifndef LATE_OWN
#define xmlReaderForMemory late_xml.xmlReaderForMemory
#define xmlFreeTextReader late_xml.xmlFreeTextReader
#define xmlTextReaderSetErrorHandler late_xml.xmlTextReaderSetErrorHandler
#define xmlTextReaderRead late_xml.xmlTextReaderRead
#define xmlTextReaderNodeType late_xml.xmlTextReaderNodeType
#define xmlTextReaderDepth late_xml.xmlTextReaderDepth
#define xmlTextReaderIsEmptyElement late_xml.xmlTextReaderIsEmptyElement
#define xmlTextReaderConstLocalName late_xml.xmlTextReaderConstLocalName
#define xmlTextReaderConstNamespaceUri late_xml.xmlTextReaderConstNamespaceUri
#define xmlTextReaderConstValue late_xml.xmlTextReaderConstValue
#define xmlTextReaderMoveToNextAttribute \
    late_xml.xmlTextReaderMoveToNextAttribute
#define xmlTextReaderMoveToElement late_xml.xmlTextReaderMoveToElement
#define xmlTextReaderCurrentNode late_xml.xmlTextReaderCurrentNode
#define xmlTextReaderGetParserLineNumber \
    late_xml.xmlTextReaderGetParserLineNumber
#endif

#endif
