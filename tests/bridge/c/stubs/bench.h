/* A bench that firmware runs on without a board: time, what happens when, and what its lines carry.

       bench DIR       DIR/samples.txt   what the sensor is exposed to: x y z in g, a sample a line, over and over
                       DIR/script.txt    what happens: seconds, a word, and maybe an argument, a line each, in order
                       DIR/taken.txt     written: when the sensor took each sample (device time in microseconds)
                       DIR/NAME.cap      written: what a line carried, as a capture that the host's tools read

   Time passes only where firmware waits, talks to a sensor or fills a line: the same script gives the same bytes. The
   script's words: `drift PPM`: the sensor's clock is slow by so much; `boot S`: what the board's clock reads at the
   start; `stall S`: the main loop does nothing for so long; `end`. Others are the board's (board.cpp, arduino.cpp,
   zephyr.cpp). */
#pragma once
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

struct Row {
    double x, y, z; /* g */
};

extern double bench_now_us;

/* If there is one, called a hundred microseconds apart, and oftener, while time passes. */
extern void (*bench_interrupt)();

void bench_start(const char *folder);

/* Time passes, and what the script has for it happens. Does not return from the end. */
void bench_pass(double us);

/* What a board's clock reads that moves in steps, and has run since before the script began if the script says so. */
uint64_t bench_clock_us(double step_us);

/* What cannot be on a bench: says so and ends with status 1. */
[[noreturn]] void bench_fail(const std::string &why);

/* The board's part of the script. */
void board_event(const std::string &what, const std::string &argument);

std::string bench_bytes(const std::string &hex);

/* What a line carried: records as mmvq_bridge.stream.records has them. */
class Line {
public:
    explicit Line(const std::string &name) : name(name) {}
    void carry(const uint8_t *bytes, size_t n, double at_us);

private:
    std::string name;
    FILE *capture = nullptr;
};

/* When a sensor takes samples, and of what. */
class Exposure {
public:
    void begin(double rate_hz); /* the first sample is taken one period from now */
    bool next(Row &row);        /* the next sample whose time has come, if there is one */

private:
    double period_us = 0, due_us = 0;
    size_t taken = 0;
};
