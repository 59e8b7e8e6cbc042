#include "registry.h"
static int half(int x) { return x / 2; }
static int odd(int x) { return x | 1; }
ITEM(item_half, "half", half, 9);
ITEM(item_odd, "odd", odd, 2);
