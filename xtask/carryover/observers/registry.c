/* A linker set: whatever is linked in registers itself, and is walked in link order. */
#include <stdio.h>
#include "registry.h"
extern const struct item __start_items[], __stop_items[];
static int twice(int x) { return x * 2; }
static int plus(int x) { return x + 11; }
ITEM(item_twice, "twice", twice, 5);
ITEM(item_plus, "plus", plus, 3);
__attribute__((noinline)) int unrelated_ranks(int from) { int sum = from; for (const struct item *i = __start_items; i < __stop_items; i++) sum += i->rank; puts("ranked"); return sum; }
int main(int words, char **unused) {
    int value = 1;
    (void)unused;
    for (const struct item *item = __start_items; item < __stop_items; item++) {
        value = item->run(value);
        printf("%s %d %d\n", item->name, item->rank, value);
    }
    if (words > 3) printf("%d\n", unrelated_ranks(words));
    return value & 15;
}
