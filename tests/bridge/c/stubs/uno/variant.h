/* An Arduino Uno: a UART at 115200 baud with 63 bytes of room, a clock of 4 us, sensors on Wire. */
#pragma once
#define CLOCK_STEP_US 4.0
#define SERIAL_BUFFER 63
#define SERIAL_BYTE_US 86.8
#define SENSOR_BUS Wire
