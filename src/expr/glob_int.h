#ifndef ETCHED_EXPR_GLOB_INT_H
#define ETCHED_EXPR_GLOB_INT_H

/* A longer pattern matches nothing; glob() says so. */
enum { GLOB_PATTERN_BYTES_MAX = 1024 };

#endif
