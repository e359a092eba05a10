/* registry/db_priv.h: the database underneath, without a word of SQLite: statements have
 * numbers, values are texts or whole numbers. A handle belongs to one thread at a time. */
#ifndef GRAFT_REGISTRY_DB_PRIV_H
#define GRAFT_REGISTRY_DB_PRIV_H

#include "graft/base.h"
#include "registry/queries_priv.h"

typedef struct gf__db gf__db;

/* Opens or makes the file; checks it (GF_EFORMAT) and runs the migrations it lacks, each in a
 * transaction of its own. GF_EUNSUPPORTED for a file that has had more than these. */
gf_status gf__db_open(const char *path, int busy_timeout_ms, const gf__migrations *migrations,
                      gf__db **out, gf_error *err);
void gf__db_close(gf__db *db); /* NULL is fine */

/* Transactions. A writing one waits for others at its beginning, so that nothing in it can meet
 * GF_EBUSY. */
gf_status gf__db_begin_read(gf__db *db, gf_error *err);
gf_status gf__db_begin_write(gf__db *db, gf_error *err);
/* Keeps what was done if st is GF_OK (durable when GF_OK comes back), else takes it back and
 * returns st. */
gf_status gf__db_end(gf__db *db, gf_status st, gf_error *err);

typedef struct gf__sql_value {
    const char *text; /* borrowed for the call; NULL is the database's null */
    int64_t number;
    bool is_number;
} gf__sql_value;

static inline gf__sql_value gf__text(const char *string)
{
    return (gf__sql_value){.text = string};
}

static inline gf__sql_value gf__number(int64_t number)
{
    return (gf__sql_value){.number = number, .is_number = true};
}

/* The two arguments values, n_values. */
#define VALUES(...)                         \
    ((const gf__sql_value[]){__VA_ARGS__}), \
        (sizeof((const gf__sql_value[]){__VA_ARGS__}) / sizeof(gf__sql_value))

/* Runs a statement whose rows nobody wants. *n_changed may be NULL. */
gf_status gf__db_run(gf__db *db, gf__query query, const gf__sql_value *values, size_t n_values,
                     size_t *n_changed, gf_error *err);

/* The rows of a query. Ended with gf__rows_end(), before the same query is started again; NULL
 * is fine. */
typedef struct gf__rows gf__rows;
gf_status gf__db_select(gf__db *db, gf__query query, const gf__sql_value *values, size_t n_values,
                        gf__rows **out, gf_error *err);
/* *has_row: there is one more, and the calls below read it. Texts are borrowed until the next
 * call of next or end. */
gf_status gf__rows_next(gf__rows *rows, bool *has_row, gf_error *err);
const char *gf__rows_text(gf__rows *rows, int column); /* NULL for the database's null */
int64_t gf__rows_number(gf__rows *rows, int column);   /* 0 for the database's null */
void gf__rows_end(gf__rows *rows);

/* The first row of a query as one number; *has_row false where there is none. */
gf_status gf__db_get_number(gf__db *db, gf__query query, const gf__sql_value *values,
                            size_t n_values, bool *has_row, int64_t *out, gf_error *err);

#endif
