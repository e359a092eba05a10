/* base/json_numbers.c: arrays of numbers, checked against JSON's grammar and then read, without a
 * node for each number. A picture of 299 x 299 is 268,203 of them. */
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_priv.h"

/* Numbers that go beyond these are left to the parser, which knows what overflows. */
#define MAX_INT_DIGITS      18
#define MAX_EXPONENT_DIGITS 2
/* The longest spelling that is read here; longer ones are left to the parser as well. */
#define MAX_NUMBER_CHARS 64

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *skip_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
        at++;
    return at;
}

static const char *skip_digits(const char *at, const char *end)
{
    while (at < end && is_digit(*at))
        at++;
    return at;
}

/* The end of the number that starts at at; NULL where there is none. */
static const char *skip_number(const char *at, const char *end, bool *is_integer)
{
    const char *start = at;
    if (at < end && *at == '-')
        at++;
    const char *digits = at;
    at = skip_digits(at, end);
    if (at == digits || at - digits > MAX_INT_DIGITS || (*digits == '0' && at - digits > 1))
        return NULL;
    if (at < end && *at == '.') {
        *is_integer = false;
        digits = ++at;
        at = skip_digits(at, end);
        if (at == digits)
            return NULL;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        *is_integer = false;
        at++;
        if (at < end && (*at == '+' || *at == '-'))
            at++;
        digits = at;
        at = skip_digits(at, end);
        if (at == digits || at - digits > MAX_EXPONENT_DIGITS)
            return NULL;
    }
    return at - start <= MAX_NUMBER_CHARS ? at : NULL;
}

typedef struct checker {
    gf__json_numbers *out;
    size_t counts[GF__JSON_DIMS]; /* items so far of the array that is open at each depth */
    bool is_known[GF__JSON_DIMS]; /* whether shape[] has the size of that depth */
    size_t depth;                 /* arrays that are open */
} checker;

static bool open_array(checker *check)
{
    if (check->depth == GF__JSON_DIMS)
        return false;
    /* Below the depth of the first number nothing may open. */
    if (check->out->n_dims > 0 && check->depth >= check->out->n_dims)
        return false;
    check->counts[check->depth++] = 0;
    return true;
}

/* An array without items has no shape worth the name: left to the parser. */
static bool close_array(checker *check)
{
    const size_t d = --check->depth;
    const size_t n = check->counts[d];
    if (n == 0 || (check->is_known[d] && check->out->shape[d] != n))
        return false;
    check->is_known[d] = true;
    check->out->shape[d] = n;
    if (d > 0)
        check->counts[d - 1]++;
    return true;
}

static bool count_number(checker *check)
{
    if (check->out->n_dims == 0)
        check->out->n_dims = check->depth;
    if (check->depth != check->out->n_dims)
        return false;
    check->counts[check->depth - 1]++;
    check->out->n_values++;
    return true;
}

/* One value, or the opening of an array: where the next token is, NULL where it is none. */
static const char *take_item(checker *check, const char *at, const char *end, bool *is_open)
{
    *is_open = at < end && *at == '[';
    if (*is_open)
        return open_array(check) ? at + 1 : NULL;
    at = skip_number(at, end, &check->out->is_integers);
    return at != NULL && count_number(check) ? at : NULL;
}

bool gf__json_numbers_check(const char *text, size_t n_chars, gf__json_numbers *out)
{
    *out = (gf__json_numbers){.is_integers = true, .text = text, .n_chars = n_chars};
    checker check = {.out = out};
    const char *at = text, *end = text + n_chars;
    bool is_open = false;
    do {
        at = take_item(&check, skip_space(at, end), end, &is_open);
        if (at == NULL || check.depth == 0)
            return false;
        if (is_open)
            continue;
        at = skip_space(at, end);
        while (at < end && *at == ']') {
            if (!close_array(&check))
                return false;
            if (check.depth == 0)
                return at + 1 == end && out->n_dims > 0;
            at = skip_space(at + 1, end);
        }
        if (at == end || *at++ != ',')
            return false;
    } while (true);
}

/* (float)strtod() of a number within skip_number()'s bounds. The digits as one integer times or
 * over a power of ten: with two roundings the double can be off by one and a half in its last place,
 * which changes the float only within a few steps of the middle between two floats: then, and where
 * digits or powers are too many, strtod() itself. */
static float slow_number(const char *start, const char *end)
{
    char text[MAX_NUMBER_CHARS + 1];
    const size_t n = (size_t)(end - start);
    memcpy(text, start, n);
    text[n] = '\0';
    char *point = strchr(text, '.');
    if (point != NULL)
        *point = localeconv()->decimal_point[0]; /* a program may have set one with a comma */
    return (float)strtod(text, NULL);
}

#define MAX_POWER 22 /* the last power of ten that a double holds exactly */

static bool is_near_middle(double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    const int64_t from_middle = (int64_t)(bits & 0x1fffffff) - 0x10000000;
    return from_middle > -8 && from_middle < 8;
}

static const char *read_exponent(const char *at, int *power)
{
    const bool is_negative = *++at == '-';
    if (*at == '-' || *at == '+')
        at++;
    int exponent = 0;
    for (; is_digit(*at); at++)
        exponent = exponent * 10 + (*at - '0');
    *power += is_negative ? -exponent : exponent;
    return at;
}

static const char *read_number(const char *at, float *out)
{
    static const double powers[MAX_POWER + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                 1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const char *start = at;
    uint64_t digits = 0;
    int power = 0;
    const bool is_negative = *at == '-';
    at += is_negative;
    const char *first = at;
    for (; is_digit(*at); at++)
        digits = digits * 10 + (uint64_t)(*at - '0');
    if (*at == '.') {
        const char *point = at++;
        for (; is_digit(*at); at++)
            digits = digits * 10 + (uint64_t)(*at - '0');
        power = (int)(point + 1 - at);
    }
    const bool has_many = at - first > 19;
    if (*at == 'e' || *at == 'E')
        at = read_exponent(at, &power);
    if (has_many || power > MAX_POWER || power < -MAX_POWER) {
        *out = slow_number(start, at);
        return at;
    }
    const double whole = (double)digits;
    const double size = power < 0 ? whole / powers[-power] : whole * powers[power];
    /* The smallest floats have fewer bits, so that their middles lie elsewhere. */
    const bool is_tiny = size != 0 && size < 1e-37;
    *out = is_tiny || is_near_middle(size) ? slow_number(start, at)
                                           : (float)(is_negative ? -size : size);
    return at;
}

void gf__json_numbers_read(const gf__json_numbers *numbers, float *values)
{
    const char *at = numbers->text;
    for (size_t i = 0; i < numbers->n_values; i++) {
        while (*at != '-' && !is_digit(*at))
            at++;
        at = read_number(at, &values[i]);
    }
}
