/* What scale tiers and machine types come to. */
#include "check.h"

#include "jobs/keeper_priv.h"

#define GIB ((uint64_t)1 << 30)

static gf_status size_of(const char *text, size_t n_cpus, uint64_t n_bytes, gf__size *out)
{
    const gf__size most = {.n_cpus = n_cpus, .max_memory_bytes = n_bytes};
    gf__json *input = NULL;
    CHECK_OK(gf__json_parse(text, strlen(text), &input, &check_err));
    const gf_status st = gf__size_of_training(input, &most, out, &check_err);
    gf__json_free(input);
    return st;
}

static void check_size(const char *text, size_t want_cpus, uint64_t want_bytes)
{
    gf__size size;
    CHECK_OK(size_of(text, 64, 100 * GIB, &size));
    CHECK_EQ(size.n_cpus, want_cpus);
    CHECK_EQ(size.max_memory_bytes, want_bytes);
    CHECK_STR(size.note, "");
}

TEST(tiers__mean_so_many_cpus_and_so_much_memory)
{
    check_size("{}", 2, 100 * GIB);
    check_size("{\"scaleTier\": \"TIER_UNSPECIFIED\"}", 2, 100 * GIB);
    check_size("{\"scaleTier\": \"BASIC\"}", 2, 100 * GIB);
    check_size("{\"scaleTier\": \"STANDARD_1\"}", 64, 100 * GIB);
    check_size("{\"scaleTier\": \"PREMIUM_1\"}", 64, 100 * GIB);
    check_size("{\"scaleTier\": \"CUSTOM\", \"masterType\": \"standard\"}", 4, 15 * GIB);
    check_size("{\"scaleTier\": \"CUSTOM\", \"masterType\": \"large_model\"}", 8, 52 * GIB);
    check_size("{\"scaleTier\": \"CUSTOM\", \"masterType\": \"complex_model_l\"}", 32, 28 * GIB);
    check_size("{\"scaleTier\": \"CUSTOM\", \"masterType\": \"n1-standard-16\"}", 16, 60 * GIB);
}

TEST(tiers__are_clipped_to_what_there_is)
{
    gf__size size;
    const char *large = "{\"scaleTier\": \"CUSTOM\", \"masterType\": \"large_model\"}";
    CHECK_OK(size_of(large, 2, 4 * GIB, &size));
    CHECK_EQ(size.n_cpus, 2);
    CHECK_EQ(size.max_memory_bytes, 4 * GIB);
    CHECK_OK(size_of(large, 1, 0, &size));
    CHECK_EQ(size.n_cpus, 1);
    CHECK_EQ(size.max_memory_bytes, 52 * GIB);
    CHECK_OK(size_of("{}", 1, 0, &size));
    CHECK_EQ(size.n_cpus, 1);
    CHECK_EQ(size.max_memory_bytes, 0);
}

TEST(tiers__with_gpus_run_on_cpus_and_say_so)
{
    gf__size size;
    CHECK_OK(size_of("{\"scaleTier\": \"BASIC_GPU\"}", 2, 0, &size));
    CHECK_EQ(size.n_cpus, 2);
    CHECK_STR(size.note, "BASIC_GPU has a GPU; there is none here, this runs on 2 CPUs");
    CHECK_OK(size_of("{\"scaleTier\": \"CUSTOM\", \"masterType\": \"cloud_tpu\"}", 1, 0, &size));
    CHECK_STR(size.note, "cloud_tpu has a TPU; there is none here, this runs on 1 CPU");
}

TEST(tiers__that_are_not_known_are_refused_by_name)
{
    gf__size size;
    CHECK_FAILS(GF_EINVAL,
                "trainingInput.scaleTier: \"HUGE\" is not known; expected BASIC, STANDARD_1",
                size_of("{\"scaleTier\": \"HUGE\"}", 2, 0, &size));
    CHECK_FAILS(GF_EINVAL, "trainingInput.masterType: is needed",
                size_of("{\"scaleTier\": \"CUSTOM\"}", 2, 0, &size));
    CHECK_FAILS(GF_EINVAL, "expected standard, large_model",
                size_of("{\"scaleTier\": \"CUSTOM\", \"masterType\": \"tiny\"}", 2, 0, &size));
    static const char *const bad[] = {"n1-standard-",   "n1-standard-0",  "n1-standard-97",
                                      "n1-standard--1", "n1-standard-4x", "n1-standard-+4"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"scaleTier\": \"CUSTOM\", \"masterType\": \"%s\"}", bad[i]);
        CHECK_FAILS(GF_EINVAL, "n1-standard-N", size_of(text, 2, 0, &size));
    }
}

TESTS_MAIN(UNIT(tiers__mean_so_many_cpus_and_so_much_memory),
           UNIT(tiers__are_clipped_to_what_there_is), UNIT(tiers__with_gpus_run_on_cpus_and_say_so),
           UNIT(tiers__that_are_not_known_are_refused_by_name))
