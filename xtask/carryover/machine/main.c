#include "machine.h"

#include <stdio.h>

static struct machine machine;
static char text[16384];

int main(int count, char **words) {
    size_t size = fread(text, 1, sizeof text - 1, stdin);
    text[size] = 0;
    (void)words;
    if (!assemble(&machine, text)) {
        fprintf(stderr, "not assembled: %s\n", machine.problem);
        return 1;
    }
    int64_t result = run(&machine);
    if (count > 3) unrelated_trace(&machine, machine.size);
    if (machine.problem) {
        fprintf(stderr, "stopped: %s\n", machine.problem);
        return 2;
    }
    printf("result %lld\n", (long long)result);
    return (int)(result & 63);
}
