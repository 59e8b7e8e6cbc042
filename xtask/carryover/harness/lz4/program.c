// Packs what is on its standard input, unpacks it again, and says what came of it.
#include <stdio.h>
#include <string.h>
#include "lz4.h"

int main(void) {
    static char text[1 << 14], packed[1 << 15], again[1 << 14];
    int size = (int)fread(text, 1, sizeof text, stdin);
    for (int speed = 1; speed <= 9; speed += 4) {
        int length = LZ4_compress_fast(text, packed, size, sizeof packed, speed);
        int unpacked = LZ4_decompress_safe(packed, again, length, sizeof again);
        printf("speed %d: %d of %d bytes, unpacked %d, ", speed, length, size, unpacked);
        puts(unpacked == size && !memcmp(text, again, size) ? "the same" : "another text");
    }
    printf("at most %d bytes\n", LZ4_compressBound(size));
    return size % 7 == 0;
}
