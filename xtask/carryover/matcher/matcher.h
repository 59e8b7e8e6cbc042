/* Regular expressions by backtracking, as a shared library. */
#ifndef MATCHER_H
#define MATCHER_H
#include <stddef.h>

struct matcher;
typedef void (*matcher_found)(void *context, const char *start, size_t length);

struct matcher *matcher_new(const char *pattern, int flags);
int matcher_each(const struct matcher *matcher, const char *text, matcher_found found, void *context);
const char *matcher_problem(const struct matcher *matcher);
void matcher_free(struct matcher *matcher);
int matcher_unrelated_print(const struct matcher *matcher, char *out, size_t room);
extern int matcher_limit;
#endif
