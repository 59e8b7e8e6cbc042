#include "json.h"

#include <stdio.h>
#include <string.h>

static char text[65536];

int main(int count, char **words) {
    struct value value = {0};
    size_t size = fread(text, 1, sizeof text, stdin);
    struct reader reader = {text, text + size, 0, NULL};
    if (!json_read(&reader, &value)) {
        fprintf(stderr, "problem at %td: %s\n", reader.at - text, reader.problem);
        return 1;
    }
    json_write(&value, 0);
    putchar('\n');
    for (int i = 1; i < count && i < 4; i++) {
        const struct value *found = json_find(&value, words[i]);
        printf("%s is %s\n", words[i], found ? json_kind_name(found->kind) : "absent");
    }
    printf("total %.4f\n", json_total(&value));
    if (count > 6) printf("depth %d\n", unrelated_statistics(&value, count));
    json_free(&value);
    return 0;
}
