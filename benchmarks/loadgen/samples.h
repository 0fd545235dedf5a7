// The times that were found, in microseconds.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static uint32_t *samples;
static size_t sample_count, sample_cap;

static void sample(int64_t us) {
    if (sample_count == sample_cap) samples = realloc(samples, (sample_cap = 2 * sample_cap + 65536) * sizeof *samples);
    samples[sample_count++] = us < 0 ? 0 : us;
}

static bool write_samples(const char *path) {
    FILE *out = fopen(path, "wb");
    return out && fwrite(samples, sizeof *samples, sample_count, out) == sample_count && !fclose(out);
}
