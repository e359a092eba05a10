/* Checkpoints: a stopped and resumed training ends in the same bytes as one that was left alone;
 * another training's checkpoint is refused by name; a damaged file is refused; a kill while writing
 * leaves a file that works. */
#include "fit_problem.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tensor/tensor.h"

typedef struct setting {
    fit_problem *problem;
    char *dir, path[4200];
    gf_fit_callbacks callbacks;
    int stop_after;
} setting;

static setting *setting_new(void)
{
    setting *s = calloc(1, sizeof *s);
    s->problem = fit_problem_new();
    s->problem->options.early_stop = 6;
    s->dir = check_temp_dir();
    snprintf(s->path, sizeof s->path, "%s/state.safetensors", s->dir);
    s->stop_after = 3;
    s->callbacks = (gf_fit_callbacks){.epoch = fit_stop_after,
                                      .user = &s->stop_after,
                                      .checkpoint_path = s->path,
                                      .data_id = "flowers"};
    return s;
}

static void setting_free(setting *s)
{
    unlink(s->path);
    CHECK_EQ(rmdir(s->dir), 0); /* nothing else is left in it */
    free(s->dir);
    free(s->problem);
    free(s);
}

static gf_status fit(setting *s, gf_head *head, gf_history **history)
{
    return gf_fit(head, &s->problem->train, &s->problem->val, &s->problem->options, &s->callbacks,
                  history, &check_err);
}

/* Trains up to stop_after, leaving a checkpoint. */
static void stop_early(setting *s)
{
    gf_head *head = fit_head_new(0.3);
    gf_history *history = NULL;
    CHECK_FAILS(GF_ECANCELED, "stopped", fit(s, head, &history));
    CHECK(gf__is_file(s->path));
    gf_history_free(history);
    gf_head_free(head);
}

TEST(checkpoint__resumes_to_the_same_bytes)
{
    setting *s = setting_new();
    for (int optimizer = GF_OPTIMIZER_ADAM; optimizer <= GF_OPTIMIZER_RMSPROP; optimizer++) {
        gf_head *whole = fit_head_new(0.3), *resumed = fit_head_new(0.3);
        gf_history *history = NULL, *again = NULL;
        s->problem->options.optimizer = (gf_optimizer)optimizer;
        s->problem->options.momentum = optimizer == GF_OPTIMIZER_SGD ? 0.9 : 0.0;
        CHECK_OK(gf_fit(whole, &s->problem->train, &s->problem->val, &s->problem->options, NULL,
                        &history, &check_err));
        for (s->stop_after = 2; s->stop_after < 8; s->stop_after += 3) {
            s->callbacks.is_resumed = s->stop_after > 2;
            stop_early(s);
        }
        s->callbacks.is_resumed = true;
        s->stop_after = 1000;
        s->problem->options.n_threads = 2; /* not part of what must agree */
        CHECK_OK(fit(s, resumed, &again));
        CHECK(fit_heads_equal(whole, resumed));
        CHECK_EQ(again->n_epochs, history->n_epochs);
        CHECK_EQ(again->best_epoch, history->best_epoch);
        for (size_t e = 0; e < history->n_epochs; e++)
            CHECK(again->epochs[e].loss == history->epochs[e].loss &&
                  again->epochs[e].val_loss == history->epochs[e].val_loss);
        CHECK(!gf__is_file(s->path)); /* removed when complete */
        gf_history_free(history);
        gf_history_free(again);
        gf_head_free(whole);
        gf_head_free(resumed);
    }
    setting_free(s);
}

TEST(checkpoint__starts_afresh_unless_asked_to_resume)
{
    setting *s = setting_new();
    gf_head *head = fit_head_new(0.3);
    gf_history *history = NULL;
    stop_early(s);
    s->stop_after = 1;
    CHECK_FAILS(GF_ECANCELED, "stopped after epoch 1", fit(s, head, &history));
    gf_history_free(history);
    gf_head_free(head);
    setting_free(s);
}

/* Resuming must fail with this in the message. */
static void check_refused(setting *s, gf_head *head, gf_status want, const char *part)
{
    gf_history *history = NULL;
    s->callbacks.is_resumed = true;
    CHECK_FAILS(want, part, fit(s, head, &history));
    CHECK(history == NULL);
    CHECK(gf__is_file(s->path)); /* kept: it may be wanted by the training it is of */
}

TEST(checkpoint__of_another_training_is_refused_by_name)
{
    setting *s = setting_new();
    gf_head *head = fit_head_new(0.3), *other = fit_head_new(0.25);
    stop_early(s);
    s->problem->options.learning_rate = 0.5;
    check_refused(s, head, GF_EMISMATCH,
                  "options.learning_rate: the checkpoint has 0.001, this training 0.5");
    s->problem->options.learning_rate = 0.001;
    s->problem->options.n_epochs = 9;
    check_refused(s, head, GF_EMISMATCH, "options.epochs: the checkpoint has 8, this training 9");
    s->problem->options.n_epochs = 8;
    s->callbacks.data_id = "food";
    check_refused(s, head, GF_EMISMATCH,
                  "data.id: the checkpoint has \"flowers\", this training \"food\"");
    s->callbacks.data_id = "flowers";
    s->problem->train.n = 89;
    check_refused(s, head, GF_EMISMATCH, "data.rows");
    s->problem->train.n = FIT_TRAIN;
    check_refused(s, other, GF_EMISMATCH, "head.dense.dropout: the checkpoint has 0.3");
    CHECK(strstr(check_err.message, s->path) != NULL);
    gf_head_free(head);
    gf_head_free(other);
    setting_free(s);
}

TEST(checkpoint__that_is_damaged_is_refused)
{
    setting *s = setting_new();
    gf_head *head = fit_head_new(0.3);
    char *bytes = NULL;
    size_t size = 0;
    stop_early(s);
    CHECK_OK(gf__read_file(s->path, 1 << 30, &bytes, &size, &check_err));
    for (size_t kept = 0; kept < size; kept += kept < 2000 ? 97 : 60000) {
        CHECK_OK(gf__write_file(s->path, bytes, kept, &check_err));
        check_refused(s, head, GF_EFORMAT, "");
    }
    /* The best epoch of a document that was tampered with. */
    static const char member[] = "best_epoch\\\":3"; /* JSON in a JSON string */
    char *number = memmem(bytes, size, member, sizeof member - 1);
    assert_non_null(number);
    number[sizeof member - 2] = '7';
    CHECK_OK(gf__write_file(s->path, bytes, size, &check_err));
    check_refused(s, head, GF_EFORMAT, "best epoch 7 of 3 epochs");
    gf__free(bytes);
    gf_head_free(head);
    setting_free(s);
}

TEST(checkpoint__that_is_another_safetensors_file_is_refused)
{
    setting *s = setting_new();
    gf_head *head = fit_head_new(0.3);
    CHECK_OK(gf_safetensors_save(s->path, NULL, 0, NULL, 0, &check_err));
    check_refused(s, head, GF_EFORMAT, "this is no checkpoint");
    gf_head_free(head);
    setting_free(s);
}

TEST(checkpoint__that_cannot_be_written_is_an_error)
{
    setting *s = setting_new();
    gf_head *head = fit_head_new(0.3);
    gf_history *history = NULL;
    s->callbacks.checkpoint_path = "/nowhere/at/all/state.safetensors";
    CHECK_FAILS(GF_ENOTFOUND, "/nowhere/at/all", fit(s, head, &history));
    gf_head_free(head);
    setting_free(s);
}

/* A child that does nothing but stop and resume, so that it is nearly always writing. */
static void rewrite_forever(setting *s)
{
    gf_head *head = fit_head_new(0.3);
    gf_history *history = NULL;
    for (;;) {
        if (fit(s, head, &history) != GF_ECANCELED)
            _exit(1);
        gf_history_free(history);
    }
}

TEST(checkpoint__survives_a_kill_at_any_moment)
{
    setting *s = setting_new();
    gf_head *head = fit_head_new(0.3);
    s->callbacks.is_resumed = false;
    s->stop_after = 1;
    for (unsigned round = 0; round < 12; round++) {
        stop_early(s); /* as the child's: the file is of epoch 1 whenever it is killed */
        const pid_t child = fork();
        if (child == 0)
            rewrite_forever(s);
        usleep(5000 + 1700 * round);
        CHECK_EQ(kill(child, SIGKILL), 0);
        int status = 0;
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK(WIFSIGNALED(status));

        gf_history *history = NULL;
        setting resumed = *s;
        resumed.callbacks.is_resumed = true;
        resumed.stop_after = 2;
        resumed.callbacks.user = &resumed.stop_after;
        CHECK_FAILS(GF_ECANCELED, "stopped after epoch 2", fit(&resumed, head, &history));
        gf_history_free(history);
    }
    /* Temporary files of killed writers may lie about; the folder goes with them. */
    gf__dir_list list;
    CHECK_OK(gf__list_dir(s->dir, &list, &check_err));
    for (size_t i = 0; i < list.n_names; i++) {
        char *path = gf__path_join(s->dir, list.names[i]);
        unlink(path);
        gf__free(path);
    }
    gf__dir_list_free(&list);
    gf_head_free(head);
    setting_free(s);
}

TESTS_MAIN(UNIT(checkpoint__resumes_to_the_same_bytes),
           UNIT(checkpoint__starts_afresh_unless_asked_to_resume),
           UNIT(checkpoint__of_another_training_is_refused_by_name),
           UNIT(checkpoint__that_is_damaged_is_refused),
           UNIT(checkpoint__that_is_another_safetensors_file_is_refused),
           UNIT(checkpoint__that_cannot_be_written_is_an_error),
           UNIT(checkpoint__survives_a_kill_at_any_moment))
