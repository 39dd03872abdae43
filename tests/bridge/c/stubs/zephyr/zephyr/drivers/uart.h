#pragma once
#include <zephyr/device.h>

#include <stdint.h>

typedef void (*uart_irq_callback_user_data_t)(const struct device *dev, void *user_data);

#ifdef __cplusplus
extern "C" {
#endif
void uart_poll_out(const struct device *dev, unsigned char byte);
int uart_irq_callback_set(const struct device *dev, uart_irq_callback_user_data_t callback);
void uart_irq_rx_enable(const struct device *dev);
int uart_irq_update(const struct device *dev);
int uart_irq_rx_ready(const struct device *dev);
int uart_fifo_read(const struct device *dev, uint8_t *bytes, const int n);
#ifdef __cplusplus
}
#endif
