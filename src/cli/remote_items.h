/* cli/remote_items.h: what is done alike with all that a project has lists of: jobs, operations. */
#ifndef GRAFT_CLI_REMOTE_ITEMS_H
#define GRAFT_CLI_REMOTE_ITEMS_H

#include "cli/remote.h"

typedef struct gf__items {
    const char *key; /* of the list in the API's answer: "jobs" */
    char *(*path)(const gf__remote *remote, const char *name, const char *suffix);
    const char *const *headings; /* of the table for people */
    size_t n_columns;
    void (*add_row)(gf__table *table, const gf__json *item);
} gf__items;

typedef struct gf__items_choice {
    const char *filter;   /* NULL: all */
    int limit, page_size; /* as of gf__list_query */
} gf__items_choice;
#define GF__FILTER_OPTION(S, field)                                                             \
    GF__TEXT("--filter", "EXPR", NULL, S, field,                                                \
             "Only those: FIELD:VALUE, FIELD=VALUE, FIELD!=VALUE joined by AND; VALUE may end " \
             "in *.")

/* The commands list, describe and cancel; the last two of the item that the command's first word names. */
gf_status gf__items_list(gf__cli *cli, const gf__remote_settings *settings, const gf__items *items,
                         const gf__items_choice *choice, gf_error *err);
gf_status gf__item_describe(gf__cli *cli, const gf__remote_settings *settings,
                            const gf__items *items, gf_error *err);
gf_status gf__item_cancel(gf__cli *cli, const gf__remote_settings *settings, const gf__items *items,
                          gf_error *err);
/* The item's document: what describe prints. */
gf_status gf__item_get(gf__cli *cli, gf__remote *remote, const gf__items *items, gf__json **out,
                       gf_error *err);

#endif
