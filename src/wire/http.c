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
