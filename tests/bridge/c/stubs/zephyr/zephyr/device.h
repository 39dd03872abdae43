#pragma once
#include <stdbool.h>

struct device {
    const char *name;
};

#define DT_ALIAS(name) alias_##name
#define DT_CHOSEN(name) chosen_##name
#define DEVICE_DT_GET(node) (&node)

#ifdef __cplusplus
extern "C" {
#endif
extern const struct device alias_accel0, chosen_zephyr_console;
bool device_is_ready(const struct device *dev);
#ifdef __cplusplus
}
#endif
