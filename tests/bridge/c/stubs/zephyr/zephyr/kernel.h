/* As much of Zephyr's kernel as the example uses. Queues are real; threads are what the bench calls meanwhile. */
#pragma once
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    int64_t us;
} k_timeout_t;

#define K_NO_WAIT ((k_timeout_t){0})
#define K_MSEC(ms) ((k_timeout_t){(ms) * 1000LL})
#define K_SECONDS(s) K_MSEC((s) * 1000)

struct k_msgq {
    size_t msg_size;
    uint32_t max_msgs, used, first;
    char *buffer;
};

#define K_MSGQ_DEFINE(name, size, count, align)                                                                        \
    static char name##_buffer[(size) * (count)];                                                                       \
    struct k_msgq name = {(size), (count), 0, 0, name##_buffer}

#define ARG_UNUSED(x) (void)(x)
#define CLAMP(value, low, high) ((value) < (low) ? (low) : (value) > (high) ? (high) : (value))

#ifdef __cplusplus
extern "C" {
#endif
int k_msgq_put(struct k_msgq *queue, const void *data, k_timeout_t timeout);
int k_msgq_get(struct k_msgq *queue, void *data, k_timeout_t timeout);
int32_t k_sleep(k_timeout_t timeout);
int64_t k_uptime_ticks(void);
uint64_t k_ticks_to_us_floor64(uint64_t ticks);
#ifdef __cplusplus
}
#endif
