#include "pack.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW 4096
#define SHORTEST 4
#define LONGEST 66
#define BUCKETS 1024

void put(struct bytes *out, uint8_t byte) {
    if (out->size == out->room) {
        out->room = out->room ? out->room * 2 : 64;
        out->data = realloc(out->data, out->room);
    }
    out->data[out->size++] = byte;
}

static unsigned bucket(const uint8_t *at) {
    uint32_t word = (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2];
    return (word * 2654435761u) >> 22;
}

static size_t common(const uint8_t *a, const uint8_t *b, size_t most) {
    size_t length = 0;
    while (length < most && a[length] == b[length]) length++;
    return length;
}

/* 0x00 n: n + 1 plain bytes; 0x80 + l, two bytes of distance: a repeat. */
void find_repeats(const uint8_t *data, size_t size, struct bytes *out) {
    static int32_t last[BUCKETS];
    size_t plain = 0, at = 0;
    for (int i = 0; i < BUCKETS; i++) last[i] = -1;
    while (at < size) {
        size_t best = 0, distance = 0;
        if (at + SHORTEST <= size) {
            unsigned where = bucket(data + at);
            if (last[where] >= 0 && at - (size_t)last[where] < WINDOW) {
                size_t most = size - at < LONGEST ? size - at : LONGEST;
                best = common(data + last[where], data + at, most);
                distance = at - (size_t)last[where];
            }
            last[where] = (int32_t)at;
        }
        if (best < SHORTEST) {
            plain++;
            at++;
        }
        if (plain > 0 && (best >= SHORTEST || plain == 128 || at == size)) {
            size_t from = at - plain;
            put(out, (uint8_t)(plain - 1));
            for (size_t i = 0; i < plain; i++) put(out, data[from + i]);
            plain = 0;
        }
        if (best >= SHORTEST) {
            put(out, (uint8_t)(0x80 + best - SHORTEST));
            put(out, (uint8_t)(distance >> 8));
            put(out, (uint8_t)distance);
            at += best;
        }
    }
}

int undo_repeats(const uint8_t *data, size_t size, struct bytes *out) {
    size_t at = 0;
    while (at < size) {
        uint8_t first = data[at++];
        if (first < 0x80) {
            size_t count = (size_t)first + 1;
            if (count > size - at) return 0;
            for (size_t i = 0; i < count; i++) put(out, data[at++]);
        } else {
            size_t count = (size_t)(first - 0x80) + SHORTEST, distance;
            if (size - at < 2) return 0;
            distance = (size_t)data[at] << 8 | data[at + 1];
            at += 2;
            if (distance == 0 || distance > out->size) return 0;
            for (size_t i = 0; i < count; i++) put(out, out->data[out->size - distance]);
        }
    }
    return 1;
}
