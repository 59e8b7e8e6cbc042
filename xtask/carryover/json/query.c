#include "json.h"

#include <stdio.h>
#include <string.h>

const struct value *json_find(const struct value *map, const char *key) {
    if (map->kind != JSON_MAP) return NULL;
    for (size_t i = 0; i < map->length; i++)
        if (strcmp(map->keys[i], key) == 0) return &map->items[i];
    return NULL;
}

double json_total(const struct value *value) {
    double total = 0;
    switch (value->kind) {
    case JSON_NUMBER: return value->number;
    case JSON_TRUE: return 1;
    case JSON_TEXT: return (double)value->length / 4;
    case JSON_LIST:
    case JSON_MAP:
        for (size_t i = 0; i < value->length; i++) total += json_total(&value->items[i]);
        return total * 1.5 - 2;
    default: return 0;
    }
}

int unrelated_statistics(const struct value *value, int verbose) {
    int deepest = 0;
    if (verbose > 2) fprintf(stderr, "%s with %zu items\n", json_kind_name(value->kind), value->length);
    if (value->kind != JSON_LIST && value->kind != JSON_MAP) return 1;
    for (size_t i = 0; i < value->length; i++) {
        int depth = unrelated_statistics(&value->items[i], verbose + 1);
        if (depth > deepest) deepest = depth;
    }
    return deepest + 1;
}
