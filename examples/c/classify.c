/* An mmvq model file run from C: label and reasons of every window of a recording, a JSON line each.

       classify MODEL RECORDING.csv [--raw]        --raw: all outputs of the model instead

   Exit status: 0 done, 1 failed while working, 2 wrong usage or bad input. The model is model.c's work; here samples
   become windows (struct windower) and outputs words (tell). */
#include "model.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 5, COLUMNS = 7 };             /* pieces in a line; columns of a recording */
static const float AGREEING = 0.5f;          /* of the token's likeliest sub-action, for a tested name to be told */
static const double LONGEST_GAP_S = 0.25;    /* or three periods: interpolated up to here, then windows start afresh */
static const double TICK_S = 1e-7;           /* a tenth of a microsecond, the finest clock that a wearable has */
static const double FASTER = 1.05;           /* a source faster than this would alias; clocks are no better than 3 % */
static const double LIMIT_G = 32;            /* no wrist device measures more */
static const double LIMIT_MS = 1e15;         /* and none lives that long */
static const char HEADER[] = "recording,subject,label,t_ms,x,y,z";

/* ---- windows to words ------------------------------------------------------------------------------------------- */

static void print_string(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) { /* names hold no control characters: model.c refuses them */
        if (*text == '"' || *text == '\\')
            putchar('\\');
        putchar(*text);
    }
    putchar('"');
}

/* The best among the sub-actions that the token's own codes are tested for; NULL without one, or where another is more
   than twice as likely: codes and token then disagree, and words would be a guess. */
static const char *sub_action(const struct model *model, const struct prediction *p, size_t token)
{
    const size_t count = model->sub_actions.count;
    const float *likely = p->floats[SUB_ACTIONS] + token * count;
    size_t best = count;
    float most = 0;
    for (size_t i = 0; i < count; i++) {
        bool tested = false;
        for (size_t s = 0; s < p->streams; s++) {
            const char *name = model->codes.text[p->codes[token * p->streams + s]];
            tested = tested || (name != NULL && strcmp(name, model->sub_actions.text[i]) == 0);
        }
        if (tested && (best == count || likely[i] > likely[best]))
            best = i;
        most = likely[i] > most ? likely[i] : most;
    }
    return best < count && likely[best] >= AGREEING * most ? model->sub_actions.text[best] : NULL;
}

static void print_piece(const struct model *model, const struct prediction *p, size_t token, double start,
                        float counted)
{
    /* Axes may differ in where they lie: the piece is what they span. */
    double begin = INFINITY, end = -INFINITY;
    for (size_t axis = 0; axis < p->axes; axis++) {
        const float *attributes = p->floats[ATTRIBUTES] + 4 * (token * p->axes + axis);
        begin = fmin(begin, attributes[0]);
        end = fmax(end, (double)attributes[0] + attributes[1]);
    }
    const char *action = sub_action(model, p, token);
    printf("{\"t\":%.4f,\"length\":%.4f,\"codes\":[", start + begin, end - begin);
    for (size_t s = 0; s < p->streams; s++)
        printf("%s%d", s > 0 ? "," : "", (int)p->codes[token * p->streams + s]);
    printf("],\"sub_action\":");
    if (action == NULL)
        printf("null");
    else
        print_string(action);
    printf(",\"contribution\":%.4f}", counted);
}

/* Label, confidence, whether it is like nothing trained on, and the pieces that counted most for the label. */
static void tell(const struct model *model, const struct prediction *p, double start)
{
    const size_t labels = model->labels.count;
    const float *probabilities = p->floats[PROBABILITIES], *contributions = p->floats[CONTRIBUTIONS];
    size_t label = 0, found = 0, loudest[SHOWN + 1];
    for (size_t i = 1; i < labels; i++)
        if (probabilities[i] > probabilities[label])
            label = i;
    for (size_t token = 0; token < p->tokens; token++) { /* sorted as they come, earlier ones first among equals */
        size_t at = found < SHOWN ? found++ : SHOWN;
        for (; at > 0 && contributions[token * labels + label] > contributions[loudest[at - 1] * labels + label]; at--)
            loudest[at] = loudest[at - 1];
        loudest[at] = token;
    }
    printf("\"end\":%.4f,\"label\":", start + (double)model->window / model->rate_hz);
    print_string(model->labels.text[label]);
    printf(",\"confidence\":%.4f,\"unknown\":%s,\"because\":[", probabilities[label],
           p->floats[UNKNOWN_SCORE][0] > model->unknown_threshold ? "true" : "false");
    for (size_t i = 0; i < found; i++) {
        if (i > 0)
            putchar(',');
        print_piece(model, p, loudest[i], start, contributions[loudest[i] * labels + label]);
    }
    putchar(']');
}

static void tell_raw(const struct prediction *p)
{
    for (int output = 0; output < OUTPUTS; output++) {
        printf("%s\"%s\":[", output > 0 ? "," : "", OUTPUT_NAMES[output]);
        for (size_t i = 0; i < p->counts[output]; i++) {
            if (i > 0)
                putchar(',');
            if (output == CODES)
                printf("%d", (int)p->codes[i]);
            else
                printf("%.9g", p->floats[output][i]);
        }
        putchar(']');
    }
}

/* ---- samples to windows ----------------------------------------------------------------------------------------- */

struct sample {
    double t; /* seconds */
    float xyz[3];
};

/* Samples of one recording onto the model's grid by straight lines, and the grid into windows that start at multiples
   of the hop. After a gap that is too long for a line windows start afresh, none goes across. */
struct windower {
    const struct model *model;
    bool raw;
    long recording;
    struct sample last;
    bool started;
    double point, points, samples; /* the next point of the grid; points and samples since the last gap */
    float *xyz;                    /* the last points of the grid, as many as a window has */
};

static void classify(struct windower *w, double start)
{
    struct prediction prediction;
    model_predict(w->model, w->xyz, &prediction);
    printf("{\"recording\":%ld,\"start\":%.4f,", w->recording, start);
    if (w->raw)
        tell_raw(&prediction);
    else
        tell(w->model, &prediction, start);
    puts("}");
    prediction_free(&prediction);
}

/* Take a sample, and classify the windows that it completes. False if samples come faster than the model's grid. */
static bool push(struct windower *w, struct sample now)
{
    const double rate = w->model->rate_hz, window = (double)w->model->window, hop = w->model->hop_s * rate;
    const size_t kept = 3 * (w->model->window - 1);
    if (!w->started || now.t - w->last.t > fmax(LONGEST_GAP_S, 3 / rate) + TICK_S) {
        w->point = ceil((now.t - TICK_S) * rate);
        w->points = w->samples = 0;
        w->last = now;
        w->started = true;
    }
    w->samples++;
    for (; w->point <= (now.t + TICK_S) * rate; w->point++) {
        double step = now.t - w->last.t;
        double share = step > 0 ? fmin(fmax((w->point / rate - w->last.t) / step, 0), 1) : 0;
        memmove(w->xyz, w->xyz + 3, kept * sizeof *w->xyz);
        for (int axis = 0; axis < 3; axis++)
            w->xyz[kept + axis] = (float)(w->last.xyz[axis] * (1 - share) + now.xyz[axis] * share);
        w->points++;
        double begin = w->point + 1 - window;
        /* nearbyint: half to even, as Python rounds; a hop need not be a whole number of samples. */
        if (w->points < window || begin != nearbyint(nearbyint(begin / hop) * hop))
            continue;
        if (w->samples > FASTER * w->points + 1)
            return false;
        classify(w, begin / rate);
    }
    w->last = now;
    return true;
}

/* ---- the recording ---------------------------------------------------------------------------------------------- */

/* A cell's number, of at most `limit`. NaN would go in silently and come out as code 0: nothing but this check stands
   before the model. */
static double number(const char *cell, double limit, const char *path, long row, const char *column)
{
    char *end;
    double value = strtod(cell, &end);
    if (*cell == '\0' || strspn(cell, "+-.0123456789eE") != strlen(cell) || *end != '\0' || !(fabs(value) <= limit))
        stop(BAD_INPUT, "%s: row %ld, column %s: '%s' is no number up to %g", path, row, column, cell, limit);
    return value;
}

/* Cut a line at its commas; how many cells it has. */
static int split(char *line, char *cells[COLUMNS])
{
    int count = 0;
    line[strcspn(line, "\r\n")] = '\0';
    for (char *comma;; line = comma + 1) {
        if (count < COLUMNS)
            cells[count] = line;
        count++;
        if ((comma = strchr(line, ',')) == NULL)
            return count;
        *comma = '\0';
    }
}

static void run(struct windower *w, const char *path)
{
    char line[1024], *cells[COLUMNS];
    double zero = 0, before = 0;
    long row = 0;
    FILE *file = fopen(path, "r");
    if (file == NULL)
        stop(BAD_INPUT, "%s: cannot be read", path);
    if (fgets(line, sizeof line, file) == NULL || (line[strcspn(line, "\r\n")] = '\0', strcmp(line, HEADER) != 0))
        stop(BAD_INPUT, "%s: the first line is not %s", path, HEADER);
    while (fgets(line, sizeof line, file) != NULL) {
        struct sample now;
        row++;
        if (strchr(line, '\n') == NULL && !feof(file))
            stop(BAD_INPUT, "%s: row %ld is longer than any row", path, row);
        int count = split(line, cells);
        if (count == 1 && *cells[0] == '\0')
            continue;
        if (count != COLUMNS)
            stop(BAD_INPUT, "%s: row %ld has %d columns, not %d", path, row, count, COLUMNS);
        double recording = number(cells[0], 1e9, path, row, "recording");
        double t = number(cells[3], LIMIT_MS, path, row, "t_ms") / 1000;
        for (int axis = 0; axis < 3; axis++)
            now.xyz[axis] = (float)number(cells[4 + axis], LIMIT_G, path, row, (const char *[]){"x", "y", "z"}[axis]);
        if (recording != floor(recording))
            stop(BAD_INPUT, "%s: row %ld, column recording: '%s' is no whole number", path, row, cells[0]);
        if (!w->started || (long)recording != w->recording) {
            w->recording = (long)recording;
            w->started = false;
            zero = before = t;
        }
        if (t < before)
            stop(BAD_INPUT, "%s: row %ld, column t_ms: time runs backwards", path, row);
        before = t;
        now.t = t - zero;
        if (!push(w, now))
            stop(BAD_INPUT, "%s: row %ld: faster than the model's %g Hz: filter and resample first, as mmvq-run does",
                 path, row, w->model->rate_hz);
    }
    if (ferror(file) || row == 0)
        stop(BAD_INPUT, "%s: no samples in it", path);
    fclose(file);
}

int main(int argc, char **argv)
{
    const char *paths[2] = {NULL, NULL};
    bool raw = false;
    int count = 0;
    struct model model;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--raw") == 0)
            raw = true;
        else if (count++ < 2)
            paths[count - 1] = argv[i];
    }
    if (count != 2)
        stop(BAD_INPUT, "usage: classify MODEL RECORDING.csv [--raw]");
    model_open(&model, paths[0]);
    struct windower windower = {.model = &model, .raw = raw};
    windower.xyz = calloc(3 * model.window, sizeof *windower.xyz);
    if (windower.xyz == NULL)
        stop(FAILED, "out of memory");
    run(&windower, paths[1]);
    free(windower.xyz);
    model_close(&model);
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : FAILED;
}
