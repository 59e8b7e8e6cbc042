/* A JSON reader and writer, as small programs carry one. */
#ifndef JSON_H
#define JSON_H
#include <stddef.h>

enum kind { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_TEXT, JSON_LIST, JSON_MAP };

struct value {
    enum kind kind;
    double number;
    char *text;
    size_t length;
    struct value *items; /* of a list; of a map the values */
    char **keys;
};

struct reader {
    const char *at;
    const char *end;
    int depth;
    const char *problem;
};

int json_read(struct reader *reader, struct value *out);
void json_write(const struct value *value, int indent);
const struct value *json_find(const struct value *map, const char *key);
double json_total(const struct value *value);
void json_free(struct value *value);
const char *json_kind_name(enum kind kind);
int unrelated_statistics(const struct value *value, int verbose);
#endif
