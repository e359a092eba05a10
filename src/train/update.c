/* Adam (Kingma and Ba 2015), SGD with momentum and RMSprop as tf.keras.optimizers computes them
 * (2.11 and later; earlier RMSprop had epsilon outside the root). Plain loops over neighbours: the
 * compiler makes vectors of them. */
#include <math.h>

#include "train/update_priv.h"

#define JOIN_(a, b) a##b
#define JOIN(a, b)  JOIN_(a, b)

static void update_adam(const gf__update *update, float *restrict w, const float *restrict g,
                        float *restrict m, float *restrict v, size_t n)
{
    const float rate = update->rate, epsilon = (float)GF__EPSILON;
    const float keep1 = (float)(1.0 - GF__ADAM_BETA1), keep2 = (float)(1.0 - GF__ADAM_BETA2);
    for (size_t i = 0; i < n; i++) {
        m[i] += (g[i] - m[i]) * keep1;
        v[i] += (g[i] * g[i] - v[i]) * keep2;
        w[i] -= rate * m[i] / (sqrtf(v[i]) + epsilon);
    }
}

static void update_sgd(const gf__update *update, float *restrict w, const float *restrict g,
                       float *restrict unused0, float *restrict unused1, size_t n)
{
    (void)unused0, (void)unused1;
    for (size_t i = 0; i < n; i++)
        w[i] -= update->rate * g[i];
}

static void update_momentum(const gf__update *update, float *restrict w, const float *restrict g,
                            float *restrict m, float *restrict unused1, size_t n)
{
    (void)unused1;
    for (size_t i = 0; i < n; i++) {
        m[i] = update->momentum * m[i] - update->rate * g[i];
        w[i] += m[i];
    }
}

static void update_rmsprop(const gf__update *update, float *restrict w, const float *restrict g,
                           float *restrict v, float *restrict unused1, size_t n)
{
    const float rho = (float)GF__RMSPROP_RHO, keep = (float)(1.0 - GF__RMSPROP_RHO);
    (void)unused1;
    for (size_t i = 0; i < n; i++) {
        v[i] = rho * v[i] + keep * g[i] * g[i];
        w[i] -= update->rate * g[i] / sqrtf(v[i] + (float)GF__EPSILON);
    }
}

const gf__update_ops JOIN(gf__update_ops_, GF__ISA) = {
    .adam = update_adam,
    .sgd = update_sgd,
    .momentum = update_momentum,
    .rmsprop = update_rmsprop,
};
