/* keras_dialect.c: the spelling of config.json in a .keras archive, on the way in. gf__graph_from_config()
 * reads the layers and links of both Keras 2 and 3; what is looked at here are the things that only
 * an archive says, and that would be lost if nobody did. */
#include <string.h>

#include "zoo/keras/keras_priv.h"

static const gf__json *layers_of(const gf__json *model)
{
    return gf__json_find(gf__json_find(model, "config"), "layers");
}

static const char *name_of(const gf__json *layer)
{
    const char *name = gf__json_string(gf__json_find(layer, "name"), NULL);
    return name != NULL
               ? name
               : gf__json_string(gf__json_find(gf__json_find(layer, "config"), "name"), NULL);
}

static bool begins_with(const char *text, const char *begin)
{
    return strncmp(text, begin, strlen(begin)) == 0;
}

/* Keras names the module of every class, and what a program registered itself "package>Name": that may be
 * called Dense, and compute something else. */
static gf_status check_class(const gf__json *object, const char *name, gf_error *err)
{
    const char *class_name = gf__json_string(gf__json_find(object, "class_name"), "");
    const gf__json *module = gf__json_find(object, "module");
    const char *registered = gf__json_string(gf__json_find(object, "registered_name"), "");
    const char *text = gf__json_string(module, "");
    const bool is_own = module == NULL || begins_with(text, "keras") ||
                        begins_with(text, "tf_keras");
    if (is_own && strchr(registered, '>') == NULL)
        return GF_OK;
    return gf_error_set(
        err, GF_EUNSUPPORTED,
        "\"%.128s\": the class %.60s is not Keras' own but %.60s; only Keras' own can "
        "be run",
        name, class_name,
        registered[0] != '\0' ? registered : (text[0] != '\0' ? text : "unknown"));
}

/* "float32", or {"class_name": "DTypePolicy", "config": {"name": "mixed_float16"}}. Floats of another width
 * become float32, in which the network then runs. */
static gf_status check_dtype(const gf__json *layer, const char *name, gf_error *err)
{
    static const char *const known[] = {"float32",       "float16",        "bfloat16", "float64",
                                        "mixed_float16", "mixed_bfloat16", "half"};
    const char *class_name = gf__json_string(gf__json_find(layer, "class_name"), "");
    const bool is_input = strcmp(class_name, "InputLayer") == 0;
    const gf__json *dtype = gf__json_find(gf__json_find(layer, "config"), "dtype");
    const char *text = gf__json_is_object(dtype)
                           ? gf__json_string(gf__json_find(gf__json_find(dtype, "config"), "name"),
                                             "?")
                           : gf__json_string(dtype, "float32");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(text, known[i]) == 0)
            return GF_OK;
    if (is_input && strcmp(text, "uint8") == 0) /* pixels are that before they are anything else */
        return GF_OK;
    return gf_error_set(err, GF_EUNSUPPORTED,
                        "layer \"%.128s\": dtype is %.60s; only float ones can be run", name, text);
}

/* Whatever is not the output of another layer, or a list of such, would be a constant. The parser has
 * bounded the depth. */
static bool is_of_tensors(const gf__json *value)
{
    if (gf__json_is_object(value))
        return gf__json_find(gf__json_find(value, "config"), "keras_history") != NULL;
    bool is_good = gf__json_is_array(value);
    for (size_t i = 0; is_good && i < gf__json_n_items(value); i++)
        is_good = is_of_tensors(gf__json_at(value, i));
    return is_good;
}

/* {"mask": null, "training": false}: what nobody asked for. */
static gf_status check_keywords(const gf__json *keywords, const char *name, gf_error *err)
{
    const gf__json *value = NULL;
    for (const char *key = gf__json_next(keywords, NULL, &value); key != NULL;
         key = gf__json_next(keywords, key, &value))
        if (!gf__json_is_null(value) && !(gf__json_is_bool(value) && !gf__json_bool(value, true)))
            return gf_error_set(
                err, GF_EUNSUPPORTED,
                "layer \"%.128s\" is called with %.60s; layers that are called with "
                "nothing but other layers' outputs can be run",
                name, key);
    return GF_OK;
}

/* Keras 3: {"args": [...], "kwargs": {...}}. Keras 2: [["conv2d", 0, 0, {...}], ...]. */
static gf_status check_call(const gf__json *call, const char *name, gf_error *err)
{
    if (gf__json_is_object(call)) {
        if (!is_of_tensors(gf__json_find(call, "args")))
            return gf_error_set(err, GF_EUNSUPPORTED,
                                "layer \"%.128s\" is called with something that is no layer's "
                                "output",
                                name);
        return check_keywords(gf__json_find(call, "kwargs"), name, err);
    }
    gf_status st = GF_OK;
    for (size_t i = 0; i < gf__json_n_items(call) && st == GF_OK; i++)
        st = check_keywords(gf__json_at(gf__json_at(call, i), 3), name, err);
    return st;
}

/* Of an operation, what is called with is looked at where its numbers are read. */
static gf_status check_calls(const gf__json *layer, const char *name, gf_error *err)
{
    gf_status st = GF_OK;
    const gf__json *calls = gf__json_find(layer, "inbound_nodes");
    if (gf__config_is_operation(layer))
        return GF_OK;
    for (size_t i = 0; i < gf__json_n_items(calls) && st == GF_OK; i++)
        st = check_call(gf__json_at(calls, i), name, err);
    return st;
}

static gf_status check_layer(const gf__json *layer, gf_error *err)
{
    const char *name = name_of(layer);
    if (name == NULL)
        name = "?"; /* which is refused when the graph is made */
    if (layers_of(layer) != NULL && !gf__config_is_model(layer))
        return gf_error_set(
            err, GF_EUNSUPPORTED,
            "layer \"%.128s\" is a model of its own, of the class %.60s; of those in others, "
            "Functional and Sequential ones can be run",
            name, gf__json_string(gf__json_find(layer, "class_name"), "?"));
    gf_status st = check_class(layer, name, err);
    if (st == GF_OK)
        st = check_dtype(layer, name, err);
    return st == GF_OK ? check_calls(layer, name, err) : st;
}

/* The parser has bounded the depth. */
static gf_status check_layers(const gf__json *model, gf_error *err)
{
    const gf__json *layers = layers_of(model);
    gf_status st = GF_OK;
    for (size_t i = 0; i < gf__json_n_items(layers) && st == GF_OK; i++) {
        const gf__json *layer = gf__json_at(layers, i);
        st = check_layer(layer, err);
        if (st == GF_OK && layers_of(layer) != NULL)
            st = check_layers(layer, err);
    }
    return st;
}

gf_status gf__keras_check_dialect(const gf__json *model, gf_error *err)
{
    const gf_status st = check_class(model, "the model", err);
    return st == GF_OK ? check_layers(model, err) : st;
}
