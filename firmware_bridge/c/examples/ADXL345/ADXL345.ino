/* An ADXL345 on any Arduino with Wire and Serial (Uno, Nano, Mega, Zero, ...): 100 samples a second over USB serial.

       ADXL345 ── its FIFO, over I2C ──► read_sensor ──► mmvq ──► Serial, 115200 baud   frames of 10 samples

   Wiring: VCC to 3.3 V, GND to GND, SDA to SDA, SCL to SCL, CS to 3.3 V (I2C), SDO to GND (address 0x53). */
#include <Wire.h>
#include <mmvq.h>

// Give every board that you make a number of its own: an ADXL345 has none, and most Arduinos have none.
const uint64_t DEVICE_UID = 345;

// The ADXL345 on the bus, its registers as the datasheet names them, and what is written to them.
const uint8_t ADDRESS = 0x53;
const uint8_t DEVID = 0x00, BW_RATE = 0x2C, POWER_CTL = 0x2D, INT_SOURCE = 0x30, DATA_FORMAT = 0x31, DATAX0 = 0x32;
const uint8_t FIFO_CTL = 0x38, FIFO_STATUS = 0x39;
const uint8_t ITSELF = 0xE5;            // DEVID
const uint8_t HZ_100 = 0x0A;            // BW_RATE
const uint8_t MEASURE = 0x08;           // POWER_CTL
const uint8_t FULL_RES_16_G = 0x0B;     // DATA_FORMAT: +-16 g in 13 bits
const uint8_t BYPASS = 0x00;            // FIFO_CTL: forget what the FIFO holds
const uint8_t STREAM = 0x80;            // FIFO_CTL: keep the newest 32 samples (0.32 s)
const uint8_t OVERRUN = 0x01;           // INT_SOURCE
const uint8_t ENTRIES = 0x3F;           // FIFO_STATUS

const uint32_t RATE_MHZ = 100000;
const uint16_t COUNTS_PER_G = 256; // 3.9 mg a count

struct mmvq_device device;

// ---- the sensor ---------------------------------------------------------------------------------------------------

void write_register(uint8_t number, uint8_t value) {
  Wire.beginTransmission(ADDRESS);
  Wire.write(number);
  Wire.write(value);
  Wire.endTransmission();
}

bool read_registers(uint8_t first, uint8_t *values, uint8_t n) {
  Wire.beginTransmission(ADDRESS);
  Wire.write(first);
  if (Wire.endTransmission(false) != 0 || Wire.requestFrom(ADDRESS, n) != n) return false;
  while (n-- > 0) *values++ = Wire.read();
  return true;
}

int16_t int16_at(const uint8_t *bytes) { return (uint16_t)bytes[1] << 8 | bytes[0]; }

/* Samples lie evenly in the FIFO, but the sensor's clock is up to a few percent off, and a loop reads late at times. So
   a clock of our own ticks as the sensor does: when n new samples are there, the newest of them should be new now, and
   a share of what it is late nudges the clock (1/16) and its period (1/4096). */
uint32_t newest_us;                              // when the newest sample that was read was taken
uint32_t period_4096 = 4096000000000 / RATE_MHZ; // from sample to sample, in 1/4096 of a microsecond

uint32_t period_us() { return period_4096 / 4096; }

void follow(uint32_t now_us, uint8_t n, bool overran) {
  int32_t late_us = now_us - newest_us - n * period_us();
  if (overran && late_us >= (int32_t)period_us()) { // the FIFO was full: so much time is missing before these
    const uint32_t lost = late_us / period_us();
    newest_us += lost * period_us();
    late_us -= lost * period_us();
    mmvq_overrun(&device, lost);
  }
  newest_us += late_us / 16;
  period_4096 += late_us;
}

void read_sensor() {
  uint8_t flags, n, raw[6];
  if (!read_registers(INT_SOURCE, &flags, 1) || !read_registers(FIFO_STATUS, &n, 1)) return;
  const uint32_t now_us = micros();
  n &= ENTRIES;
  if (n == 0) return;
  follow(now_us, n, flags & OVERRUN);
  for (uint8_t i = 0; i < n && read_registers(DATAX0, raw, 6); i++) {
    newest_us += period_us();
    mmvq_push_sample(&device, newest_us, int16_at(raw), int16_at(raw + 2), int16_at(raw + 4));
  }
}

/* A number that differs from boot to boot, on a board that has no source of chance: the last bits of 32 samples flicker
   with the sensor's noise (FNV-1a stirs them into one number). */
uint32_t noise() {
  uint32_t number = 2166136261UL;
  uint8_t raw[6] = {0};
  delay(400); // until the FIFO is full
  for (uint8_t i = 0; i < 32; i++) {
    read_registers(DATAX0, raw, 6);
    for (uint8_t k = 0; k < 6; k++) number = (number ^ raw[k]) * 16777619UL;
  }
  return number;
}

// ---- the line -----------------------------------------------------------------------------------------------------

size_t write_serial(void *, const uint8_t *bytes, size_t n) {
  return Serial.write(bytes, n); // may wait a few milliseconds; the sensor's FIFO holds 0.32 s
}

void listen() {
  while (Serial.available() > 0) {
    const uint8_t byte = Serial.read();
    mmvq_receive(&device, &byte, 1, micros());
  }
}

// ---- start and loop -----------------------------------------------------------------------------------------------

void setup() {
  Serial.begin(115200);
  Wire.begin();
  Wire.setClock(400000);
  uint8_t who = 0;
  while (!read_registers(DEVID, &who, 1) || who != ITSELF) {
    Serial.println("no ADXL345 at 0x53: is SDO on GND, and CS on 3.3 V?");
    delay(1000);
  }
  write_register(POWER_CTL, 0); // standby, for a board that was reset in the middle
  write_register(BW_RATE, HZ_100);
  write_register(DATA_FORMAT, FULL_RES_16_G);
  write_register(FIFO_CTL, STREAM);
  write_register(POWER_CTL, MEASURE);

  struct mmvq_config config = {};
  config.uid = DEVICE_UID;
  config.boot_id = noise();
  config.rate_mhz = RATE_MHZ;
  config.counts_per_g = COUNTS_PER_G;
  config.lowest = -4096; // 13 bits
  config.highest = 4095;
  config.write = write_serial;
  mmvq_init(&device, &config, micros());

  write_register(FIFO_CTL, BYPASS);
  write_register(FIFO_CTL, STREAM);
  newest_us = micros();
}

void loop() {
  read_sensor();
  listen();
  mmvq_poll(&device, micros());
}
