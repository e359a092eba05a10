/* two_models.h: a model that takes pictures and one that takes rows of two columns, as a server has
 * them: their documents alone. */
#ifndef GRAFT_TESTS_TWO_MODELS_H
#define GRAFT_TESTS_TWO_MODELS_H

#include "tiny_model.h"

typedef struct models {
    char *dir;
    gf_model *pictures, *table;
} models;

static inline void save_table(const char *path)
{
    static const char *const columns[2] = {"length", "width"};
    static const float means[2] = {5, 3}, scales[2] = {1, 2};
    const gf_head_layer layer = {.units = 3, .activation = GF_HEAD_SOFTMAX};
    gf_head *head = NULL;
    CHECK_OK(gf_head_new(2, &layer, 1, &head, &check_err));
    gf_head_initialise(head, 5);
    const gf__model_content content = {.head = head,
                                       .class_names = tiny_classes,
                                       .column_names = columns,
                                       .standardisation = {means, scales},
                                       .tolerance = 1e-4};
    CHECK_OK(gf__model_save(path, &content, &check_err));
    gf_head_free(head);
}

static inline models open_models(void)
{
    models result = {.dir = check_temp_dir()};
    char *path = tiny_path(result.dir, "pictures.safetensors");
    gf_trunk *trunk = tiny_trunk("tiny");
    gf_head *head = tiny_head(3);
    tiny_save_model(path, trunk, head, false);
    CHECK_OK(gf__model_load_document(path, &result.pictures, &check_err));
    free(path);
    path = tiny_path(result.dir, "table.safetensors");
    save_table(path);
    CHECK_OK(gf__model_load_document(path, &result.table, &check_err));
    free(path);
    gf_head_free(head);
    gf_trunk_free(trunk);
    return result;
}

static inline void close_models(models *all)
{
    gf_model_unref(all->pictures);
    gf_model_unref(all->table);
    check_remove_dir(all->dir);
}

#endif
