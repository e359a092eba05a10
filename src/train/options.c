/* What a training is told: defaults, names and limits. */
#include <math.h>
#include <string.h>

#include "train/train.h"

static const char *const optimizer_names[] = {
    [GF_OPTIMIZER_ADAM] = "adam",
    [GF_OPTIMIZER_SGD] = "sgd",
    [GF_OPTIMIZER_RMSPROP] = "rmsprop",
};
enum { N_OPTIMIZERS = sizeof optimizer_names / sizeof optimizer_names[0] };

const char *gf_optimizer_name(gf_optimizer optimizer)
{
    return (size_t)optimizer < N_OPTIMIZERS ? optimizer_names[optimizer] : "?";
}

gf_status gf_optimizer_parse(const char *name, gf_optimizer *out, gf_error *err)
{
    for (size_t i = 0; i < N_OPTIMIZERS; i++) {
        if (strcmp(name, optimizer_names[i]) == 0) {
            *out = (gf_optimizer)i;
            return GF_OK;
        }
    }
    return gf_error_set(err, GF_EINVAL, "optimizer \"%s\" is not one of adam, sgd, rmsprop", name);
}

gf_train_options gf_train_options_default(void)
{
    return (gf_train_options){
        .n_epochs = 20,
        .batch_size = 32,
        .optimizer = GF_OPTIMIZER_ADAM,
        .learning_rate = 0.001,
        .seed = 42,
    };
}

gf_status gf_train_options_check(const gf_train_options *options, gf_error *err)
{
    const int max_epochs = 1000000, max_threads = 1024;
    const size_t max_batch = 65536;

    if (options->n_epochs < 1 || options->n_epochs > max_epochs)
        return gf_error_set(err, GF_EINVAL, "epochs is %d, must be from 1 to %d", options->n_epochs,
                            max_epochs);
    if (options->batch_size < 1 || options->batch_size > max_batch)
        return gf_error_set(err, GF_EINVAL, "batch size is %zu, must be from 1 to %zu",
                            options->batch_size, max_batch);
    if ((size_t)options->optimizer >= N_OPTIMIZERS)
        return gf_error_set(err, GF_EINVAL, "optimizer number %d is not one of adam, sgd, rmsprop",
                            (int)options->optimizer);
    if (!(options->learning_rate > 0.0) || !isfinite(options->learning_rate))
        return gf_error_set(err, GF_EINVAL, "learning rate is %g, must be above 0",
                            options->learning_rate);
    if (!(options->momentum >= 0.0 && options->momentum < 1.0))
        return gf_error_set(err, GF_EINVAL, "momentum is %g, must be in [0,1)", options->momentum);
    if (options->momentum > 0.0 && options->optimizer != GF_OPTIMIZER_SGD)
        return gf_error_set(err, GF_EINVAL,
                            "momentum is %g, but the optimizer is %s: only sgd has one",
                            options->momentum, gf_optimizer_name(options->optimizer));
    if (options->early_stop < 0)
        return gf_error_set(err, GF_EINVAL, "early stop is %d epochs, must be at least 0",
                            options->early_stop);
    if (options->n_threads < 0 || options->n_threads > max_threads)
        return gf_error_set(err, GF_EINVAL, "threads is %d, must be from 0 (all) to %d",
                            options->n_threads, max_threads);
    return GF_OK;
}
