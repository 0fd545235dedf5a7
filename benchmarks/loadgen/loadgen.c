// The load that wrk can't make: requests at a fixed rate, streams timed event by event, connections held open.
//
//     cc -O2 -o loadgen loadgen.c && ./loadgen PORT REQUEST SAMPLES mode=MODE [name=value ...]
//
// options.h tells the modes and options. REQUEST is a file with one whole HTTP/1.1 request, which is sent to
// 127.0.0.1:PORT over and over. The times, in microseconds, go to the file SAMPLES (uint32, as the machine has them), a
// line of JSON with counts to standard output.
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

#include "answer.h"
#include "options.h"
#include "samples.h"

#define BATCH 512
#define OPENING 32 // connections of `gaps` and `hold` that wait for the beginning of their answer at the same time
#define SETTLE_US 300000
#define GRACE_US 2000000 // for answers that are still out when the time is over
#define OPEN_LIMIT_S 10 // for streams that are watched; those that are held may be more, and may take longer
#define LIMIT_S 120

typedef struct connection connection;
struct connection {
    int fd;
    bool busy, begun; // a request is under way; the body of its answer has begun
    size_t sent;
    int64_t intended_us;
    answer answer;
    bool at_line_end; // of the events in its body
    int64_t events, first_us, punctual_us; // the least (arrival - schedule) of all its events
    int32_t *phases;                       // (arrival - schedule) of the events that are sampled
    size_t phase_count, phase_cap;
    connection *next_free;
};

static int poller;
static connection *all, *free_head, *free_tail;
static int64_t busy_count, begun_count, window_start = INT64_MAX, window_end = INT64_MAX;
static struct {
    long answers, errors, events;
    char first_error[100];
} seen;

static int64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static void die(const char *what) {
    fprintf(stderr, "loadgen: %s: %s\n", what, strerror(errno));
    exit(1);
}

// ---- connections

static void open_connection(connection *c) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(o.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("socket");
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address)) die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &e)) die("epoll_ctl");
}

static void set_free(connection *c) {
    c->busy = false;
    c->next_free = NULL;
    *(free_head ? &free_tail->next_free : &free_head) = c;
    free_tail = c;
}

static void finish(connection *c) {
    busy_count--;
    set_free(c);
}

// The answer is lost; the connection begins anew.
static void fail(connection *c, const char *why) {
    if (c->busy) {
        if (!seen.errors++) snprintf(seen.first_error, sizeof seen.first_error, "%s", why);
        finish(c);
    }
    close(c->fd);
    open_connection(c);
}

static void send_rest(connection *c) {
    while (c->sent < o.request_len) {
        ssize_t sent = send(c->fd, o.request + c->sent, o.request_len - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            if (errno != EAGAIN) fail(c, "the connection broke while the request was sent");
            return;
        }
        c->sent += sent;
    }
}

static void ask(connection *c, int64_t intended_us) {
    c->busy = true;
    c->begun = false;
    c->intended_us = intended_us;
    c->sent = c->events = c->phase_count = 0;
    c->at_line_end = false;
    begin_answer(&c->answer);
    busy_count++;
    send_rest(c);
}

// ---- answers

static void note_event(connection *c, int64_t now) {
    if (!c->events) c->first_us = c->punctual_us = now;
    int64_t phase = now - c->first_us - c->events++ * o.period_us;
    if (phase + c->first_us < c->punctual_us) c->punctual_us = phase + c->first_us;
    if (now < window_start || now >= window_end) return;
    if (c->phase_count == c->phase_cap)
        c->phases = realloc(c->phases, (c->phase_cap = 2 * c->phase_cap + 64) * sizeof *c->phases);
    c->phases[c->phase_count++] = phase;
    seen.events++;
}

static void read_body(connection *c, piece body, int64_t now) {
    if (!c->begun) {
        c->begun = true;
        begun_count++;
        if (mode == FIRST && c->intended_us >= window_start) sample(now - c->intended_us);
    }
    if (mode != GAPS) return;
    for (const char *p = body.bytes; p < body.bytes + body.length; p++) { // an event ends with an empty line
        if (*p == '\n') {
            if (c->at_line_end) note_event(c, now);
            c->at_line_end = !c->at_line_end;
        } else if (*p != '\r') {
            c->at_line_end = false;
        }
    }
}

static void end_answer(connection *c, int64_t now) {
    if (mode == GAPS) {
        fail(c, "a stream ended");
        return;
    }
    seen.answers++;
    if (mode == WHOLE && c->intended_us >= window_start) sample(now - c->intended_us);
    finish(c);
}

static void refuse(connection *c) {
    char why[60];
    snprintf(why, sizeof why, "answered with %.40s", c->answer.head);
    why[strcspn(why, "\r\n\"\\")] = 0; // it will stand in JSON
    fail(c, why);
}

// Understand `n` bytes of an answer.
static void understand(connection *c, const char *p, size_t n, int64_t now) {
    const char *end = p + n;
    piece body;
    while (c->busy) switch (read_answer(&c->answer, &p, end, &body)) {
        case BODY: read_body(c, body, now); break;
        case ENDED: end_answer(c, now); return; // nothing follows: the next request is yet to be sent
        case NO_GOOD: refuse(c); return;
        case MORE: return;
        }
}

static void receive(connection *c, bool hung_up) {
    static char bytes[256 << 10];
    for (;;) {
        ssize_t got = recv(c->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) {
            fail(c, "the connection was closed before the answer's end");
            return;
        }
        int fd = c->fd;
        understand(c, bytes, got, now_us());
        if (c->fd != fd) return; // it was no good
        if ((size_t)got < sizeof bytes && !hung_up) return;
    }
}

// Serve what is ready, or wait for it until `until_us`; false once stdin has ended.
static bool turn(int64_t until_us) {
    static struct epoll_event ready[BATCH];
    int64_t left_us = until_us - now_us();
    if (left_us < 0) left_us = 0;
    struct timespec wait = {left_us / 1000000, left_us % 1000000 * 1000};
    int n = epoll_pwait2(poller, ready, BATCH, &wait, NULL);
    for (int i = 0; i < n; i++) {
        connection *c = ready[i].data.ptr;
        if (!c) return false;
        if (ready[i].events & EPOLLOUT && c->busy) send_rest(c);
        if (ready[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
            receive(c, ready[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
    }
    return true;
}

// ---- the modes

// How many requests were meant to be sent and never answered.
static long run_requests(void) {
    for (connection *c = all; c < all + o.connections; c++) open_connection(c), set_free(c);
    int64_t start = now_us(), issued = 0;
    window_start = start + o.warm_us;
    window_end = window_start + o.secs_us;
    int64_t planned = o.rate * (o.warm_us + o.secs_us) / 1000000;
    for (;;) {
        int64_t now = now_us(), next = window_end;
        if (!o.rate && now >= window_end) return 0; // what is still out began in time and ends too late to count
        if (o.rate && issued == planned && !busy_count) return 0;
        if (now >= window_end + GRACE_US) return planned - issued + busy_count;
        while (free_head && (!o.rate || issued < planned)) {
            int64_t intended = o.rate ? start + issued * 1000000 / o.rate : now;
            if (intended > now) {
                next = intended;
                break;
            }
            connection *c = free_head;
            free_head = c->next_free;
            issued++;
            ask(c, intended);
        }
        turn(o.rate && next == window_end ? window_end + GRACE_US : next);
    }
}

// Open all connections, a few at a time; false if that takes longer than the limit.
static bool open_all(void) {
    int64_t start = now_us(), opened = 0;
    while (begun_count < o.connections) {
        int64_t now = now_us(), next = now + 100000;
        if (now > start + (mode == GAPS ? OPEN_LIMIT_S : LIMIT_S / 2) * 1000000LL || seen.errors) return false;
        while (opened < o.connections && opened - begun_count < OPENING) {
            int64_t due = start + opened * o.ramp_us / o.connections;
            if (due > now) {
                next = due;
                break;
            }
            open_connection(&all[opened]);
            ask(&all[opened++], now);
        }
        turn(next);
    }
    return true;
}

static void watch_streams(void) {
    if (!open_all()) return;
    window_start = now_us() + SETTLE_US;
    window_end = window_start + o.secs_us;
    while (now_us() < window_end && !seen.errors) turn(window_end);
    for (int64_t i = 0; i < o.connections; i++)
        for (size_t j = 0; j < all[i].phase_count; j++)
            sample(all[i].phases[j] + all[i].first_us - all[i].punctual_us);
}

static void hold(void) {
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    if (!open_all()) return;
    puts("HELD");
    fflush(stdout);
    if (epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &e)) die("stdin");
    while (turn(now_us() + 1000000)) {}
}

int main(int argc, char **argv) {
    read_options(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    alarm(LIMIT_S);
    prctl(PR_SET_TIMERSLACK, 1); // wake up when a request is due, not up to 50 µs later
    poller = epoll_create1(EPOLL_CLOEXEC);
    all = calloc(o.connections, sizeof *all);
    long unanswered = 0;
    if (mode == GAPS)
        watch_streams();
    else if (mode == HOLD)
        hold();
    else
        unanswered = run_requests();
    if (!write_samples(argv[3])) die(argv[3]);
    printf("{\"answers\":%ld,\"events\":%ld,\"begun\":%ld,\"errors\":%ld,\"unanswered\":%ld,\"first_error\":\"%s\"}\n",
           seen.answers, seen.events, (long)begun_count, seen.errors, unanswered, seen.first_error);
}
