/* As much of Arduino as the examples use. */
#pragma once
#include "variant.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LOW 0
#define HIGH 1
#define INPUT 0
#define OUTPUT 1

uint32_t micros();
uint32_t millis();
void delay(uint32_t ms);
void pinMode(uint8_t pin, uint8_t mode);
void digitalWrite(uint8_t pin, uint8_t level);

class Print {
public:
    virtual ~Print() {}
    virtual size_t write(uint8_t byte) = 0;
    virtual size_t write(const uint8_t *bytes, size_t n) = 0;
    size_t println(const char *text)
    {
        return write((const uint8_t *)text, strlen(text)) + write((const uint8_t *)"\r\n", 2);
    }
};

class Stream : public Print {
public:
    virtual int available() = 0;
    virtual int read() = 0;
};

class HardwareSerial : public Stream {
public:
    void begin(unsigned long baud);
    operator bool();
    int available() override;
    int read() override;
    int availableForWrite();
    size_t write(uint8_t byte) override { return write(&byte, 1); }
    size_t write(const uint8_t *bytes, size_t n) override;
};

extern HardwareSerial Serial;
