/* tiny_extractor.h: features of the network of tiny.h, for the tests of features. */
#ifndef GRAFT_TESTS_TINY_EXTRACTOR_H
#define GRAFT_TESTS_TINY_EXTRACTOR_H

#include "features/extractor_priv.h"
#include "tiny.h"

static inline gf_extractor *new_extractor(gf_trunk *trunk, const char *layer, gf_pool pool,
                                          const gf_extractor_options *options)
{
    gf_extractor *extractor = NULL;
    const gf_output_spec spec = {layer, pool};
    CHECK_OK(gf_extractor_new(trunk, &spec, 1, options, &extractor, &check_err));
    return extractor;
}

static inline gf_extractor_options f32_options(int n_threads)
{
    gf_extractor_options options = gf_extractor_options_default();
    options.precision = GF_PRECISION_F32;
    options.n_threads = n_threads;
    return options;
}

static inline gf_tensor *extract(gf_trunk *trunk, const char *layer, const gf_dataset *dataset,
                                 const gf_extract_request *request,
                                 const gf_extractor_options *options)
{
    gf_tensor *features = NULL;
    gf_extractor *extractor = new_extractor(trunk, layer, GF_POOL_AVG, options);
    CHECK_OK(gf_extractor_dataset(extractor, dataset, request, NULL, &features, &check_err));
    gf_extractor_free(extractor);
    return features;
}

static inline void check_same(const gf_tensor *a, const gf_tensor *b)
{
    CHECK_EQ(gf_tensor_size_bytes(a), gf_tensor_size_bytes(b));
    assert_memory_equal(gf_tensor_data(a), gf_tensor_data(b), gf_tensor_size_bytes(a));
}

#endif
