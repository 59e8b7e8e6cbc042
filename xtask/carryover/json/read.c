#include "json.h"

#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 32

static int fail(struct reader *reader, const char *problem) {
    reader->problem = problem;
    return 0;
}

static void skip_space(struct reader *reader) {
    while (reader->at < reader->end) {
        switch (*reader->at) {
        case ' ':
        case '\t':
        case '\n':
        case '\r':
            reader->at++;
            break;
        default:
            return;
        }
    }
}

static const unsigned char hex_digit[256] = {
    ['0'] = 1, ['1'] = 2, ['2'] = 3, ['3'] = 4, ['4'] = 5, ['5'] = 6, ['6'] = 7, ['7'] = 8,
    ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

static int read_hex(struct reader *reader, unsigned *out) {
    unsigned value = 0;
    for (int i = 0; i < 4; i++) {
        if (reader->at >= reader->end) return fail(reader, "the escape is cut off");
        unsigned char digit = hex_digit[(unsigned char)*reader->at++];
        if (digit == 0) return fail(reader, "no hexadecimal digit");
        value = value * 16 + (digit - 1);
    }
    *out = value;
    return 1;
}

static size_t put_utf8(char *out, unsigned code) {
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | (code >> 6));
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    out[0] = (char)(0xe0 | (code >> 12));
    out[1] = (char)(0x80 | ((code >> 6) & 0x3f));
    out[2] = (char)(0x80 | (code & 0x3f));
    return 3;
}

static int read_text(struct reader *reader, char **out, size_t *length) {
    char *text = malloc((size_t)(reader->end - reader->at) + 1);
    size_t size = 0;
    unsigned code;
    reader->at++;
    while (reader->at < reader->end && *reader->at != '"') {
        char c = *reader->at++;
        if (c != '\\') {
            text[size++] = c;
            continue;
        }
        if (reader->at >= reader->end) break;
        switch (*reader->at++) {
        case 'n': text[size++] = '\n'; break;
        case 't': text[size++] = '\t'; break;
        case 'r': text[size++] = '\r'; break;
        case 'b': text[size++] = '\b'; break;
        case 'f': text[size++] = '\f'; break;
        case '/': text[size++] = '/'; break;
        case '\\': text[size++] = '\\'; break;
        case '"': text[size++] = '"'; break;
        case 'u':
            if (!read_hex(reader, &code)) {
                free(text);
                return 0;
            }
            size += put_utf8(text + size, code);
            break;
        default:
            free(text);
            return fail(reader, "an unknown escape");
        }
    }
    if (reader->at >= reader->end) {
        free(text);
        return fail(reader, "the text is not closed");
    }
    reader->at++;
    text[size] = 0;
    *out = text;
    *length = size;
    return 1;
}

static int read_number(struct reader *reader, double *out) {
    double sign = 1, value = 0, scale = 1;
    int digits = 0;
    if (*reader->at == '-') {
        sign = -1;
        reader->at++;
    }
    while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9') {
        value = value * 10 + (*reader->at++ - '0');
        digits++;
    }
    if (reader->at < reader->end && *reader->at == '.') {
        reader->at++;
        while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9') {
            scale /= 10;
            value += scale * (*reader->at++ - '0');
            digits++;
        }
    }
    if (digits == 0) return fail(reader, "a number without digits");
    *out = sign * value;
    return 1;
}

static int read_word(struct reader *reader, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(reader->end - reader->at) < length || memcmp(reader->at, word, length) != 0)
        return fail(reader, "an unknown word");
    reader->at += length;
    return 1;
}

static int grow(struct value *out, int with_keys) {
    if ((out->length & (out->length - 1)) == 0) {
        size_t room = out->length == 0 ? 1 : out->length * 2;
        out->items = realloc(out->items, room * sizeof *out->items);
        if (with_keys) out->keys = realloc(out->keys, room * sizeof *out->keys);
    }
    memset(&out->items[out->length], 0, sizeof *out->items);
    return 1;
}

static int read_many(struct reader *reader, struct value *out, char close, int with_keys) {
    reader->at++;
    skip_space(reader);
    if (reader->at < reader->end && *reader->at == close) {
        reader->at++;
        return 1;
    }
    for (;;) {
        grow(out, with_keys);
        skip_space(reader);
        if (with_keys) {
            size_t ignored;
            if (reader->at >= reader->end || *reader->at != '"') return fail(reader, "a key is missing");
            if (!read_text(reader, &out->keys[out->length], &ignored)) return 0;
            skip_space(reader);
            if (reader->at >= reader->end || *reader->at++ != ':') return fail(reader, "a colon is missing");
        }
        if (!json_read(reader, &out->items[out->length])) return 0;
        out->length++;
        skip_space(reader);
        if (reader->at >= reader->end) return fail(reader, "it is not closed");
        char next = *reader->at++;
        if (next == close) return 1;
        if (next != ',') return fail(reader, "a comma is missing");
    }
}

int json_read(struct reader *reader, struct value *out) {
    int done = 0;
    if (reader->depth >= MAX_DEPTH) return fail(reader, "too deep");
    skip_space(reader);
    if (reader->at >= reader->end) return fail(reader, "nothing is left");
    reader->depth++;
    switch (*reader->at) {
    case 'n': out->kind = JSON_NULL; done = read_word(reader, "null"); break;
    case 'f': out->kind = JSON_FALSE; done = read_word(reader, "false"); break;
    case 't': out->kind = JSON_TRUE; done = read_word(reader, "true"); break;
    case '"': out->kind = JSON_TEXT; done = read_text(reader, &out->text, &out->length); break;
    case '[': out->kind = JSON_LIST; done = read_many(reader, out, ']', 0); break;
    case '{': out->kind = JSON_MAP; done = read_many(reader, out, '}', 1); break;
    default: out->kind = JSON_NUMBER; done = read_number(reader, &out->number); break;
    }
    reader->depth--;
    return done;
}
