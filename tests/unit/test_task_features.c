/* test_task_features.c: a data set's features by several processes: what comes out is what one
 * process writes, and a picture is computed once. */
#include "task_home.h"
#include "tiny.h"

static int open_pictures(void **state)
{
    open_home(state);
    char *pictures = tiny_path(home, "buckets/bucket/set");
    CHECK_OK(gf_zoo_import(check_fixture("golden/zoo/small_float32/model.json"), "small", home,
                           NULL, NULL, &check_err));
    tiny_folder(pictures, 2, 5);
    gf__free(pictures);
    return 0;
}

static void run_shards(const char *output, size_t n_shards)
{
    gf__buffer text = {0};
    gf__buffer_printf(&text,
                      "{\"format\":1,\"name\":\"projects/p/jobs/see\",\"kind\":\"training\","
                      "\"home\":\"%s\",\"buckets\":\"%s/buckets\",\"program\":\"%s\",\"nCpus\":2,"
                      "\"maxRunningS\":300,\"graceMs\":20000,\"nShards\":%zu,"
                      "\"training\":{\"pythonModule\":\"graft.features\",\"args\":"
                      "[\"gs://bucket/set\",\"--model\",\"small\",\"-o\",\"%s\"]}}",
                      home, home, getenv("GRAFT_PROGRAM"), n_shards, output);
    CHECK_OK(gf__write_file(path_in(job, "spec.json"), text.data, text.size, &check_err));
    gf__buffer_free(&text);
    remove(path_in(job, "result.json"));
    CHECK_EQ(run_job(), 0);
}

static char *read_bytes(const char *name, size_t *n)
{
    char *bytes = NULL;
    CHECK_OK(gf__read_file(path_in(home, name), (size_t)64 << 20, &bytes, n, &check_err));
    return bytes;
}

static void remove_features(void)
{
    char *dir = tiny_path(home, "features");
    check_remove_dir(strdup(dir));
    gf__free(dir);
}

TEST(features__of_shards_are_those_of_one_process)
{
    size_t n_one = 0, n_three = 0;
    run_shards("gs://bucket/out/one.npz", 1);
    check_result("SUCCEEDED", NULL);
    remove_features();
    run_shards("gs://bucket/out/three.npz", 3);
    check_result("SUCCEEDED", NULL);
    char *one = read_bytes("buckets/bucket/out/one.npz", &n_one);
    char *three = read_bytes("buckets/bucket/out/three.npz", &n_three);
    CHECK_EQ(n_three, n_one);
    CHECK(memcmp(one, three, n_one) == 0);
    gf__free(one);
    gf__free(three);
    /* 10 pictures: 4, 3 and 3, none of which the others had computed. */
    check_log_has("shard 0/3: 4 pictures, 0 from the cache, 0 could not be read");
    check_log_has("shard 1/3: 3 pictures, 0 from the cache, 0 could not be read");
    check_log_has("shard 2/3: 3 pictures, 0 from the cache, 0 could not be read");
}

TEST(features__of_more_shards_than_pictures_and_of_broken_ones)
{
    CHECK_OK(gf__write_file(path_in(home, "buckets/bucket/set/a/000.png"), "no", 2, &check_err));
    run_shards("gs://bucket/out/many.npz", 12);
    check_result("SUCCEEDED", NULL);
    check_log_has("shard 0/12: 0 pictures, 0 from the cache, 1 could not be read");
    check_log_has("shard 11/12: 0 pictures, 0 from the cache, 0 could not be read");
}

TEST(features__that_cannot_be_had_say_why_once)
{
    run_shards("gs://bucket/out/no.npy.gz", 2);
    check_result("FAILED", "expected F.npy|F.npz");
    remove(path_in(job, "shards/0.json"));
    remove(path_in(job, "shards/1.json"));
    remove(path_in(home, "trunks/small.safetensors"));
    run_shards("gs://bucket/out/no.npz", 2);
    check_result("FAILED", "shard 0: The replica master 0 exited with a non-zero status of 3");
}

#define FEATURES(name) cmocka_unit_test_setup_teardown(name, open_pictures, close_home)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FEATURES(features__of_shards_are_those_of_one_process),
        FEATURES(features__of_more_shards_than_pictures_and_of_broken_ones),
        FEATURES(features__that_cannot_be_had_say_why_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
