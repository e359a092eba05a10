/* data/csv_priv.h: comma-separated text, record by record.
 *
 *     gf__csv csv;
 *     gf__csv_start(&csv, text, n_bytes);
 *     while ((st = gf__csv_next(&csv, err)) == GF_OK && csv.n_fields > 0)
 *         use(gf__csv_field(&csv, 0));
 *     gf__csv_end(&csv);
 */
#ifndef GRAFT_DATA_CSV_PRIV_H
#define GRAFT_DATA_CSV_PRIV_H

#include "base/base.h"

#define GF__CSV_MAX_FIELDS      256
#define GF__CSV_MAX_FIELD_BYTES 65536

typedef struct gf__csv {
    const char *text;
    size_t n_bytes, at;
    size_t next_line;  /* line number at position at, from 1 */
    char delimiter;    /* ',' ';' or tab: the first of them in the first line */
    size_t line;       /* where the record of the last call starts */
    size_t n_fields;   /* its fields; 0 after the last record */
    gf__buffer fields; /* NUL-terminated, one after the other */
    size_t starts[GF__CSV_MAX_FIELDS];
} gf__csv;

/* text is borrowed. A UTF-8 byte order mark is skipped. */
void gf__csv_start(gf__csv *csv, const char *text, size_t n_bytes);
/* The next record that is not a blank line. RFC 4180, and: LF, CR or CRLF ends a line, blanks
 * around a field are dropped unless they are inside its quotes. Errors GF_EFORMAT, GF_ELIMIT,
 * GF_ENOMEM: "line 3, column 2: ...", columns are fields. */
gf_status gf__csv_next(gf__csv *csv, gf_error *err);
const char *gf__csv_field(const gf__csv *csv, size_t i); /* borrowed until the next call */
void gf__csv_end(gf__csv *csv);
/* Whether the record is a header with a column of paths in it. */
bool gf__csv_names_paths(const gf__csv *csv);

#endif
