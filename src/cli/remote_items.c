/* cli/remote_items.c: list, describe and cancel of what a project has lists of. */
#include "cli/remote_items.h"

static gf_status print_table(const gf__items *items, gf__json *list, gf_error *err)
{
    gf__table *table = gf__table_new(items->headings, items->n_columns);
    for (size_t i = 0; i < gf__json_n_items(list); i++)
        items->add_row(table, gf__json_at(list, i));
    gf__json_free(list);
    return gf__table_print(table, err);
}

gf_status gf__items_list(gf__cli *cli, const gf__remote_settings *settings, const gf__items *items,
                         const gf__items_choice *choice, gf_error *err)
{
    gf__remote remote;
    gf__json *list = NULL;
    const gf__list_query query = {items->key, "filter", choice->filter, choice->limit,
                                  choice->page_size};
    gf_status st = gf__remote_open(cli, settings, &remote, err);
    if (st == GF_OK) {
        char *path = items->path(&remote, NULL, NULL);
        st = gf__remote_list(&remote, path, &query, &list, err);
        gf__free(path);
    }
    gf__remote_close(&remote);
    if (st != GF_OK)
        return st;
    return cli->is_json ? gf__cli_print_json(list, err) : print_table(items, list, err);
}

gf_status gf__item_get(gf__cli *cli, gf__remote *remote, const gf__items *items, gf__json **out,
                       gf_error *err)
{
    char *path = items->path(remote, cli->words[0], NULL);
    const gf_status st = gf__remote_call(remote, "GET", path, NULL, out, err);
    gf__free(path);
    return st;
}

gf_status gf__item_describe(gf__cli *cli, const gf__remote_settings *settings,
                            const gf__items *items, gf_error *err)
{
    gf__remote remote;
    gf__json *item = NULL;
    gf_status st = gf__remote_open(cli, settings, &remote, err);
    if (st == GF_OK)
        st = gf__item_get(cli, &remote, items, &item, err);
    if (st == GF_OK)
        st = gf__print_answer(cli, item, err);
    gf__remote_close(&remote);
    return st;
}

gf_status gf__item_cancel(gf__cli *cli, const gf__remote_settings *settings, const gf__items *items,
                          gf_error *err)
{
    gf__remote remote;
    gf__json *body = gf__json_object();
    gf_status st = gf__remote_open(cli, settings, &remote, err);
    if (st == GF_OK) {
        char *path = items->path(&remote, cli->words[0], ":cancel");
        st = gf__remote_call(&remote, "POST", path, body, NULL, err);
        gf__free(path);
    }
    if (st == GF_OK)
        gf__cli_note(cli, "asked to cancel %s", gf__path_base(cli->words[0]));
    gf__json_free(body);
    gf__remote_close(&remote);
    return st;
}
