/* base/json_priv.h: what the parts of JSON share: where an error was, and arrays of numbers that
 * the library behind json.c never sees. */
#ifndef GRAFT_BASE_JSON_PRIV_H
#define GRAFT_BASE_JSON_PRIV_H

#include "base/json.h"

/* Where parsing ended: a line and column, or a byte. */
typedef struct gf__json_place {
    int line, column;
    size_t position; /* bytes from the start */
    bool is_byte;
} gf__json_place;

/* gf__json_parse() without the place in the message, which may have to be moved first. */
gf_status gf__json_parse_at(const char *text, size_t n_chars, gf__json **out, gf__json_place *place,
                            gf_error *err);
void gf__json_prefix_place(const gf__json_place *place, gf_error *err);

/* Whether text is an array of numbers, or of such arrays with one shape, exactly as JSON has it and
 * with nothing that a parser could refuse for its size. out->text is text. */
bool gf__json_numbers_check(const char *text, size_t n_chars, gf__json_numbers *out);

#endif
