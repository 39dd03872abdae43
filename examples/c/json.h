/* JSON read in order, in place: enough for a model's metadata, and safe on text from anywhere.

   The text ends in NUL and is changed: strings are decoded where they stand and ended there, so they live as long as
   the text does. The first thing that is wrong sets `bad`, after which every call returns nothing and loops end: one
   look at json_done is enough.

       for (json_open(&j, '{'); json_next(&j, '}');) {
           const char *key = json_key(&j);
           if (strcmp(key, "rate_hz") == 0)
               rate_hz = json_number(&j);
           else
               json_skip(&j);
       }
*/
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>

struct json {
    char *at;
    bool first; /* a bracket was just opened: no comma comes before the next entry */
    bool bad;
};

void json_open(struct json *j, char bracket); /* '{' or '[' */
bool json_next(struct json *j, char closing); /* whether another entry comes before '}' or ']' */
const char *json_key(struct json *j);         /* "" if there is none */
const char *json_string(struct json *j);      /* "" if it is no string */
double json_number(struct json *j);           /* finite; 0 if it is no number */
bool json_null(struct json *j);               /* whether null stands here; then it is passed over */
void json_skip(struct json *j);               /* any value */
bool json_done(struct json *j);               /* whether all of it was sound, and nothing follows */

#endif
