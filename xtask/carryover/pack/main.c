#include "pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const stages[] = {"repeats", "codes", "codes undone", "repeats undone"};
static uint8_t text[65536];

static void report(int stage, const struct bytes *bytes) {
    printf("%-16s %6zu bytes, checksum %08x\n", stages[stage], bytes->size, checksum(bytes->data, bytes->size));
}

int main(int count, char **words) {
    struct bytes repeats = {0}, coded = {0}, decoded = {0}, again = {0};
    size_t size = fread(text, 1, sizeof text, stdin);
    (void)words;
    find_repeats(text, size, &repeats);
    report(0, &repeats);
    huffman(repeats.data, repeats.size, &coded);
    report(1, &coded);
    if (!undo_huffman(coded.data, coded.size, &decoded)) {
        puts("the codes are damaged");
        return 2;
    }
    report(2, &decoded);
    if (!undo_repeats(decoded.data, decoded.size, &again)) {
        puts("the repeats are damaged");
        return 3;
    }
    report(3, &again);
    if (count > 4) return unrelated_dump(coded.data, coded.size);
    if (again.size != size || memcmp(again.data, text, size) != 0) {
        puts("what comes out is not what went in");
        return 4;
    }
    printf("%zu to %zu\n", size, coded.size);
    fwrite(coded.data, 1, coded.size, stdout);
    free(repeats.data);
    free(coded.data);
    free(decoded.data);
    free(again.data);
    return 0;
}
