/* An mmvq model file: read, checked, run. */
#ifndef MODEL_H
#define MODEL_H

#include <onnxruntime_c_api.h>
#include <stddef.h>
#include <stdint.h>

enum { FAILED = 1, BAD_INPUT = 2 }; /* exit statuses */

/* One line on stderr, and the end of the program: what a product would return as an error instead. */
void stop(int status, const char *format, ...);

enum output { PROBABILITIES, UNKNOWN_SCORE, CODES, MARGINS, ATTRIBUTES, CONTRIBUTIONS, SUB_ACTIONS, OUTPUTS };
extern const char *const OUTPUT_NAMES[OUTPUTS];

struct names {
    const char **text; /* NULL for a code without a tested name */
    size_t count;
};

struct model {
    /* What the file says of itself; sizes and numbers are checked. */
    struct names labels, sub_actions, codes;
    double rate_hz, hop_s, unknown_threshold;
    size_t window; /* samples */
    /* What holds it. */
    OrtEnv *env;
    OrtSession *session;
    OrtMemoryInfo *memory;
    char *json; /* where the names stand */
};

/* The outputs for one window, flat; codes are indices into the model's codes. */
struct prediction {
    size_t tokens, streams, axes; /* streams: codes a token; axes: of its attributes */
    size_t counts[OUTPUTS];
    const float *floats[OUTPUTS]; /* NULL for CODES */
    const int64_t *codes;
    OrtValue *values[OUTPUTS];
};

void model_open(struct model *model, const char *path);
/* xyz: g, `window` samples of three, finite. */
void model_predict(const struct model *model, float *xyz, struct prediction *prediction);
void prediction_free(struct prediction *prediction);
void model_close(struct model *model);

#endif
