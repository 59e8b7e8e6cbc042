/* Function pointers sorted by address, and the distances between them. */
#include <stdio.h>
#include <stdlib.h>
typedef int (*step)(int);
__attribute__((noinline)) static int up(int x) { return x + 5; }
__attribute__((noinline)) static int down(int x) { return x - 3; }
__attribute__((noinline)) static int turn(int x) { return -x + 1; }
__attribute__((noinline)) int unrelated_stay(int x) { puts("stayed"); return x * 1 + 77; }
static int by_address(const void *a, const void *b) {
    step x = *(const step *)a, y = *(const step *)b;
    return x < y ? -1 : x > y;
}
int main(int words, char **unused) {
    step steps[] = {turn, up, down};
    int value = words;
    (void)unused;
    qsort(steps, 3, sizeof steps[0], by_address);
    for (int i = 0; i < 3; i++) printf("%d\n", value = steps[i](value * 2));
    if (words > 3) printf("%d\n", unrelated_stay(words));
    return 0;
}
