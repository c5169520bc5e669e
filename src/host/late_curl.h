/* libcurl, loaded late (host/late.h). */
#ifndef ETCHED_HOST_LATE_CURL_H
#define ETCHED_HOST_LATE_CURL_H

#include <curl/curl.h>

#include "host/late.h"

/* These have a macro of the same name, which checks the kinds of arguments;
 * it would not see through ours. */
#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

#define LATE_CURL_TABLE(X)      \
    X(curl_global_init)         \
    X(curl_global_cleanup)      \
    X(curl_easy_init)           \
    X(curl_easy_cleanup)        \
    X(curl_easy_pause)          \
    X(curl_easy_reset)          \
    X(curl_easy_setopt)         \
    X(curl_easy_getinfo)        \
    X(curl_easy_strerror)       \
    X(curl_multi_init)          \
    X(curl_multi_cleanup)       \
    X(curl_multi_setopt)        \
    X(curl_multi_strerror)      \
    X(curl_multi_add_handle)    \
    X(curl_multi_remove_handle) \
    X(curl_multi_perform)       \
    X(curl_multi_poll)          \
    X(curl_multi_socket_action) \
    X(curl_multi_assign)        \
    X(curl_multi_info_read)     \
    X(curl_slist_append)        \
    X(curl_slist_free_all)      \
    X(curl_url)                 \
    X(curl_url_set)             \
    X(curl_url_get)             \
    X(curl_url_cleanup)         \
    X(curl_free)

struct late_curl {
#define X(name) __typeof__(&name) name;
    LATE_CURL_TABLE(X)
#undef X
};
extern struct late_curl late_curl;

#ifndef LATE_OWN
#define curl_global_init late_curl.curl_global_init
#define curl_global_cleanup late_curl.curl_global_cleanup
#define curl_easy_init late_curl.curl_easy_init
#define curl_easy_cleanup late_curl.curl_easy_cleanup
#define curl_easy_pause late_curl.curl_easy_pause
#define curl_easy_reset late_curl.curl_easy_reset
#define curl_easy_setopt late_curl.curl_easy_setopt
#define curl_easy_getinfo late_curl.curl_easy_getinfo
#define curl_easy_strerror late_curl.curl_easy_strerror
#define curl_multi_init late_curl.curl_multi_init
#define curl_multi_cleanup late_curl.curl_multi_cleanup
#define curl_multi_setopt late_curl.curl_multi_setopt
#define curl_multi_strerror late_curl.curl_multi_strerror
#define curl_multi_add_handle late_curl.curl_multi_add_handle
#define curl_multi_remove_handle late_curl.curl_multi_remove_handle
#define curl_multi_perform late_curl.curl_multi_perform
#define curl_multi_poll late_curl.curl_multi_poll
#define curl_multi_socket_action late_curl.curl_multi_socket_action
#define curl_multi_assign late_curl.curl_multi_assign
#define curl_multi_info_read late_curl.curl_multi_info_read
#define curl_slist_append late_curl.curl_slist_append
#define curl_slist_free_all late_curl.curl_slist_free_all
#define curl_url late_curl.curl_url
#define curl_url_set late_curl.curl_url_set
#define curl_url_get late_curl.curl_url_get
#define curl_url_cleanup late_curl.curl_url_cleanup
#define curl_free late_curl.curl_free
#endif

#endif
