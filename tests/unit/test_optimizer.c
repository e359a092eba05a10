/* Options and optimizers. The golden values are Keras' own (tests/golden/train/make_train.py):
 * losses of three epochs in a given order and the weights after them. Tolerances: TensorFlow
 * computes Adam's rate in float, where 1 - 0.999 is off by 1e-5. */
#include "check.h"

#include "../golden/train/optimizer_golden.h"
#include "train/optimizer_priv.h"
#include "train/update_priv.h"

enum { N = 12, D = 7, H = 5, K = 3, BATCH = 5 };

/* A head of Dense(H) and Dense(n_units), and what it learns from. */
typedef struct golden_case {
    gf_head_activation hidden, end;
    size_t n_units;
    const float *targets; /* (N, n_units) of a sigmoid */
    const float *class_weights, *row_weights;
} golden_case;

static const golden_case plain = {.hidden = GF_HEAD_RELU, .end = GF_HEAD_SOFTMAX, .n_units = K};

/* Of the last layer the golden weights' first n_units columns. */
static gf_head *golden_head(const golden_case *c)
{
    const gf_head_layer layers[] = {{.units = H, .activation = c->hidden},
                                    {.units = c->n_units, .activation = c->end}};
    gf_head *head = NULL;
    CHECK_OK(gf_head_new(D, layers, 2, &head, &check_err));
    const float *from = golden_initial_weights;
    memcpy(gf_head_kernel(head, 0), from, D * H * sizeof(float));
    memcpy(gf_head_bias(head, 0), from + D * H, H * sizeof(float));
    from += D * H + H;
    for (size_t i = 0; i < H; i++)
        memcpy(gf_head_kernel(head, 1) + i * c->n_units, from + i * K, c->n_units * sizeof(float));
    memcpy(gf_head_bias(head, 1), from + H * K, c->n_units * sizeof(float));
    return head;
}

static void check_weights(gf_head *head, const float *want)
{
    const double tolerance = 5e-6;
    const size_t n_units = gf_head_n_classes(head);
    for (size_t i = 0; i < D * H; i++)
        CHECK_NEAR((double)gf_head_kernel(head, 0)[i], (double)*want++, tolerance);
    for (size_t i = 0; i < H; i++)
        CHECK_NEAR((double)gf_head_bias(head, 0)[i], (double)*want++, tolerance);
    for (size_t i = 0; i < H * n_units; i++)
        CHECK_NEAR((double)gf_head_kernel(head, 1)[i], (double)*want++, tolerance);
    for (size_t i = 0; i < n_units; i++)
        CHECK_NEAR((double)gf_head_bias(head, 1)[i], (double)*want++, tolerance);
}

static gf__head_batch golden_batch(const golden_case *c, size_t first)
{
    return (gf__head_batch){.features = golden_features + first * D,
                            .n = N - first < BATCH ? N - first : BATCH,
                            .labels = c->targets == NULL ? golden_labels + first : NULL,
                            .targets = c->targets != NULL ? c->targets + first * c->n_units : NULL,
                            .class_weights = c->class_weights,
                            .row_weights = c->row_weights != NULL ? c->row_weights + first : NULL};
}

/* Three epochs in the order of the rows, as the golden ones. */
static void check_golden(golden_case c, gf_train_options options, const double *losses,
                         const double *accuracies, const float *weights)
{
    gf_head *head = golden_head(&c);
    gf__head_pass *pass = NULL;
    gf__optimizer *optimizer = NULL;
    CHECK_OK(gf__head_pass_new(head, BATCH, NULL, &pass, &check_err));
    CHECK_OK(gf__optimizer_new(head, &options, NULL, &optimizer, &check_err));
    for (size_t epoch = 0; epoch < 3; epoch++) {
        double sum = 0.0, sum_right = 0.0, loss, n_right;
        for (size_t first = 0; first < N; first += BATCH) {
            const gf__head_batch batch = golden_batch(&c, first);
            gf__head_forward(pass, head, &batch, NULL, &loss, &n_right);
            gf__head_backward(pass, head);
            gf__optimizer_step(optimizer, head, pass, batch.n);
            sum += loss * (double)batch.n;
            sum_right += n_right;
        }
        CHECK_NEAR(sum / N, losses[epoch], 3e-6);
        CHECK_NEAR(sum_right / N, accuracies[epoch], 1e-6);
    }
    check_weights(head, weights);
    gf__optimizer_free(optimizer);
    gf__head_pass_free(pass);
    gf_head_free(head);
}

static gf_train_options options_of(gf_optimizer optimizer, double learning_rate, double momentum)
{
    gf_train_options options = gf_train_options_default();
    options.optimizer = optimizer;
    options.learning_rate = learning_rate;
    options.momentum = momentum;
    return options;
}

TEST(adam__trains_as_keras)
{
    check_golden(plain, options_of(GF_OPTIMIZER_ADAM, 0.01, 0.0), golden_adam_loss,
                 golden_adam_accuracy, golden_adam_weights);
}

TEST(adam__trains_as_keras_with_class_weights)
{
    const float class_weights[] = {0.5f, 1.0f, 1.5f};
    golden_case weighed = plain;
    weighed.class_weights = class_weights;
    check_golden(weighed, options_of(GF_OPTIMIZER_ADAM, 0.01, 0.0), golden_adam_weighted_loss,
                 golden_adam_weighted_accuracy, golden_adam_weighted_weights);
}

TEST(sgd__trains_as_keras)
{
    check_golden(plain, options_of(GF_OPTIMIZER_SGD, 0.05, 0.0), golden_sgd_loss,
                 golden_sgd_accuracy, golden_sgd_weights);
}

TEST(sgd_with_momentum__trains_as_keras)
{
    check_golden(plain, options_of(GF_OPTIMIZER_SGD, 0.05, 0.9), golden_momentum_loss,
                 golden_momentum_accuracy, golden_momentum_weights);
}

TEST(rmsprop__trains_as_keras)
{
    check_golden(plain, options_of(GF_OPTIMIZER_RMSPROP, 0.01, 0.0), golden_rmsprop_loss,
                 golden_rmsprop_accuracy, golden_rmsprop_weights);
}

TEST(hidden_tanh__trains_as_keras)
{
    golden_case c = plain;
    c.hidden = GF_HEAD_TANH;
    check_golden(c, options_of(GF_OPTIMIZER_ADAM, 0.01, 0.0), golden_tanh_loss,
                 golden_tanh_accuracy, golden_tanh_weights);
}

TEST(hidden_sigmoid__trains_as_keras)
{
    golden_case c = plain;
    c.hidden = GF_HEAD_SIGMOID;
    check_golden(c, options_of(GF_OPTIMIZER_ADAM, 0.01, 0.0), golden_sigmoid_loss,
                 golden_sigmoid_accuracy, golden_sigmoid_weights);
}

/* Dense(1, sigmoid) with binary cross-entropy, rows of one weight and of several, 0 among them. */
TEST(one_sigmoid__trains_as_keras)
{
    golden_case c = {.hidden = GF_HEAD_TANH,
                     .end = GF_HEAD_SIGMOID,
                     .n_units = 1,
                     .targets = golden_binary_targets};
    check_golden(c, options_of(GF_OPTIMIZER_ADAM, 0.01, 0.0), golden_binary_loss,
                 golden_binary_accuracy, golden_binary_weights);
    c.row_weights = golden_row_weights;
    check_golden(c, options_of(GF_OPTIMIZER_SGD, 0.05, 0.0), golden_binary_weighted_loss,
                 golden_binary_weighted_accuracy, golden_binary_weighted_weights);
}

TEST(several_sigmoids__train_as_keras)
{
    const golden_case c = {
        .hidden = GF_HEAD_TANH, .end = GF_HEAD_SIGMOID, .n_units = K, .targets = golden_answers};
    check_golden(c, options_of(GF_OPTIMIZER_ADAM, 0.01, 0.0), golden_answers_loss,
                 golden_answers_accuracy, golden_answers_weights);
}

TEST(optimizer_step__gives_the_same_bytes_on_any_number_of_threads)
{
    enum { ROWS = 20, INPUTS = 301, UNITS = 260 };
    const gf_head_layer layers[] = {{.units = UNITS, .activation = GF_HEAD_RELU},
                                    {.units = 3, .activation = GF_HEAD_SOFTMAX}};
    const gf_train_options options = gf_train_options_default();
    static float features[ROWS * INPUTS];
    size_t labels[ROWS], n_floats;
    double loss, n_right;
    const gf__head_batch batch = {.features = features, .n = ROWS, .labels = labels};
    gf__rng rng;
    gf__rng_seed(&rng, 3, 0);
    for (size_t i = 0; i < ROWS * INPUTS; i++)
        features[i] = (float)gf__rng_normal(&rng);
    for (size_t i = 0; i < ROWS; i++)
        labels[i] = i % 3;

    gf_head *heads[3] = {NULL};
    for (int n_threads = 1; n_threads <= 3; n_threads++) {
        gf_head **head = &heads[n_threads - 1];
        gf__pool *pool = NULL;
        gf__head_pass *pass = NULL;
        gf__optimizer *optimizer = NULL;
        CHECK_OK(gf_head_new(INPUTS, layers, 2, head, &check_err));
        gf_head_initialise(*head, 1);
        CHECK_OK(gf__pool_new(n_threads, &pool, &check_err));
        CHECK_OK(gf__head_pass_new(*head, ROWS, pool, &pass, &check_err));
        CHECK_OK(gf__optimizer_new(*head, &options, pool, &optimizer, &check_err));
        for (int step = 0; step < 5; step++) {
            gf__head_forward(pass, *head, &batch, NULL, &loss, &n_right);
            gf__head_backward(pass, *head);
            gf__optimizer_step(optimizer, *head, pass, ROWS);
        }
        gf__optimizer_free(optimizer);
        gf__head_pass_free(pass);
        gf__pool_free(pool);
        const float *alone = gf__head_params(heads[0], &n_floats);
        CHECK(memcmp(alone, gf__head_params(*head, &n_floats), n_floats * sizeof(float)) == 0);
    }
    for (size_t i = 0; i < 3; i++)
        gf_head_free(heads[i]);
}

/* Every compilation this CPU can run. */
static size_t list_ops(const gf__update_ops *ops[3])
{
    size_t n = 0;
    ops[n++] = &gf__update_ops_generic;
#if defined(__x86_64__)
    if (gf__isa_pick() != GF__ISA_GENERIC)
        ops[n++] = &gf__update_ops_v3;
    if (gf__isa_pick() == GF__ISA_V4)
        ops[n++] = &gf__update_ops_v4;
#endif
    return n;
}

TEST(update__agrees_with_the_formulas_in_every_instruction_set)
{
    enum { LENGTH = 37 };
    const gf__update update = {.rate = 0.01f, .momentum = 0.9f};
    const gf__update_ops *ops[3];
    for (size_t o = 0, n_ops = list_ops(ops); o < n_ops; o++) {
        float w[4][LENGTH + 1], m[4][LENGTH + 1], v[LENGTH + 1], g[LENGTH + 1];
        for (size_t i = 0; i <= LENGTH; i++) {
            g[i] = 0.1f * (float)i - 1.7f;
            v[i] = 0.25f;
            for (size_t k = 0; k < 4; k++) {
                w[k][i] = 1.0f;
                m[k][i] = 0.5f;
            }
        }
        ops[o]->adam(&update, w[0], g, m[0], v, LENGTH);
        ops[o]->sgd(&update, w[1], g, NULL, NULL, LENGTH);
        ops[o]->momentum(&update, w[2], g, m[2], NULL, LENGTH);
        ops[o]->rmsprop(&update, w[3], g, m[3], NULL, LENGTH);
        for (size_t i = 0; i < LENGTH; i++) {
            const double gi = (double)g[i];
            const double adam_m = 0.5 * 0.9 + gi * 0.1, adam_v = 0.25 * 0.999 + gi * gi * 0.001;
            const double momentum = 0.9 * 0.5 - 0.01 * gi, rms = 0.9 * 0.5 + 0.1 * gi * gi;
            CHECK_NEAR((double)w[0][i], 1.0 - 0.01 * adam_m / (sqrt(adam_v) + 1e-7), 2e-7);
            CHECK_NEAR((double)w[1][i], 1.0 - 0.01 * gi, 2e-7);
            CHECK_NEAR((double)w[2][i], 1.0 + momentum, 2e-7);
            CHECK_NEAR((double)w[3][i], 1.0 - 0.01 * gi / sqrt(rms + 1e-7), 2e-7);
        }
        for (size_t k = 0; k < 4; k++)
            CHECK(w[k][LENGTH] == 1.0f && m[k][LENGTH] == 0.5f); /* one past the end */
    }
}

TEST(optimizer_parse__knows_three_names)
{
    gf_optimizer optimizer = GF_OPTIMIZER_ADAM;
    CHECK_OK(gf_optimizer_parse("rmsprop", &optimizer, &check_err));
    CHECK_EQ(optimizer, GF_OPTIMIZER_RMSPROP);
    CHECK_STR(gf_optimizer_name(GF_OPTIMIZER_SGD), "sgd");
    CHECK_FAILS(GF_EINVAL, "\"adamw\" is not one of adam, sgd, rmsprop",
                gf_optimizer_parse("adamw", &optimizer, &check_err));
}

TEST(train_options_check__names_the_option_its_value_and_what_is_allowed)
{
    const gf_train_options good = gf_train_options_default();
    gf_train_options bad;
    CHECK_OK(gf_train_options_check(&good, &check_err));
    bad = good, bad.n_epochs = 0;
    CHECK_FAILS(GF_EINVAL, "epochs is 0, must be", gf_train_options_check(&bad, &check_err));
    bad = good, bad.batch_size = 0;
    CHECK_FAILS(GF_EINVAL, "batch size is 0", gf_train_options_check(&bad, &check_err));
    bad = good, bad.batch_size = 65537;
    CHECK_FAILS(GF_EINVAL, "from 1 to 65536", gf_train_options_check(&bad, &check_err));
    bad = good, bad.learning_rate = -0.5;
    CHECK_FAILS(GF_EINVAL, "learning rate is -0.5", gf_train_options_check(&bad, &check_err));
    bad = good, bad.learning_rate = (double)NAN;
    CHECK_FAILS(GF_EINVAL, "above 0", gf_train_options_check(&bad, &check_err));
    bad = good, bad.momentum = 1.0;
    CHECK_FAILS(GF_EINVAL, "momentum is 1, must be in [0,1)",
                gf_train_options_check(&bad, &check_err));
    bad = good, bad.momentum = 0.9;
    CHECK_FAILS(GF_EINVAL, "the optimizer is adam", gf_train_options_check(&bad, &check_err));
    bad = good, bad.early_stop = -1;
    CHECK_FAILS(GF_EINVAL, "early stop is -1", gf_train_options_check(&bad, &check_err));
    bad = good, bad.n_threads = -1;
    CHECK_FAILS(GF_EINVAL, "threads is -1", gf_train_options_check(&bad, &check_err));
    bad = good, bad.optimizer = (gf_optimizer)9;
    CHECK_FAILS(GF_EINVAL, "number 9", gf_train_options_check(&bad, &check_err));
}

TESTS_MAIN(UNIT(adam__trains_as_keras), UNIT(hidden_tanh__trains_as_keras),
           UNIT(hidden_sigmoid__trains_as_keras), UNIT(one_sigmoid__trains_as_keras),
           UNIT(several_sigmoids__train_as_keras), UNIT(adam__trains_as_keras_with_class_weights),
           UNIT(sgd__trains_as_keras), UNIT(sgd_with_momentum__trains_as_keras),
           UNIT(rmsprop__trains_as_keras),
           UNIT(optimizer_step__gives_the_same_bytes_on_any_number_of_threads),
           UNIT(update__agrees_with_the_formulas_in_every_instruction_set),
           UNIT(optimizer_parse__knows_three_names),
           UNIT(train_options_check__names_the_option_its_value_and_what_is_allowed))
