/* What the bus talks to. Each fake is one sensor as its datasheet has it, as far as the examples use it. */
#pragma once
#include "Arduino.h"

#include <string>

struct Sensor {
    virtual ~Sensor() {}
    virtual uint8_t address() const = 0;
    virtual bool powered() const { return true; }
    virtual void write(uint8_t reg, uint8_t value) = 0;
    virtual uint8_t read(uint8_t reg) = 0;
    virtual uint8_t after(uint8_t reg) const { return (uint8_t)(reg + 1); } /* in a burst */
    virtual void stopped() {}                                               /* the bus is free again */
    virtual void suffer(const std::string &) {}                             /* what the script does to it */
};

Sensor &sensor();

bool high_for(uint8_t pin, double us);
