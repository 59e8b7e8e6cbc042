/* Functions found by their names at run time. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
int handle_add(int x) { return x + 41; }
int handle_cut(int x) { return x / 3; }
int handle_mix(int x) { return handle_add(x) ^ 21; }
int unrelated_handle(int x) { puts("handled"); return x - 1; }
int main(int words, char **unused) {
    static const char *const names[] = {"handle_add", "handle_mix", "handle_none", "handle_cut"};
    (void)unused;
    for (int i = 0; i < 4; i++) {
        int (*run)(int) = (int (*)(int))dlsym(RTLD_DEFAULT, names[i]);
        Dl_info info;
        if (run && dladdr((void *)run, &info)) printf("%s %d %s\n", names[i], run(i + words), info.dli_sname);
        else printf("%s is not there\n", names[i]);
    }
    if (words > 3) printf("%d\n", unrelated_handle(words));
    return 0;
}
