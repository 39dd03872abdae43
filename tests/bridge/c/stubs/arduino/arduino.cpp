/* Arduino on the bench. `busy S` in the script: the host takes nothing from the serial line for so long; `serial HEX`:
   it sends these bytes; `open`, `close`: it opens and closes the port (which is open at first); `unplug`, `plug`: the
   sensor; `sensor WHAT`: something of its own happens to it. */
#include "bench.h"
#include "sensor.h"
#include "Wire.h"

#include <deque>
#include <map>

void setup();
void loop();

static const double LOOP_US = 30;       /* a time round a loop that does nothing */
static const double BITS_A_BYTE = 9;    /* of I2C, with the acknowledgement */
static const int WIRE_BUFFER = 32;      /* the smallest there is */

static std::map<uint8_t, double> high_since_us; /* the pins that are high */

uint32_t micros() { return (uint32_t)bench_clock_us(CLOCK_STEP_US); }
uint32_t millis() { return (uint32_t)(bench_clock_us(CLOCK_STEP_US) / 1000); }
void delay(uint32_t ms) { bench_pass(ms * 1000.0); }
void pinMode(uint8_t, uint8_t) {}

void digitalWrite(uint8_t pin, uint8_t level)
{
    if (level == LOW)
        high_since_us.erase(pin);
    else
        high_since_us.insert({pin, bench_now_us});
}

bool high_for(uint8_t pin, double us)
{
    const auto found = high_since_us.find(pin);
    return found != high_since_us.end() && bench_now_us >= found->second + us;
}

/* ---- the serial port -------------------------------------------------------------------------------------------- */

HardwareSerial Serial;
static Line serial_line("serial");
static std::deque<uint8_t> serial_heard;
static double serial_free_us = 0; /* when all that was written is out */
static bool serial_open = true;

void HardwareSerial::begin(unsigned long) {}
HardwareSerial::operator bool() { return serial_open; }
int HardwareSerial::available() { return (int)serial_heard.size(); }

int HardwareSerial::read()
{
    if (serial_heard.empty())
        return -1;
    const uint8_t byte = serial_heard.front();
    serial_heard.pop_front();
    return byte;
}

int HardwareSerial::availableForWrite()
{
    const double waiting = (serial_free_us - bench_now_us) / SERIAL_BYTE_US;
    return waiting <= 0 ? SERIAL_BUFFER : waiting >= SERIAL_BUFFER ? 0 : SERIAL_BUFFER - 1 - (int)waiting;
}

size_t HardwareSerial::write(const uint8_t *bytes, size_t n)
{
    if (!serial_open)
        return 0;
    if (serial_free_us < bench_now_us)
        serial_free_us = bench_now_us;
    serial_free_us += (double)n * SERIAL_BYTE_US;
    const double wait_us = serial_free_us - SERIAL_BUFFER * SERIAL_BYTE_US - bench_now_us;
    if (wait_us > 0)
        bench_pass(wait_us);
    serial_line.carry(bytes, n, serial_free_us);
    return n;
}

/* ---- I2C -------------------------------------------------------------------------------------------------------- */

TwoWire Wire, Wire1;
static uint8_t bus_address, bus_register;
static std::deque<uint8_t> bus_out, bus_in;
static double bit_us = 10; /* 100 kHz until setClock */
static bool sensor_plugged = true;

static bool answers(const TwoWire *bus, uint8_t address)
{
    return sensor_plugged && bus == &SENSOR_BUS && sensor().powered() && address == sensor().address();
}

void TwoWire::begin() {}
void TwoWire::setClock(uint32_t hertz) { bit_us = 1e6 / hertz; }

void TwoWire::beginTransmission(uint8_t address)
{
    bus_address = address;
    bus_out.clear();
}

size_t TwoWire::write(uint8_t byte)
{
    bus_out.push_back(byte);
    return 1;
}

uint8_t TwoWire::endTransmission(bool stop)
{
    bench_pass(BITS_A_BYTE * (1.0 + (double)bus_out.size()) * bit_us);
    if (!answers(this, bus_address))
        return 2;
    if (!bus_out.empty()) {
        bus_register = bus_out.front();
        bus_out.pop_front();
    }
    for (uint8_t byte : bus_out) {
        sensor().write(bus_register, byte);
        bus_register = sensor().after(bus_register);
    }
    if (stop)
        sensor().stopped();
    return 0;
}

uint8_t TwoWire::requestFrom(uint8_t address, uint8_t n, uint8_t)
{
    bus_in.clear();
    if (n > WIRE_BUFFER)
        n = WIRE_BUFFER;
    if (!answers(this, address))
        return 0;
    bench_pass(BITS_A_BYTE * (1.0 + n) * bit_us);
    for (uint8_t i = 0; i < n; i++) {
        bus_in.push_back(sensor().read(bus_register));
        bus_register = sensor().after(bus_register);
    }
    sensor().stopped();
    return n;
}

int TwoWire::available() { return (int)bus_in.size(); }

int TwoWire::read()
{
    if (bus_in.empty())
        return -1;
    const uint8_t byte = bus_in.front();
    bus_in.pop_front();
    return byte;
}

/* ---- the script, and the board's life --------------------------------------------------------------------------- */

void common_event(const std::string &what, const std::string &argument)
{
    if (what == "serial") {
        for (char byte : bench_bytes(argument))
            serial_heard.push_back((uint8_t)byte);
    } else if (what == "busy") {
        serial_free_us = bench_now_us + std::stod(argument) * 1e6;
    } else if (what == "open" || what == "close") {
        serial_open = what == "open";
    } else if (what == "plug" || what == "unplug") {
        sensor_plugged = what == "plug";
    } else if (what == "sensor") {
        sensor().suffer(argument);
    } else {
        bench_fail("script: nobody knows " + what);
    }
}

int main(int, char **argv)
{
    bench_start(argv[1]);
    for (setup();; loop())
        bench_pass(LOOP_US);
}
