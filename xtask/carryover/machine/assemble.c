#include "machine.h"

#include <stdlib.h>
#include <string.h>

const char *const op_names[OPS] = {"push", "add", "sub", "mul", "div", "dup", "swap", "drop", "over", "jump",
                                   "jumpz", "load", "store", "print", "call", "return", "less", "native", "halt"};

static int op_of(const char *word) {
    for (int i = 0; i < OPS; i++)
        if (strcmp(word, op_names[i]) == 0) return i;
    return -1;
}

static int takes_operand(int op) {
    switch (op) {
    case PUSH: case JUMP: case JUMPZ: case LOAD: case STORE: case CALL: case NATIVE: return 1;
    default: return 0;
    }
}

struct label {
    char name[16];
    int place;
};

static int place_of(const struct label *labels, int count, const char *name) {
    for (int i = 0; i < count; i++)
        if (strcmp(labels[i].name, name) == 0) return labels[i].place;
    return -1;
}

int assemble(struct machine *machine, char *text) {
    struct label labels[64], wanted[256];
    int known = 0, open = 0;
    for (char *word = strtok(text, " \n\t"); word; word = strtok(NULL, " \n\t")) {
        size_t length = strlen(word);
        if (word[length - 1] == ':' && known < 64 && length < 16) {
            memcpy(labels[known].name, word, length - 1);
            labels[known].name[length - 1] = 0;
            labels[known++].place = machine->size;
            continue;
        }
        int op = op_of(word);
        if (op < 0) {
            machine->problem = "an unknown word";
            return 0;
        }
        machine->code[machine->size++] = op;
        if (!takes_operand(op)) continue;
        char *operand = strtok(NULL, " \n\t");
        if (!operand) {
            machine->problem = "an operand is missing";
            return 0;
        }
        if (operand[0] == '@' && open < 256) {
            strncpy(wanted[open].name, operand + 1, 15);
            wanted[open].name[15] = 0;
            wanted[open++].place = machine->size++;
        } else if (operand[0] >= 'a' && operand[0] <= 'z') {
            machine->code[machine->size++] = operand[0] - 'a';
        } else {
            machine->code[machine->size++] = atoll(operand);
        }
    }
    for (int i = 0; i < open; i++) {
        int place = place_of(labels, known, wanted[i].name);
        if (place < 0) {
            machine->problem = "an unknown label";
            return 0;
        }
        machine->code[wanted[i].place] = place;
    }
    return 1;
}
