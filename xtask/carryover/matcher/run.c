#include "matcher.h"
#include "nodes.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static __thread int steps;

static int holds(const struct matcher *matcher, const struct node *node, char c) {
    unsigned char byte = (unsigned char)c;
    if (node->set[byte >> 3] >> (byte & 7) & 1) return 1;
    if (!(matcher->flags & 1)) return 0;
    byte = (unsigned char)(isupper(byte) ? tolower(byte) : toupper(byte));
    return node->set[byte >> 3] >> (byte & 7) & 1;
}

static const char *here(const struct matcher *matcher, int at, const char *start, const char *text) {
    if (at == matcher->count) return text;
    if (++steps > matcher_limit) return NULL;
    const struct node *node = &matcher->nodes[at];
    switch (node->kind) {
    case NODE_START: return text == start ? here(matcher, at + 1, start, text) : NULL;
    case NODE_END: return *text == 0 ? here(matcher, at + 1, start, text) : NULL;
    case NODE_SET: break;
    }
    int count = 0;
    while (count < node->most && text[count] && holds(matcher, node, text[count])) count++;
    for (; count >= node->least; count--) {
        const char *end = here(matcher, at + 1, start, text + count);
        if (end) return end;
    }
    return NULL;
}

int matcher_each(const struct matcher *matcher, const char *text, matcher_found found, void *context) {
    int count = 0;
    const char *at = text;
    steps = 0;
    while (!matcher->problem) {
        const char *end = here(matcher, 0, text, at);
        if (end) {
            found(context, at, (size_t)(end - at));
            count++;
        }
        if (!*at) break;
        at = end && end > at ? end : at + 1;
    }
    return steps > matcher_limit ? -count - 1 : count;
}

int matcher_unrelated_print(const struct matcher *matcher, char *out, size_t room) {
    int length = 0;
    for (int i = 0; i < matcher->count; i++) {
        const struct node *node = &matcher->nodes[i];
        const char *kind = node->kind == NODE_START ? "start" : node->kind == NODE_END ? "end" : "set";
        length += snprintf(out + length, room - (size_t)length, "%s{%d,%d} ", kind, node->least, node->most);
    }
    return length;
}
