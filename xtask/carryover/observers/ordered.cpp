// Containers that are ordered by pointers, and hashed by pointers.
#include <cstdio>
#include <map>
#include <set>
#include <unordered_map>

static int apple = 3, pear = 5, plum = 8;
static const int cherry = 13, lemon = 21;
__attribute__((noinline)) static int sour(int x) { return x + lemon; }
__attribute__((noinline)) static int sweet(int x) { return x * cherry; }
__attribute__((noinline)) int unrelated_mix(int x) { std::puts("mixed"); return sour(x) - sweet(apple); }

int main(int words, char **) {
    std::map<const int *, const char *> by_place = {{&pear, "pear"}, {&apple, "apple"}, {&plum, "plum"}, {&lemon, "lemon"}, {&cherry, "cherry"}};
    std::map<int (*)(int), const char *> functions = {{sweet, "sweet"}, {sour, "sour"}};
    std::unordered_map<const void *, int> hashed;
    for (const auto &[place, name] : by_place) std::printf("%s %d\n", name, *place);
    for (const auto &[run, name] : functions) std::printf("%s %d\n", name, run(4));
    for (const auto &[place, name] : by_place) hashed[place] = *place;
    int order = 0;
    for (const auto &[place, value] : hashed) order = order * 3 + value;
    std::printf("hashed %d\n", order);
    plum += words;
    if (words > 3) std::printf("%d\n", unrelated_mix(words));
}
