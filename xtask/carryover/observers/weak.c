/* A weak default that another file may override. */
#include <stdio.h>
__attribute__((weak)) int policy(int x) { return x + 100; }
__attribute__((weak)) const char *label = "default";
extern int maybe(int) __attribute__((weak));
__attribute__((noinline)) int unrelated_policy(int x) { puts("policy"); return x * 19; }
int main(int words, char **unused) {
    (void)unused;
    printf("%s %d %d\n", label, policy(words), maybe ? maybe(words) : -1);
    if (words > 3) printf("%d\n", unrelated_policy(words));
    return 0;
}
