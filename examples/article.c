/* The article's program in C: load a pretrained Inception-v3, look at it, cut its last layer off,
 * add two Dense layers, freeze all but these, compile, fit, evaluate, predict, save.
 *
 *     cc article.c $(pkg-config --cflags --libs graft) -o article
 *     ./article HOME DATASET PICTURE MODEL.safetensors */
#include <stdio.h>
#include <stdlib.h>

#include <graft/graft.h>

static gf_error err;

static void check(gf_status status)
{
    if (status == GF_OK)
        return;
    fprintf(stderr, "article: %s\n", err.message);
    exit(1);
}

static bool print_epoch(void *user, const gf_epoch *epoch, int n_epochs)
{
    (void)user;
    printf("Epoch %d/%d - loss: %.4f - accuracy: %.4f - val_loss: %.4f - val_accuracy: %.4f\n",
           epoch->number, n_epochs, epoch->loss, epoch->accuracy, epoch->val_loss,
           epoch->val_accuracy);
    return true;
}

/* pd.DataFrame(model.layers).tail() */
static void print_tail(const gf_graph *graph)
{
    const size_t n = gf_graph_n_layers(graph);
    for (size_t i = n > 5 ? n - 5 : 0; i < n; i++) {
        const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)i);
        printf("%3zu  %-24s %-24s %s\n", i, gf_layer_name(layer), gf_layer_class_name(layer),
               gf_layer_is_trainable(layer) ? "trainable" : "frozen");
    }
}

/* Everything up to the pooled features, then Dense(1024, relu), Dense(n_classes, softmax), the rest
 * frozen. */
static gf_graph *make_transfer_model(const gf_graph *inception, size_t n_classes)
{
    gf_graph *model = NULL;
    const gf_dense_options hidden = {.units = 1024, .activation = "relu"};
    const gf_dense_options predictions = {.units = n_classes, .activation = "softmax"};

    check(gf_graph_cut(inception, "mixed10", &model, &err));
    check(gf_graph_add_global_pool(model, "avg", &err));
    const size_t n_frozen = gf_graph_n_layers(model);
    check(gf_graph_add_dense(model, &hidden, &err));
    check(gf_graph_add_dense(model, &predictions, &err));
    for (size_t i = 0; i < gf_graph_n_layers(model); i++)
        gf_graph_set_trainable(model, i, i >= n_frozen);
    return model;
}

static void predict(gf_learner *learner, const gf_dataset *dataset, const char *path)
{
    static unsigned char bytes[16 << 20];
    float *scores = calloc(gf_dataset_n_classes(dataset), sizeof *scores);
    FILE *file = fopen(path, "rb");
    if (file == NULL || scores == NULL) {
        perror(path);
        exit(1);
    }
    const size_t n = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    check(gf_learner_predict(learner, bytes, n, scores, &err));
    printf("Predicted:\n");
    for (size_t k = 0; k < gf_dataset_n_classes(dataset); k++)
        printf("Score %f, Label %s\n", (double)scores[k], gf_dataset_class_at(dataset, k));
    free(scores);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: article HOME DATASET PICTURE MODEL.safetensors\n");
        return 2;
    }
    const gf_context context = {.home = argv[1]};
    gf_trunk *trunk = NULL;
    gf_dataset *dataset = NULL;
    gf_split *split = NULL;
    gf_learner *learner = NULL;
    gf_history *history = NULL;
    gf_metrics *metrics = NULL;

    check(gf_trunk_load(context.home, "inception_v3", &trunk, &err));
    print_tail(gf_trunk_graph(trunk));

    check(gf_dataset_open(argv[2], NULL, NULL, &dataset, &err));
    const gf_split_options halves = {.test_fraction = 0.2, .seed = 42};
    check(gf_split_new(dataset, &halves, &split, &err));

    gf_graph *model = make_transfer_model(gf_trunk_graph(trunk), gf_dataset_n_classes(dataset));
    print_tail(model);

    gf_train_options options = gf_train_options_default(); /* 20 epochs, Adam, batches of 32 */
    check(gf_learner_new(&context, trunk, model, &options, &learner, &err));
    const gf_train_watch watch = {.epoch = print_epoch};
    check(gf_learner_fit(learner, dataset, split, &watch, &history, &err));
    check(gf_learner_evaluate(learner, dataset, split->test, split->n_test, &metrics, &err));
    printf("Loss %f, Accuracy %f\n", metrics->loss, metrics->accuracy);
    predict(learner, dataset, argv[3]);
    check(gf_learner_save(learner, dataset, argv[4], false, &err));

    gf_metrics_free(metrics);
    gf_history_free(history);
    gf_learner_free(learner);
    gf_graph_free(model);
    gf_split_free(split);
    gf_dataset_free(dataset);
    gf_trunk_free(trunk);
    return 0;
}
