/* Computed jumps through a table of labels. */
#include <stdio.h>
static const char program[] = "iisddpiisp.";
__attribute__((noinline)) int unrelated_step(int x) { puts("stepped"); return x << 3; }
int main(int words, char **unused) {
    static const void *const jumps[] = {&&increase, &&square, &&decrease, &&print, &&end};
    static const char letters[] = "isdp.";
    const char *at = program;
    long value = words;
    (void)unused;
next:
    for (int i = 0; i < 5; i++)
        if (letters[i] == *at) { at++; goto *jumps[i]; }
    return 3;
increase: value += 1; goto next;
square: value *= value; goto next;
decrease: value -= 1; goto next;
print: printf("%ld\n", value); goto next;
end:
    if (words > 3) printf("%d\n", unrelated_step(words));
    return 0;
}
