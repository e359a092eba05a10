/* Training of heads that end in sigmoid, rows that are weighed and that keep their order, and a
 * learning rate that changes between epochs. */
#include "fit_problem.h"

#include "../golden/train/optimizer_golden.h"

enum { GOLDEN_ROWS = 12, GOLDEN_INPUTS = 7, GOLDEN_UNITS = 5, GOLDEN_ANSWERS = 3 };

static gf_head *curved_head(size_t n_inputs, size_t n_hidden, size_t n_units)
{
    const gf_head_layer layers[] = {{.units = n_hidden, .activation = GF_HEAD_TANH},
                                    {.units = n_units, .activation = GF_HEAD_SIGMOID}};
    gf_head *head = NULL;
    CHECK_OK(gf_head_new(n_inputs, layers, 2, &head, &check_err));
    return head;
}

/* Whether row i is of class k: FIT_CLASSES answers a row. */
static void fill_targets(float *targets, const size_t *labels, size_t n)
{
    for (size_t i = 0; i < n * FIT_CLASSES; i++)
        targets[i] = labels[i / FIT_CLASSES] == i % FIT_CLASSES ? 1.0f : 0.0f;
}

static void give_targets(fit_problem *p)
{
    static float train_targets[FIT_TRAIN * FIT_CLASSES], val_targets[FIT_VAL * FIT_CLASSES];
    fill_targets(train_targets, p->train_labels, FIT_TRAIN);
    fill_targets(val_targets, p->val_labels, FIT_VAL);
    p->train.labels = p->val.labels = NULL;
    p->train.targets = train_targets;
    p->val.targets = val_targets;
}

TEST(fit__takes_rows_in_their_order_as_keras_does_without_shuffling)
{
    gf_head *head = curved_head(GOLDEN_INPUTS, GOLDEN_UNITS, GOLDEN_ANSWERS);
    const gf_fit_data data = {
        .features = golden_features, .targets = golden_answers, .n = GOLDEN_ROWS};
    gf_train_options options = gf_train_options_default();
    gf_fit_state *state = NULL;
    gf_history *history = NULL;
    const size_t n_first = GOLDEN_INPUTS * GOLDEN_UNITS;
    const float *from = golden_initial_weights;
    memcpy(gf_head_kernel(head, 0), from, n_first * sizeof(float));
    memcpy(gf_head_bias(head, 0), from + n_first, GOLDEN_UNITS * sizeof(float));
    from += n_first + GOLDEN_UNITS;
    memcpy(gf_head_kernel(head, 1), from, GOLDEN_UNITS * GOLDEN_ANSWERS * sizeof(float));
    memcpy(gf_head_bias(head, 1), from + GOLDEN_UNITS * GOLDEN_ANSWERS,
           GOLDEN_ANSWERS * sizeof(float));
    options.n_epochs = 3;
    options.batch_size = 5;
    options.learning_rate = 0.01;
    options.keeps_order = true;
    CHECK_OK(gf_fit_state_new(&state, &check_err)); /* with one, weights stay as they are */
    CHECK_OK(gf_fit(head, &data, &data, &options, &(gf_fit_callbacks){.state = state}, &history,
                    &check_err));
    for (size_t i = 0; i < 3; i++) {
        CHECK_NEAR(history->epochs[i].loss, golden_answers_loss[i], 3e-6);
        CHECK_NEAR(history->epochs[i].accuracy, golden_answers_accuracy[i], 1e-6);
    }
    CHECK(history->epochs[2].val_loss < history->epochs[2].loss);
    gf_history_free(history);
    gf_fit_state_free(state);
    gf_head_free(head);
}

TEST(fit__gives_sigmoids_the_same_bytes_on_any_number_of_threads)
{
    fit_problem *p = fit_problem_new();
    gf_head *alone = NULL;
    give_targets(p);
    for (int n_threads = 1; n_threads <= 3; n_threads++) {
        gf_head *head = curved_head(FIT_FEATURES, 300, FIT_CLASSES);
        gf_history *history = NULL;
        p->options.n_threads = n_threads;
        CHECK_OK(gf_fit(head, &p->train, &p->val, &p->options, NULL, &history, &check_err));
        CHECK(history->epochs[7].val_accuracy > 0.9);
        gf_history_free(history);
        if (alone == NULL) {
            alone = head;
            continue;
        }
        CHECK(fit_heads_equal(alone, head));
        gf_head_free(head);
    }
    gf_head_free(alone);
    free(p);
}

/* As many of a row as its weight says; a weight of a class is one of each of its rows. */
TEST(fit__weighs_rows)
{
    fit_problem *p = fit_problem_new();
    gf_head *by_class = fit_head_new(0.0), *by_row = fit_head_new(0.0);
    gf_history *history = NULL;
    const float class_weights[FIT_CLASSES] = {0.5f, 1.0f, 2.0f};
    float row_weights[FIT_TRAIN], val_weights[FIT_VAL] = {1.0f};
    for (size_t i = 0; i < FIT_TRAIN; i++)
        row_weights[i] = class_weights[p->train_labels[i]];
    p->options.n_epochs = 2;
    p->train.class_weights = class_weights;
    CHECK_OK(gf_fit(by_class, &p->train, NULL, &p->options, NULL, &history, &check_err));
    gf_history_free(history);
    p->train.class_weights = NULL;
    p->train.row_weights = row_weights;
    p->val.row_weights = val_weights; /* one row of all counts, in a mean over all */
    CHECK_OK(gf_fit(by_row, &p->train, &p->val, &p->options, NULL, &history, &check_err));
    CHECK(fit_heads_equal(by_class, by_row));
    float scores[FIT_CLASSES];
    CHECK_OK(gf_head_predict(by_row, p->val_features, 1, scores, &check_err));
    CHECK_NEAR(history->epochs[1].val_loss, -log((double)scores[p->val_labels[0]]) / FIT_VAL, 1e-7);
    gf_history_free(history);
    row_weights[4] = -0.5f;
    CHECK_FAILS(GF_EINVAL, "weight of row 4 is -0.5",
                gf_fit(by_row, &p->train, NULL, &p->options, NULL, &history, &check_err));
    gf_head_free(by_class);
    gf_head_free(by_row);
    free(p);
}

/* Half the rate after every epoch. */
static bool halve(void *user, const gf_epoch *epoch, int n_epochs)
{
    (void)epoch;
    (void)n_epochs;
    *(double *)user /= 2;
    return true;
}

TEST(fit__reads_a_rate_before_every_epoch)
{
    fit_problem *p = fit_problem_new();
    gf_head *at_once = fit_head_new(0.3), *apart = fit_head_new(0.3);
    gf_history *history = NULL;
    gf_fit_state *state = NULL;
    double rate = 0.01;
    gf_fit_callbacks callbacks = {.epoch = halve, .user = &rate, .learning_rate = &rate};
    p->options.n_epochs = 3;
    CHECK_OK(gf_fit(at_once, &p->train, NULL, &p->options, &callbacks, &history, &check_err));
    gf_history_free(history);

    gf_head_initialise(apart, p->options.seed);
    CHECK_OK(gf_fit_state_new(&state, &check_err));
    p->options.n_epochs = 1;
    for (int i = 0; i < 3; i++) {
        p->options.learning_rate = 0.01 / (1 << i);
        CHECK_OK(gf_fit(apart, &p->train, NULL, &p->options, &(gf_fit_callbacks){.state = state},
                        &history, &check_err));
        gf_history_free(history);
    }
    CHECK(fit_heads_equal(at_once, apart));

    p->options.n_epochs = 2000; /* until half of it is none */
    CHECK_FAILS(GF_EINVAL, "learning rate is 0, must be above 0",
                gf_fit(at_once, &p->train, NULL, &p->options, &callbacks, &history, &check_err));
    callbacks.checkpoint_path = "never-written";
    CHECK_FAILS(GF_EINVAL, "a learning rate that changes: choose one",
                gf_fit(at_once, &p->train, NULL, &p->options, &callbacks, &history, &check_err));
    gf_fit_state_free(state);
    gf_head_free(at_once);
    gf_head_free(apart);
    free(p);
}

TEST(fit__refuses_answers_that_the_last_layer_does_not_give)
{
    fit_problem *p = fit_problem_new();
    gf_head *sigmoid = curved_head(FIT_FEATURES, 4, FIT_CLASSES), *softmax = fit_head_new(0.0);
    gf_history *history = NULL;
    float targets[FIT_TRAIN * FIT_CLASSES], weights[FIT_CLASSES] = {1.0f, 1.0f, 1.0f};
    CHECK_FAILS(GF_EINVAL, "is a sigmoid, which learns from targets, not from labels",
                gf_fit(sigmoid, &p->train, NULL, &p->options, NULL, &history, &check_err));
    fill_targets(targets, p->train_labels, FIT_TRAIN);
    p->train.targets = targets;
    CHECK_FAILS(GF_EINVAL, "is a softmax, which learns from labels, not from targets",
                gf_fit(softmax, &p->train, NULL, &p->options, NULL, &history, &check_err));
    CHECK_FAILS(GF_EINVAL, "learns from targets",
                gf_fit(sigmoid, &p->train, &p->val, &p->options, NULL, &history, &check_err));
    p->train.class_weights = weights;
    CHECK_FAILS(GF_EINVAL, "weigh rows where there are targets",
                gf_fit(sigmoid, &p->train, NULL, &p->options, NULL, &history, &check_err));
    p->train.class_weights = NULL;
    targets[5 * FIT_CLASSES + 2] = 1.5f;
    CHECK_FAILS(GF_EINVAL, "training row 5: target 2 is 1.5, must be from 0 to 1",
                gf_fit(sigmoid, &p->train, NULL, &p->options, NULL, &history, &check_err));
    gf_head_free(sigmoid);
    gf_head_free(softmax);
    free(p);
}

TEST(fit__of_targets_survives_every_allocation_failure)
{
    fit_problem *p = fit_problem_new();
    gf_head *head = curved_head(FIT_FEATURES, 8, FIT_CLASSES);
    gf_history *history = NULL;
    float weights[FIT_TRAIN];
    gf_status st = GF_ENOMEM;
    give_targets(p);
    for (size_t i = 0; i < FIT_TRAIN; i++)
        weights[i] = 1.0f;
    p->train.row_weights = weights;
    p->options.n_epochs = 2;
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__mem_fail_after(n);
        st = gf_fit(head, &p->train, &p->val, &p->options, NULL, &history, NULL);
        gf__mem_fail_never();
        CHECK(st == GF_OK || (st == GF_ENOMEM && history == NULL));
    }
    CHECK_EQ(st, GF_OK);
    gf_history_free(history);
    gf_head_free(head);
    free(p);
}

TESTS_MAIN(UNIT(fit__takes_rows_in_their_order_as_keras_does_without_shuffling),
           UNIT(fit__gives_sigmoids_the_same_bytes_on_any_number_of_threads),
           UNIT(fit__weighs_rows), UNIT(fit__reads_a_rate_before_every_epoch),
           UNIT(fit__refuses_answers_that_the_last_layer_does_not_give),
           UNIT(fit__of_targets_survives_every_allocation_failure))
