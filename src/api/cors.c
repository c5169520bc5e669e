/* Cross-origin requests (the Fetch standard's CORS): off unless origins are
 * configured. A preflight is answered like any OPTIONS: 200 with these
 * headers, or, to the origins that aren't allowed, without. */
#include "api/api_int.h"

static bool is_allowed(const struct api_shared *shared, struct slice origin,
                       bool *any)
{
    bool found = false;
    for (size_t i = 0; i < shared->cors_count; i++) {
        struct slice allowed = slice_str(shared->cors[i]);
        *any = *any || slice_eq(allowed, SLICE("*"));
        found = found || (origin.at != NULL && slice_eq(allowed, origin));
    }
    return found || *any;
}

void api__add_cors(struct answer *answer, const struct api_shared *shared,
                   const struct http_request *request)
{
    struct slice origin = http_header_get(request, "Origin");
    bool any = false;
    if (!is_allowed(shared, origin, &any)) {
        return;
    }
    answer__add(answer, SLICE("Access-Control-Allow-Headers"),
                SLICE("accept, content-type, authorization"));
    answer__add(answer, SLICE("Access-Control-Allow-Methods"),
                SLICE("POST, GET, OPTIONS, PUT, DELETE"));
    answer__add(answer, SLICE("Access-Control-Allow-Origin"),
                any ? SLICE("*") : origin);
    if (!any) {
        /* A cache must not give one origin's answer to another. */
        answer__add(answer, SLICE("Vary"), SLICE("Origin"));
    }
}
