// What the mock upstream answers, made ready once.
#pragma once
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS 50 // as many are canned; longer streams repeat those in the middle

typedef struct {
    char *bytes;
    size_t length;
} blob;

static blob completion;
static blob stream[EVENTS + 1]; // the first with the head of the response before it, the last is [DONE] and the end

#define CHUNK_START \
    "data: {\"id\":\"chatcmpl-mock00000000000000000000001\",\"object\":\"chat.completion.chunk\"," \
    "\"created\":1700000000,\"model\":\"gpt-4o-2024-08-06\",\"service_tier\":\"default\"," \
    "\"system_fingerprint\":\"fp_mock000001\",\"choices\":[{\"index\":0,\"delta\":{"
#define CHUNK_END(reason) "},\"logprobs\":null,\"finish_reason\":" reason "}]}\n\n"

static const char *COMPLETION =
    "{\"id\":\"chatcmpl-mock00000000000000000000001\",\"object\":\"chat.completion\",\"created\":1700000000,"
    "\"model\":\"gpt-4o-2024-08-06\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"
    "\"The quick brown fox jumps over the lazy dog; deterministic mock text, so that a proxy in front of it can be "
    "checked byte for byte.%s\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":"
    "{\"prompt_tokens\":412,\"completion_tokens\":29,\"total_tokens\":441,\"prompt_tokens_details\":"
    "{\"cached_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":0}},\"service_tier\":\"default\","
    "\"system_fingerprint\":\"fp_mock000001\"}";
static const char *STREAM_HEAD =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
    "x-request-id: req_mock_1\r\nTransfer-Encoding: chunked\r\n\r\n";

// One HTTP chunk that holds `event`, with `before` and `after` around it.
static blob framed(const char *before, const char *event, const char *after) {
    blob b;
    b.length = asprintf(&b.bytes, "%s%zx\r\n%s\r\n%s", before, strlen(event), event, after);
    return b;
}

static blob json_response(int status, const char *body) {
    blob b;
    b.length = asprintf(&b.bytes,
                        "HTTP/1.1 %d Mock\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                        "x-request-id: req_mock_1\r\n\r\n%s",
                        status, strlen(body), body);
    return b;
}

static void prepare_completion(size_t answer_bytes) {
    char *text = malloc(answer_bytes + 1), *body;
    memset(text, 'x', answer_bytes);
    text[answer_bytes] = 0;
    if (asprintf(&body, COMPLETION, text) < 0) exit(1);
    free(completion.bytes);
    completion = json_response(200, body);
    free(body);
    free(text);
}

static void prepare_answers(void) {
    prepare_completion(0);
    stream[0] = framed(STREAM_HEAD, CHUNK_START "\"role\":\"assistant\",\"content\":\"\"" CHUNK_END("null"), "");
    for (int i = 1; i < EVENTS - 1; i++) {
        char event[512];
        snprintf(event, sizeof event, CHUNK_START "\"content\":\" tok%d\"" CHUNK_END("null"), i);
        stream[i] = framed("", event, "");
    }
    stream[EVENTS - 1] = framed("", CHUNK_START CHUNK_END("\"stop\""), "");
    stream[EVENTS] = framed("", "data: [DONE]\n\n", "0\r\n\r\n");
}

// The canned event that stands at `place` of a stream of so many events.
static blob event_at(int64_t place, int64_t events) {
    if (place == 0) return stream[0];
    if (place >= events - 1) return stream[EVENTS - 1];
    return stream[1 + (place - 1) % (EVENTS - 2)];
}
