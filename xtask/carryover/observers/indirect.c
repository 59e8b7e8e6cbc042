/* Functions that are chosen by a resolver when the program is loaded. */
#include <stdio.h>
static int plain(int x) { return x + 3; }
static int fancy(int x) { return x * 3 + 1; }
static int (*choose(void))(int) { __builtin_cpu_init(); return __builtin_cpu_supports("sse2") ? fancy : plain; }
static int (*choose_other(void))(int) { return plain; }
int work(int) __attribute__((ifunc("choose")));
int rest(int) __attribute__((ifunc("choose_other")));
__attribute__((noinline)) int unrelated_work(int x) { puts("worked"); return work(x) - 2; }
int main(int words, char **unused) {
    (void)unused;
    printf("%d %d\n", work(words), rest(words + 4));
    if (words > 3) printf("%d\n", unrelated_work(words));
    return 0;
}
