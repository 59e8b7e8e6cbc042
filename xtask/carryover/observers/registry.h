struct item { const char *name; int (*run)(int); int rank; };
#define ITEM(id, text, function, place) \
    static const struct item id __attribute__((section("items"), used, aligned(8))) = {text, function, place}
