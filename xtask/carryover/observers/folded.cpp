// Functions of equal code are told apart by their addresses, unless the linker folds them.
#include <cstdio>

__attribute__((noinline)) static int north(int x) { return x * 7 + 1; }
__attribute__((noinline)) static int south(int x) { return x * 7 + 1; }
__attribute__((noinline)) static int east(int x) { return x * 9 - 1; }
__attribute__((noinline)) int unrelated_west(int x) { std::puts("west"); return x * 9 - 1; }

using Way = int (*)(int);
static Way volatile ways[] = {north, south, east, north};

int main(int words, char **) {
    int same = 0, sum = 0;
    for (int i = 0; i < 4; i++) {
        sum += ways[i](i);
        for (int j = 0; j < i; j++) same += ways[i] == ways[j];
    }
    std::printf("%d pairs are one, sum %d\n", same, sum);
    if (words > 3) std::printf("%d\n", unrelated_west(words));
    return 0;
}
