// Reads HTTP/1.1 answers as they come, byte by byte where it has to and without any I/O.
#pragma once
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MAX_HEAD 8192

// What comes next of an answer.
enum part { HEAD, LENGTH, SIZE, DATA, DATA_END, TRAILER };

typedef struct {
    enum part part;
    char head[MAX_HEAD];
    size_t head_len, line_len;
    uint64_t left; // of the body, or of its chunk
} answer;

typedef struct {
    const char *bytes;
    size_t length;
} piece;

// What a step of reading came to: all bytes are used up; there is a piece of the body; the answer is at its end; it is
// no good, its status line tells why.
enum step { MORE, BODY, ENDED, NO_GOOD };

static void begin_answer(answer *a) {
    a->part = HEAD;
    a->head_len = 0;
}

static enum step understand_head(answer *a) {
    a->head[a->head_len] = 0;
    const char *length = strcasestr(a->head, "\r\ncontent-length:");
    a->left = length ? strtoull(length + strlen("\r\ncontent-length:"), NULL, 10) : 0;
    a->part = strcasestr(a->head, "\r\ntransfer-encoding:") ? SIZE : LENGTH;
    a->line_len = 0;
    if (strncmp(a->head, "HTTP/1.1 200", 12)) return NO_GOOD;
    return a->part == LENGTH && !a->left ? ENDED : MORE;
}

static enum step read_head(answer *a, char byte) {
    if (a->head_len == MAX_HEAD - 1) return NO_GOOD;
    a->head[a->head_len++] = byte;
    if (byte != '\n' || a->head_len < 4 || memcmp(a->head + a->head_len - 4, "\r\n\r\n", 4)) return MORE;
    return understand_head(a);
}

// The lines around chunks: their sizes, their ends, and what may follow the last.
static enum step read_framing(answer *a, char byte) {
    if (byte == '\n') {
        if (a->part == TRAILER && !a->line_len) return ENDED;
        if (a->part == SIZE) a->part = a->left ? DATA : TRAILER;
        if (a->part == DATA_END) a->part = SIZE, a->left = 0;
        a->line_len = 0;
    } else if (byte != '\r') {
        a->line_len++;
        if (a->part == SIZE) a->left = 16 * a->left + (byte <= '9' ? byte - '0' : (byte | 32) - 'a' + 10);
    }
    return MORE;
}

// Read on from `*p`, at most to `end`. After BODY one goes on: an answer of known length ends with its last piece, but
// says so only in the next step.
static enum step read_answer(answer *a, const char **p, const char *end, piece *body) {
    if (a->part == LENGTH && !a->left) return ENDED;
    while (*p < end) {
        if (a->part == LENGTH || a->part == DATA) {
            *body = (piece){*p, (uint64_t)(end - *p) < a->left ? (size_t)(end - *p) : a->left};
            *p += body->length;
            a->left -= body->length;
            if (!a->left && a->part == DATA) a->part = DATA_END;
            return BODY;
        }
        char byte = *(*p)++;
        enum step step = a->part == HEAD ? read_head(a, byte) : read_framing(a, byte);
        if (step != MORE) return step;
    }
    return MORE;
}
