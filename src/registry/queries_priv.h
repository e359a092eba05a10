/* registry/queries_priv.h: the numbers of all statements. Their texts, and all other SQL, are in
 * queries.c and schema.c. */
#ifndef GRAFT_REGISTRY_QUERIES_PRIV_H
#define GRAFT_REGISTRY_QUERIES_PRIV_H

#include <stddef.h>

typedef enum gf__query {
    GF__SQL_PROJECT_ADD,
    GF__SQL_PROJECT_FIND,
    GF__SQL_PROJECT_LIST,

    GF__SQL_MODEL_ADD,
    GF__SQL_MODEL_GET,
    GF__SQL_MODEL_LIST,
    GF__SQL_MODEL_SET_FIELDS,
    GF__SQL_MODEL_SET_DEFAULT,
    GF__SQL_MODEL_DELETE,

    GF__SQL_VERSION_ADD,
    GF__SQL_VERSION_GET,
    GF__SQL_VERSION_GET_BY_ID,
    GF__SQL_VERSION_LIST,
    GF__SQL_VERSION_SET_FIELDS,
    GF__SQL_VERSION_SET_STATE,
    GF__SQL_VERSION_USED,
    GF__SQL_VERSION_DELETE,

    GF__SQL_FILE_ADD,
    GF__SQL_FILE_LIST,
    GF__SQL_FILE_DELETE,
    GF__SQL_BLOB_ADD,
    GF__SQL_BLOB_FIND,
    GF__SQL_BLOB_DELETE_UNUSED,

    GF__SQL_OPERATION_ADD,
    GF__SQL_OPERATION_GET,
    GF__SQL_OPERATION_LIST,
    GF__SQL_OPERATION_NEXT_RUNNING,
    GF__SQL_OPERATION_NEXT,
    GF__SQL_OPERATION_START,
    GF__SQL_OPERATION_WAIT_AGAIN,
    GF__SQL_OPERATION_PUT_BACK,
    GF__SQL_OPERATION_ASK_CANCEL,
    GF__SQL_OPERATION_FINISH,
    GF__SQL_OPERATION_PRUNE,

    GF__SQL_JOB_ADD,
    GF__SQL_JOB_GET,
    GF__SQL_JOB_GET_BY_ID,
    GF__SQL_JOB_LIST,
    GF__SQL_JOB_LIST_OPEN,
    GF__SQL_JOB_SET_FIELDS,
    GF__SQL_JOB_SET_STATE,
    GF__SQL_JOB_BEGIN,
    GF__SQL_JOB_SET_PLACE,
    GF__SQL_JOB_START,
    GF__SQL_JOB_SET_OUTPUT,
    GF__SQL_JOB_FINISH,

    GF__SQL_TOKEN_ADD,
    GF__SQL_TOKEN_LIST,
    GF__SQL_TOKEN_FIND,
    GF__SQL_TOKEN_DELETE,

    GF__N_QUERIES
} gf__query;

const char *gf__query_text(gf__query query);

/* What makes a schema: migration n brings a database from schema n to n + 1. */
typedef struct gf__migrations {
    const char *const *scripts;
    size_t n_scripts;
} gf__migrations;
gf__migrations gf__schema(void);

#endif
