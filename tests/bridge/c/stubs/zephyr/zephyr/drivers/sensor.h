#pragma once
#include <zephyr/device.h>

#include <stdint.h>

#define SENSOR_G 9806650LL /* um/s2 */

enum sensor_channel { SENSOR_CHAN_ACCEL_XYZ = 3 };
enum sensor_attribute { SENSOR_ATTR_SAMPLING_FREQUENCY, SENSOR_ATTR_FULL_SCALE = 6 };
enum sensor_trigger_type { SENSOR_TRIG_TIMER, SENSOR_TRIG_DATA_READY };

struct sensor_value {
    int32_t val1, val2; /* whole ones, and millionths */
};

struct sensor_trigger {
    enum sensor_trigger_type type;
    enum sensor_channel chan;
};

typedef void (*sensor_trigger_handler_t)(const struct device *dev, const struct sensor_trigger *trigger);

static inline int64_t sensor_value_to_micro(const struct sensor_value *value)
{
    return value->val1 * 1000000LL + value->val2;
}

static inline void sensor_g_to_ms2(int32_t g, struct sensor_value *ms2)
{
    ms2->val1 = (int32_t)(g * SENSOR_G / 1000000LL);
    ms2->val2 = (int32_t)(g * SENSOR_G % 1000000LL);
}

#ifdef __cplusplus
extern "C" {
#endif
int sensor_attr_set(const struct device *dev, enum sensor_channel chan, enum sensor_attribute attr,
                    const struct sensor_value *value);
int sensor_trigger_set(const struct device *dev, const struct sensor_trigger *trigger, sensor_trigger_handler_t call);
int sensor_sample_fetch(const struct device *dev);
int sensor_channel_get(const struct device *dev, enum sensor_channel chan, struct sensor_value *value);
#ifdef __cplusplus
}
#endif
