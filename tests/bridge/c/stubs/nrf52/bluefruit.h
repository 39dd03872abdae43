/* As much of Adafruit's Bluefruit52Lib as the example uses. */
#pragma once
#include "Arduino.h"

#define BANDWIDTH_MAX 4
#define BLE_GAP_ADV_FLAGS_LE_ONLY_GENERAL_DISC_MODE 6

class BLEUart : public Stream {
public:
    void begin();
    bool notifyEnabled();
    int available() override;
    int read() override;
    size_t write(uint8_t byte) override { return write(&byte, 1); }
    size_t write(const uint8_t *bytes, size_t n) override;
};

struct BLEAdvertising {
    void addFlags(uint8_t) {}
    void addService(BLEUart &) {}
    void addName() {}
    void restartOnDisconnect(bool) {}
    void start(uint16_t seconds);
};

struct AdafruitBluefruit {
    BLEAdvertising Advertising, ScanResponse;
    void configPrphBandwidth(uint8_t bandwidth);
    void begin();
    void setName(const char *) {}
};

extern AdafruitBluefruit Bluefruit;
