#include "model.h"

#include "json.h"
#include "sha256.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Limits: far above any model that an edge device runs, far below what would hurt the host. */
enum { LARGEST_FILE = 64 << 20, MOST_NAMES = 1000, MOST_CODES = 65536, MOST_SAMPLES = 100000, MOST_TOKENS = 10000 };
enum { DIGITS = 64, MOST_AXES = 4 };

const char *const OUTPUT_NAMES[OUTPUTS] = {"probabilities", "unknown_score", "codes",      "margins",
                                           "attributes",    "contributions", "sub_actions"};
static const OrtApi *ort;

void stop(int status, const char *format, ...)
{
    char line[1024];
    va_list rest;
    va_start(rest, format);
    vsnprintf(line, sizeof line, format, rest);
    va_end(rest);
    line[strcspn(line, "\r\n")] = '\0'; /* ONNX Runtime's messages may be several lines */
    fflush(stdout);
    fprintf(stderr, "classify: %s\n", line);
    exit(status);
}

static void check(OrtStatus *status, int exit_status, const char *what)
{
    if (status != NULL)
        stop(exit_status, "%s: %s", what, ort->GetErrorMessage(status));
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (memory == NULL)
        stop(FAILED, "out of memory");
    return memory;
}

/* ---- the file, before ONNX Runtime sees it ---------------------------------------------------------------------- */

static uint8_t *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0)
        stop(BAD_INPUT, "%s: cannot be read", path);
    long length = ftell(file);
    if (length <= 0 || length > LARGEST_FILE)
        stop(BAD_INPUT, "%s: %s", path, length > 0 ? "too large for a model for the edge" : "empty or no file");
    rewind(file);
    uint8_t *data = allocate((size_t)length, 1);
    if (fread(data, 1, (size_t)length, file) != (size_t)length)
        stop(BAD_INPUT, "%s: cannot be read", path);
    fclose(file);
    *size = (size_t)length;
    return data;
}

/* Verify the property mmvq.sha256: the SHA-256 of the file with the property's own 64 digits replaced by zeros.

   An ONNX file is one protobuf message, in which the property is an entry with field 1, the key of 11 bytes, and field
   2, the value of 64. No other place looks like that, so it is searched instead of walking the message; model_open
   looks whether ONNX Runtime finds the same digits under that name. */
static void verify(uint8_t *data, size_t size, const char *path, char digits[DIGITS + 1])
{
    static const char entry[] = "\x0a\x0bmmvq.sha256\x12\x40";
    const size_t length = sizeof entry - 1;
    uint8_t *found = NULL;
    char sum[DIGITS + 1];
    for (size_t at = 0; at + length + DIGITS <= size; at++) {
        if (memcmp(data + at, entry, length) == 0) {
            if (found != NULL)
                stop(BAD_INPUT, "%s: property mmvq.sha256 twice", path);
            found = data + at + length;
        }
    }
    if (found == NULL)
        stop(BAD_INPUT, "%s: no property mmvq.sha256; make it with mmvq-export", path);
    memcpy(digits, found, DIGITS);
    digits[DIGITS] = '\0';
    memset(found, '0', DIGITS);
    sha256_hex(data, size, sum);
    memcpy(found, digits, DIGITS);
    for (int i = 0; i < DIGITS; i++)
        if (tolower((unsigned char)digits[i]) != sum[i])
            stop(BAD_INPUT, "%s: the checksum does not fit: the file was changed or damaged; export or copy it again",
                 path);
}

/* ---- the metadata ----------------------------------------------------------------------------------------------- */

/* Names go to a terminal, which would obey control characters (in UTF-8 also 0xc2 0x80 to 0xc2 0x9f). */
static const char *name(struct json *j)
{
    const char *text = json_string(j);
    j->bad = j->bad || *text == '\0';
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++)
        if (*c < 0x20 || *c == 0x7f || (*c == 0xc2 && c[1] < 0xa0))
            j->bad = true;
    return text;
}

static const char *code_name(struct json *j)
{
    const char *found = NULL;
    for (json_open(j, '{'); json_next(j, '}');) {
        if (strcmp(json_key(j), "name") != 0)
            json_skip(j);
        else if (!json_null(j))
            found = name(j);
    }
    return found;
}

static void read_names(struct json *j, struct names *names, size_t most, const char *(*entry)(struct json *))
{
    if (names->text != NULL) { /* the key stands there twice */
        j->bad = true;
        return;
    }
    names->text = allocate(most, sizeof *names->text);
    for (json_open(j, '['); json_next(j, ']');) {
        const char *text = entry(j);
        if (names->count == most)
            j->bad = true;
        else
            names->text[names->count++] = text;
    }
}

static void read_metadata(struct model *model, const char *path)
{
    struct json j = {model->json, false, false};
    double schema = 0, window = 0;
    const char *units = "", *axes = "";
    model->rate_hz = model->hop_s = model->unknown_threshold = NAN;
    for (json_open(&j, '{'); json_next(&j, '}');) {
        const char *key = json_key(&j);
        if (strcmp(key, "schema") == 0)
            schema = json_number(&j);
        else if (strcmp(key, "units") == 0)
            units = json_string(&j);
        else if (strcmp(key, "axes") == 0)
            axes = json_string(&j);
        else if (strcmp(key, "rate_hz") == 0)
            model->rate_hz = json_number(&j);
        else if (strcmp(key, "window") == 0)
            window = json_number(&j);
        else if (strcmp(key, "hop_s") == 0)
            model->hop_s = json_number(&j);
        else if (strcmp(key, "unknown_threshold") == 0)
            model->unknown_threshold = json_number(&j);
        else if (strcmp(key, "labels") == 0)
            read_names(&j, &model->labels, MOST_NAMES, name);
        else if (strcmp(key, "sub_actions") == 0)
            read_names(&j, &model->sub_actions, MOST_NAMES, name);
        else if (strcmp(key, "codes") == 0)
            read_names(&j, &model->codes, MOST_CODES, code_name);
        else
            json_skip(&j);
    }
    if (!json_done(&j))
        stop(BAD_INPUT, "%s: its metadata are no sound JSON; export it again", path);
    if (schema != 1 || strcmp(units, "g") != 0 || strcmp(axes, "xyz") != 0)
        stop(BAD_INPUT, "%s: its metadata are not of schema 1 with units g and axes xyz", path);
    /* Written so that NAN, a number that was not there, fails. */
    if (!(model->rate_hz >= 1 && model->rate_hz <= 10000) || window != floor(window) ||
        !(window >= 2 && window <= MOST_SAMPLES) ||
        !(model->hop_s >= 1 / model->rate_hz && model->hop_s <= MOST_SAMPLES / model->rate_hz) ||
        isnan(model->unknown_threshold))
        stop(BAD_INPUT, "%s: its metadata's rate_hz, window, hop_s or unknown_threshold cannot be used", path);
    if (model->labels.count == 0 || model->sub_actions.text == NULL || model->codes.text == NULL)
        stop(BAD_INPUT, "%s: its metadata lack labels, sub_actions or codes", path);
    model->window = (size_t)window;
}

/* ---- the session ------------------------------------------------------------------------------------------------ */

void model_open(struct model *model, const char *path)
{
    size_t size;
    char digits[DIGITS + 1], *told = NULL;
    OrtSessionOptions *options;
    OrtModelMetadata *metadata;
    OrtAllocator *allocator;

    memset(model, 0, sizeof *model);
    ort = OrtGetApiBase()->GetApi(ORT_API_VERSION);
    if (ort == NULL)
        stop(FAILED, "the ONNX Runtime library is older than the header, which has API %d", ORT_API_VERSION);
    uint8_t *data = read_file(path, &size);
    verify(data, size, path, digits);

    check(ort->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "classify", &model->env), FAILED, "ONNX Runtime");
    check(ort->CreateSessionOptions(&options), FAILED, "ONNX Runtime");
    /* One thread that sleeps between windows: the default spins away a fifth of a core. */
    check(ort->SetIntraOpNumThreads(options, 1), FAILED, "ONNX Runtime");
    check(ort->SetInterOpNumThreads(options, 1), FAILED, "ONNX Runtime");
    check(ort->SetSessionExecutionMode(options, ORT_SEQUENTIAL), FAILED, "ONNX Runtime");
    check(ort->AddSessionConfigEntry(options, "session.intra_op.allow_spinning", "0"), FAILED, "ONNX Runtime");
    /* Bytes, not a path, so that no reference out of the file is followed. */
    check(ort->CreateSessionFromArray(model->env, data, size, options, &model->session), BAD_INPUT, path);
    ort->ReleaseSessionOptions(options);
    free(data);

    check(ort->GetAllocatorWithDefaultOptions(&allocator), FAILED, "ONNX Runtime");
    check(ort->SessionGetModelMetadata(model->session, &metadata), FAILED, path);
    check(ort->ModelMetadataLookupCustomMetadataMap(metadata, allocator, "mmvq.sha256", &told), FAILED, path);
    check(ort->ModelMetadataLookupCustomMetadataMap(metadata, allocator, "mmvq", &model->json), FAILED, path);
    ort->ReleaseModelMetadata(metadata);
    if (told == NULL || strcmp(told, digits) != 0 || model->json == NULL)
        stop(BAD_INPUT, "%s: no property mmvq.sha256 or mmvq; make it with mmvq-export", path);
    check(ort->AllocatorFree(allocator, told), FAILED, "ONNX Runtime");
    read_metadata(model, path);
    check(ort->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &model->memory), FAILED, "ONNX Runtime");
}

/* The sizes of a tensor of that type; its rank. */
static size_t dimensions(const OrtValue *value, enum output output, ONNXTensorElementDataType wanted, int64_t dims[4])
{
    OrtTensorTypeAndShapeInfo *info;
    ONNXTensorElementDataType type;
    size_t rank;
    check(ort->GetTensorTypeAndShape(value, &info), FAILED, OUTPUT_NAMES[output]);
    check(ort->GetTensorElementType(info, &type), FAILED, OUTPUT_NAMES[output]);
    check(ort->GetDimensionsCount(info, &rank), FAILED, OUTPUT_NAMES[output]);
    if (type != wanted || rank < 1 || rank > 4)
        stop(FAILED, "the model's output %s has another type or rank than a model file's", OUTPUT_NAMES[output]);
    check(ort->GetDimensions(info, dims, rank), FAILED, OUTPUT_NAMES[output]);
    ort->ReleaseTensorTypeAndShapeInfo(info);
    return rank;
}

/* Point to a float output's values: they must have these sizes and be finite. */
static void expect(struct prediction *prediction, enum output output, size_t rank, const size_t *sizes)
{
    int64_t dims[4];
    void *values;
    size_t count = 1;
    bool fits = dimensions(prediction->values[output], output, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, dims) == rank;
    for (size_t i = 0; fits && i < rank; i++) {
        fits = dims[i] == (int64_t)sizes[i];
        count *= sizes[i];
    }
    if (!fits)
        stop(FAILED, "the model's output %s has not the sizes that its metadata ask for", OUTPUT_NAMES[output]);
    check(ort->GetTensorMutableData(prediction->values[output], &values), FAILED, OUTPUT_NAMES[output]);
    prediction->floats[output] = values;
    prediction->counts[output] = count;
    for (size_t i = 0; i < count; i++)
        if (!isfinite(prediction->floats[output][i]))
            stop(FAILED, "the model's output %s is not finite", OUTPUT_NAMES[output]);
}

/* The codes tell how many tokens there are; every code must be one of the metadata's. */
static void read_codes(const struct model *model, struct prediction *prediction)
{
    int64_t dims[4];
    void *values;
    size_t rank = dimensions(prediction->values[CODES], CODES, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, dims);
    if (rank != 3 || dims[0] != 1 || dims[1] < 0 || dims[1] > MOST_TOKENS || dims[2] < 1 || dims[2] > MOST_AXES)
        stop(FAILED, "the model's output codes is not (1, tokens, axes)");
    prediction->tokens = (size_t)dims[1];
    prediction->streams = prediction->axes = (size_t)dims[2];
    prediction->counts[CODES] = prediction->tokens * prediction->streams;
    check(ort->GetTensorMutableData(prediction->values[CODES], &values), FAILED, OUTPUT_NAMES[CODES]);
    prediction->codes = values;
    for (size_t i = 0; i < prediction->counts[CODES]; i++)
        if (prediction->codes[i] < 0 || prediction->codes[i] >= (int64_t)model->codes.count)
            stop(FAILED, "the model's output codes leaves the metadata's codes");
    rank = dimensions(prediction->values[ATTRIBUTES], ATTRIBUTES, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, dims);
    if (prediction->streams == 1 && rank == 4 && dims[2] == 3)
        prediction->axes = 3; /* one code for all axes, which have attributes of their own */
}

void model_predict(const struct model *model, float *xyz, struct prediction *prediction)
{
    static const char *const inputs[] = {"accel"};
    const int64_t shape[] = {1, (int64_t)model->window, 3};
    const size_t labels = model->labels.count, actions = model->sub_actions.count;
    OrtValue *input = NULL;

    memset(prediction, 0, sizeof *prediction);
    for (size_t i = 0; i < 3 * model->window; i++)
        if (!isfinite(xyz[i])) /* NaN would go in silently and come out as code 0 */
            stop(FAILED, "a window is finite");
    check(ort->CreateTensorWithDataAsOrtValue(model->memory, xyz, 3 * model->window * sizeof *xyz, shape, 3,
                                              ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &input),
          FAILED, "a window");
    check(ort->Run(model->session, NULL, inputs, (const OrtValue *const *)&input, 1, OUTPUT_NAMES, OUTPUTS,
                   prediction->values),
          FAILED, "the model fails on a window");
    ort->ReleaseValue(input);

    read_codes(model, prediction);
    const size_t tokens = prediction->tokens, streams = prediction->streams, axes = prediction->axes;
    expect(prediction, PROBABILITIES, 2, (size_t[]){1, labels});
    expect(prediction, UNKNOWN_SCORE, 1, (size_t[]){1});
    expect(prediction, MARGINS, 3, (size_t[]){1, tokens, streams});
    expect(prediction, ATTRIBUTES, 4, (size_t[]){1, tokens, axes, 4});
    expect(prediction, CONTRIBUTIONS, 3, (size_t[]){1, tokens, labels});
    expect(prediction, SUB_ACTIONS, 3, (size_t[]){1, tokens, actions});
}

void prediction_free(struct prediction *prediction)
{
    for (int i = 0; i < OUTPUTS; i++)
        ort->ReleaseValue(prediction->values[i]);
}

void model_close(struct model *model)
{
    OrtAllocator *allocator;
    check(ort->GetAllocatorWithDefaultOptions(&allocator), FAILED, "ONNX Runtime");
    check(ort->AllocatorFree(allocator, model->json), FAILED, "ONNX Runtime");
    free(model->labels.text);
    free(model->sub_actions.text);
    free(model->codes.text);
    ort->ReleaseMemoryInfo(model->memory);
    ort->ReleaseSession(model->session);
    ort->ReleaseEnv(model->env);
}
