#include "matcher.h"
#include "nodes.h"

#include <stdlib.h>
#include <string.h>

int matcher_limit = 5000;

static const struct { char letter; const char *members; } classes[] = {
    {'d', "0123456789"},
    {'s', " \t\n\r"},
    {'v', "aeiouAEIOU"},
    {'x', "0123456789abcdefABCDEF"},
};

static void add(struct node *node, unsigned char c) { node->set[c >> 3] |= (unsigned char)(1u << (c & 7)); }

static int add_class(struct node *node, char letter) {
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        if (classes[i].letter != letter) continue;
        for (const char *c = classes[i].members; *c; c++) add(node, (unsigned char)*c);
        return 1;
    }
    return 0;
}

static const char *read_set(const char *at, struct node *node) {
    int inverted = *at == '^';
    if (inverted) at++;
    while (*at && *at != ']') {
        if (at[1] == '-' && at[2] && at[2] != ']') {
            for (int c = (unsigned char)at[0]; c <= (unsigned char)at[2]; c++) add(node, (unsigned char)c);
            at += 3;
        } else {
            add(node, (unsigned char)*at++);
        }
    }
    if (inverted)
        for (size_t i = 0; i < sizeof node->set; i++) node->set[i] = (unsigned char)~node->set[i];
    return *at ? at + 1 : NULL;
}

struct matcher *matcher_new(const char *pattern, int flags) {
    struct matcher *matcher = calloc(1, sizeof *matcher);
    const char *at = pattern;
    matcher->flags = flags;
    while (*at && !matcher->problem) {
        struct node node = {0};
        if (matcher->count == MAX_NODES) {
            matcher->problem = "the pattern is too long";
            break;
        }
        node.kind = NODE_SET;
        node.least = node.most = 1;
        switch (*at++) {
        case '.':
            memset(node.set, 0xff, sizeof node.set);
            break;
        case '^': node.kind = NODE_START; break;
        case '$': node.kind = NODE_END; break;
        case '[':
            at = read_set(at, &node);
            if (!at) {
                matcher->problem = "a set is open";
                return matcher;
            }
            break;
        case '\\':
            if (!*at) {
                matcher->problem = "a lonely backslash";
                return matcher;
            }
            if (!add_class(&node, *at)) add(&node, (unsigned char)*at);
            at++;
            break;
        case '*': case '+': case '?':
            matcher->problem = "nothing to repeat";
            break;
        default: add(&node, (unsigned char)at[-1]); break;
        }
        switch (*at) {
        case '*': node.least = 0; node.most = MANY; at++; break;
        case '+': node.least = 1; node.most = MANY; at++; break;
        case '?': node.least = 0; node.most = 1; at++; break;
        }
        matcher->nodes[matcher->count++] = node;
    }
    return matcher;
}

const char *matcher_problem(const struct matcher *matcher) { return matcher->problem; }
void matcher_free(struct matcher *matcher) { free(matcher); }
