#include "base/check.h"
#include "expr/code_int.h"

enum value_kind expr_gives(const struct expr *expr)
{
    return expr->gives;
}

unsigned expr_uses(const struct expr *expr)
{
    return expr->uses;
}

bool expr_reads(const struct expr *expr, size_t slot)
{
    CHECK(expr->count > 0);
    for (uint32_t i = 0; i < expr->count; i++) {
        const struct op *op = &expr->ops[i];
        if ((op->code == OP_SLOT || op->code == OP_HAS_SLOT) &&
            op->index == slot)
            return true;
    }
    return false;
}
