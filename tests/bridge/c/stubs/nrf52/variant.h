/* A XIAO nRF52840 Sense under Adafruit's core: USB serial, a clock that counts 1024ths of a second, and a few of the
   chip's registers. */
#pragma once
#include <stdint.h>

#define CLOCK_STEP_US (1e6 / 1024)
#define SERIAL_BUFFER 256
#define SERIAL_BYTE_US 1.0
#define SENSOR_BUS Wire1
#define PIN_LSM6DS3TR_C_POWER 15
#define OUTPUT_S0H1 7

struct Ficr {
    uint32_t DEVICEID[2];
};

/* A register of the random number generator: ready at once, and another byte each time it is read. */
struct RandomRegister {
    uint32_t (*next)();
    operator uint32_t() const { return next(); }
    void operator=(uint32_t) {}
};

struct Rng {
    uint32_t TASKS_START, TASKS_STOP;
    RandomRegister EVENTS_VALRDY, VALUE;
};

extern Ficr *NRF_FICR;
extern Rng *NRF_RNG;
