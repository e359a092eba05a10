/* features/recipe.c: how a picture becomes a network's input, as a value: taken from a trunk, to
 * and from a model's document, and as a part of the text that a cached feature is known by. */
#include "engine/engine.h"
#include "features/features_priv.h"

#include <math.h>
#include <string.h>

/* No network wants more a side; a document that says so is damaged or hostile. */
#define MAX_SIDE 4096

gf_recipe gf_recipe_of(const gf_trunk *trunk)
{
    gf_recipe recipe = {.version = GF__IMAGE_RECIPE_VERSION};
    gf_trunk_input(trunk, &recipe.width, &recipe.height, &recipe.scale, &recipe.shift);
    return recipe;
}

gf__json *gf__recipe_to_json(const gf_recipe *recipe)
{
    gf__json *json = gf__json_object();
    gf__json_set_int(json, "version", recipe->version);
    gf__json_set_int(json, "width", (int64_t)recipe->width);
    gf__json_set_int(json, "height", (int64_t)recipe->height);
    gf__json_set_number(json, "scale", (double)recipe->scale);
    gf__json_set_number(json, "shift", (double)recipe->shift);
    return json;
}

static gf_status read_side(const gf__json *json, const char *key, size_t *out, gf_error *err)
{
    gf_status st = gf__json_get_size(json, key, out, err);
    if (st == GF_OK && (*out < 1 || *out > MAX_SIDE))
        st = gf_error_set(err, GF_EFORMAT, "%s: %zu pixels, expected 1 to %d", key, *out, MAX_SIDE);
    return st;
}

static gf_status read_factor(const gf__json *json, const char *key, float *out, gf_error *err)
{
    double number = 0;
    gf_status st = gf__json_get_number(json, key, &number, err);
    if (st != GF_OK)
        return st;
    *out = (float)number;
    if (!isfinite(*out))
        return gf_error_set(err, GF_EFORMAT, "%s: %g is too large", key, number);
    return GF_OK;
}

gf_status gf__recipe_from_json(const gf__json *json, gf_recipe *out, gf_error *err)
{
    size_t version = 0;
    gf_recipe recipe = {0};
    gf_status st = gf__json_get_size(json, "version", &version, err);
    if (st == GF_OK && version < 1)
        st = gf_error_set(err, GF_EFORMAT, "version: expected 1 or more, found 0");
    if (st == GF_OK && version > GF__IMAGE_RECIPE_VERSION)
        st = gf_error_set(err, GF_EUNSUPPORTED,
                          "version: %zu, this graft prepares pictures as version %d and older; "
                          "use a newer graft",
                          version, GF__IMAGE_RECIPE_VERSION);
    if (st == GF_OK)
        st = read_side(json, "width", &recipe.width, err);
    if (st == GF_OK)
        st = read_side(json, "height", &recipe.height, err);
    if (st == GF_OK)
        st = read_factor(json, "scale", &recipe.scale, err);
    if (st == GF_OK)
        st = read_factor(json, "shift", &recipe.shift, err);
    if (st != GF_OK) {
        gf__error_prefix(err, "recipe");
        return st;
    }
    recipe.version = (int)version;
    *out = recipe;
    return GF_OK;
}

static const char *const pool_words[] = {
    [GF_POOL_NONE] = "none", [GF_POOL_AVG] = "avg", [GF_POOL_MAX] = "max"};

const char *gf__pool_name(gf_pool pool)
{
    return pool_words[pool];
}

gf_status gf__pool_parse(const char *name, gf_pool *out, gf_error *err)
{
    for (size_t i = 0; i < sizeof pool_words / sizeof pool_words[0]; i++) {
        if (strcmp(pool_words[i], name) == 0) {
            *out = (gf_pool)i;
            return GF_OK;
        }
    }
    return gf_error_set(err, GF_EINVAL, "pool: \"%.40s\", expected none, avg or max", name);
}

/* The engine is part of it: another library or instruction set sums in another order, and a run
 * with a warm cache must give the same model bytes as one without. */
char *gf__identity_text(const gf__identity *identity)
{
    const gf_recipe *recipe = &identity->recipe;
    gf__buffer text = {0};
    gf__buffer_printf(&text, "trunk %s\nlayer %s\npool %s\n", identity->trunk_sha256,
                      identity->layer, gf__pool_name(identity->pool));
    gf__buffer_printf(&text, "precision %s\nengine ", gf_precision_name(identity->precision));
    gf__engine_describe(&text);
    gf__buffer_printf(&text, "\nrecipe %d, %zux%zu, scale %.9g, shift %.9g\n", recipe->version,
                      recipe->width, recipe->height, (double)recipe->scale, (double)recipe->shift);
    gf__buffer_printf(&text, "at most %llu pixels\n", (unsigned long long)identity->max_pixels);
    if (identity->view.kinds == 0)
        gf__buffer_puts(&text, "view none\n"); /* whatever the seed */
    else
        gf__buffer_printf(&text, "view %x, seed %llu\n", identity->view.kinds,
                          (unsigned long long)identity->view.seed);
    if (gf__buffer_status(&text, NULL) != GF_OK) {
        gf__buffer_free(&text);
        return NULL;
    }
    return gf__buffer_take(&text, NULL);
}
