/* export/properties.c: what is said about a model beside its network: names of its classes, what becomes
 * of a picture before it is the input, where the features come from. */
#include "export/export_priv.h"

static gf__json *names_json(const char *const *names, size_t n)
{
    gf__json *list = gf__json_array();
    for (size_t i = 0; i < n; i++)
        gf__json_append(list, gf__json_new_string(names[i]));
    return list;
}

static gf__json *recipe_json(const gf_recipe *recipe)
{
    gf__json *json = gf__json_object();
    gf__json_set_string(json, "color", "RGB");
    gf__json_set_string(json, "layout", "NHWC");
    gf__json_set_int(json, "height", (int64_t)recipe->height);
    gf__json_set_int(json, "width", (int64_t)recipe->width);
    gf__json_set_string(json, "resize", "antialiased bilinear (triangle)");
    gf__json_set_number(json, "scale", (double)recipe->scale);
    gf__json_set_number(json, "shift", (double)recipe->shift);
    return json;
}

gf__json *gf__export_properties(const gf__export_source *source)
{
    gf__json *properties = gf__json_object();
    gf__json_set(properties, "classes", names_json(source->class_names, source->n_classes));
    if (source->recipe != NULL && !source->has_decoder)
        gf__json_set(properties, "preprocessing", recipe_json(source->recipe));
    if (source->column_names != NULL)
        gf__json_set(properties, "columns",
                     names_json(source->column_names,
                                gf_layer_shape(gf_graph_layer_at(source->graph, 0))[0]));
    if (source->trunk_name != NULL)
        gf__json_set_string(properties, "trunk", source->trunk_name);
    if (source->layer != NULL)
        gf__json_set_string(properties, "layer", source->layer);
    return properties;
}
