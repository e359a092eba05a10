/* model/document_write.c: the JSON document of a model file, from what there is to say. Keys stand
 * in a fixed order and nothing here knows the time or the machine: the same model gives the same
 * bytes. */
#include <string.h>

#include "graph/graph.h"
#include "head/head.h"
#include "model/model_priv.h"

static gf_status set_trunk(gf__json *document, const gf__model_content *content,
                           const gf_graph *graph, gf_error *err)
{
    gf__json *trunk = gf__json_object();
    gf_status st = GF_OK;
    gf__json_set_string(trunk, "name", gf_trunk_name(content->trunk));
    gf__json_set_string(trunk, "sha256", gf_trunk_sha256(content->trunk));
    if (graph != NULL) {
        gf__json *config = NULL;
        st = gf__graph_to_config(graph, &config, err);
        if (st == GF_OK)
            gf__json_set(trunk, "graph", config);
    }
    gf__json_set(document, "trunk", trunk);
    return st;
}

/* What stands before the head. */
static gf_status set_input(gf__json *document, const gf__model_content *content,
                           const gf_graph *graph, gf_error *err)
{
    if (content->trunk == NULL) {
        gf__document_set_numbers(document, content);
        return GF_OK;
    }
    const gf_status st = set_trunk(document, content, graph, err);
    gf__json_set_string(document, "layer", content->layer);
    gf__json_set_string(document, "pool", gf__pool_name(content->pool));
    gf__json_set_string(document, "precision", gf_precision_name(content->precision));
    gf__json_set(document, "recipe", gf__recipe_to_json(&content->recipe));
    return st;
}

static gf__json *list_of_classes(const gf__model_content *content)
{
    gf__json *list = gf__json_array();
    for (size_t k = 0; k < gf_head_n_classes(content->head); k++)
        gf__json_append(list, gf__json_new_string(content->class_names[k]));
    return list;
}

static gf__json *list_of_layers(const gf_head *head)
{
    gf__json *list = gf__json_array();
    for (size_t i = 0; i < gf_head_n_layers(head); i++) {
        const gf_head_layer layer = gf_head_layer_at(head, i);
        gf__json *item = gf__json_object();
        gf__json_set_string(item, "name", layer.name);
        gf__json_set_int(item, "units", (int64_t)layer.units);
        gf__json_set_string(item, "activation", gf__head_activation_name(layer.activation));
        gf__json_set_number(item, "dropout", layer.dropout);
        gf__json_append(list, item);
    }
    return list;
}

static gf_status set_self_test(gf__json *document, const gf__model_content *content, gf_error *err)
{
    gf__json *self_test = gf__json_object();
    gf__json *samples = gf__json_array();
    gf_status st = GF_OK;
    gf__json_set_number(self_test, "tolerance", content->tolerance);
    for (size_t i = 0; i < content->n_samples && st == GF_OK; i++) {
        const gf__self_test_sample *sample = &content->samples[i];
        char *tensor = gf__sample_tensor_name(i);
        if (tensor == NULL)
            st = gf__error_nomem(err, "a self-test sample", 0);
        gf__json *item = gf__json_object();
        gf__json_set_string(item, "item", sample->item);
        if (content->trunk != NULL)
            gf__json_set_string(item, "png_tensor", tensor);
        else
            gf__json_set(item, "numbers",
                         gf__document_floats(sample->numbers, gf_head_n_features(content->head)));
        gf__json_set(item, "scores",
                     gf__document_floats(sample->scores, gf_head_n_classes(content->head)));
        gf__json_append(samples, item);
        gf__free(tensor);
    }
    gf__json_set(self_test, "samples", samples);
    gf__json_set(document, "self_test", self_test);
    return st;
}

gf_status gf__document_new(const gf__model_content *content, const gf_graph *graph, gf__json **out,
                           gf_error *err)
{
    *out = NULL;
    gf__json *document = gf__json_object();
    if (document == NULL)
        return gf__error_nomem(err, "a model's document", 0);
    gf__json_set_int(document, "format", GF_MODEL_FORMAT);
    gf__json_set_string(document, "kind", "model");
    gf_status st = set_input(document, content, graph, err);
    if (st != GF_OK)
        goto done;
    gf__json_set(document, "classes", list_of_classes(content));
    gf__json_set_int(document, "n_features", (int64_t)gf_head_n_features(content->head));
    gf__json_set(document, "head", list_of_layers(content->head));
    gf__json_set(document, "training",
                 content->training != NULL ? gf__json_copy(content->training)
                                           : gf__json_new_null());
    st = set_self_test(document, content, err);
    if (st != GF_OK)
        goto done;
    gf__json_set(document, "calibration", gf__json_new_null());
    st = gf__json_status(document, err);
    if (st != GF_OK)
        goto done;

    *out = document;
    document = NULL;
done:
    gf__json_free(document);
    return st;
}
