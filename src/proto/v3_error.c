#include "proto/v3_error.h"

#include "base/check.h"

static const struct {
    enum grpc_code code;
    const char *text;
} errors[] = {
#define X(name, code, text) {code, text},
    V3_ERROR_TABLE(X)
#undef X
};

enum grpc_code v3_error_code(enum v3_error error)
{
    CHECK_LT((int64_t)error, V3_ERROR_COUNT);
    return errors[error].code;
}

const char *v3_error_text(enum v3_error error)
{
    CHECK_LT((int64_t)error, V3_ERROR_COUNT);
    return errors[error].text;
}

enum v3_error v3_error_of(enum err err)
{
    CHECK_NE(err, ERR_OK);
    switch (err) {
    case ERR_COMPACTED:
        return V3_COMPACTED;
    case ERR_FUTURE_REVISION:
        return V3_FUTURE_REV;
    case ERR_NO_SPACE:
    case ERR_DISK_FULL:
        return V3_NO_SPACE;
    case ERR_FULL:
        return V3_REQUEST_TOO_MANY_REQUESTS;
    case ERR_TOO_LARGE:
        return V3_REQUEST_TOO_LARGE;
    case ERR_TIMEOUT:
        return V3_TIMEOUT;
    case ERR_NO_LEADER:
        return V3_NO_LEADER;
    case ERR_NOT_LEADER:
        return V3_NOT_LEADER;
    case ERR_STOPPED:
        return V3_STOPPED;
    case ERR_UNHEALTHY:
        return V3_UNHEALTHY;
    case ERR_CORRUPT:
        return V3_CORRUPT;
    case ERR_PERMISSION:
        return V3_PERMISSION_DENIED;
    default:
        return V3_OK;
    }
}
