#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C"
#endif
uint32_t sys_rand32_get(void);
