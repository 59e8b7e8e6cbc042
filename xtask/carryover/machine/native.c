#include "machine.h"

#include <stdio.h>

static int64_t square(int64_t value) { return value * value; }
static int64_t negate(int64_t value) { return -value; }
static int64_t collatz(int64_t value) {
    int64_t steps = 0;
    while (value > 1 && steps < 1000) {
        value = value % 2 ? 3 * value + 1 : value / 2;
        steps++;
    }
    return steps;
}
static int64_t digits(int64_t value) {
    int64_t sum = 0;
    for (; value > 0; value /= 10) sum += value % 10;
    return sum;
}
static int64_t unrelated_cube(int64_t value) { return value * value * value + 7; }

static const struct { const char *name; int64_t (*run)(int64_t); } natives[] = {
    {"square", square}, {"negate", negate}, {"collatz", collatz}, {"digits", digits}, {"cube", unrelated_cube},
};
static long calls;

static int64_t finish(int64_t value, int64_t bias) { return value + bias; }

int64_t native(int number, int64_t value) {
    if (number < 0 || number >= (int)(sizeof natives / sizeof natives[0])) return finish(value, 1000);
    calls++;
    if (calls == 3) printf("native %s\n", natives[number].name);
    return finish(natives[number].run(value), calls);
}

void unrelated_trace(const struct machine *machine, int at) {
    for (int i = 0; i < at && i < machine->size; i++) {
        int64_t op = machine->code[i];
        printf("%4d %s\n", i, op >= 0 && op < OPS ? op_names[op] : "operand");
    }
    printf("%d on the stack, %d calls deep\n", machine->top, machine->depth);
}
