/* Zephyr on the bench: main is the one thread; the sensor's and the console's interrupts come while time passes.

   The script's words: `serial HEX`: the host sends these bytes; `unplug`, `plug`: the sensor. */
#include "bench.h"

#include <zephyr/drivers/hwinfo.h>
#include <zephyr/drivers/sensor.h>
#include <zephyr/drivers/uart.h>
#include <zephyr/kernel.h>
#include <zephyr/random/random.h>

#include <cmath>
#include <deque>

extern "C" int firmware_main(void);

static const double TICK_US = 1e6 / 32768; /* of the system's clock */
static const double CALL_US = 5;
static const double BYTE_US = 86.8; /* 115200 baud */
static const double UG_A_COUNT = 244;

const struct device alias_accel0 = {"accel0"}, chosen_zephyr_console = {"console"};

static Line console_line("serial");
static std::deque<uint8_t> console_heard;
static uart_irq_callback_user_data_t console_callback = nullptr;
static bool console_enabled = false;

static bool plugged = true;
static double rate_hz = 0, range_g = 0;
static Row measured;
static Exposure exposure;
static sensor_trigger_handler_t handler = nullptr;
static const struct sensor_trigger *handled;

static void interrupts()
{
    for (Row row; exposure.next(row);) {
        measured = row;
        if (plugged && handler != nullptr)
            handler(&alias_accel0, handled);
    }
    if (!console_heard.empty() && console_enabled)
        console_callback(&chosen_zephyr_console, nullptr);
}

void board_event(const std::string &what, const std::string &argument)
{
    if (what == "serial") {
        for (char byte : bench_bytes(argument))
            console_heard.push_back((uint8_t)byte);
    } else if (what == "plug" || what == "unplug") {
        plugged = what == "plug";
    } else if (what != "open") { /* a UART does not notice */
        bench_fail("script: nobody knows " + what);
    }
}

/* ---- kernel ----------------------------------------------------------------------------------------------------- */

int64_t k_uptime_ticks(void) { return (int64_t)((double)bench_clock_us(1) / TICK_US); }
uint64_t k_ticks_to_us_floor64(uint64_t ticks) { return (uint64_t)((double)ticks * TICK_US); }

static int move(const struct k_msgq *queue, uint32_t number, void *to, const void *from)
{
    char *place = queue->buffer + number % queue->max_msgs * queue->msg_size;
    memcpy(to == nullptr ? place : to, from == nullptr ? place : from, queue->msg_size);
    return 0;
}

int k_msgq_put(struct k_msgq *queue, const void *data, k_timeout_t)
{
    return queue->used == queue->max_msgs ? -ENOMSG : move(queue, queue->first + queue->used++, nullptr, data);
}

int k_msgq_get(struct k_msgq *queue, void *data, k_timeout_t timeout)
{
    const double until_us = bench_now_us + (double)timeout.us;
    bench_pass(CALL_US);
    while (queue->used == 0 && bench_now_us < until_us)
        bench_pass(CALL_US);
    if (queue->used == 0)
        return -EAGAIN;
    queue->used--;
    return move(queue, queue->first++, data, nullptr);
}

int32_t k_sleep(k_timeout_t timeout)
{
    bench_pass((double)timeout.us);
    return 0;
}

/* ---- sensor ----------------------------------------------------------------------------------------------------- */

bool device_is_ready(const struct device *dev) { return dev != &alias_accel0 || plugged; }

int sensor_attr_set(const struct device *, enum sensor_channel, enum sensor_attribute attr,
                    const struct sensor_value *value)
{
    if (attr == SENSOR_ATTR_SAMPLING_FREQUENCY)
        rate_hz = value->val1;
    else
        range_g = (double)sensor_value_to_micro(value) / SENSOR_G;
    return 0;
}

int sensor_trigger_set(const struct device *, const struct sensor_trigger *trigger, sensor_trigger_handler_t call)
{
    if (trigger->type != SENSOR_TRIG_DATA_READY)
        return -ENOTSUP;
    handled = trigger;
    handler = call;
    exposure.begin(rate_hz);
    return 0;
}

int sensor_sample_fetch(const struct device *) { return plugged ? 0 : -EIO; }

/* As the driver of the LSM6DSL does it: counts of 244 ug at 8 g, told in m/s2. */
static void tell(double g, struct sensor_value *value)
{
    const double ug = UG_A_COUNT * range_g / 8;
    const long counts = std::lrint(std::fmin(std::fmax(g * 1e6 / ug, -32768), 32767));
    const int64_t um_s2 = (int64_t)((double)counts * ug) * SENSOR_G / 1000000;
    value->val1 = (int32_t)(um_s2 / 1000000);
    value->val2 = (int32_t)(um_s2 % 1000000);
}

int sensor_channel_get(const struct device *, enum sensor_channel, struct sensor_value *values)
{
    tell(measured.x, &values[0]);
    tell(measured.y, &values[1]);
    tell(measured.z, &values[2]);
    return 0;
}

/* ---- console ---------------------------------------------------------------------------------------------------- */

void uart_poll_out(const struct device *, unsigned char byte)
{
    bench_pass(BYTE_US);
    console_line.carry(&byte, 1, bench_now_us);
}

int uart_irq_callback_set(const struct device *, uart_irq_callback_user_data_t callback)
{
    console_callback = callback;
    return 0;
}

void uart_irq_rx_enable(const struct device *) { console_enabled = true; }
int uart_irq_update(const struct device *) { return 1; }
int uart_irq_rx_ready(const struct device *) { return !console_heard.empty(); }

int uart_fifo_read(const struct device *, uint8_t *bytes, const int n)
{
    int i = 0;
    for (; i < n && !console_heard.empty(); i++, console_heard.pop_front())
        bytes[i] = console_heard.front();
    return i;
}

/* ---- the rest --------------------------------------------------------------------------------------------------- */

ssize_t hwinfo_get_device_id(uint8_t *buffer, size_t length)
{
    static const uint8_t id[8] = {0xEF, 0xCD, 0xAB, 0x89, 0x67, 0x45, 0x23, 0x01};
    memcpy(buffer, id, length < sizeof id ? length : sizeof id);
    return sizeof id;
}

uint32_t sys_rand32_get(void) { return 0x5EED; }

int main(int, char **argv)
{
    bench_start(argv[1]);
    bench_interrupt = interrupts;
    firmware_main();
}
