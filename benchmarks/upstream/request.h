// What is asked of the mock upstream, as far as it looks.
#pragma once
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LOOKED_AT (64 << 10) // how much of a body is searched for `"stream"`

static bool asks_for_stream(const char *body, size_t length) {
    if (length > LOOKED_AT) length = LOOKED_AT;
    const char *p = memmem(body, length, "\"stream\"", 8), *end = body + length;
    if (!p) return false;
    for (p += 8; p < end && (*p == ' ' || *p == ':'); p++) {}
    return end - p >= 4 && !memcmp(p, "true", 4);
}

// The value of Content-Length in the head that ends at `end`; 0 if there is none.
static size_t content_length(const char *head, const char *end) {
    static const char NAME[] = "\r\ncontent-length:";
    for (const char *line = head; (line = memmem(line, end - line, "\r\n", 2)); line += 2)
        if ((size_t)(end - line) > sizeof NAME && !strncasecmp(line, NAME, sizeof NAME - 1))
            return strtoull(line + sizeof NAME - 1, NULL, 10);
    return 0;
}

// The number that follows `name` in a query; `missing` if it isn't there.
static int64_t parameter(const char *query, const char *name, int64_t missing) {
    const char *p = strstr(query, name);
    return p ? atoll(p + strlen(name)) : missing;
}
