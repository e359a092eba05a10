/* server/catalog_priv.h: what the catalog's two files share: a model with its versions as the
 * registry has them (catalog_read.c reads it), kept in memory (catalog.c). */
#ifndef GRAFT_SERVER_CATALOG_PRIV_H
#define GRAFT_SERVER_CATALOG_PRIV_H

#include "base/base.h"
#include "registry/registry.h"

typedef struct gf__catalog_item { /* a version */
    char *name;                   /* "v1" */
    char *full_name;              /* "projects/P/models/M/versions/v1" */
    char *state;
    char *error_message; /* "" where there is none */
    gf__json *labels;    /* NULL: none */
    int min_nodes, max_nodes;
    bool is_ready;  /* READY in the registry */
    bool is_pooled; /* the pools have it; it may be asked if it is ready as well */
} gf__catalog_item;

typedef struct gf__catalog_model {
    char *project, *name;
    char *default_name;       /* "" where there is none */
    gf__catalog_item **items; /* by name */
    size_t n_items, capacity;
} gf__catalog_model;

/* All of a model ("projects/P/models/M"), nothing pooled yet. GF_ENOTFOUND. */
gf_status gf__catalog_read_model(gf_registry *registry, const char *name, gf__catalog_model **out,
                                 gf_error *err);
/* One version, NULL where the model has none of that name any more, and the name of the model's
 * default one. GF_ENOTFOUND the model. */
gf_status gf__catalog_read_version(gf_registry *registry, const char *model, const char *version,
                                   gf__catalog_item **out, char **default_name, gf_error *err);
/* Calls visit for every model that the registry has. Its failure ends the walk. */
gf_status gf__catalog_each_model(gf_registry *registry,
                                 gf_status (*visit)(void *user, const char *model, gf_error *err),
                                 void *user, gf_error *err);
void gf__catalog_model_free(gf__catalog_model *model); /* NULL is fine */
void gf__catalog_item_free(gf__catalog_item *item);    /* NULL is fine */

/* Where name is, or belongs, among the model's items. */
size_t gf__catalog_place(const gf__catalog_model *model, const char *name, bool *is_there);
/* Room for one more item. GF_ENOMEM. */
gf_status gf__catalog_reserve(gf__catalog_model *model, gf_error *err);

/* The model file among a version's files: the one *.safetensors that holds a graft document.
 * Borrowed from files. GF_EFORMAT says what is there instead. */
gf_status gf__catalog_model_file(const gf_registry_files *files, const char **blob_path,
                                 gf_error *err);

#endif
