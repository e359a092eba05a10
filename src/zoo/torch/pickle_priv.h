/* zoo/torch/pickle_priv.h: the machine that a pickle runs on: its values, its stack, what it remembers.
 * pickle_stack.c has what instructions do with values, pickle.c the instructions. */
#ifndef GRAFT_ZOO_PICKLE_PRIV_H
#define GRAFT_ZOO_PICKLE_PRIV_H

#include "zoo/torch/torch_priv.h"

typedef struct gf__pickle_machine {
    gf__pickle *pickle;
    const uint8_t *bytes;
    size_t n_bytes, at;
    gf__pickle_value **stack; /* a mark is NULL */
    size_t n_stack, stack_capacity;
    gf__pickle_value **memo;
    size_t n_memo, n_put;
    gf_error *err;
    gf_status st; /* the first failure; instructions stop then */
} gf__pickle_machine;

/* Notes the first failure, with the place. */
void gf__pickle_fail(gf__pickle_machine *m, gf_status st, const char *what);

/* Values live as long as the pickle; NULL after a failure, as from all calls below. */
gf__pickle_value *gf__pickle_new(gf__pickle_machine *m, gf__pickle_kind kind);
gf__pickle_value *gf__pickle_new_text(gf__pickle_machine *m, gf__pickle_kind kind,
                                      const uint8_t *chars, size_t n);

void gf__pickle_push(gf__pickle_machine *m, gf__pickle_value *value);         /* NULL: nothing */
void gf__pickle_push_or_mark(gf__pickle_machine *m, gf__pickle_value *value); /* NULL: a mark */
gf__pickle_value *gf__pickle_pop(gf__pickle_machine *m);
/* The topmost value, of that kind; what: the failure where it is another. */
gf__pickle_value *gf__pickle_top(gf__pickle_machine *m, gf__pickle_kind kind, const char *what);
/* A tuple of the topmost n; a tuple or list of all behind the last mark. */
void gf__pickle_push_tuple(gf__pickle_machine *m, size_t n);
void gf__pickle_push_marked(gf__pickle_machine *m, gf__pickle_kind kind);
/* The values behind the last mark, or the topmost n (1, or 2 of a dict), into the one below. */
void gf__pickle_append_marked(gf__pickle_machine *m, gf__pickle_kind kind);
void gf__pickle_append_one(gf__pickle_machine *m, gf__pickle_kind kind, size_t n);

#endif
