/* A fake LSM6DS3TR-C: the accelerometer alone, with its FIFO in continuous mode.

   What can happen to it, as users of its family tell: `sensor slip`: a word in the FIFO goes astray; `sensor vague`: it
   no longer says which word is next. */
#include "bench.h"
#include "sensor.h"

#include <cmath>
#include <deque>

static const size_t FIFO_WORDS = 2048; /* 4 KB */
static const double BOOT_US = 15000;   /* from power to the first answer */

class Lsm6ds3trc : public Sensor {
public:
    uint8_t address() const override { return 0x6A; }

    bool powered() const override { return high_for(PIN_LSM6DS3TR_C_POWER, BOOT_US); }

    void write(uint8_t reg, uint8_t value) override
    {
        measure();
        registers[reg] = value;
        if (reg == 0x10) { /* CTRL1_XL */
            static const double hertz[16] = {0, 12.5, 26, 52, 104, 208, 416, 833, 1660, 3330, 6660};
            exposure.begin(hertz[value >> 4]);
        }
        if (reg == 0x0A && (value & 7) == 0) { /* FIFO_CTRL5: bypass empties the FIFO */
            fifo.clear();
            pattern = 0;
            overrun = false;
        }
    }

    uint8_t read(uint8_t reg) override
    {
        measure();
        switch (reg) {
        case 0x0F: /* WHO_AM_I */
            return 0x6A;
        case 0x20: /* OUT_TEMP_L, OUT_TEMP_H: 6 degrees above 25, at 256 a degree */
            return 0x00;
        case 0x21:
            return 0x06;
        case 0x3A: /* FIFO_STATUS1, 2: how many words wait; full reads as 0 */
            return (uint8_t)fifo.size();
        case 0x3B:
            return (uint8_t)((fifo.size() >> 8 & 7) | (fifo.empty() ? 0x10 : 0) | (overrun ? 0x40 : 0));
        case 0x3C: /* FIFO_STATUS3, 4: which word of the pattern x y z is next */
            return vague ? 0 : pattern;
        case 0x3D:
            return 0;
        case 0x3E: /* FIFO_DATA_OUT_L, FIFO_DATA_OUT_H */
            return fifo.empty() ? 0 : (uint8_t)fifo.front();
        case 0x3F: {
            if (fifo.empty())
                return 0;
            const uint8_t high = (uint8_t)((uint16_t)fifo.front() >> 8);
            drop();
            overrun = false;
            return high;
        }
        default:
            return registers[reg];
        }
    }

    void suffer(const std::string &what) override
    {
        measure();
        if (what == "slip")
            drop();
        else
            vague = true;
    }

    uint8_t after(uint8_t reg) const override
    {
        const bool counts_up = registers[0x12] & 0x04; /* CTRL3_C: IF_INC */
        return reg == 0x3F ? 0x3E : counts_up ? (uint8_t)(reg + 1) : reg;
    }

private:
    void measure()
    {
        static const double range_g[4] = {2, 16, 4, 8}; /* FS_XL */
        const double ug = range_g[registers[0x10] >> 2 & 3] * 30.5; /* 244 ug a count at 8 g */
        const uint8_t odr = registers[0x10] >> 4, mode = registers[0x0A];
        for (Row row; exposure.next(row);) {
            /* DEC_FIFO_XL: no decimation, no gyroscope; ODR_FIFO: the sensor's own; FIFO_MODE: continuous */
            if (registers[0x08] != 1 || mode != (odr << 3 | 6))
                continue;
            for (double g : {row.x, row.y, row.z})
                put(g * 1e6 / ug);
        }
    }

    void put(double counts)
    {
        if (fifo.size() == FIFO_WORDS)
            drop();
        fifo.push_back((int16_t)std::lrint(std::fmin(std::fmax(counts, -32768), 32767)));
        overrun = overrun || fifo.size() == FIFO_WORDS;
    }

    void drop()
    {
        if (!fifo.empty())
            fifo.pop_front();
        pattern = (uint8_t)((pattern + 1) % 3);
    }

    uint8_t registers[256] = {0};
    std::deque<int16_t> fifo;
    uint8_t pattern = 0;
    bool overrun = false, vague = false;
    Exposure exposure;
};

Sensor &sensor()
{
    static Lsm6ds3trc one;
    return one;
}
