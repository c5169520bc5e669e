/* Cross-origin requests (the Fetch standard's CORS): off unless origins are
 * configured. A preflight is answered like any OPTIONS: 200 with these
 * headers, or, to the origins that aren't allowed, without. */
#include "api/api_int.h"
#include "base/check.h"

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

size_t api_cors_headers(const struct api_shared *shared,
                        const struct http_request *request,
                        struct http_header out[API_CORS_HEADERS_MAX])
{
    struct slice origin = http_header_get(request, "Origin");
    bool any = false;
    size_t count = 0;
    if (shared->cors_count == 0 || !is_allowed(shared, origin, &any)) {
        return 0;
    }
    out[count++] =
        (struct http_header){SLICE("Access-Control-Allow-Headers"),
                             SLICE("accept, content-type, authorization")};
    out[count++] = (struct http_header){SLICE("Access-Control-Allow-Methods"),
                                        SLICE("POST, GET, OPTIONS, PUT, "
                                              "DELETE")};
    out[count++] = (struct http_header){SLICE("Access-Control-Allow-Origin"),
                                        any ? SLICE("*") : origin};
    if (!any) {
        /* A cache must not give one origin's answer to another. */
        out[count++] = (struct http_header){SLICE("Vary"), SLICE("Origin")};
    }
    CHECK_LE(count, API_CORS_HEADERS_MAX);
    return count;
}

void api__add_cors(struct answer *answer, const struct api_shared *shared,
                   const struct http_request *request)
{
    struct http_header headers[API_CORS_HEADERS_MAX];
    size_t count = api_cors_headers(shared, request, headers);
    for (size_t i = 0; i < count; i++) {
        answer__add(answer, headers[i].name, headers[i].value);
    }
}

/* ---- requests that a page of another origin makes ------------------------ */

/* "https://host:port" -> "host:port"; "null" and such have none. */
static struct slice authority_of(struct slice origin)
{
    ptrdiff_t colon = slice_find(origin, ':');
    size_t start = colon < 0 ? origin.size : (size_t)colon + 3;
    if (start > origin.size || origin.at[start - 1] != '/') {
        return SLICE("");
    }
    return slice_of(origin.at + start, origin.size - start);
}

/* A page that came from here may do as it likes. Whether "here" is what the
 * browser takes it for, the list of host names says. */
static bool is_own(struct slice origin, struct slice host)
{
    struct slice authority = authority_of(origin);
    return authority.size > 0 && slice_eq_nocase(authority, host);
}

bool api_is_forged(const struct api_shared *shared,
                   const struct http_request *request)
{
    bool any = false;
    if (request->method == HTTP_GET || request->method == HTTP_HEAD ||
        request->method == HTTP_OPTIONS) {
        return false;
    }
    struct slice origin = http_header_get(request, "Origin");
    struct slice site = http_header_get(request, "Sec-Fetch-Site");
    if (shared->cors_count > 0 && is_allowed(shared, origin, &any)) {
        return false;
    }
    if (origin.at != NULL &&
        !is_own(origin, http_header_get(request, "Host"))) {
        return true;
    }
    return site.at != NULL && slice_eq_nocase(site, SLICE("cross-site"));
}
