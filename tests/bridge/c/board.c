/* A board for the README's main.c: its line is stdin and stdout, both the master of a pseudo-terminal.

   It boots when the host has written something, which stands for the opening of its port. Time is simulated,
   10 ms from sample to sample, as fast as the host reads; the clock starts two seconds before it wraps. SAMPLES
   samples, (i, -i, 4096), then silence until the host hangs up. */
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

enum { SAMPLES = 500, PERIOD_US = 10000, A_MOMENT_MS = 20, FOR_EVER = -1 };

static uint32_t clock_us = 0u - 2000000u;
static int16_t taken = 0;

/* Whether the host has written something by then; if it hung up, this is the end. */
static bool host_wrote(int within_ms)
{
    struct pollfd host = {STDIN_FILENO, POLLIN, 0};
    poll(&host, 1, within_ms);
    if ((host.revents & POLLHUP) != 0)
        exit(0);
    return (host.revents & POLLIN) != 0;
}

uint64_t board_serial_number(void)
{
    host_wrote(FOR_EVER); /* main asks for it before anything else */
    return 0x1122334455667788u;
}

uint32_t board_random(void)
{
    return 7;
}

uint32_t board_micros(void)
{
    return clock_us;
}

bool board_sample(uint32_t *t_us, int16_t xyz[3])
{
    if (taken == SAMPLES)
        return false;
    *t_us = clock_us += PERIOD_US;
    xyz[0] = taken;
    xyz[1] = (int16_t)-taken;
    xyz[2] = 4096;
    taken++;
    return true;
}

size_t board_read(uint8_t *bytes, size_t room)
{
    const ssize_t n = host_wrote(taken < SAMPLES ? 0 : A_MOMENT_MS) ? read(STDIN_FILENO, bytes, room) : 0;
    return n > 0 ? (size_t)n : 0;
}

size_t board_write(const uint8_t *bytes, size_t n)
{
    const ssize_t written = write(STDOUT_FILENO, bytes, n);
    return written > 0 ? (size_t)written : 0;
}
