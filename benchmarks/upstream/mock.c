// An OpenAI-shaped upstream that costs next to nothing: one thread, epoll, canned answers, no dependencies.
//
//     cc -O2 -o mock mock.c && ./mock PORT
//
// POST .../chat/completions    a chat completion; with `"stream": true` server-sent events and [DONE]
// POST /__script?delay_us=N&events=N&answer_bytes=N
//                              from now on: the pause between two events of a stream (default 0: back to back), events
//                              per stream (default 50), text in the completion beyond its own (default 0)
// GET  /__stats                what was served since the start, as JSON
// any other GET                200, so that a proxy in front of it can be asked whether it is up
//
// It listens on 127.0.0.1 alone, wants a Content-Length with every body, and leaves closing to the client.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "canned.h"
#include "request.h"

#define MAX_REQUEST (64 << 20)
#define BATCH 512

typedef struct connection connection;
struct connection {
    int fd;
    char *in, *out; // read but not yet understood; to be sent once the socket takes more
    size_t in_len, in_cap, out_len, out_cap;
    bool streaming, wants_write, dead;
    int64_t next_event;
    int64_t due_us; // when the next event is due; 0 while the connection is not in the queue
    connection *before, *behind, *next_dead;
};

static int poller;
static int64_t delay_us, events_per_stream = EVENTS;
static connection *queue_head, *queue_tail, *dead_connections;
static struct {
    unsigned long connections, requests, events;
} served;

// ---- the queue of paced streams, sorted by when their next event is due

static int64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

// The delay is the same for all, so a place at or near the tail is the right one.
static void enqueue(connection *c, int64_t due_us) {
    connection *before = queue_tail;
    while (before && before->due_us > due_us) before = before->before;
    c->due_us = due_us;
    c->before = before;
    c->behind = before ? before->behind : queue_head;
    *(c->behind ? &c->behind->before : &queue_tail) = c;
    *(before ? &before->behind : &queue_head) = c;
}

static void dequeue(connection *c) {
    *(c->before ? &c->before->behind : &queue_head) = c->behind;
    *(c->behind ? &c->behind->before : &queue_tail) = c->before;
    c->due_us = 0;
}

// ---- sending

static void hang_up(connection *c) {
    if (c->dead) return;
    c->dead = true;
    if (c->due_us) dequeue(c);
    close(c->fd);
    c->next_dead = dead_connections; // freed after the batch of epoll events that may still name it
    dead_connections = c;
}

static void watch(connection *c, int operation, bool writing) {
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP | (writing ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(poller, operation, c->fd, &e);
    c->wants_write = writing;
}

// Send at once what the socket takes, keep the rest.
static void send_blob(connection *c, blob b) {
    ssize_t sent = 0;
    if (c->out_len == 0) {
        sent = send(c->fd, b.bytes, b.length, MSG_NOSIGNAL);
        if (sent == (ssize_t)b.length) return;
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            hang_up(c);
            return;
        }
        if (sent < 0) sent = 0;
    }
    size_t rest = b.length - sent;
    if (c->out_len + rest > c->out_cap) c->out = realloc(c->out, c->out_cap = 2 * (c->out_len + rest));
    memcpy(c->out + c->out_len, b.bytes + sent, rest);
    c->out_len += rest;
    if (!c->wants_write) watch(c, EPOLL_CTL_MOD, true);
}

static void send_kept(connection *c) {
    ssize_t sent = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) hang_up(c);
        return;
    }
    memmove(c->out, c->out + sent, c->out_len - sent);
    c->out_len -= sent;
    if (c->out_len == 0) watch(c, EPOLL_CTL_MOD, false);
}

// Send the events that are due, each in a write of its own as a model's server does. A paced stream keeps to the
// schedule that its first event began: one that comes late doesn't put off those behind it.
static void send_events(connection *c, int64_t due_us) {
    while (c->next_event < events_per_stream) {
        send_blob(c, event_at(c->next_event++, events_per_stream));
        served.events++;
        if (c->dead) return;
        if (delay_us) {
            enqueue(c, due_us + delay_us);
            return;
        }
        if (c->out_len) return; // goes on when the socket takes more
    }
    c->streaming = false;
    send_blob(c, stream[EVENTS]);
}

// ---- answering requests

static void answer_json(connection *c, int status, const char *body) {
    blob b = json_response(status, body);
    send_blob(c, b);
    free(b.bytes);
}

// `line` is the request line, ended by NUL.
static void answer(connection *c, const char *line, const char *body, size_t body_length) {
    if (!strncmp(line, "POST ", 5) && strstr(line, "/chat/completions")) {
        served.requests++;
        if (asks_for_stream(body, body_length)) {
            c->streaming = true;
            c->next_event = 0;
            send_events(c, now_us());
        } else {
            send_blob(c, completion);
        }
    } else if (!strncmp(line, "POST /__script", 14)) {
        delay_us = parameter(line, "delay_us=", 0);
        events_per_stream = parameter(line, "events=", EVENTS);
        prepare_completion(parameter(line, "answer_bytes=", 0));
        answer_json(c, 200, "{}");
    } else if (!strncmp(line, "GET /__stats ", 13)) {
        char text[160];
        snprintf(text, sizeof text, "{\"connections\":%lu,\"requests\":%lu,\"events\":%lu}", served.connections,
                 served.requests, served.events);
        answer_json(c, 200, text);
    } else if (!strncmp(line, "GET ", 4)) {
        answer_json(c, 200, "{}");
    } else {
        answer_json(c, 404, "{\"error\":{\"message\":\"nothing here\",\"type\":\"invalid_request_error\"}}");
    }
}

// Answer every request that is complete, unless a stream is under way.
static void answer_requests(connection *c) {
    while (!c->dead && !c->streaming && c->in_len) {
        char *end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
        if (!end) return;
        size_t head = end + 4 - c->in, length = head + content_length(c->in, end);
        if (length > MAX_REQUEST) {
            hang_up(c);
            return;
        }
        if (c->in_len < length) return;
        *(char *)memchr(c->in, '\r', head) = 0;
        answer(c, c->in, c->in + head, length - head);
        memmove(c->in, c->in + length, c->in_len - length);
        c->in_len -= length;
    }
}

static void receive(connection *c) {
    for (;;) {
        if (c->in_len == c->in_cap) {
            if (c->in_cap > MAX_REQUEST) {
                hang_up(c);
                return;
            }
            c->in = realloc(c->in, c->in_cap *= 2);
        }
        size_t room = c->in_cap - c->in_len;
        ssize_t got = recv(c->fd, c->in + c->in_len, room, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
            hang_up(c);
            return;
        }
        if (got < 0) break;
        c->in_len += got;
        if ((size_t)got < room) break;
    }
    answer_requests(c);
}

// ---- the loop

static void welcome(int listener) {
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        connection *c = calloc(1, sizeof *c);
        c->fd = fd;
        c->in = malloc(c->in_cap = 16384);
        watch(c, EPOLL_CTL_ADD, false);
        served.connections++;
    }
}

static void serve(connection *c, uint32_t events) {
    if (c->dead) return;
    if (events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) {
        hang_up(c);
        return;
    }
    if (events & EPOLLOUT) {
        send_kept(c);
        if (!c->dead && !c->out_len && c->streaming && !c->due_us) send_events(c, now_us());
        answer_requests(c);
    }
    if (events & EPOLLIN && !c->dead) receive(c);
}

static void send_due_events(void) {
    int64_t now = queue_head ? now_us() : 0;
    while (queue_head && queue_head->due_us <= now) {
        connection *c = queue_head;
        int64_t due_us = c->due_us;
        dequeue(c);
        send_events(c, due_us);
        answer_requests(c);
    }
}

static void free_dead(void) {
    while (dead_connections) {
        connection *c = dead_connections;
        dead_connections = c->next_dead;
        free(c->in);
        free(c->out);
        free(c);
    }
}

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096)) {
        perror("mock: can't listen");
        exit(1);
    }
    return fd;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: mock PORT\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1); // wake up when an event is due, not up to 50 µs later
    prepare_answers();
    int listener = listen_on(atoi(argv[1]));
    poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL}, ready[BATCH];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e);
    for (;;) {
        struct timespec wait = {0};
        if (queue_head) {
            int64_t left_us = queue_head->due_us - now_us();
            if (left_us > 0) wait = (struct timespec){left_us / 1000000, left_us % 1000000 * 1000};
        }
        int n = epoll_pwait2(poller, ready, BATCH, queue_head ? &wait : NULL, NULL);
        for (int i = 0; i < n; i++) {
            if (ready[i].data.ptr)
                serve(ready[i].data.ptr, ready[i].events);
            else
                welcome(listener);
        }
        send_due_events();
        free_dead();
    }
}
