/* A compressor: repeated parts as references, then Huffman codes. */
#ifndef PACK_H
#define PACK_H
#include <stddef.h>
#include <stdint.h>

struct bytes {
    uint8_t *data;
    size_t size;
    size_t room;
};

void put(struct bytes *out, uint8_t byte);
uint32_t checksum(const uint8_t *data, size_t size);
void find_repeats(const uint8_t *data, size_t size, struct bytes *out);
int undo_repeats(const uint8_t *data, size_t size, struct bytes *out);
void huffman(const uint8_t *data, size_t size, struct bytes *out);
int undo_huffman(const uint8_t *data, size_t size, struct bytes *out);
int unrelated_dump(const uint8_t *data, size_t size);
#endif
