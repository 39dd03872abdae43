/* An I2C bus with one fake sensor on it. */
#pragma once
#include "Arduino.h"

class TwoWire {
public:
    void begin();
    void setClock(uint32_t hertz);
    void beginTransmission(uint8_t address);
    size_t write(uint8_t byte);
    uint8_t endTransmission(bool stop = true); /* 0: done, 2: nobody answers at the address */
    uint8_t requestFrom(uint8_t address, uint8_t n, uint8_t stop = true);
    int available();
    int read();
};

extern TwoWire Wire, Wire1;
