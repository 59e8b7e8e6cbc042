/* An assembler and an interpreter for a machine with a stack. */
#ifndef MACHINE_H
#define MACHINE_H
#include <stdint.h>

#define MAX_CODE 4096
#define MAX_STACK 256
#define MAX_STEPS 200000

enum op { PUSH, ADD, SUB, MUL, DIV, DUP, SWAP, DROP, OVER, JUMP, JUMPZ, LOAD, STORE, PRINT, CALL, RETURN, LESS, NATIVE, HALT, OPS };

struct machine {
    int64_t code[MAX_CODE];
    int size;
    int64_t stack[MAX_STACK];
    int top;
    int back[MAX_STACK];
    int depth;
    int64_t memory[26];
    const char *problem;
};

extern const char *const op_names[OPS];
int assemble(struct machine *machine, char *text);
int64_t run(struct machine *machine);
int64_t native(int number, int64_t value);
void unrelated_trace(const struct machine *machine, int at);
#endif
