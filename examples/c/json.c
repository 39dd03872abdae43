#include "json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 32 }; /* metadata nest 5 deep; recursion must end before the stack does */

static char peek(struct json *j)
{
    if (j->bad)
        return '\0';
    j->at += strspn(j->at, " \t\r\n");
    return *j->at;
}

static bool take(struct json *j, char wanted)
{
    if (peek(j) != wanted || j->bad) {
        j->bad = true;
        return false;
    }
    j->at++;
    return true;
}

void json_open(struct json *j, char bracket)
{
    j->first = take(j, bracket);
}

bool json_next(struct json *j, char closing)
{
    bool first = j->first;
    j->first = false;
    if (peek(j) == closing)
        return !take(j, closing);
    return first ? !j->bad : take(j, ',');
}

const char *json_key(struct json *j)
{
    const char *key = json_string(j);
    return take(j, ':') ? key : "";
}

/* What four hexadecimal digits say, or -1. */
static long hex4(const char *at)
{
    char digits[5] = {0};
    if (strspn(at, "0123456789abcdefABCDEF") < 4)
        return -1;
    memcpy(digits, at, 4);
    return strtol(digits, NULL, 16);
}

/* The character whose digits stand at *from, as UTF-8 at *to: never longer than its escape. False if it is none. */
static bool unicode(char **from, char **to)
{
    long c = hex4(*from), low;
    if (c <= 0 || (c >= 0xdc00 && c < 0xe000))
        return false;
    *from += 4;
    if (c >= 0xd800 && c < 0xdc00) { /* the first half of a pair */
        if ((*from)[0] != '\\' || (*from)[1] != 'u' || (low = hex4(*from + 2)) < 0xdc00 || low >= 0xe000)
            return false;
        *from += 6;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    int more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3; /* bytes after the first */
    int lead = more == 0 ? 0 : 0xff << (7 - more) & 0xff;
    *(*to)++ = (char)(lead | c >> 6 * more);
    while (more-- > 0)
        *(*to)++ = (char)(0x80 | (c >> 6 * more & 0x3f));
    return true;
}

const char *json_string(struct json *j)
{
    static const char escaped[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    if (!take(j, '"'))
        return "";
    char *text = j->at, *to = text, *from = text;
    while (*from != '"') {
        const char *escape;
        if ((unsigned char)*from < 0x20) { /* also NUL, the text's end */
            j->bad = true;
            return "";
        }
        if (*from != '\\') {
            *to++ = *from++;
            continue;
        }
        from++;
        if (*from == 'u') {
            from++;
            if (unicode(&from, &to))
                continue;
        } else if (*from != '\0' && (escape = strchr(escaped, *from)) != NULL) {
            *to++ = meant[escape - escaped];
            from++;
            continue;
        }
        j->bad = true;
        return "";
    }
    j->at = from + 1;
    *to = '\0'; /* on the quote or before it: all of that has been read */
    return text;
}

double json_number(struct json *j)
{
    char first = peek(j), *end = j->at;
    size_t length = strspn(j->at, "+-.0123456789eE"); /* strtod alone would take nan, inf and 0x10 */
    double value = 0;
    if (first == '-' || (first >= '0' && first <= '9'))
        value = strtod(j->at, &end); /* a program that calls setlocale needs LC_NUMERIC "C" here */
    if (j->bad || length == 0 || end != j->at + length || !isfinite(value)) {
        j->bad = true;
        return 0;
    }
    j->at = end;
    return value;
}

static bool word(struct json *j, const char *wanted)
{
    if (peek(j) != *wanted || strncmp(j->at, wanted, strlen(wanted)) != 0)
        return false;
    j->at += strlen(wanted);
    return true;
}

bool json_null(struct json *j)
{
    return word(j, "null");
}

static void skip(struct json *j, int deep)
{
    char bracket = peek(j);
    if (bracket == '"') {
        json_string(j);
    } else if (bracket != '{' && bracket != '[') {
        if (!word(j, "null") && !word(j, "true") && !word(j, "false"))
            json_number(j);
    } else if (deep == 0) {
        j->bad = true;
    } else {
        for (json_open(j, bracket); json_next(j, bracket == '{' ? '}' : ']');) {
            if (bracket == '{')
                json_key(j);
            skip(j, deep - 1);
        }
    }
}

void json_skip(struct json *j)
{
    skip(j, DEEPEST);
}

bool json_done(struct json *j)
{
    return peek(j) == '\0' && !j->bad;
}
