/* A program that reads its own file. */
#include <stdio.h>
int main(int words, char **word) {
    unsigned long sum = 0, size = 0;
    FILE *file = fopen(word[0], "rb");
    if (!file) return 1;
    for (int c; (c = getc(file)) != EOF; size++) sum = sum * 31 + (unsigned)c;
    fclose(file);
    printf("%lu bytes, sum %lu\n", size, sum);
    if (words > 3) puts("unrelated");
    return 0;
}
__attribute__((noinline)) int unrelated_more(int x) { puts("more of it"); return x * 12; }
