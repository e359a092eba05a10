/* service/train_network.c: what a training's pictures go through: the trunk, the cuts that are wanted,
 * the extractor. Reading an .npz keeps one core busy for a tenth of a second, compiling a plan
 * another: with threads to spare both are done at once. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "service/service_priv.h"

/* The outputs to make features of: one cut, or with "auto" every block output, pooled, in one
 * pass. */
static gf_status choose_outputs(gf__train_network *network, gf_error *err)
{
    const gf_train_request *r = network->request;
    const gf_graph *graph = gf_trunk_graph(network->trunk);
    size_t n_blocks = 0;
    const char *const *blocks = gf__zoo_block_outputs(graph, &n_blocks);
    const bool is_auto = strcmp(r->layer, "auto") == 0 && n_blocks > 0;
    const char *wanted = strcmp(r->layer, "auto") == 0 ? "avg_pool" : r->layer;

    network->n_outputs = is_auto ? n_blocks : 1;
    network->outputs = gf__calloc(network->n_outputs, sizeof *network->outputs);
    if (network->outputs == NULL)
        return gf__error_nomem(err, "layers", network->n_outputs * sizeof *network->outputs);
    for (size_t i = 0; i < network->n_outputs; i++) {
        bool needs_pool = false;
        const gf_status st = gf__zoo_resolve_cut(graph, is_auto ? blocks[i] : wanted,
                                                 &network->outputs[i].layer, &needs_pool, err);
        if (st != GF_OK)
            return st;
        network->outputs[i].pool = needs_pool ? GF_POOL_AVG : GF_POOL_NONE;
    }
    network->probe_layers = is_auto ? blocks : NULL;
    return GF_OK;
}

static gf_status open_network(gf__train_network *network, gf_error *err)
{
    const gf_train_request *r = network->request;
    gf_status st = gf_trunk_load(r->context.home, r->trunk, &network->trunk, err);
    if (st == GF_OK)
        st = choose_outputs(network, err);
    if (st == GF_OK)
        st = gf__service_extractor(&r->context, network->trunk, network->outputs,
                                   network->n_outputs, r->precision, true, &network->extractor,
                                   err);
    return st;
}

static void *open_in_thread(void *user)
{
    gf__train_network *network = user;
    network->status = open_network(network, &network->error);
    /* A plan that cannot be made says so again when the first picture needs it. */
    if (network->status == GF_OK && !gf__extractor_has_cached(network->extractor))
        (void)gf__extractor_prepare(network->extractor, NULL);
    return NULL;
}

/* Known without reading it; a list of paths may as well be a table of numbers. */
static bool is_surely_pictures(const char *path)
{
    char start[2] = {0};
    if (gf__is_dir(path))
        return true;
    FILE *file = gf__is_file(path) ? fopen(path, "rbe") : NULL;
    if (file == NULL)
        return false;
    const bool is_zip = fread(start, 1, 2, file) == 2 && memcmp(start, "PK", 2) == 0;
    fclose(file);
    return is_zip;
}

void gf__train_network_start(gf__train_network *network, const gf_train_request *request)
{
    network->request = request;
    if (gf__service_threads(&request->context) > 1 && is_surely_pictures(request->dataset))
        network->is_running = gf__thread_start(&network->thread, open_in_thread, network) == 0;
    network->is_opened = network->is_running;
}

static void wait_for_thread(gf__train_network *network)
{
    if (network->is_running)
        pthread_join(network->thread, NULL);
    network->is_running = false;
}

gf_status gf__train_network_wait(gf__train_network *network, gf_error *err)
{
    if (!network->is_opened) {
        network->is_opened = true;
        network->status = open_network(network, &network->error);
    }
    wait_for_thread(network);
    if (network->status != GF_OK && err != NULL)
        *err = network->error;
    return network->status;
}

void gf__train_network_close(gf__train_network *network)
{
    wait_for_thread(network);
    gf_extractor_free(network->extractor);
    gf__free(network->outputs);
    gf_trunk_free(network->trunk);
    *network = (gf__train_network){0};
}
