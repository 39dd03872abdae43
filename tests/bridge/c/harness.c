/* The C library driven through stdin and stdout, for tests and benchmarks of any volume.

       harness encode   messages in, each u16 length and a device's payload (type and fields, no CRC); their frames out
       harness decode   a host's bytes in; u8 type, u8 op, u32 value of every frame among them out
       harness device   a script in; what the device writes to its line out

   A script has a line for each call, numbers in decimal, times in microseconds:

       init uid boot_id rate_mhz counts_per_g wrist samples_per_frame lowest highest new_rate now
       push t x y z | overrun lost | flush | poll now | receive now n HEX | battery mv | temperature centi_c
       accept n         from here on the line takes n bytes of each write; -1 all of them, -2 is an error

   new_rate: the rate that the sensor takes when it is asked for one; 0 it refuses, -1 it cannot be asked. Counts are
   told on stderr. Exit status 3: mmvq_init returned false; 2: input that is none. */
#include "mmvq.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct mmvq_device device;
static long long accepted = -1, new_rate = -1;

static void bad_input(const char *what)
{
    fprintf(stderr, "no %s\n", what);
    exit(2);
}

static uint64_t little(const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;
    while (bytes-- > 0)
        value = value << 8 | at[bytes];
    return value;
}

#define U8(at) ((uint8_t)p[at])
#define U16(at) ((uint16_t)little(p + (at), 2))
#define U32(at) ((uint32_t)little(p + (at), 4))

static size_t encode_one(uint8_t *wire, const uint8_t *p, size_t n)
{
    int16_t xyz[3 * MMVQ_MOST_SAMPLES];
    if (n == MMVQ_HELLO_BYTES && p[0] == MMVQ_HELLO)
        return mmvq_encode_hello(wire, U32(2), little(p + 6, 8), U32(14), U16(18), U8(20));
    if (n == MMVQ_STAT_BYTES && p[0] == MMVQ_STAT)
        return mmvq_encode_stat(wire, U32(1), U32(5), U16(9), (int16_t)U16(11));
    if (n == MMVQ_PONG_BYTES && p[0] == MMVQ_PONG)
        return mmvq_encode_pong(wire, U32(1), U32(5));
    if (n == MMVQ_ACK_BYTES && p[0] == MMVQ_ACK)
        return mmvq_encode_ack(wire, U8(1), U8(2));
    if (n < MMVQ_DATA_BYTES(0) || p[0] != MMVQ_DATA || n != (size_t)MMVQ_DATA_BYTES(p[8]))
        bad_input("message of a device");
    for (size_t i = 0; i < 3u * p[8] && i < sizeof xyz / sizeof *xyz; i++)
        xyz[i] = (int16_t)U16(9 + 2 * i);
    return mmvq_encode_data(wire, U8(1), U16(2), U32(4), xyz, U8(8));
}

static int encode(void)
{
    uint8_t head[2], payload[UINT16_MAX];
    while (fread(head, 1, sizeof head, stdin) == sizeof head) {
        const size_t n = head[0] | (size_t)head[1] << 8;
        /* No byte more than mmvq.h asks for, so that the sanitizer sees one that is used. */
        uint8_t *wire = malloc(MMVQ_WIRE_BYTES(n));
        if (wire == NULL || fread(payload, 1, n, stdin) != n)
            bad_input("whole message");
        fwrite(wire, 1, encode_one(wire, payload, n), stdout);
        free(wire);
    }
    return 0;
}

static int decode(void)
{
    struct mmvq_decoder decoder = {0};
    struct mmvq_asked asked;
    for (int byte = getchar(); byte != EOF; byte = getchar()) {
        if (mmvq_decode(&decoder, (uint8_t)byte, &asked)) {
            const uint8_t told[] = {asked.type, asked.op, (uint8_t)asked.value, (uint8_t)(asked.value >> 8),
                                    (uint8_t)(asked.value >> 16), (uint8_t)(asked.value >> 24)};
            fwrite(told, 1, sizeof told, stdout);
        }
    }
    fprintf(stderr, "bad_frames %lu\n", (unsigned long)decoder.bad_frames);
    return 0;
}

static size_t line_takes(void *context, const uint8_t *bytes, size_t n)
{
    (void)context;
    if (accepted == -2)
        return (size_t)-1;
    return fwrite(bytes, 1, accepted >= 0 && (size_t)accepted < n ? (size_t)accepted : n, stdout);
}

static uint32_t sensor_takes(void *context, uint32_t rate_mhz)
{
    (void)context;
    (void)rate_mhz;
    return (uint32_t)new_rate;
}

static bool init(const long long *v)
{
    struct mmvq_config config = {0};
    config.uid = (uint64_t)v[0];
    config.boot_id = (uint32_t)v[1];
    config.rate_mhz = (uint32_t)v[2];
    config.counts_per_g = (uint16_t)v[3];
    config.wrist = (uint8_t)v[4];
    config.samples_per_frame = (uint8_t)v[5];
    config.lowest = (int16_t)v[6];
    config.highest = (int16_t)v[7];
    new_rate = v[8];
    config.write = line_takes;
    config.set_rate = new_rate < 0 ? NULL : sensor_takes;
    return mmvq_init(&device, &config, (uint32_t)v[9]);
}

static void receive(uint32_t now, size_t n)
{
    uint8_t *bytes = malloc(n + 1);
    unsigned byte;
    for (size_t i = 0; bytes != NULL && i < n; i++) {
        if (scanf("%2x", &byte) != 1)
            bad_input("hex");
        bytes[i] = (uint8_t)byte;
    }
    mmvq_receive(&device, bytes, n, now);
    free(bytes);
}

static int run(void)
{
    static const struct {
        const char *name;
        int numbers;
    } calls[] = {{"init", 10}, {"push", 4}, {"overrun", 1}, {"flush", 0}, {"poll", 1}, {"receive", 2}, {"battery", 1},
                 {"temperature", 1}, {"accept", 1}};
    enum { INIT, PUSH, OVERRUN, FLUSH, POLL, RECEIVE, BATTERY, TEMPERATURE, ACCEPT, CALLS };
    char word[16];
    while (scanf("%15s", word) == 1) {
        long long v[10];
        int call = 0;
        while (call < CALLS && strcmp(word, calls[call].name) != 0)
            call++;
        for (int i = 0; call < CALLS && i < calls[call].numbers; i++)
            if (scanf("%lld", &v[i]) != 1)
                bad_input("number");
        switch (call) {
        case INIT:
            if (!init(v))
                return 3;
            break;
        case PUSH: mmvq_push_sample(&device, (uint32_t)v[0], (int16_t)v[1], (int16_t)v[2], (int16_t)v[3]); break;
        case OVERRUN: mmvq_overrun(&device, (uint32_t)v[0]); break;
        case FLUSH: mmvq_flush(&device); break;
        case POLL: mmvq_poll(&device, (uint32_t)v[0]); break;
        case RECEIVE: receive((uint32_t)v[0], (size_t)v[1]); break;
        case BATTERY: mmvq_set_battery(&device, (uint16_t)v[0]); break;
        case TEMPERATURE: mmvq_set_temperature(&device, (int16_t)v[0]); break;
        case ACCEPT: accepted = v[0]; break;
        default: bad_input("call");
        }
    }
    fprintf(stderr, "frames_sent %lu samples_dropped %lu bad_frames %lu\n", (unsigned long)device.frames_sent,
            (unsigned long)device.samples_dropped, (unsigned long)device.decoder.bad_frames);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "encode") == 0)
        return encode();
    if (argc == 2 && strcmp(argv[1], "decode") == 0)
        return decode();
    if (argc == 2 && strcmp(argv[1], "device") == 0)
        return run();
    fprintf(stderr, "usage: harness encode | decode | device\n");
    return 2;
}
