/* A fake ADXL345, with its FIFO in stream mode. */
#include "bench.h"
#include "sensor.h"

#include <cmath>
#include <deque>

static const size_t FIFO_SAMPLES = 33; /* 32, and the one in the output registers */

class Adxl345 : public Sensor {
public:
    uint8_t address() const override { return 0x53; }

    void write(uint8_t reg, uint8_t value) override
    {
        measure();
        registers[reg] = value;
        if (reg == 0x38 && value >> 6 == 0) { /* FIFO_CTL: bypass empties the FIFO */
            fifo.clear();
            overrun = false;
        }
        if (reg == 0x2D) /* POWER_CTL: Measure. BW_RATE: 3200 Hz is 15, and each one less halves it */
            exposure.begin(value & 0x08 ? 3200 / std::pow(2, 15 - (registers[0x2C] & 15)) : 0);
    }

    uint8_t read(uint8_t reg) override
    {
        measure();
        if (reg == 0x00) /* DEVID */
            return 0xE5;
        if (reg == 0x30) /* INT_SOURCE: DATA_READY, Overrun */
            return (uint8_t)((fifo.empty() ? 0 : 0x80) | (overrun ? 0x01 : 0));
        if (reg == 0x39) /* FIFO_STATUS */
            return (uint8_t)fifo.size();
        if (reg < 0x32 || reg > 0x37) /* DATAX0 to DATAZ1 */
            return registers[reg];
        if (fifo.empty())
            return 0;
        touched = true;
        const Row &counts = fifo.front();
        const int value = (int)(reg < 0x34 ? counts.x : reg < 0x36 ? counts.y : counts.z);
        return (uint8_t)(value >> 8 * (reg & 1));
    }

    void stopped() override
    {
        if (touched) {
            fifo.pop_front();
            overrun = false;
        }
        touched = false;
    }

private:
    void measure()
    {
        for (Row row; exposure.next(row);) {
            /* DATA_FORMAT: FULL_RES, 16 g; FIFO_CTL: stream */
            if (registers[0x31] != 0x0B || registers[0x38] >> 6 != 2)
                continue;
            if (fifo.size() == FIFO_SAMPLES)
                fifo.pop_front();
            fifo.push_back({counts(row.x), counts(row.y), counts(row.z)});
            overrun = overrun || fifo.size() == FIFO_SAMPLES; /* as soon as it is filled, before anything is lost */
        }
    }

    static double counts(double g) { return std::rint(std::fmin(std::fmax(g * 256, -4096), 4095)); }

    uint8_t registers[256] = {0};
    std::deque<Row> fifo;
    bool overrun = false, touched = false;
    Exposure exposure;
};

Sensor &sensor()
{
    static Adxl345 one;
    return one;
}
