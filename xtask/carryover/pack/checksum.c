#include "pack.h"

#include <stdio.h>

static uint32_t table[256];

__attribute__((constructor)) static void fill_table(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; bit++) value = value & 1 ? value >> 1 ^ 0xedb88320u : value >> 1;
        table[i] = value;
    }
}

uint32_t checksum(const uint8_t *data, size_t size) {
    uint32_t value = 0xffffffffu;
    for (size_t i = 0; i < size; i++) value = value >> 8 ^ table[(value ^ data[i]) & 0xff];
    return ~value;
}

int unrelated_dump(const uint8_t *data, size_t size) {
    int lines = 0;
    for (size_t i = 0; i < size; i += 16) {
        printf("%06zx", i);
        for (size_t j = i; j < size && j < i + 16; j++) printf(" %02x", data[j]);
        printf("  line %d\n", lines++);
    }
    return lines;
}
