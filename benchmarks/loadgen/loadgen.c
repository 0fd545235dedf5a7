// The load that wrk can't make: requests at a fixed rate, streams timed event by event, connections held open.
//
//     cc -O2 -o loadgen loadgen.c && ./loadgen PORT REQUEST SAMPLES mode=MODE [name=value ...]
//
// REQUEST is a file with one whole HTTP/1.1 request, which is sent to 127.0.0.1:PORT over and over. One time a sample,
// in microseconds, goes to the file SAMPLES (uint32, as the machine has them), one line of JSON to standard output.
//
// mode=whole   from when a request was meant to be sent to the end of its answer
// mode=first   the same, to the first byte of the answer's body
// mode=gaps    one endless event stream a connection, which should bring an event every `period_us`: how late each event
//              is, against the schedule that the stream's most punctual event sets
// mode=hold    open the connections, say "HELD" once all have begun to be answered, keep them until stdin ends
//
// connections=N   how many; one request at a time on each
// rate=N          requests a second, at fixed times whatever the answers do: where no connection is free, a request waits,
//                 and its waiting counts (no coordinated omission). 0: each connection asks again once it is answered
// warm_us=N       requests meant to be sent within this time are not sampled
// secs_us=N       how long is sampled after that
// period_us=N     for `gaps`
// ramp_us=N       for `gaps`: over which time the streams begin
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
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 512
#define MAX_HEAD 8192
#define OPENING 32 // connections of `gaps` and `hold` that wait for the beginning of their answer at the same time
#define SETTLE_US 300000
#define GRACE_US 2000000 // for answers that are still out when the time is over
#define OPEN_LIMIT_S 10 // for streams that are watched; those that are held may be more, and may take longer
#define LIMIT_S 120

enum { WHOLE, FIRST, GAPS, HOLD } mode;
enum part { HEAD, LENGTH, SIZE, DATA, DATA_END, TRAILER };

typedef struct connection connection;
struct connection {
    int fd;
    bool busy, begun; // a request is under way; the body of its answer has begun
    size_t sent;
    int64_t intended_us;
    enum part part; // of the answer, what is read next
    char head[MAX_HEAD];
    size_t head_len, line_len;
    uint64_t left; // of the body, or of its chunk
    bool at_line_end;
    int64_t events, first_us, punctual_us; // the least (arrival - schedule) of all its events
    int32_t *phases;                       // (arrival - schedule) of the events that are sampled
    size_t phase_count, phase_cap;
    connection *next_free;
};

static struct {
    int port;
    int64_t connections, rate, warm_us, secs_us, period_us, ramp_us;
} o = {.connections = 1, .secs_us = 1000000, .period_us = 20000};
static char *request;
static size_t request_len;
static int poller;
static connection *all, *free_head, *free_tail;
static int64_t busy_count, begun_count, window_start = INT64_MAX, window_end = INT64_MAX;
static uint32_t *samples;
static size_t sample_count, sample_cap;
static struct {
    long answers, errors, events;
    char first_error[100];
} seen;

static int64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static void sample(int64_t us) {
    if (sample_count == sample_cap) samples = realloc(samples, (sample_cap = 2 * sample_cap + 65536) * sizeof *samples);
    samples[sample_count++] = us < 0 ? 0 : us;
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
    while (c->sent < request_len) {
        ssize_t sent = send(c->fd, request + c->sent, request_len - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
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
    c->sent = c->head_len = c->events = c->phase_count = 0;
    c->part = HEAD;
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

static void read_body(connection *c, const char *p, size_t n, int64_t now) {
    if (!c->begun) {
        c->begun = true;
        begun_count++;
        if (mode == FIRST && c->intended_us >= window_start) sample(now - c->intended_us);
    }
    if (mode != GAPS) return;
    for (; n--; p++) { // an event ends with an empty line
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

// The value of a field in the head, NULL if it isn't there.
static const char *field(connection *c, const char *name) {
    char *found = strcasestr(c->head, name);
    return found ? found + strlen(name) : NULL;
}

// What follows the head that is complete; false if the answer is no good.
static bool understand_head(connection *c) {
    c->head[c->head_len] = 0;
    const char *length = field(c, "\r\ncontent-length:"), *coding = field(c, "\r\ntransfer-encoding:");
    if (strncmp(c->head, "HTTP/1.1 200", 12)) {
        char why[60];
        snprintf(why, sizeof why, "answered with %.40s", c->head);
        why[strcspn(why, "\r\n")] = 0;
        fail(c, why);
        return false;
    }
    c->left = length ? strtoull(length, NULL, 10) : 0;
    c->part = coding ? SIZE : LENGTH;
    c->line_len = 0;
    c->at_line_end = false;
    return true;
}

// Understand `n` bytes of an answer.
static void understand(connection *c, const char *p, size_t n, int64_t now) {
    const char *end = p + n;
    while (p < end && c->busy) {
        if (c->part == LENGTH || c->part == DATA) {
            size_t here = (uint64_t)(end - p) < c->left ? (size_t)(end - p) : c->left;
            read_body(c, p, here, now);
            p += here;
            c->left -= here;
            if (c->left) return;
            if (c->part == LENGTH) end_answer(c, now);
            c->part = DATA_END;
            continue;
        }
        char byte = *p++;
        if (c->part == HEAD) {
            if (c->head_len == MAX_HEAD - 1) {
                fail(c, "the answer's head is too large");
                return;
            }
            c->head[c->head_len++] = byte;
            if (byte != '\n' || c->head_len < 4 || memcmp(c->head + c->head_len - 4, "\r\n\r\n", 4)) continue;
            if (!understand_head(c)) return;
            if (c->part == LENGTH && !c->left) end_answer(c, now);
        } else if (byte == '\n') {
            if (c->part == TRAILER && !c->line_len) end_answer(c, now);
            if (c->part == SIZE) c->part = c->left ? DATA : TRAILER;
            if (c->part == DATA_END) c->part = SIZE, c->left = 0;
            c->line_len = 0;
        } else if (byte != '\r') {
            c->line_len++;
            if (c->part == SIZE) c->left = 16 * c->left + (byte <= '9' ? byte - '0' : (byte | 32) - 'a' + 10);
        }
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
    for (int64_t i = 0; i < o.connections; i++) open_connection(&all[i]), set_free(&all[i]);
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

// ---- what is asked for

static void read_request(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) die(path);
    request_len = ftell(file);
    rewind(file);
    request = malloc(request_len);
    if (fread(request, 1, request_len, file) != request_len) die(path);
    fclose(file);
}

static void set_option(const char *option) {
    static const char *modes[] = {"mode=whole", "mode=first", "mode=gaps", "mode=hold"};
    const struct {
        const char *name;
        int64_t *value;
    } numbers[] = {{"connections=", &o.connections}, {"rate=", &o.rate},           {"warm_us=", &o.warm_us},
                   {"secs_us=", &o.secs_us},         {"period_us=", &o.period_us}, {"ramp_us=", &o.ramp_us}};
    for (int i = 0; i < 4; i++)
        if (!strcmp(option, modes[i])) {
            mode = i;
            return;
        }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!strncmp(option, numbers[i].name, strlen(numbers[i].name))) {
            *numbers[i].value = atoll(option + strlen(numbers[i].name));
            return;
        }
    fprintf(stderr, "loadgen: unknown option %s\n", option);
    exit(2);
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: loadgen PORT REQUEST SAMPLES mode=MODE [name=value ...]\n");
        return 2;
    }
    o.port = atoi(argv[1]);
    read_request(argv[2]);
    for (int i = 4; i < argc; i++) set_option(argv[i]);
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
    FILE *out = fopen(argv[3], "wb");
    if (!out || fwrite(samples, sizeof *samples, sample_count, out) != sample_count || fclose(out)) die(argv[3]);
    printf("{\"answers\":%ld,\"events\":%ld,\"begun\":%ld,\"errors\":%ld,\"unanswered\":%ld,\"first_error\":\"%s\"}\n",
           seen.answers, seen.events, (long)begun_count, seen.errors, unanswered, seen.first_error);
}
