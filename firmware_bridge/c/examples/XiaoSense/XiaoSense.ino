/* A Seeed XIAO nRF52840 Sense on the wrist: its accelerometer (LSM6DS3TR-C), 104 samples a second, to a computer over
   USB and over Bluetooth (Nordic UART Service) at once.

       LSM6DS3TR-C ── its FIFO, over Wire1 ──► read_sensor ──► mmvq ──► USB serial   frames of 10 samples
                                                          └──► mmvq ──► Bluetooth    frames of 25

   Board package "Seeed nRF52 Boards" (Adafruit's Bluefruit core), board "Seeed XIAO nRF52840 Sense". Each line has an
   mmvq device of its own, as each may be stopped, started and asked for the time by its host. */
#include <Adafruit_TinyUSB.h> // Serial over USB
#include <Wire.h>
#include <bluefruit.h>
#include <mmvq.h>

// The LSM6DS3TR-C on the bus, its registers as the datasheet names them, and what is written to them.
const uint8_t ADDRESS = 0x6A;
const uint8_t FIFO_CTRL3 = 0x08, FIFO_CTRL5 = 0x0A, WHO_AM_I = 0x0F, CTRL1_XL = 0x10, CTRL3_C = 0x12;
const uint8_t OUT_TEMP_L = 0x20, FIFO_STATUS1 = 0x3A, FIFO_DATA_OUT_L = 0x3E;
const uint8_t ITSELF = 0x6A;           // WHO_AM_I
const uint8_t BDU_AND_IF_INC = 0x44;   // CTRL3_C: no half-new values; a burst of bytes goes from register to register
const uint8_t ACCELEROMETER = 0x01;    // FIFO_CTRL3: every sample of the accelerometer, none of the gyroscope
const uint8_t HZ_104_G_8 = 0x4C;       // CTRL1_XL: 104 Hz, +-8 g
const uint8_t BYPASS = 0x00;            // FIFO_CTRL5: forget what the FIFO holds
const uint8_t CONTINUOUS_104 = 0x26;   // FIFO_CTRL5: keep the newest 682 samples (6.5 s), at 104 Hz
const uint8_t OVER_RUN = 0x40;         // FIFO_STATUS2

const uint32_t RATE_MHZ = 104000;
const uint16_t COUNTS_PER_G = 4098; // 0.244 mg a count at +-8 g

BLEUart bluetooth;
struct mmvq_device by_usb, by_bluetooth;

// ---- the sensor ---------------------------------------------------------------------------------------------------

void write_register(uint8_t number, uint8_t value) {
  Wire1.beginTransmission(ADDRESS);
  Wire1.write(number);
  Wire1.write(value);
  Wire1.endTransmission();
}

bool read_registers(uint8_t first, uint8_t *values, uint8_t n) {
  Wire1.beginTransmission(ADDRESS);
  Wire1.write(first);
  if (Wire1.endTransmission(false) != 0 || Wire1.requestFrom(ADDRESS, n) != n) return false;
  while (n-- > 0) *values++ = Wire1.read();
  return true;
}

int16_t int16_at(const uint8_t *bytes) { return (uint16_t)bytes[1] << 8 | bytes[0]; }

/* Samples lie evenly in the FIFO, but the sensor's clock is up to a few percent off, and we read at odd moments. So a
   clock of our own ticks as the sensor does: when n new samples are there, the newest of them should be half a period
   old, and a share of what it is late nudges the clock (1/16) and its period (1/4096). */
uint32_t newest_us;                              // when the newest sample that was read was taken
uint32_t period_4096 = 4096000000000 / RATE_MHZ; // from sample to sample, in 1/4096 of a microsecond

uint32_t period_us() { return period_4096 / 4096; }

void follow(uint32_t now_us, uint16_t n) {
  const int32_t late_us = now_us - newest_us - n * period_us() - period_us() / 2;
  newest_us += late_us / 16;
  period_4096 += late_us;
}

/* The FIFO ran over, or a word went astray, and nobody knows any more which one is x, y or z. Begin anew: what was
   taken since the last reading is lost. */
void start_over(uint32_t now_us) {
  write_register(FIFO_CTRL5, BYPASS);
  write_register(FIFO_CTRL5, CONTINUOUS_104);
  const int32_t since_us = now_us - newest_us;
  const uint32_t lost = since_us > 0 ? since_us / period_us() : 0;
  newest_us += lost * period_us();
  mmvq_overrun(&by_usb, lost);
  mmvq_overrun(&by_bluetooth, lost);
}

void read_sensor() {
  uint8_t status[3], raw[6]; // FIFO_STATUS1 to 3: how many words wait, flags, and whether x (0), y or z is next
  if (!read_registers(FIFO_STATUS1, status, 3)) return;
  const uint32_t now_us = micros();
  if ((status[1] & OVER_RUN) || status[2] != 0) return start_over(now_us);
  const uint16_t n = ((status[1] & 0x07) << 8 | status[0]) / 3;
  if (n == 0) return;
  follow(now_us, n);
  for (uint16_t i = 0; i < n && read_registers(FIFO_DATA_OUT_L, raw, 6); i++) {
    const int16_t x = int16_at(raw), y = int16_at(raw + 2), z = int16_at(raw + 4);
    newest_us += period_us();
    mmvq_push_sample(&by_usb, newest_us, x, y, z);
    mmvq_push_sample(&by_bluetooth, newest_us, x, y, z);
  }
  if (read_registers(OUT_TEMP_L, raw, 2)) { // 256 a degree, from 25 degrees
    const int16_t centi_c = 2500 + int16_at(raw) * 100L / 256;
    mmvq_set_temperature(&by_usb, centi_c);
    mmvq_set_temperature(&by_bluetooth, centi_c);
  }
}

// ---- both lines ---------------------------------------------------------------------------------------------------
// Without a listener a frame is gone, as on a wire; what a listener does not fetch counts as dropped.

size_t write_usb(void *, const uint8_t *bytes, size_t n) {
  if (!Serial) return n;
  return (size_t)Serial.availableForWrite() < n ? 0 : Serial.write(bytes, n); // a full one would wait
}

size_t write_bluetooth(void *, const uint8_t *bytes, size_t n) {
  return bluetooth.notifyEnabled() ? bluetooth.write(bytes, n) : n;
}

void listen(Stream &line, struct mmvq_device *device) {
  while (line.available() > 0) {
    const uint8_t byte = line.read();
    mmvq_receive(device, &byte, 1, micros());
  }
  mmvq_poll(device, micros());
}

// ---- start and loop -----------------------------------------------------------------------------------------------

uint32_t random_number() { // of the chip's noise; only before Bluefruit.begin(), which takes the generator for itself
  uint32_t number = 0;
  NRF_RNG->TASKS_START = 1;
  for (int i = 0; i < 4; i++) {
    NRF_RNG->EVENTS_VALRDY = 0;
    while (NRF_RNG->EVENTS_VALRDY == 0) {}
    number = number << 8 | NRF_RNG->VALUE;
  }
  NRF_RNG->TASKS_STOP = 1;
  return number;
}

void setup() {
  struct mmvq_config config = {};
  config.uid = (uint64_t)NRF_FICR->DEVICEID[1] << 32 | NRF_FICR->DEVICEID[0]; // the chip's serial number
  config.boot_id = random_number();
  config.rate_mhz = RATE_MHZ;
  config.counts_per_g = COUNTS_PER_G;
  config.write = write_usb;
  mmvq_init(&by_usb, &config, micros());
  config.write = write_bluetooth;
  config.samples_per_frame = 25; // 163 bytes: one notification
  mmvq_init(&by_bluetooth, &config, micros());

  Serial.begin(115200);
  Bluefruit.configPrphBandwidth(BANDWIDTH_MAX); // notifications of up to 244 bytes
  Bluefruit.begin();
  Bluefruit.setName("mmvq");
  bluetooth.begin();
  Bluefruit.Advertising.addFlags(BLE_GAP_ADV_FLAGS_LE_ONLY_GENERAL_DISC_MODE);
  Bluefruit.Advertising.addService(bluetooth);
  Bluefruit.ScanResponse.addName();
  Bluefruit.Advertising.restartOnDisconnect(true);
  Bluefruit.Advertising.start(0); // for ever

  pinMode(PIN_LSM6DS3TR_C_POWER, OUTPUT_S0H1); // the sensor lives on this pin: strong enough for that
  digitalWrite(PIN_LSM6DS3TR_C_POWER, HIGH);
  delay(20); // until it has booted
  Wire1.begin();
  Wire1.setClock(400000);
  uint8_t who = 0;
  while (!read_registers(WHO_AM_I, &who, 1) || who != ITSELF) {
    Serial.println("no LSM6DS3TR-C: is this the Sense?");
    delay(1000);
  }
  write_register(CTRL3_C, BDU_AND_IF_INC);
  write_register(FIFO_CTRL3, ACCELEROMETER);
  write_register(CTRL1_XL, HZ_104_G_8);
  write_register(FIFO_CTRL5, BYPASS);
  write_register(FIFO_CTRL5, CONTINUOUS_104);
  newest_us = micros();
}

void loop() {
  read_sensor();
  listen(Serial, &by_usb);
  listen(bluetooth, &by_bluetooth);
  delay(10); // the chip sleeps
}
