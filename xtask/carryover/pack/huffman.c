#include "pack.h"

#include <stdlib.h>
#include <string.h>

#define SYMBOLS 256

struct node {
    uint32_t weight;
    int16_t left, right;
    int16_t symbol;
};

struct tree {
    struct node nodes[2 * SYMBOLS];
    int count;
    int root;
};

static int lightest(const struct tree *tree, const uint8_t *taken) {
    int found = -1;
    for (int i = 0; i < tree->count; i++) {
        if (taken[i] || tree->nodes[i].weight == 0) continue;
        if (found < 0 || tree->nodes[i].weight < tree->nodes[found].weight) found = i;
    }
    return found;
}

static void build(struct tree *tree, const uint32_t *weights) {
    uint8_t taken[2 * SYMBOLS] = {0};
    tree->count = SYMBOLS;
    for (int i = 0; i < SYMBOLS; i++) {
        struct node node = {weights[i], -1, -1, (int16_t)i};
        tree->nodes[i] = node;
    }
    tree->root = -1;
    for (;;) {
        int a = lightest(tree, taken), b;
        if (a < 0) return;
        taken[a] = 1;
        b = lightest(tree, taken);
        if (b < 0) {
            tree->root = a;
            return;
        }
        taken[b] = 1;
        struct node both = {tree->nodes[a].weight + tree->nodes[b].weight, (int16_t)a, (int16_t)b, -1};
        tree->nodes[tree->count++] = both;
    }
}

static void codes(const struct tree *tree, int at, uint32_t code, int length, uint32_t *out, uint8_t *lengths) {
    const struct node *node = &tree->nodes[at];
    if (node->symbol >= 0) {
        out[node->symbol] = code;
        lengths[node->symbol] = (uint8_t)(length == 0 ? 1 : length);
        return;
    }
    codes(tree, node->left, code << 1, length + 1, out, lengths);
    codes(tree, node->right, code << 1 | 1, length + 1, out, lengths);
}

void huffman(const uint8_t *data, size_t size, struct bytes *out) {
    static struct tree tree;
    uint32_t weights[SYMBOLS] = {0}, code[SYMBOLS] = {0};
    uint8_t lengths[SYMBOLS] = {0}, byte = 0;
    int bits = 0;
    for (size_t i = 0; i < size; i++) weights[data[i]]++;
    build(&tree, weights);
    if (tree.root >= 0) codes(&tree, tree.root, 0, 0, code, lengths);
    for (int i = 0; i < 4; i++) put(out, (uint8_t)(size >> (8 * i)));
    for (int i = 0; i < SYMBOLS; i++) {
        put(out, (uint8_t)(weights[i] >> 8));
        put(out, (uint8_t)weights[i]);
    }
    for (size_t i = 0; i < size; i++) {
        for (int bit = lengths[data[i]] - 1; bit >= 0; bit--) {
            byte = (uint8_t)(byte << 1 | (code[data[i]] >> bit & 1));
            if (++bits == 8) {
                put(out, byte);
                bits = 0;
            }
        }
    }
    if (bits > 0) put(out, (uint8_t)(byte << (8 - bits)));
}

int undo_huffman(const uint8_t *data, size_t size, struct bytes *out) {
    static struct tree tree;
    uint32_t weights[SYMBOLS], wanted = 0;
    const size_t head = 4 + 2 * SYMBOLS;
    int at;
    if (size < head) return 0;
    for (int i = 0; i < 4; i++) wanted |= (uint32_t)data[i] << (8 * i);
    for (int i = 0; i < SYMBOLS; i++) weights[i] = (uint32_t)data[4 + 2 * i] << 8 | data[5 + 2 * i];
    build(&tree, weights);
    at = tree.root;
    for (size_t i = head * 8; out->size < wanted; i++) {
        if (i / 8 >= size || at < 0) return 0;
        int bit = data[i / 8] >> (7 - i % 8) & 1;
        if (tree.nodes[at].symbol < 0) at = bit ? tree.nodes[at].right : tree.nodes[at].left;
        if (tree.nodes[at].symbol >= 0) {
            put(out, (uint8_t)tree.nodes[at].symbol);
            at = tree.root;
        }
    }
    return 1;
}
