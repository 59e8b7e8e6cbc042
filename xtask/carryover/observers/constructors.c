/* Initialisers and finalisers say in which order they ran. */
#include <stdio.h>
static int order[16], count;
static void note(int what) { if (count < 16) order[count++] = what; }
__attribute__((constructor(201))) static void first(void) { note(1); }
__attribute__((constructor(202))) static void second(void) { note(count * 10 + 2); }
__attribute__((constructor)) static void third(void) { note(count * 100 + 3); }
__attribute__((constructor)) static void fourth(void) { note(order[1] + 4); }
__attribute__((destructor(203))) static void last(void) { printf("last after %d\n", count); }
__attribute__((destructor(204))) static void before_last(void) { note(7); printf("before the last %d\n", order[count - 1]); }
__attribute__((noinline)) int unrelated_sum(int from) { int sum = 0; for (int i = from; i < count; i++) sum += order[i] * 3; puts("summed"); return sum; }
int main(int words, char **unused) {
    (void)unused;
    for (int i = 0; i < count; i++) printf("%d: %d\n", i, order[i]);
    if (words > 3) printf("%d\n", unrelated_sum(words));
    return 0;
}
