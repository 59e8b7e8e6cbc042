/* A program that looks at its own stack: return addresses as distances from main. */
#include <execinfo.h>
#include <stdio.h>
int main(int words, char **unused);
static volatile int depth;
__attribute__((noinline)) static void look(void) {
    void *frames[16];
    int count = backtrace(frames, 16);
    for (int i = 0; i < 3 && i < count; i++) printf("%d: %td\n", i, (char *)frames[i] - (char *)main);
}
__attribute__((noinline)) static void deeper(void) { depth++; look(); depth--; }
__attribute__((noinline)) int unrelated_depth(int x) { puts("depth"); return x * depth + 5; }
int main(int words, char **unused) {
    (void)unused;
    deeper();
    if (words > 3) printf("%d\n", unrelated_depth(words));
    return 0;
}
