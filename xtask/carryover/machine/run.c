#include "machine.h"

#include <stdio.h>

static void push(struct machine *machine, int64_t value) {
    if (machine->top < MAX_STACK) machine->stack[machine->top++] = value;
    else machine->problem = "the stack is full";
}

static int64_t pop(struct machine *machine) {
    if (machine->top > 0) return machine->stack[--machine->top];
    machine->problem = "the stack is empty";
    return 0;
}

int64_t run(struct machine *machine) {
    int at = 0;
    for (long steps = 0; steps < MAX_STEPS && !machine->problem; steps++) {
        if (at < 0 || at >= machine->size) {
            machine->problem = "it ran out of its code";
            break;
        }
        int64_t a, b;
        switch ((enum op)machine->code[at++]) {
        case PUSH: push(machine, machine->code[at++]); break;
        case ADD: b = pop(machine); a = pop(machine); push(machine, a + b); break;
        case SUB: b = pop(machine); a = pop(machine); push(machine, a - b); break;
        case MUL: b = pop(machine); a = pop(machine); push(machine, (int64_t)((uint64_t)a * (uint64_t)b)); break;
        case DIV:
            b = pop(machine);
            a = pop(machine);
            if (b == 0) machine->problem = "a division by zero";
            else push(machine, a / b);
            break;
        case DUP: a = pop(machine); push(machine, a); push(machine, a); break;
        case SWAP: b = pop(machine); a = pop(machine); push(machine, b); push(machine, a); break;
        case DROP: pop(machine); break;
        case OVER: b = pop(machine); a = pop(machine); push(machine, a); push(machine, b); push(machine, a); break;
        case JUMP: at = (int)machine->code[at]; break;
        case JUMPZ: at = pop(machine) == 0 ? (int)machine->code[at] : at + 1; break;
        case LOAD: push(machine, machine->memory[machine->code[at++] % 26]); break;
        case STORE: machine->memory[machine->code[at++] % 26] = pop(machine); break;
        case PRINT: printf("%lld\n", (long long)pop(machine)); break;
        case CALL:
            if (machine->depth >= MAX_STACK) {
                machine->problem = "too many calls";
                break;
            }
            machine->back[machine->depth++] = at + 1;
            at = (int)machine->code[at];
            break;
        case RETURN:
            if (machine->depth == 0) return pop(machine);
            at = machine->back[--machine->depth];
            break;
        case LESS: b = pop(machine); a = pop(machine); push(machine, a < b); break;
        case NATIVE: a = pop(machine); push(machine, native((int)machine->code[at++], a)); break;
        case HALT: return machine->top > 0 ? pop(machine) : 0;
        default: machine->problem = "an unknown instruction"; break;
        }
    }
    return -1;
}
