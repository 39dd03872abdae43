/* Any accelerometer that Zephyr has a driver for, on the wrist: its samples to a computer over the board's console
   (USB CDC-ACM or a UART), in mmvq's wire protocol 1.

       accel0 ── data ready ──► take ── samples ──► main ──► mmvq ──► console
       console ── interrupt ──► hear ── heard ────► main ──► mmvq

   accel0 is a devicetree alias; its driver must have a data-ready trigger, which runs `take` in a thread or a work
   queue. All that is mmvq's happens in main. */
#include <mmvq.h>

#include <zephyr/device.h>
#include <zephyr/drivers/hwinfo.h>
#include <zephyr/drivers/sensor.h>
#include <zephyr/drivers/uart.h>
#include <zephyr/kernel.h>
#include <zephyr/random/random.h>

#include <string.h>

enum {
    RATE_HZ = 104, /* one that the sensor has */
    RANGE_G = 8,
    COUNTS_PER_G = 4096, /* ours: a driver gives m/s2, whatever its sensor counts in */
    END_OF_RANGE = RANGE_G * COUNTS_PER_G * 99 / 100, /* a sensor's range may end a little before its name says */
};

struct sample {
    uint32_t taken_us;
    uint32_t lost_before; /* samples that found no room */
    int16_t xyz[3];
};

K_MSGQ_DEFINE(samples, sizeof(struct sample), 64, 4); /* 0.6 s */
K_MSGQ_DEFINE(heard, 1, 64, 1);                       /* bytes: five of a host's frames */

static const struct device *const accel = DEVICE_DT_GET(DT_ALIAS(accel0));
static const struct device *const console = DEVICE_DT_GET(DT_CHOSEN(zephyr_console));

static uint32_t now_us(void)
{
    return (uint32_t)k_ticks_to_us_floor64(k_uptime_ticks());
}

static int16_t counts(const struct sensor_value *ms2)
{
    const int64_t scaled = sensor_value_to_micro(ms2) * COUNTS_PER_G;
    return (int16_t)CLAMP((scaled + (scaled < 0 ? -SENSOR_G : SENSOR_G) / 2) / SENSOR_G, INT16_MIN, INT16_MAX);
}

static void take(const struct device *dev, const struct sensor_trigger *trigger)
{
    static uint32_t lost;
    struct sample sample = {.taken_us = now_us(), .lost_before = lost};
    struct sensor_value ms2[3];

    ARG_UNUSED(trigger);
    lost++;
    if (sensor_sample_fetch(dev) < 0 || sensor_channel_get(dev, SENSOR_CHAN_ACCEL_XYZ, ms2) < 0)
        return;
    for (int i = 0; i < 3; i++)
        sample.xyz[i] = counts(&ms2[i]);
    if (k_msgq_put(&samples, &sample, K_NO_WAIT) == 0)
        lost = 0;
}

static void hear(const struct device *dev, void *user_data)
{
    uint8_t byte;

    ARG_UNUSED(user_data);
    (void)uart_irq_update(dev);
    while (uart_irq_rx_ready(dev) > 0 && uart_fifo_read(dev, &byte, 1) == 1)
        (void)k_msgq_put(&heard, &byte, K_NO_WAIT);
}

static size_t write_console(void *context, const uint8_t *bytes, size_t n)
{
    ARG_UNUSED(context);
    for (size_t i = 0; i < n; i++)
        uart_poll_out(console, bytes[i]); /* a UART waits for each byte; USB drops it where nobody fetches */
    return n;
}

/* Never returns: a host that opens the port later must read it, too. */
static void complain(const char *why)
{
    for (;;) {
        write_console(NULL, (const uint8_t *)why, strlen(why));
        k_sleep(K_SECONDS(1));
    }
}

int main(void)
{
    static const struct sensor_trigger data_ready = {.type = SENSOR_TRIG_DATA_READY, .chan = SENSOR_CHAN_ACCEL_XYZ};
    static struct mmvq_device wearable;
    struct mmvq_config config = {
        .boot_id = sys_rand32_get(),
        .rate_mhz = RATE_HZ * 1000,
        .counts_per_g = COUNTS_PER_G,
        .lowest = -END_OF_RANGE,
        .highest = END_OF_RANGE,
        .write = write_console,
    };
    struct sensor_value rate = {.val1 = RATE_HZ}, range;
    struct sample sample;
    uint8_t byte;

    (void)hwinfo_get_device_id((uint8_t *)&config.uid, sizeof config.uid);
    mmvq_init(&wearable, &config, now_us());
    uart_irq_callback_set(console, hear);
    uart_irq_rx_enable(console);

    sensor_g_to_ms2(RANGE_G, &range);
    if (!device_is_ready(accel))
        complain("no accelerometer answers\r\n");
    if (sensor_attr_set(accel, SENSOR_CHAN_ACCEL_XYZ, SENSOR_ATTR_SAMPLING_FREQUENCY, &rate) < 0 ||
        sensor_attr_set(accel, SENSOR_CHAN_ACCEL_XYZ, SENSOR_ATTR_FULL_SCALE, &range) < 0)
        complain("the accelerometer has not that rate or range\r\n");
    if (sensor_trigger_set(accel, &data_ready, take) < 0)
        complain("the accelerometer's driver has no data-ready trigger\r\n");

    for (;;) {
        if (k_msgq_get(&samples, &sample, K_MSEC(20)) == 0) {
            if (sample.lost_before > 0)
                mmvq_overrun(&wearable, sample.lost_before);
            mmvq_push_sample(&wearable, sample.taken_us, sample.xyz[0], sample.xyz[1], sample.xyz[2]);
        }
        while (k_msgq_get(&heard, &byte, K_NO_WAIT) == 0)
            mmvq_receive(&wearable, &byte, 1, now_us());
        mmvq_poll(&wearable, now_us());
    }
}
