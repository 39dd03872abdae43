#include "bench.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <sstream>

struct Event {
    double at_us;
    std::string what, argument;
};

static const double STEP_US = 100;

double bench_now_us = 0;
void (*bench_interrupt)() = nullptr;
static std::string folder;
static std::vector<Row> rows;
static std::deque<Event> script;
static double drift = 1, booted_us = 0;
static FILE *taken_file = nullptr;

void bench_fail(const std::string &why)
{
    fprintf(stderr, "%s\n", why.c_str());
    exit(1);
}

void bench_start(const char *where)
{
    folder = std::string(where) + "/";
    std::ifstream samples(folder + "samples.txt"), lines(folder + "script.txt");
    for (Row row; samples >> row.x >> row.y >> row.z;)
        rows.push_back(row);
    for (std::string text; std::getline(lines, text);) {
        Event event;
        std::istringstream words(text);
        words >> event.at_us >> event.what >> event.argument;
        event.at_us *= 1e6;
        script.push_back(event);
    }
    taken_file = fopen((folder + "taken.txt").c_str(), "w");
    if (rows.empty() || script.empty() || script.back().what != "end" || taken_file == nullptr)
        bench_fail(folder + ": no samples.txt, or no script.txt that ends");
    bench_pass(0);
}

static void happen(const Event &event)
{
    if (event.at_us > bench_now_us)
        bench_now_us = event.at_us;
    if (event.what == "end")
        exit(0);
    else if (event.what == "drift")
        drift = 1 + std::stod(event.argument) * 1e-6;
    else if (event.what == "boot")
        booted_us = std::stod(event.argument) * 1e6;
    else if (event.what == "stall")
        bench_pass(std::stod(event.argument) * 1e6);
    else
        board_event(event.what, event.argument);
}

void bench_pass(double us)
{
    const double until_us = bench_now_us + us;
    do {
        const double next_us = bench_interrupt ? std::min(until_us, bench_now_us + STEP_US) : until_us;
        while (!script.empty() && script.front().at_us <= next_us) {
            const Event event = script.front();
            script.pop_front();
            happen(event);
        }
        bench_now_us = std::max(bench_now_us, next_us);
        if (bench_interrupt)
            bench_interrupt();
    } while (bench_now_us < until_us);
}

uint64_t bench_clock_us(double step_us)
{
    return (uint64_t)(std::floor((booted_us + bench_now_us) / step_us) * step_us);
}

std::string bench_bytes(const std::string &hex)
{
    std::string bytes;
    for (size_t i = 0; i + 1 < hex.size(); i += 2)
        bytes += (char)std::stoi(hex.substr(i, 2), nullptr, 16);
    return bytes;
}

static void record(FILE *file, uint8_t kind, double at_us, const void *bytes, uint32_t n)
{
    const uint64_t host_ns = (uint64_t)(at_us * 1000);
    uint8_t head[13] = {kind};
    for (int i = 0; i < 8; i++)
        head[1 + i] = (uint8_t)(host_ns >> 8 * i);
    for (int i = 0; i < 4; i++)
        head[9 + i] = (uint8_t)(n >> 8 * i);
    fwrite(head, 1, sizeof head, file);
    fwrite(bytes, 1, n, file);
}

void Line::carry(const uint8_t *bytes, size_t n, double at_us)
{
    static const std::string opening = "{\"source\": \"bench\", \"wall\": null}";
    if (capture == nullptr) {
        capture = fopen((folder + name + ".cap").c_str(), "wb");
        fputs("MMVQCAP1", capture);
        record(capture, 1, at_us, opening.data(), (uint32_t)opening.size());
    }
    record(capture, 2, at_us, bytes, (uint32_t)n);
}

void Exposure::begin(double rate_hz)
{
    period_us = rate_hz == 0 ? 0 : 1e6 / rate_hz * drift;
    due_us = bench_now_us + period_us;
}

bool Exposure::next(Row &row)
{
    if (period_us == 0 || due_us > bench_now_us)
        return false;
    row = rows[taken++ % rows.size()];
    fprintf(taken_file, "%.3f\n", booted_us + due_us);
    due_us += period_us;
    return true;
}
