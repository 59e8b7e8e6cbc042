/* A program that looks at its own headers through the loader. */
#define _GNU_SOURCE
#include <link.h>
#include <stdio.h>
static int look(struct dl_phdr_info *info, size_t size, void *context) {
    (void)size;
    int *number = context;
    if ((*number)++ > 0) return 1;
    for (int i = 0; i < info->dlpi_phnum; i++)
        printf("%u: %llu bytes\n", info->dlpi_phdr[i].p_type, (unsigned long long)info->dlpi_phdr[i].p_memsz);
    return 0;
}
__attribute__((noinline)) int unrelated_count(int x) { puts("counted"); return x * 17 + 2; }
int main(int words, char **unused) {
    int number = 0;
    (void)unused;
    dl_iterate_phdr(look, &number);
    if (words > 3) printf("%d\n", unrelated_count(words));
    return 0;
}
