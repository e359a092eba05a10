/* The fit loop: it learns, repeats itself to the byte on any number of threads, stops early with
 * the best weights, and refuses what cannot be trained. */
#include "fit_problem.h"

TEST(fit__learns_and_reports_every_epoch)
{
    fit_problem *p = fit_problem_new();
    gf_head *head = fit_head_new(0.0);
    gf_history *history = NULL;
    CHECK_OK(gf_fit(head, &p->train, &p->val, &p->options, NULL, &history, &check_err));
    CHECK_EQ(history->n_epochs, 8);
    CHECK_EQ(history->best_epoch, 8);
    CHECK(history->is_complete);
    const gf_epoch *first = &history->epochs[0], *last = &history->epochs[7];
    CHECK_EQ(first->number, 1);
    CHECK(last->loss < first->loss / 2.0);
    CHECK(last->accuracy > 0.95);
    CHECK(last->val_accuracy > 0.8);
    CHECK(last->time_s > 0.0);
    gf_history_free(history);
    gf_head_free(head);
    free(p);
}

TEST(fit__reports_no_validation_without_data_for_it)
{
    fit_problem *p = fit_problem_new();
    gf_head *head = fit_head_new(0.0);
    gf_history *history = NULL;
    p->options.n_epochs = 1;
    p->options.batch_size = 1000; /* more than there are rows */
    CHECK_OK(gf_fit(head, &p->train, NULL, &p->options, NULL, &history, &check_err));
    CHECK(isnan(history->epochs[0].val_loss) && isnan(history->epochs[0].val_accuracy));
    gf_history_free(history);
    gf_head_free(head);
    free(p);
}

TEST(fit__gives_the_same_bytes_on_one_two_and_three_threads)
{
    fit_problem *p = fit_problem_new();
    p->options.early_stop = 3;
    p->options.is_balanced = true;
    for (int optimizer = GF_OPTIMIZER_ADAM; optimizer <= GF_OPTIMIZER_RMSPROP; optimizer++) {
        gf_head *heads[3];
        gf_history *histories[3];
        p->options.optimizer = (gf_optimizer)optimizer;
        for (int i = 0; i < 3; i++) {
            heads[i] = fit_head_new(0.3);
            p->options.n_threads = i + 1;
            CHECK_OK(
                gf_fit(heads[i], &p->train, &p->val, &p->options, NULL, &histories[i], &check_err));
            CHECK(fit_heads_equal(heads[0], heads[i]));
            CHECK_EQ(histories[i]->n_epochs, histories[0]->n_epochs);
            for (size_t e = 0; e < histories[0]->n_epochs; e++)
                CHECK(histories[i]->epochs[e].loss == histories[0]->epochs[e].loss &&
                      histories[i]->epochs[e].val_loss == histories[0]->epochs[e].val_loss);
        }
        for (int i = 0; i < 3; i++) {
            gf_head_free(heads[i]);
            gf_history_free(histories[i]);
        }
    }
    free(p);
}

TEST(fit__differs_with_the_seed)
{
    fit_problem *p = fit_problem_new();
    gf_head *a = fit_head_new(0.0), *b = fit_head_new(0.0);
    gf_history *history = NULL;
    p->options.n_epochs = 1;
    CHECK_OK(gf_fit(a, &p->train, NULL, &p->options, NULL, &history, &check_err));
    gf_history_free(history);
    p->options.seed = 43;
    CHECK_OK(gf_fit(b, &p->train, NULL, &p->options, NULL, &history, &check_err));
    gf_history_free(history);
    CHECK(!fit_heads_equal(a, b));
    gf_head_free(a);
    gf_head_free(b);
    free(p);
}

TEST(fit__stops_early_and_returns_the_best_epochs_weights)
{
    fit_problem *p = fit_problem_new();
    gf_head *head = fit_head_new(0.0);
    gf_history *history = NULL;
    p->options.n_epochs = 200;
    p->options.learning_rate = 0.02; /* overfits soon */
    p->options.early_stop = 4;
    CHECK_OK(gf_fit(head, &p->train, &p->val, &p->options, NULL, &history, &check_err));
    CHECK(history->n_epochs < 200);
    CHECK_EQ(history->n_epochs, history->best_epoch + 4);
    const gf_epoch *best = &history->epochs[history->best_epoch - 1];
    for (size_t e = 0; e < history->n_epochs; e++)
        CHECK(history->epochs[e].val_loss >= best->val_loss);

    float scores[FIT_VAL * FIT_CLASSES];
    gf_metrics *metrics = NULL;
    CHECK_OK(gf_head_predict(head, p->val_features, FIT_VAL, scores, &check_err));
    CHECK_OK(gf_metrics_new(scores, p->val_labels, FIT_VAL, FIT_CLASSES, &metrics, &check_err));
    CHECK_NEAR(metrics->loss, best->val_loss, 1e-9);
    gf_metrics_free(metrics);
    gf_history_free(history);
    gf_head_free(head);
    free(p);
}

TEST(fit__balances_classes_of_unequal_size)
{
    /* One feature that says nothing: a balanced head is unsure, another one follows the
     * majority. */
    float features[40];
    size_t labels[40];
    float score[2];
    const float one = 1.0f;
    for (size_t i = 0; i < 40; i++) {
        features[i] = 1.0f;
        labels[i] = i < 4;
    }
    const gf_fit_data data = {.features = features, .labels = labels, .n = 40, .n_views = 1};
    const gf_head_layer layer = {.units = 2, .activation = GF_HEAD_SOFTMAX};
    gf_train_options options = gf_train_options_default();
    options.optimizer = GF_OPTIMIZER_SGD;
    options.learning_rate = 0.2;
    options.n_epochs = 200;
    options.batch_size = 40;
    for (int is_balanced = 0; is_balanced <= 1; is_balanced++) {
        gf_head *head = NULL;
        gf_history *history = NULL;
        options.is_balanced = is_balanced;
        CHECK_OK(gf_head_new(1, &layer, 1, &head, &check_err));
        CHECK_OK(gf_fit(head, &data, NULL, &options, NULL, &history, &check_err));
        CHECK_OK(gf_head_predict(head, &one, 1, score, &check_err));
        CHECK_NEAR((double)score[1], is_balanced ? 0.5 : 0.1, 0.01);
        gf_history_free(history);
        gf_head_free(head);
    }
}

TEST(fit__hands_over_the_history_when_stopped)
{
    fit_problem *p = fit_problem_new();
    gf_head *head = fit_head_new(0.0);
    gf_history *history = NULL;
    int last = 3;
    const gf_fit_callbacks callbacks = {.epoch = fit_stop_after, .user = &last};
    CHECK_FAILS(GF_ECANCELED, "stopped after epoch 3 of 8",
                gf_fit(head, &p->train, &p->val, &p->options, &callbacks, &history, &check_err));
    CHECK_EQ(history->n_epochs, 3);
    CHECK(!history->is_complete);
    gf_history_free(history);
    gf_head_free(head);
    free(p);
}

TEST(fit__refuses_what_cannot_be_trained)
{
    fit_problem *p = fit_problem_new();
    gf_head *head = fit_head_new(0.0);
    gf_history *history = NULL;
    gf_fit_data none = p->train;
    none.n = 0;
    CHECK_FAILS(GF_EINVAL, "training data has no rows",
                gf_fit(head, &none, NULL, &p->options, NULL, &history, &check_err));
    p->val_labels[7] = 3;
    CHECK_FAILS(GF_EINVAL, "validation row 7 has label 3, the head has 3 classes",
                gf_fit(head, &p->train, &p->val, &p->options, NULL, &history, &check_err));
    p->train_features[(FIT_TRAIN + 2) * FIT_FEATURES + 5] = INFINITY;
    CHECK_FAILS(GF_EINVAL, "training row 92: feature 5 is not a finite",
                gf_fit(head, &p->train, NULL, &p->options, NULL, &history, &check_err));
    p->options.early_stop = 2;
    CHECK_FAILS(GF_EINVAL, "needs validation data",
                gf_fit(head, &p->train, NULL, &p->options, NULL, &history, &check_err));
    p->options.n_epochs = 0;
    CHECK_FAILS(GF_EINVAL, "epochs is 0",
                gf_fit(head, &p->train, NULL, &p->options, NULL, &history, &check_err));
    CHECK(history == NULL);
    gf_head_free(head);
    free(p);
}

TEST(fit__needs_a_softmax_at_the_end)
{
    fit_problem *p = fit_problem_new();
    const gf_head_layer layer = {.units = FIT_CLASSES};
    gf_head *head = NULL;
    gf_history *history = NULL;
    CHECK_OK(gf_head_new(FIT_FEATURES, &layer, 1, &head, &check_err));
    CHECK_FAILS(GF_EUNSUPPORTED, "softmax",
                gf_fit(head, &p->train, NULL, &p->options, NULL, &history, &check_err));
    gf_head_free(head);
    free(p);
}

TEST(fit__says_so_when_the_loss_explodes)
{
    fit_problem *p = fit_problem_new();
    gf_head *head = fit_head_new(0.0);
    gf_history *history = NULL;
    p->options.optimizer = GF_OPTIMIZER_SGD;
    p->options.learning_rate = 1e30;
    CHECK_FAILS(GF_EINVAL, "a learning rate below 1e+30",
                gf_fit(head, &p->train, NULL, &p->options, NULL, &history, &check_err));
    CHECK(history == NULL);
    gf_head_free(head);
    free(p);
}

/* ---- going on ---- */

/* n_epochs of a head in several calls of gf_fit() with one state. */
static void fit_in_parts(fit_problem *p, gf_head *head, int n_parts, int n_epochs)
{
    gf_fit_state *state = NULL;
    CHECK_OK(gf_fit_state_new(&state, &check_err));
    const gf_fit_callbacks callbacks = {.state = state};
    for (int i = 0; i < n_parts; i++) {
        gf_history *history = NULL;
        p->options.n_epochs = n_epochs / n_parts;
        p->options.n_threads = 1 + i % 3; /* the optimizer meets another pool each time */
        CHECK_OK(gf_fit(head, &p->train, &p->val, &p->options, &callbacks, &history, &check_err));
        CHECK_EQ(history->n_epochs, n_epochs / n_parts);
        CHECK_EQ(history->epochs[0].number, 1);
        gf_history_free(history);
    }
    gf_fit_state_free(state);
}

TEST(fit__in_two_parts_gives_the_bytes_of_one)
{
    fit_problem *p = fit_problem_new();
    for (int optimizer = GF_OPTIMIZER_ADAM; optimizer <= GF_OPTIMIZER_RMSPROP; optimizer++) {
        gf_head *whole = fit_head_new(0.3), *parts = fit_head_new(0.3);
        gf_history *history = NULL;
        p->options.optimizer = (gf_optimizer)optimizer;
        p->options.n_epochs = 6;
        p->options.n_threads = 1;
        CHECK_OK(gf_fit(whole, &p->train, &p->val, &p->options, NULL, &history, &check_err));
        gf_history_free(history);
        gf_head_initialise(parts, p->options.seed); /* a state keeps weights as they are */
        fit_in_parts(p, parts, 2, 6);
        CHECK(fit_heads_equal(whole, parts));
        gf_head_free(whole);
        gf_head_free(parts);
    }
    free(p);
}

TEST(fit__goes_on_only_with_the_state_of_its_own_training)
{
    fit_problem *p = fit_problem_new();
    gf_head *head = fit_head_new(0.0), *other = NULL;
    gf_fit_state *state = NULL;
    gf_history *history = NULL;
    const gf_head_layer layer = {.units = FIT_CLASSES, .activation = GF_HEAD_SOFTMAX};
    CHECK_OK(gf_head_new(FIT_FEATURES, &layer, 1, &other, &check_err));
    CHECK_OK(gf_fit_state_new(&state, &check_err));
    gf_fit_callbacks callbacks = {.state = state};
    p->options.n_epochs = 1;
    CHECK_OK(gf_fit(head, &p->train, NULL, &p->options, &callbacks, &history, &check_err));
    gf_history_free(history);
    CHECK_FAILS(GF_EMISMATCH, "weights, this one has",
                gf_fit(other, &p->train, NULL, &p->options, &callbacks, &history, &check_err));
    p->options.learning_rate = 0.5; /* a schedule's next step */
    CHECK_OK(gf_fit(head, &p->train, NULL, &p->options, &callbacks, &history, &check_err));
    gf_history_free(history);
    p->options.optimizer = GF_OPTIMIZER_SGD;
    CHECK_FAILS(GF_EMISMATCH, "the state is of adam",
                gf_fit(head, &p->train, NULL, &p->options, &callbacks, &history, &check_err));
    callbacks.checkpoint_path = "never-written";
    CHECK_FAILS(GF_EINVAL, "not from both",
                gf_fit(head, &p->train, NULL, &p->options, &callbacks, &history, &check_err));
    gf_fit_state_free(state);
    gf_head_free(head);
    gf_head_free(other);
    free(p);
}

/* ---- class weights ---- */

TEST(fit__weighs_classes_as_it_is_told)
{
    fit_problem *p = fit_problem_new();
    gf_head *balanced = fit_head_new(0.0), *told = fit_head_new(0.0);
    gf_history *history = NULL;
    float weights[FIT_CLASSES];
    p->train.n = 80; /* 27, 27 and 26 rows */
    p->train.n_views = 1;
    p->options.n_epochs = 2;
    p->options.is_balanced = true;
    for (size_t k = 0; k < FIT_CLASSES; k++)
        weights[k] = (float)(80.0 / (3.0 * (k < 2 ? 27.0 : 26.0)));
    CHECK_OK(gf_fit(balanced, &p->train, NULL, &p->options, NULL, &history, &check_err));
    gf_history_free(history);
    p->train.class_weights = weights;
    CHECK_FAILS(GF_EINVAL, "choose one",
                gf_fit(told, &p->train, NULL, &p->options, NULL, &history, &check_err));
    p->options.is_balanced = false;
    CHECK_OK(gf_fit(told, &p->train, NULL, &p->options, NULL, &history, &check_err));
    gf_history_free(history);
    CHECK(fit_heads_equal(balanced, told));
    weights[1] = -1.0f;
    CHECK_FAILS(GF_EINVAL, "weight of class 1 is -1",
                gf_fit(told, &p->train, NULL, &p->options, NULL, &history, &check_err));
    gf_head_free(balanced);
    gf_head_free(told);
    free(p);
}

TEST(fit__survives_every_allocation_failure)
{
    fit_problem *p = fit_problem_new();
    gf_head *head = fit_head_new(0.2);
    gf_history *history = NULL;
    gf_status st = GF_ENOMEM;
    p->options.n_epochs = 2;
    p->options.early_stop = 1;
    p->options.is_balanced = true;
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

TESTS_MAIN(
    UNIT(fit__learns_and_reports_every_epoch), UNIT(fit__reports_no_validation_without_data_for_it),
    UNIT(fit__gives_the_same_bytes_on_one_two_and_three_threads), UNIT(fit__differs_with_the_seed),
    UNIT(fit__stops_early_and_returns_the_best_epochs_weights),
    UNIT(fit__balances_classes_of_unequal_size), UNIT(fit__hands_over_the_history_when_stopped),
    UNIT(fit__refuses_what_cannot_be_trained), UNIT(fit__needs_a_softmax_at_the_end),
    UNIT(fit__says_so_when_the_loss_explodes), UNIT(fit__in_two_parts_gives_the_bytes_of_one),
    UNIT(fit__goes_on_only_with_the_state_of_its_own_training),
    UNIT(fit__weighs_classes_as_it_is_told), UNIT(fit__survives_every_allocation_failure))
