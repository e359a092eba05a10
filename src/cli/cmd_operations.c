/* cli/cmd_operations.c: graft operations list, describe, cancel, wait; graft pools: what a server is
 * doing. */
#include "cli/remote_items.h"

typedef struct operations_settings {
    gf__remote_settings remote;
    gf__items_choice choice;
} operations_settings;

static const gf__option list_options[] = {
    GF__FILTER_OPTION(operations_settings, choice.filter),
    GF__INT("--limit", "N", "all", operations_settings, choice.limit, 1, 1e9,
            "No more than so many."),
    GF__REMOTE_OPTIONS(operations_settings),
    GF__FORMAT_OPTION(operations_settings),
};

static const gf__option one_options[] = {
    GF__REMOTE_OPTIONS(operations_settings),
    GF__FORMAT_OPTION(operations_settings),
};

static const char *state_of(const gf__json *operation)
{
    if (!gf__json_bool(gf__json_find(operation, "done"), false))
        return "RUNNING";
    const gf__json *error = gf__json_find(operation, "error");
    if (error == NULL)
        return "DONE";
    return gf__json_int(gf__json_find(error, "code"), 0) == 1 ? "CANCELLED" : "FAILED";
}

static void add_row(gf__table *table, const gf__json *operation)
{
    const gf__json *metadata = gf__json_find(operation, "metadata");
    const char *const cells[] = {
        gf__short_name(operation, "name"),
        gf__json_string(gf__json_find(metadata, "operationType"), ""),
        state_of(operation),
        gf__json_string(gf__json_find(gf__json_find(operation, "error"), "message"), ""),
    };
    gf__table_row(table, cells);
}

static const char *const headings[] = {"NAME", "TYPE", "STATE", "ERROR"};
static const gf__items operations = {"operations", gf__operation_path, headings, 4, add_row};

static gf_status run_list(gf__cli *cli, const void *settings, gf_error *err)
{
    const operations_settings *s = settings;
    return gf__items_list(cli, &s->remote, &operations, &s->choice, err);
}

static gf_status run_describe(gf__cli *cli, const void *settings, gf_error *err)
{
    const operations_settings *s = settings;
    return gf__item_describe(cli, &s->remote, &operations, err);
}

static gf_status run_cancel(gf__cli *cli, const void *settings, gf_error *err)
{
    const operations_settings *s = settings;
    return gf__item_cancel(cli, &s->remote, &operations, err);
}

static gf_status run_wait(gf__cli *cli, const void *settings, gf_error *err)
{
    const operations_settings *s = settings;
    gf__remote remote;
    gf__json *operation = NULL;
    gf_status st = gf__remote_open(cli, &s->remote, &remote, err);
    if (st == GF_OK)
        st = gf__item_get(cli, &remote, &operations, &operation, err);
    if (st == GF_OK)
        st = gf__remote_wait(cli, &remote, &operation, err);
    if (st == GF_OK)
        st = gf__print_answer(cli, operation, err);
    else
        gf__json_free(operation);
    gf__remote_close(&remote);
    return st;
}

const gf__command gf__command_operations_list = {
    .name = "operations list",
    .words = "",
    .summary = "List the operations of a project, newest first.",
    .text = "Creating and deleting versions takes a while and is an operation each.",
    .examples = "graft operations list --limit 5",
    .options = list_options,
    .n_options = GF__N_OPTIONS(list_options),
    .settings_size = sizeof(operations_settings),
    .run = run_list,
};

const gf__command gf__command_operations_describe = {
    .name = "operations describe",
    .words = "OPERATION",
    .n_words_low = 1,
    .n_words_high = 1,
    .summary = "Show an operation.",
    .text = "Prints the Operation document of the API.",
    .examples = "graft operations describe create_flowers_v1-1700000000000",
    .options = one_options,
    .n_options = GF__N_OPTIONS(one_options),
    .settings_size = sizeof(operations_settings),
    .run = run_describe,
};

const gf__command gf__command_operations_wait = {
    .name = "operations wait",
    .words = "OPERATION",
    .n_words_low = 1,
    .n_words_high = 1,
    .summary = "Wait until an operation is done.",
    .text = "Prints it then; where it failed, its error is this command's. Ctrl-C ends the waiting "
            "and not the operation.",
    .examples = "graft operations wait create_flowers_v1-1700000000000",
    .options = one_options,
    .n_options = GF__N_OPTIONS(one_options),
    .settings_size = sizeof(operations_settings),
    .run = run_wait,
};

const gf__command gf__command_operations_cancel = {
    .name = "operations cancel",
    .words = "OPERATION",
    .n_words_low = 1,
    .n_words_high = 1,
    .summary = "Cancel an operation.",
    .text = "One that waits ends at once, one that runs at its next step. A version that was being "
            "created is FAILED then.",
    .examples = "graft operations cancel create_flowers_v1-1700000000000",
    .options = one_options,
    .n_options = GF__N_OPTIONS(one_options),
    .settings_size = sizeof(operations_settings),
    .run = run_cancel,
};

/* ---- pools ----------------------------------------------------------------------------------- */

static void print_node(const gf__json *node)
{
    printf("  worker %lld  %s  %lld heads  %.0f MB  idle %.0f s\n",
           (long long)gf__json_int(gf__json_find(node, "pid"), 0),
           gf__json_string(gf__json_find(node, "state"), "?"),
           (long long)gf__json_int(gf__json_find(node, "loadedHeads"), 0),
           gf__json_number(gf__json_find(node, "rssBytes"), 0) / 1e6,
           gf__json_number(gf__json_find(node, "idleSeconds"), 0));
}

static void print_failure(const gf__json *pool)
{
    const char *failure = gf__json_string(gf__json_find(pool, "failure"), "");
    if (failure[0] != '\0')
        printf("  %lld starts failed, the next in %.1f s: %s\n",
               (long long)gf__json_int(gf__json_find(pool, "failedStarts"), 0),
               gf__json_number(gf__json_find(pool, "retrySeconds"), 0), failure);
}

static void print_pool(const gf__json *pool)
{
    const gf__json *nodes = gf__json_find(pool, "nodes");
    const gf__json *decisions = gf__json_find(pool, "decisions");
    const char *trunk = gf__json_string(gf__json_find(pool, "trunk"), "");
    printf("%s %s: %zu workers (%lld to %lld), %lld requests waiting\n",
           trunk[0] != '\0' ? trunk : "models without a trunk",
           gf__json_string(gf__json_find(pool, "precision"), ""), gf__json_n_items(nodes),
           (long long)gf__json_int(gf__json_find(pool, "minNodes"), 0),
           (long long)gf__json_int(gf__json_find(pool, "maxNodes"), 0),
           (long long)gf__json_int(gf__json_find(pool, "waiting"), 0));
    for (size_t i = 0; i < gf__json_n_items(nodes); i++)
        print_node(gf__json_at(nodes, i));
    print_failure(pool);
    for (size_t i = 0; i < gf__json_n_items(decisions) && i < 5; i++) {
        const gf__json *decision = gf__json_at(decisions, i);
        printf("  %s  %lld to %lld: %s\n", gf__json_string(gf__json_find(decision, "time"), ""),
               (long long)gf__json_int(gf__json_find(decision, "from"), 0),
               (long long)gf__json_int(gf__json_find(decision, "to"), 0),
               gf__json_string(gf__json_find(decision, "reason"), ""));
    }
}

static gf_status run_pools(gf__cli *cli, const void *settings, gf_error *err)
{
    const operations_settings *s = settings;
    gf__remote remote;
    gf__json *document = NULL;
    gf_status st = gf__remote_open(cli, &s->remote, &remote, err);
    if (st == GF_OK)
        st = gf__remote_call(&remote, "GET", "/graft/v1/pools", NULL, &document, err);
    gf__remote_close(&remote);
    if (st == GF_OK && cli->is_json)
        return gf__cli_print_json(document, err);
    const gf__json *pools = gf__json_find(document, "pools");
    for (size_t i = 0; i < gf__json_n_items(pools); i++)
        print_pool(gf__json_at(pools, i));
    if (st == GF_OK && gf__json_n_items(pools) == 0)
        gf__cli_note(cli, "no pools: no version is READY");
    gf__json_free(document);
    return st;
}

const gf__command gf__command_pools = {
    .name = "pools",
    .words = "",
    .summary = "Show a server's workers and why there are so many.",
    .text =
        "Versions on one trunk share a pool of workers. Shows each pool's workers, queue and its "
        "autoscaler's last decisions with their reasons.",
    .examples = "graft pools\n"
                "graft pools --json",
    .options = one_options,
    .n_options = GF__N_OPTIONS(one_options),
    .settings_size = sizeof(operations_settings),
    .run = run_pools,
};
