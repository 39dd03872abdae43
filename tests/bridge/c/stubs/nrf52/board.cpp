/* The script's words for Bluetooth: `connect`, `disconnect`, and `ble HEX`: the host sends these bytes. */
#include "bench.h"
#include "bluefruit.h"

#include <deque>

void common_event(const std::string &what, const std::string &argument);

static const double NOTIFICATION_US = 1000;
static const size_t SMALL_MTU = 23, LARGE_MTU = 247, ATT_HEAD = 3;

static Line ble_line("ble");
static std::deque<uint8_t> ble_heard;
static bool advertising = false, connected = false, radio_on = false;
static size_t mtu = SMALL_MTU;

AdafruitBluefruit Bluefruit;

void AdafruitBluefruit::configPrphBandwidth(uint8_t bandwidth)
{
    if (radio_on)
        bench_fail("the bandwidth is set before Bluefruit.begin()");
    mtu = bandwidth == BANDWIDTH_MAX ? LARGE_MTU : SMALL_MTU;
}

void AdafruitBluefruit::begin() { radio_on = true; }
void BLEAdvertising::start(uint16_t seconds) { advertising = seconds == 0; }

void BLEUart::begin()
{
    if (!radio_on)
        bench_fail("a service begins after Bluefruit.begin()");
}

bool BLEUart::notifyEnabled() { return connected; }
int BLEUart::available() { return (int)ble_heard.size(); }

int BLEUart::read()
{
    if (ble_heard.empty())
        return -1;
    const uint8_t byte = ble_heard.front();
    ble_heard.pop_front();
    return byte;
}

/* A notification each, as the real one sends them: what is longer is cut up. */
size_t BLEUart::write(const uint8_t *bytes, size_t n)
{
    const size_t room = mtu - ATT_HEAD;
    if (!connected)
        return 0;
    for (size_t at = 0; at < n; at += room)
        ble_line.carry(bytes + at, n - at < room ? n - at : room, bench_now_us + NOTIFICATION_US);
    return n;
}

static uint32_t random_byte()
{
    static uint32_t state = 1;
    state = state * 1664525u + 1013904223u;
    return state >> 24;
}

static uint32_t ready()
{
    if (radio_on) /* the SoftDevice has taken the generator; touching it there is a hard fault */
        bench_fail("the random number generator was used after Bluefruit.begin()");
    return 1;
}

static Ficr ficr = {{0x89ABCDEF, 0x01234567}};
static Rng rng = {0, 0, {ready}, {random_byte}};
Ficr *NRF_FICR = &ficr;
Rng *NRF_RNG = &rng;

void board_event(const std::string &what, const std::string &argument)
{
    if (what == "connect") {
        if (!advertising)
            bench_fail("nobody advertises");
        connected = true;
    } else if (what == "disconnect") {
        connected = false;
    } else if (what == "ble") {
        for (char byte : bench_bytes(argument))
            ble_heard.push_back((uint8_t)byte);
    } else {
        common_event(what, argument);
    }
}
