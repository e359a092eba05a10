/* base/clock.c: the monotonic clock as seconds and milliseconds. */
#include "base/clock.h"

#include <time.h>

static struct timespec read_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); /* always there on Linux */
    return now;
}

double gf__clock_s(void)
{
    const struct timespec now = read_clock();
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

int64_t gf__clock_ms(void)
{
    const struct timespec now = read_clock();
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
