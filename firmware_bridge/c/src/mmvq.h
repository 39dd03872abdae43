/**
 * @file
 * Wire protocol 1 of mmvq for a wearable's firmware: samples in, frames out, the host's questions answered.
 *
 *     sensor ── mmvq_push_sample ──► struct mmvq_device ── config.write ──► line to the host
 *     clock ─── mmvq_poll ─────────►         ▲
 *                                            └── mmvq_receive ◄──────────── line from the host
 *
 * C99, no allocation, no floating point, no clock and no port of its own. Four calls make a wearable:
 *
 *     mmvq_init(&device, &config, micros());                    // once
 *     mmvq_push_sample(&device, taken_us, x, y, z);             // for each sample
 *     mmvq_receive(&device, bytes, n, micros());                // whatever the host has sent
 *     mmvq_poll(&device, micros());                             // each time round the loop, at least once a second
 *
 * Threads and interrupts: call everything for one device from one place (the main loop, or one thread). Nothing here
 * locks, and config.write is called from inside push, poll, receive, overrun and flush. An interrupt only notes the
 * time and puts the sample into a queue; the loop takes it out and pushes it.
 *
 * Time is a u32 of microseconds that runs on through sleep and wraps after 71.6 minutes, one clock for samples, poll
 * and receive. A sample's time is when it was taken, not when it was read: a sensor's FIFO that is read in one go at
 * `now` holds samples of now - (n - 1) * period, ..., now.
 *
 * Frames are drawn, byte by byte, in firmware_bridge/README.md.
 */
#ifndef MMVQ_H
#define MMVQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MMVQ_PROTOCOL 1
#define MMVQ_MOST_SAMPLES 80     /**< in one DATA frame */
#define MMVQ_SAMPLES_PER_FRAME 10 /**< unless config says otherwise: 100 ms at 100 Hz */
#define MMVQ_BEAT_US 5000000u    /**< between two HELLO, and two STAT */
#define MMVQ_SLOWEST_MHZ 1000u   /**< 1 Hz, and */
#define MMVQ_FASTEST_MHZ 10000000u /**< 10 kHz: what a host believes */

/** Room for a frame whose payload has so many bytes: CRC, COBS and the closing 00 on top, and one byte to work in. */
#define MMVQ_WIRE_BYTES(payload) ((payload) + 5)
#define MMVQ_DATA_BYTES(samples) (9 + 6 * (samples)) /**< payload of DATA */
#define MMVQ_HELLO_BYTES 21                          /**< payloads of the others */
#define MMVQ_STAT_BYTES 13
#define MMVQ_PONG_BYTES 9
#define MMVQ_ACK_BYTES 3

enum { MMVQ_HELLO = 1, MMVQ_DATA, MMVQ_STAT, MMVQ_PING, MMVQ_PONG, MMVQ_COMMAND, MMVQ_ACK }; /**< type */
enum { MMVQ_FLAG_OVERRUN = 1, MMVQ_FLAG_SATURATED = 2 };                                     /**< DATA flags */
enum { MMVQ_WRIST_UNKNOWN, MMVQ_WRIST_LEFT, MMVQ_WRIST_RIGHT };
enum { MMVQ_OP_START = 1, MMVQ_OP_STOP, MMVQ_OP_SET_RATE }; /**< COMMAND op */
enum { MMVQ_DONE, MMVQ_UNKNOWN, MMVQ_REFUSED };             /**< ACK status */

/* ---- a wearable ------------------------------------------------------------------------------------------------- */

/**
 * Put `n` bytes on the line, without waiting for long. Returns how many were taken.
 *
 * Fewer than `n` is allowed at any time: samples in the frame count as dropped, STAT and the next frame's overrun flag
 * tell the host, and the stream stays whole. So a port that is full returns 0, and never blocks the sensor. One that
 * nobody has open returns n, as a wire does: what nobody listened to need not be told as a loss to who comes next.
 * More than `n` (a negative error in a size_t) is taken for 0. Answers that are refused are lost: a host asks again.
 */
typedef size_t (*mmvq_write)(void *context, const uint8_t *bytes, size_t n);

/**
 * The host asks for `rate_mhz` milli-hertz (1 Hz to 10 kHz). Set the sensor to it or to the nearest rate it has, and
 * return that rate in milli-hertz; 0 if it stays as it is, and the host is told "refused". Push what the sensor's FIFO
 * still holds before returning: what is pushed afterwards is taken to be of the new rate.
 */
typedef uint32_t (*mmvq_set_rate)(void *context, uint32_t rate_mhz);

/** What the author says about a board. Start from all zeros; fields without "may be 0" must be set. */
struct mmvq_config {
    uint64_t uid;          /**< this board and no other, the same for ever: the chip's serial number */
    uint32_t boot_id;      /**< another one after every boot: a random number, or a counter kept in flash. By it a
                                host tells a reset from a clock that wrapped */
    uint32_t rate_mhz;     /**< sampling rate in milli-hertz: 100 Hz is 100000 */
    uint16_t counts_per_g; /**< what a sample shows at 1 g: 16384 for 16 bits of ±2 g, 4096 for ±8 g */
    uint8_t wrist;         /**< MMVQ_WRIST_*; may be 0 */
    uint8_t samples_per_frame; /**< 1 to 80; 0 is 10 */
    int16_t lowest;        /**< counts at the ends of the measuring range; a sample there is flagged as saturated. */
    int16_t highest;       /**< Both may be 0, for -32768 and 32767; 12 bits in the lower part have -2048 and 2047 */
    mmvq_write write;      /**< the line to the host */
    mmvq_set_rate set_rate; /**< NULL: the rate is fixed, and the host is told "refused" */
    void *context;         /**< handed to write and set_rate; may be NULL */
};

/** What the host sends arrives here byte by byte. All zeros is a new one. */
struct mmvq_decoder {
    uint32_t bad_frames; /**< pieces between two zeros that were no PING and no COMMAND */
    uint8_t length;      /**< private: of the piece so far */
    uint8_t left;        /**< private: bytes to come of its COBS block */
    uint8_t piece[9];    /**< private: without COBS, behind a zero; room for COMMAND, a host's longest */
};

/** A wearable. mmvq_init makes it; look at any field, change none. */
struct mmvq_device {
    struct mmvq_config config; /**< as it was given, with what 0 stands for; rate_mhz is the rate now */
    uint32_t frames_sent;      /**< DATA since boot, as in STAT; its lower half is the next frame's number */
    uint32_t samples_dropped;  /**< samples since boot that the sensor's FIFO or the line lost, as in STAT */
    bool streaming;            /**< false between COMMAND stop and start */
    struct mmvq_decoder decoder;

    /* private */
    uint32_t beat_us;     /* when HELLO and STAT were last due */
    uint32_t first_us;    /* t_us of the frame being filled */
    uint32_t next_us;     /* where a reader would put its next sample, */
    uint32_t next_part;   /* and the rest, in 1/rate_mhz of a microsecond */
    uint16_t battery_mv;
    int16_t temperature_centi_c;
    uint8_t count;        /* samples in the frame being filled */
    uint8_t flags;        /* of it, and of the next one when count is 0 */
    bool greeted;         /* the line took a HELLO */
    bool torn;            /* the line took part of a frame, which a zero must end */
    uint8_t wire[MMVQ_WIRE_BYTES(MMVQ_DATA_BYTES(MMVQ_MOST_SAMPLES))];
};

/**
 * A device that has just booted, at `now_us`. Sends nothing yet: HELLO goes out with the first poll or frame.
 *
 * Returns false, and leaves a device that must not be used, if the config cannot be: no write, no counts_per_g, a rate
 * outside 1 Hz to 10 kHz, or over 80 samples a frame. `config` is copied and need not live on.
 */
bool mmvq_init(struct mmvq_device *device, const struct mmvq_config *config, uint32_t now_us);

/**
 * A sample, taken at `t_us`, in counts. Samples come in order of time. While the device is stopped they are ignored.
 *
 * A full frame is sent at once. A frame ends early where the sample is over half a period from where a reader would
 * put it (the first sample's time + i periods), so a pause or jitter is never inside a frame.
 */
void mmvq_push_sample(struct mmvq_device *device, uint32_t t_us, int16_t x, int16_t y, int16_t z);

/**
 * The sensor's FIFO ran over. `lost_samples`: how many it lost, 0 if it cannot tell. Call it between the samples
 * before and those after the loss; the next frame then carries the flag, and the time in it says how much is missing.
 */
void mmvq_overrun(struct mmvq_device *device, uint32_t lost_samples);

/** Send the samples that wait for a frame to fill, if there are any: before the sensor is put to sleep. */
void mmvq_flush(struct mmvq_device *device);

/**
 * HELLO at first, then HELLO and STAT every 5 s, whether the device streams or is stopped. Call it often (at least
 * once a second); it does nothing until something is due.
 */
void mmvq_poll(struct mmvq_device *device, uint32_t now_us);

/** `n` bytes from the host, however they are cut up, that arrived at `now_us`. Answers are written at once. */
void mmvq_receive(struct mmvq_device *device, const uint8_t *bytes, size_t n, uint32_t now_us);

/** For STAT: the battery in millivolts. Until it is called STAT says 0, which is "not measured". */
void mmvq_set_battery(struct mmvq_device *device, uint16_t millivolts);

/** For STAT: the temperature at the wrist in 1/100 °C. Until it is called STAT says 0, which is "not measured". */
void mmvq_set_temperature(struct mmvq_device *device, int16_t centi_celsius);

/* ---- frames alone, for firmware that does the rest itself ------------------------------------------------------- */

/*
 * Each writes a whole frame, the closing 00 included, to `wire`, which has room for MMVQ_WIRE_BYTES(its payload), and
 * returns its length. What the fields mean stands in firmware_bridge/README.md.
 */
size_t mmvq_encode_hello(uint8_t *wire, uint32_t boot_id, uint64_t uid, uint32_t rate_mhz, uint16_t counts_per_g,
                         uint8_t wrist);
/** `xyz`: n triples of counts. Returns 0, with nothing written, unless n is 1 to 80. */
size_t mmvq_encode_data(uint8_t *wire, uint8_t flags, uint16_t seq, uint32_t t_us, const int16_t *xyz, uint8_t n);
size_t mmvq_encode_stat(uint8_t *wire, uint32_t frames_sent, uint32_t samples_dropped, uint16_t battery_mv,
                        int16_t temperature_centi_c);
size_t mmvq_encode_pong(uint8_t *wire, uint32_t nonce, uint32_t t_us);
size_t mmvq_encode_ack(uint8_t *wire, uint8_t op, uint8_t status);

/** What a host says. */
struct mmvq_asked {
    uint8_t type;   /**< MMVQ_PING or MMVQ_COMMAND */
    uint8_t op;     /**< of COMMAND, MMVQ_OP_* or one that is not known; 0 of PING */
    uint32_t value; /**< nonce of PING, argument of COMMAND */
};

/**
 * The next byte from the host. True: it ended a frame, which is now in `asked`. False: `asked` is as it was.
 *
 * A piece between two zeros that is none of a host's frames (broken COBS, wrong CRC, another type or length) is
 * dropped and counted once in bad_frames, whatever its length. Two zeros in a row are nothing.
 */
bool mmvq_decode(struct mmvq_decoder *decoder, uint8_t byte, struct mmvq_asked *asked);

#ifdef __cplusplus
}
#endif

#endif
