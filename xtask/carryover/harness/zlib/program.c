// Packs what is on its standard input, unpacks it again, and says what came of it.
#include <stdio.h>
#include <string.h>
#include "zlib.h"

int main(void) {
    static unsigned char text[1 << 14], packed[1 << 15], again[1 << 14];
    uLong size = fread(text, 1, sizeof text, stdin);
    for (int level = 1; level <= 9; level += 4) {
        uLongf length = sizeof packed, unpacked = sizeof again;
        int answer = compress2(packed, &length, text, size, level);
        printf("level %d: %d, %lu of %lu bytes\n", level, answer, length, size);
        answer = uncompress(again, &unpacked, packed, length);
        printf("unpacked: %d, %s\n", answer, memcmp(text, again, size) ? "another text" : "the same");
    }
    printf("crc32 %08lx adler32 %08lx\n", crc32(0, text, size), adler32(1, text, size));
    return size % 7 == 0;
}
