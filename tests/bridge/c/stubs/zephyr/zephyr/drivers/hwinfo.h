#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C"
#endif
ssize_t hwinfo_get_device_id(uint8_t *buffer, size_t length);
