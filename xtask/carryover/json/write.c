#include "json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[] = {"null", "false", "true", "number", "text", "list", "map"};

const char *json_kind_name(enum kind kind) {
    return kind_names[kind];
}

static void write_text(const char *text, size_t length) {
    putchar('"');
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\') printf("\\%c", c);
        else if (c == '\n') printf("\\n");
        else if (c < 0x20) printf("\\u%04x", c);
        else putchar(c);
    }
    putchar('"');
}

static void line(int indent) {
    putchar('\n');
    for (int i = 0; i < indent; i++) fputs("  ", stdout);
}

void json_write(const struct value *value, int indent) {
    switch (value->kind) {
    case JSON_NULL: fputs("null", stdout); break;
    case JSON_FALSE: fputs("false", stdout); break;
    case JSON_TRUE: fputs("true", stdout); break;
    case JSON_NUMBER: printf("%.6g", value->number); break;
    case JSON_TEXT: write_text(value->text, value->length); break;
    case JSON_LIST:
    case JSON_MAP:
        putchar(value->kind == JSON_MAP ? '{' : '[');
        for (size_t i = 0; i < value->length; i++) {
            if (i > 0) putchar(',');
            line(indent + 1);
            if (value->kind == JSON_MAP) {
                write_text(value->keys[i], strlen(value->keys[i]));
                fputs(": ", stdout);
            }
            json_write(&value->items[i], indent + 1);
        }
        if (value->length > 0) line(indent);
        putchar(value->kind == JSON_MAP ? '}' : ']');
        break;
    }
}

void json_free(struct value *value) {
    if (value->kind == JSON_TEXT) free(value->text);
    if (value->kind != JSON_LIST && value->kind != JSON_MAP) return;
    for (size_t i = 0; i < value->length; i++) {
        if (value->kind == JSON_MAP) free(value->keys[i]);
        json_free(&value->items[i]);
    }
    free(value->items);
    free(value->keys);
}
