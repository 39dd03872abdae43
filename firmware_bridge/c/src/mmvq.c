/* Wire protocol 1 for firmware; mmvq.h says how to use it.

       wire    [0 1 | payload ... | crc]   a frame is put together at wire + 2 and stuffed in place, towards the front:
               [code ... code ... 00]      COBS needs a byte more for every 254, so it never overtakes what it reads */
#include "mmvq.h"

#include <string.h>

enum {
    LEAD = 2,            /* bytes in front of a payload: COBS puts no more into a frame (491 bytes: 1 + 491 / 254) */
    CRC_BYTES = 2,
    PING_BYTES = 5,      /* payloads of a host */
    COMMAND_BYTES = 6,
    LONGEST_BLOCK = 255  /* a COBS code, which counts itself: 254 bytes without a zero */
};

/* A beat that seems more than this overdue (71 minutes) is one that is not due yet, at a time a little before the last
   one: a clock that is read in two places may step back. */
static const uint32_t STEPPED_BACK = 0xFF000000u;

static const uint8_t ZERO = 0;

/* ---- bytes ------------------------------------------------------------------------------------------------------ */

static uint8_t *put(uint8_t *at, uint32_t value, unsigned bytes)
{
    for (; bytes > 0; bytes--, value >>= 8)
        *at++ = (uint8_t)value;
    return at;
}

static uint32_t get(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* CRC-16/IBM-3740 (polynomial 1021, from FFFF), a byte at a time without a table: the polynomial has so few terms that
   eight steps fold into shifts of the byte that falls out. */
static uint16_t crc_of(const uint8_t *bytes, size_t n)
{
    uint32_t crc = 0xFFFF;
    for (; n > 0; n--) {
        uint32_t out = (crc >> 8) ^ *bytes++;
        out ^= out >> 4;
        crc = ((crc << 8) ^ (out << 12) ^ (out << 5) ^ out) & 0xFFFF;
    }
    return (uint16_t)crc;
}

/* Closes the payload that stands from wire + LEAD up to `end`: CRC, COBS in the shortest form, 00. Its length then. */
static size_t finish(uint8_t *wire, uint8_t *end)
{
    const uint8_t *from = wire + LEAD;
    uint8_t *code = wire, *to = wire + 1;
    end = put(end, crc_of(from, (size_t)(end - from)), CRC_BYTES);
    while (from < end) {
        const uint8_t byte = *from++;
        if (byte != 0)
            *to++ = byte;
        if (byte == 0 || (to - code == LONGEST_BLOCK && from < end)) {
            *code = (uint8_t)(to - code);
            code = to++;
        }
    }
    *code = (uint8_t)(to - code);
    *to++ = 0;
    return (size_t)(to - wire);
}

static size_t finish_data(uint8_t *wire, uint8_t flags, uint16_t seq, uint32_t t_us, uint8_t n)
{
    uint8_t *at = wire + LEAD;
    at = put(at, MMVQ_DATA, 1);
    at = put(at, flags, 1);
    at = put(at, seq, 2);
    at = put(at, t_us, 4);
    put(at, n, 1);
    return finish(wire, wire + LEAD + MMVQ_DATA_BYTES(n));
}

static void put_sample(uint8_t *wire, uint8_t number, int16_t x, int16_t y, int16_t z)
{
    uint8_t *at = wire + LEAD + MMVQ_DATA_BYTES(number);
    at = put(at, (uint16_t)x, 2);
    at = put(at, (uint16_t)y, 2);
    put(at, (uint16_t)z, 2);
}

/* ---- frames ----------------------------------------------------------------------------------------------------- */

size_t mmvq_encode_hello(uint8_t *wire, uint32_t boot_id, uint64_t uid, uint32_t rate_mhz, uint16_t counts_per_g,
                         uint8_t wrist)
{
    uint8_t *at = wire + LEAD;
    at = put(at, MMVQ_HELLO, 1);
    at = put(at, MMVQ_PROTOCOL, 1);
    at = put(at, boot_id, 4);
    at = put(at, (uint32_t)uid, 4);
    at = put(at, (uint32_t)(uid >> 32), 4);
    at = put(at, rate_mhz, 4);
    at = put(at, counts_per_g, 2);
    return finish(wire, put(at, wrist, 1));
}

size_t mmvq_encode_data(uint8_t *wire, uint8_t flags, uint16_t seq, uint32_t t_us, const int16_t *xyz, uint8_t n)
{
    if (n == 0 || n > MMVQ_MOST_SAMPLES)
        return 0;
    for (uint8_t i = 0; i < n; i++, xyz += 3)
        put_sample(wire, i, xyz[0], xyz[1], xyz[2]);
    return finish_data(wire, flags, seq, t_us, n);
}

size_t mmvq_encode_stat(uint8_t *wire, uint32_t frames_sent, uint32_t samples_dropped, uint16_t battery_mv,
                        int16_t temperature_centi_c)
{
    uint8_t *at = wire + LEAD;
    at = put(at, MMVQ_STAT, 1);
    at = put(at, frames_sent, 4);
    at = put(at, samples_dropped, 4);
    at = put(at, battery_mv, 2);
    return finish(wire, put(at, (uint16_t)temperature_centi_c, 2));
}

size_t mmvq_encode_pong(uint8_t *wire, uint32_t nonce, uint32_t t_us)
{
    uint8_t *at = wire + LEAD;
    at = put(at, MMVQ_PONG, 1);
    at = put(at, nonce, 4);
    return finish(wire, put(at, t_us, 4));
}

size_t mmvq_encode_ack(uint8_t *wire, uint8_t op, uint8_t status)
{
    uint8_t *at = wire + LEAD;
    at = put(at, MMVQ_ACK, 1);
    at = put(at, op, 1);
    return finish(wire, put(at, status, 1));
}

/* The frame in `n` bytes of payload and CRC, if it is one that a host sends. */
static bool read_asked(const uint8_t *body, size_t n, struct mmvq_asked *asked)
{
    const bool ping = n == PING_BYTES + CRC_BYTES && body[0] == MMVQ_PING;
    const bool command = n == COMMAND_BYTES + CRC_BYTES && body[0] == MMVQ_COMMAND;
    const uint8_t *value = body + (ping ? PING_BYTES : COMMAND_BYTES) - 4; /* the last field of either, then the CRC */
    if (!(ping || command) || crc_of(body, n - CRC_BYTES) != (value[4] | (uint16_t)value[5] << 8))
        return false;
    asked->type = body[0];
    asked->op = ping ? 0 : body[1];
    asked->value = get(value);
    return true;
}

/* A code of COBS is put down as the zero before its block; the first block has none, so piece[0] says nothing. (Only
   behind a block of 255 stands no zero, and that is longer than anything a host sends.) */
bool mmvq_decode(struct mmvq_decoder *decoder, uint8_t byte, struct mmvq_asked *asked)
{
    const uint8_t room = sizeof decoder->piece, length = decoder->length, left = decoder->left;
    if (byte != 0) {
        decoder->left = (uint8_t)((left == 0 ? byte : left) - 1);
        if (length < room)
            decoder->piece[length] = left == 0 ? 0 : byte;
        if (length <= room) /* one more than there is room for: too long, until the next zero */
            decoder->length++;
        return false;
    }
    decoder->length = decoder->left = 0;
    if (length == 0)
        return false;
    if (left == 0 && length <= room && read_asked(decoder->piece + 1, length - 1u, asked))
        return true;
    decoder->bad_frames++;
    return false;
}

/* ---- a wearable ------------------------------------------------------------------------------------------------- */

static size_t write_some(const struct mmvq_device *device, const uint8_t *bytes, size_t n)
{
    const size_t taken = device->config.write(device->config.context, bytes, n);
    return taken <= n ? taken : 0;
}

/* Whether the line took the frame. Of one that it took in part the host gets a zero to end it with, before anything
   else: so only that frame is lost. */
static bool send_frame(struct mmvq_device *device, const uint8_t *frame, size_t length)
{
    size_t taken;
    if (device->torn && write_some(device, &ZERO, 1) == 0)
        return false;
    taken = write_some(device, frame, length);
    device->torn = taken > 0 && taken < length;
    return taken >= length - 1; /* without its closing zero, which comes before the next frame, it is whole */
}

static void greet(struct mmvq_device *device)
{
    uint8_t wire[MMVQ_WIRE_BYTES(MMVQ_HELLO_BYTES)];
    const struct mmvq_config *config = &device->config;
    device->greeted = send_frame(device, wire,
                                 mmvq_encode_hello(wire, config->boot_id, config->uid, config->rate_mhz,
                                                   config->counts_per_g, config->wrist));
}

static bool is_rate(uint32_t rate_mhz)
{
    return rate_mhz >= MMVQ_SLOWEST_MHZ && rate_mhz <= MMVQ_FASTEST_MHZ;
}

bool mmvq_init(struct mmvq_device *device, const struct mmvq_config *config, uint32_t now_us)
{
    memset(device, 0, sizeof *device);
    device->config = *config;
    if (config->samples_per_frame == 0)
        device->config.samples_per_frame = MMVQ_SAMPLES_PER_FRAME;
    if (config->lowest == 0 && config->highest == 0) {
        device->config.lowest = INT16_MIN;
        device->config.highest = INT16_MAX;
    }
    device->beat_us = now_us;
    device->streaming = true;
    return config->write != NULL && config->counts_per_g != 0 && is_rate(config->rate_mhz) &&
           config->samples_per_frame <= MMVQ_MOST_SAMPLES;
}

void mmvq_flush(struct mmvq_device *device)
{
    const uint8_t n = device->count;
    size_t length;
    if (n == 0)
        return;
    if (!device->greeted) /* without rate and scale a host can do nothing with samples */
        greet(device);
    device->count = 0;
    length = finish_data(device->wire, device->flags, (uint16_t)device->frames_sent, device->first_us, n);
    if (send_frame(device, device->wire, length)) {
        device->frames_sent++;
        device->flags = 0;
    } else {
        device->samples_dropped += n;
        device->flags = MMVQ_FLAG_OVERRUN;
    }
}

void mmvq_push_sample(struct mmvq_device *device, uint32_t t_us, int16_t x, int16_t y, int16_t z)
{
    const struct mmvq_config *config = &device->config;
    const uint32_t period_us = 1000000000u / config->rate_mhz, part = 1000000000u % config->rate_mhz;
    const int16_t low = config->lowest, high = config->highest;
    const uint32_t early = device->next_us - t_us, late = t_us - device->next_us;
    if (!device->streaming)
        return;
    if ((early < late ? early : late) > period_us / 2)
        mmvq_flush(device);
    if (device->count == 0) {
        device->first_us = device->next_us = t_us;
        device->next_part = 0;
    }
    if (x <= low || y <= low || z <= low || x >= high || y >= high || z >= high)
        device->flags |= MMVQ_FLAG_SATURATED;
    put_sample(device->wire, device->count++, x, y, z);
    device->next_us += period_us;
    device->next_part += part;
    if (device->next_part >= config->rate_mhz) {
        device->next_part -= config->rate_mhz;
        device->next_us++;
    }
    if (device->count == config->samples_per_frame)
        mmvq_flush(device);
}

void mmvq_overrun(struct mmvq_device *device, uint32_t lost_samples)
{
    if (!device->streaming)
        return;
    mmvq_flush(device);
    device->samples_dropped += lost_samples;
    device->flags |= MMVQ_FLAG_OVERRUN;
}

void mmvq_poll(struct mmvq_device *device, uint32_t now_us)
{
    uint8_t wire[MMVQ_WIRE_BYTES(MMVQ_STAT_BYTES)];
    const uint32_t since_us = now_us - device->beat_us;
    if (since_us >= MMVQ_BEAT_US && since_us < STEPPED_BACK) {
        device->beat_us = now_us - since_us % MMVQ_BEAT_US; /* beats that nobody polled for are left out */
        greet(device);
        send_frame(device, wire,
                   mmvq_encode_stat(wire, device->frames_sent, device->samples_dropped, device->battery_mv,
                                    device->temperature_centi_c));
    } else if (!device->greeted) {
        greet(device);
    }
}

/* The ACK to a COMMAND. */
static uint8_t obey(struct mmvq_device *device, uint8_t op, uint32_t argument)
{
    const struct mmvq_config *config = &device->config;
    uint32_t rate_mhz;
    switch (op) {
    case MMVQ_OP_START:
        device->streaming = true;
        return MMVQ_DONE;
    case MMVQ_OP_STOP:
        device->streaming = false;
        device->count = 0;
        device->flags &= MMVQ_FLAG_OVERRUN;
        return MMVQ_DONE;
    case MMVQ_OP_SET_RATE:
        if (config->set_rate == NULL || !is_rate(argument))
            return MMVQ_REFUSED;
        rate_mhz = config->set_rate(config->context, argument);
        if (!is_rate(rate_mhz))
            return MMVQ_REFUSED;
        mmvq_flush(device);
        device->config.rate_mhz = rate_mhz;
        return MMVQ_DONE;
    default:
        return MMVQ_UNKNOWN;
    }
}

void mmvq_receive(struct mmvq_device *device, const uint8_t *bytes, size_t n, uint32_t now_us)
{
    uint8_t wire[MMVQ_WIRE_BYTES(MMVQ_PONG_BYTES)]; /* the longer one of both answers */
    struct mmvq_asked asked;
    uint8_t status;
    for (; n > 0; n--) {
        if (!mmvq_decode(&device->decoder, *bytes++, &asked))
            continue;
        if (asked.type == MMVQ_PING) {
            send_frame(device, wire, mmvq_encode_pong(wire, asked.value, now_us));
            continue;
        }
        status = obey(device, asked.op, asked.value);
        send_frame(device, wire, mmvq_encode_ack(wire, asked.op, status));
        if (status == MMVQ_DONE && asked.op != MMVQ_OP_STOP) /* a host that starts, or changes the rate, waits for it */
            greet(device);
    }
}

void mmvq_set_battery(struct mmvq_device *device, uint16_t millivolts)
{
    device->battery_mv = millivolts;
}

void mmvq_set_temperature(struct mmvq_device *device, int16_t centi_celsius)
{
    device->temperature_centi_c = centi_celsius;
}
