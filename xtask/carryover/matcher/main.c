#include "matcher.h"

#include <stdio.h>

static void print(void *context, const char *start, size_t length) {
    printf("%s: \"%.*s\" (%zu)\n", (const char *)context, (int)length, start, length);
}

int main(void) {
    static const char *const patterns[] = {"[a-f]+\\d*", "^th?e", "\\v\\v+", "q[^u]", "z$", "\\x\\x\\x", "[open", "*", "(a?)(a?)"};
    const char *text = "the beaded queue of Iraqi facade 3a7 bcd99 ends in jazz";
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        struct matcher *matcher = matcher_new(patterns[i], (int)(i & 1));
        const char *problem = matcher_problem(matcher);
        if (problem) printf("%s: %s\n", patterns[i], problem);
        printf("%d found\n", matcher_each(matcher, text, print, (void *)patterns[i]));
        matcher_free(matcher);
    }
    return 0;
}
