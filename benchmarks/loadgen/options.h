// What the load generator is asked to do: the options of its command line, and the request.
//
// mode=whole   from when a request was meant to be sent to the end of its answer
// mode=first   the same, to the first byte of the answer's body
// mode=gaps    one endless event stream a connection, which should bring an event every `period_us`: how late each
//              event is, against the schedule that the stream's most punctual event sets
// mode=hold    open the connections, say "HELD" once all have begun to be answered, keep them until stdin ends
//
// connections=N   how many; one request at a time on each
// rate=N          requests a second, at fixed times whatever the answers do: where no connection is free, a request
//                 waits, and its waiting counts (no coordinated omission). 0: each connection asks again once it is
//                 answered
// warm_us=N       requests meant to be sent within this time are not sampled
// secs_us=N       how long is sampled after that
// period_us=N     for `gaps`
// ramp_us=N       for `gaps`: over which time the streams begin
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum { WHOLE, FIRST, GAPS, HOLD } mode;

static struct {
    int port;
    int64_t connections, rate, warm_us, secs_us, period_us, ramp_us;
    char *request;
    size_t request_len;
} o = {.connections = 1, .secs_us = 1000000, .period_us = 20000};

static void read_request(const char *path) {
    FILE *file = fopen(path, "rb");
    if (file && !fseek(file, 0, SEEK_END)) {
        o.request_len = ftell(file);
        rewind(file);
        o.request = malloc(o.request_len);
    }
    if (!file || fread(o.request, 1, o.request_len, file) != o.request_len) {
        perror(path);
        exit(1);
    }
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

static void read_options(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: loadgen PORT REQUEST SAMPLES mode=MODE [name=value ...]\n");
        exit(2);
    }
    o.port = atoi(argv[1]);
    read_request(argv[2]);
    for (int i = 4; i < argc; i++) set_option(argv[i]);
}
