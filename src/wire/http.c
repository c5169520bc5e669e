#include "wire/http.h"

#include "wire/http_int.h"

struct slice http_header_get(const struct http_request *request,
                             const char *name)
{
    struct slice wanted = slice_str(name);
    for (size_t i = 0; i < request->header_count; i++) {
        if (slice_eq_nocase(request->headers[i].name, wanted))
            return request->headers[i].value;
    }
    return (struct slice){0};
}

struct slice http_certificate(const struct http_request *request,
                              struct slice of_connection)
{
    if (of_connection.size == 0 ||
        http_header_get(request, HTTP_PASSED).at != NULL)
        return SLICE("");
    return of_connection;
}

const char *http_status_text(int status)
{
    switch (status) {
#define X(number, text) \
    case number:        \
        return text;
        HTTP_STATUS_TABLE(X)
#undef X
    default:
        return "Unknown";
    }
}
