/* test_task_predict.c: batch prediction by the real program: nothing gets lost, also where a
 * picture kills who decodes it, and the scores are those of graft predict. */
#include "task_home.h"
#include "tiny_model.h"
#include "two_models.h"

#include "tasks/predict_priv.h"

#define N_PICTURES 7

static char model_path[600], table_path[600];

static void put_bytes(const char *name, const void *bytes, size_t n)
{
    char path[700];
    snprintf(path, sizeof path, "%s/buckets/bucket/%s", home, name);
    *strrchr(path, '/') = '\0';
    CHECK_OK(gf__make_dirs(path, &check_err));
    snprintf(path, sizeof path, "%s/buckets/bucket/%s", home, name);
    CHECK_OK(gf__write_file(path, bytes, n, &check_err));
}

static void put(const char *name, const char *text)
{
    put_bytes(name, text, strlen(text));
}

/* in/0.png ... and a model that takes pictures, one that takes rows. */
static int open_batch(void **state)
{
    open_home(state);
    snprintf(model_path, sizeof model_path, "%s/pictures.safetensors", root);
    snprintf(table_path, sizeof table_path, "%s/table.safetensors", root);
    gf_trunk *trunk = tiny_trunk("tiny");
    gf_head *head = tiny_head(3);
    tiny_save_model(model_path, trunk, head, true);
    save_table(table_path);
    gf_head_free(head);
    gf_trunk_free(trunk);
    for (size_t i = 0; i < N_PICTURES; i++) {
        char name[32];
        uint8_t *png = NULL;
        size_t n = 0;
        tiny_png(20 + i, 24, i, &png, &n);
        snprintf(name, sizeof name, "in/%zu.png", i);
        put_bytes(name, png, n);
        gf_image_bytes_free(png);
    }
    return 0;
}

static void write_batch(const char *model, const char *input, size_t n_shards)
{
    gf__buffer text = {0};
    gf__buffer_printf(&text,
                      "{\"format\":1,\"name\":\"projects/p/jobs/batch\",\"kind\":\"prediction\","
                      "\"home\":\"%s\",\"buckets\":\"%s/buckets\",\"program\":\"%s\",\"nCpus\":2,"
                      "\"maxRunningS\":300,\"graceMs\":20000,\"nShards\":%zu,"
                      "\"prediction\":{\"outputPath\":\"gs://bucket/out\",\"model\":\"%s\",%s}}",
                      home, home, getenv("GRAFT_PROGRAM"), n_shards, model, input);
    CHECK_OK(gf__write_file(path_in(job, "spec.json"), text.data, text.size, &check_err));
    gf__buffer_free(&text);
}

static void check_counts(const char *predictions, const char *errors)
{
    gf__json *result = read_json(path_in(job, "result.json"));
    const gf__json *output = gf__json_find(result, "output");
    CHECK_STR(gf__json_string(gf__json_find(result, "errorMessage"), ""), "");
    CHECK_STR(gf__json_string(gf__json_find(output, "predictionCount"), ""), predictions);
    CHECK_STR(gf__json_string(gf__json_find(output, "errorCount"), ""), errors);
    CHECK_STR(gf__json_string(gf__json_find(output, "outputPath"), ""), "gs://bucket/out");
    CHECK(gf__json_number(gf__json_find(output, "nodeHours"), 0) > 0);
    gf__json_free(result);
}

/* All lines of the shards' files of a name, in order: an array. */
static gf__json *read_lines(const char *name, size_t n_shards)
{
    gf__json *all = gf__json_array();
    for (size_t k = 0; k < n_shards; k++) {
        char path[800], *text = NULL;
        size_t n = 0;
        snprintf(path, sizeof path, "%s/buckets/bucket/out/prediction.%s-%05zu-of-%05zu", home,
                 name, k, n_shards);
        CHECK_OK(gf__read_file(path, (size_t)64 << 20, &text, &n, &check_err));
        for (char *at = text, *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
            gf__json *line = NULL;
            CHECK_OK(gf__json_parse(at, (size_t)(end - at), &line, &check_err));
            gf__json_append(all, line);
        }
        gf__free(text);
    }
    CHECK_OK(gf__json_status(all, &check_err));
    return all;
}

static const char *text_of(const gf__json *lines, size_t i, const char *name)
{
    return gf__json_string(gf__json_find(gf__json_at(lines, i), name), "?");
}

/* What the model itself says to a file of the bucket. */
static void check_scores(const gf__json *line, const char *name)
{
    char path[700];
    gf__mapping file = {0};
    gf_model *model = NULL;
    gf_predictor *predictor = NULL;
    float scores[3];
    const gf__json *outputs = gf__json_find(line, "outputs");
    snprintf(path, sizeof path, "%s/buckets/bucket/%s", home, name);
    CHECK_OK(gf__map_file(path, &file, &check_err));
    CHECK_OK(gf_model_load(model_path, &model, &check_err));
    CHECK_OK(gf_predictor_new(model, home, NULL, &predictor, &check_err));
    CHECK_OK(gf_predictor_picture(predictor, file.data, file.size, scores, NULL, &check_err));
    CHECK_EQ(gf__json_n_items(outputs), 3);
    for (size_t k = 0; k < 3; k++)
        CHECK_NEAR(gf__json_number(gf__json_at(outputs, k), -1), (double)scores[k], 1e-6);
    gf_predictor_free(predictor);
    gf_model_unref(model);
    gf__unmap(&file);
}

/* base64 of a picture of the bucket; new. */
static char *base64_of(const char *name)
{
    char path[700];
    gf__mapping file = {0};
    gf__buffer text = {0};
    snprintf(path, sizeof path, "%s/buckets/bucket/%s", home, name);
    CHECK_OK(gf__map_file(path, &file, &check_err));
    gf__buffer_base64(&text, file.data, file.size);
    gf__unmap(&file);
    return gf__buffer_take(&text, NULL);
}

#define PICTURES "\"inputPaths\":[\"gs://bucket/in/\"],\"dataFormat\":\"JSON\""

TEST(batch__of_a_folder_has_the_scores_of_graft_predict_in_order)
{
    for (size_t n_shards = 1; n_shards <= 3; n_shards += 2) {
        write_batch(model_path, PICTURES, n_shards);
        CHECK_EQ(run_job(), 0);
        check_counts("7", "0");
        gf__json *lines = read_lines("results", n_shards);
        CHECK_EQ(gf__json_n_items(lines), N_PICTURES);
        for (size_t i = 0; i < N_PICTURES; i++) {
            char name[32], address[64];
            snprintf(name, sizeof name, "in/%zu.png", i);
            snprintf(address, sizeof address, "gs://bucket/%s", name);
            CHECK_STR(text_of(lines, i, "item"), address);
            check_scores(gf__json_at(lines, i), name);
        }
        gf__json_free(lines);
        close_home(NULL);
        open_batch(NULL);
    }
}

TEST(batch__broken_pictures_are_errors_by_name_and_the_rest_is_predicted)
{
    put("in/3a.jpg", "this is no picture");
    put("in/9.png", "");
    put("in/notes.md", "not for us");
    write_batch(model_path, PICTURES, 2);
    CHECK_EQ(run_job(), 0);
    check_counts("7", "2");
    gf__json *errors = read_lines("errors_stats", 2);
    CHECK_STR(text_of(errors, 0, "item"), "gs://bucket/in/3a.jpg");
    CHECK_STR(text_of(errors, 1, "item"), "gs://bucket/in/9.png");
    CHECK(strlen(text_of(errors, 0, "error")) > 5);
    gf__json_free(errors);
}

TEST(batch__takes_instances_a_line_as_the_server_does)
{
    char *first = base64_of("in/0.png"), *second = base64_of("in/1.png");
    gf__buffer text = {0};
    gf__buffer_printf(&text, "\"%s\"\r\n\n{\"b64\":\"%s\"}\n", first, second);
    gf__buffer_printf(&text, "{\"inputs\":\"%s\",\"key\":\"k3\"}\n", first);
    gf__buffer_printf(&text, "{\"image_bytes\":{\"b64\":\"%s\"},\"key\":4}\n", second);
    gf__buffer_printf(&text, "{\"half\n\"@@@\"\n[1,2,3]],[[4\n%s", "\"aGk=\"");
    put("lines.jsonl", text.data);
    write_batch(model_path, "\"inputPaths\":[\"gs://bucket/*.jsonl\"],\"dataFormat\":\"JSON\"", 2);
    CHECK_EQ(run_job(), 0);
    check_counts("4", "4");
    gf__json *lines = read_lines("results", 2), *errors = read_lines("errors_stats", 2);
    CHECK_STR(text_of(lines, 0, "item"), "gs://bucket/lines.jsonl:1");
    CHECK_STR(text_of(lines, 1, "item"), "gs://bucket/lines.jsonl:3");
    CHECK_STR(text_of(lines, 2, "key"), "k3");
    CHECK_EQ(gf__json_int(gf__json_find(gf__json_at(lines, 3), "key"), 0), 4);
    for (size_t i = 0; i < 4; i++)
        check_scores(gf__json_at(lines, i), i % 2 == 0 ? "in/0.png" : "in/1.png");
    for (size_t i = 0; i < 4; i++) {
        char address[64];
        snprintf(address, sizeof address, "gs://bucket/lines.jsonl:%zu", i + 6);
        CHECK_STR(text_of(errors, i, "item"), address);
    }
    gf__json_free(lines);
    gf__json_free(errors);
    gf__buffer_free(&text);
    gf__free(first);
    gf__free(second);
}

/* Beside itself, by gs://, and what it may not name. */
TEST(batch__a_list_names_pictures_of_buckets_only)
{
    put("list.txt", "in/2.png\ngs://bucket/in/1.png\n  in/0.png  \n/etc/hostname\n../x.png\n");
    write_batch(model_path, "\"inputPaths\":[\"gs://bucket/list.txt\"],\"dataFormat\":\"TEXT\"", 1);
    CHECK_EQ(run_job(), 0);
    check_counts("3", "2");
    gf__json *lines = read_lines("results", 1), *errors = read_lines("errors_stats", 1);
    check_scores(gf__json_at(lines, 0), "in/2.png");
    check_scores(gf__json_at(lines, 1), "in/1.png");
    check_scores(gf__json_at(lines, 2), "in/0.png");
    CHECK(strstr(text_of(errors, 0, "error"), "only name what is in buckets") != NULL);
    gf__json_free(lines);
    gf__json_free(errors);
}

/* The job is of the project p, and so is the folder p. */
TEST(batch__a_list_in_a_projects_folder_names_pictures_of_its_folders_only)
{
    char from[1024], to[1024];
    CHECK_OK(gf__make_dirs(path_in(home, "buckets/bucket/p"), &check_err));
    put("p/list.txt", "1.png\ngs://bucket/p/1.png\ngs://bucket/in/1.png\ngs://bucket/pp/1.png\n");
    snprintf(from, sizeof from, "%s", path_in(home, "buckets/bucket/in/1.png"));
    snprintf(to, sizeof to, "%s", path_in(home, "buckets/bucket/p/1.png"));
    assert_int_equal(link(from, to), 0);
    write_batch(model_path, "\"inputPaths\":[\"gs://bucket/p/list.txt\"],\"dataFormat\":\"TEXT\"",
                1);
    CHECK_EQ(run_job(), 0);
    check_counts("2", "2");
    gf__json *lines = read_lines("results", 1), *errors = read_lines("errors_stats", 1);
    check_scores(gf__json_at(lines, 0), "in/1.png");
    check_scores(gf__json_at(lines, 1), "in/1.png");
    CHECK(strstr(text_of(errors, 0, "error"), "gs://bucket/in/1.png: a list in a folder of the "
                                              "project p may only name") != NULL);
    CHECK(strstr(text_of(errors, 1, "error"), "gs://bucket/pp/1.png: a list in a folder") != NULL);
    gf__json_free(lines);
    gf__json_free(errors);
}

TEST(batch__rows_of_a_csv_go_to_a_model_of_columns)
{
    put("rows.csv", "length,width\n5.1,3.5\n4.9,3.0\n6.3,2.5\n");
    put("rows.jsonl", "[5.1,3.5]\n{\"length\":4.9,\"width\":3.0,\"key\":\"b\"}\n[1,2,3]\n");
    write_batch(table_path,
                "\"inputPaths\":[\"gs://bucket/rows.csv\",\"gs://bucket/rows.jsonl\"],"
                "\"dataFormat\":\"JSON\"",
                2);
    CHECK_EQ(run_job(), 0);
    check_counts("5", "1");
    gf__json *lines = read_lines("results", 2);
    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; k < 3; k++) {
            const gf__json *a = gf__json_find(gf__json_at(lines, i), "outputs");
            const gf__json *b = gf__json_find(gf__json_at(lines, i + 3), "outputs");
            CHECK_NEAR(gf__json_number(gf__json_at(a, k), 0), gf__json_number(gf__json_at(b, k), 1),
                       0);
        }
    gf__json_free(lines);
}

TEST(batch__rows_of_an_npz_have_the_scores_of_the_same_rows_of_a_csv)
{
    static const float rows[] = {5.1f, 3.5f, 4.9f, 3.0f, 6.3f, 2.5f};
    char path[700];
    gf_tensor *tensor = NULL;
    CHECK_OK(gf_tensor_new(GF_DTYPE_F32, (size_t[]){3, 2}, 2, &tensor, &check_err));
    memcpy(gf_tensor_mutable_data(tensor), rows, sizeof rows);
    const gf_npz_member member = {.name = "features", .tensor = tensor};
    put("rows.csv", "length,width\n5.1,3.5\n4.9,3.0\n6.3,2.5\n");
    snprintf(path, sizeof path, "%s/buckets/bucket/rows.npz", home);
    CHECK_OK(gf_npz_save(path, &member, 1, true, &check_err));
    gf_tensor_free(tensor);
    write_batch(table_path, "\"inputPaths\":[\"gs://bucket/rows.*\"],\"dataFormat\":\"JSON\"", 2);
    CHECK_EQ(run_job(), 0);
    check_counts("6", "0");
    gf__json *lines = read_lines("results", 2);
    for (size_t i = 0; i < 3; i++)
        for (size_t k = 0; k < 3; k++) {
            const gf__json *a = gf__json_find(gf__json_at(lines, i), "outputs");
            const gf__json *b = gf__json_find(gf__json_at(lines, i + 3), "outputs");
            CHECK_NEAR(gf__json_number(gf__json_at(a, k), 0), gf__json_number(gf__json_at(b, k), 1),
                       0);
        }
    CHECK(strstr(text_of(lines, 4, "item"), "rows.npz") != NULL);
    gf__json_free(lines);
}

TEST(batch__says_what_it_cannot_read)
{
    static const struct {
        const char *input, *part;
    } rows[] = {
        {"\"inputPaths\":[\"gs://bucket/in/\"],\"dataFormat\":\"TF_RECORD\"", "TF_RECORD"},
        {"\"inputPaths\":[\"gs://bucket/in/\"],\"dataFormat\":\"TF_RECORD_GZIP\"", "graft reads"},
        {"\"inputPaths\":[\"gs://bucket/none*\"],\"dataFormat\":\"JSON\"", "nothing to predict"},
        {"\"inputPaths\":[\"gs://bucket/../x\"],\"dataFormat\":\"JSON\"", "inputPaths[0]"},
        {PICTURES ",\"outputDataFormat\":\"CSV\"", "outputDataFormat"},
        {PICTURES ",\"signatureName\":\"other\"", "signatureName"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        write_batch(model_path, rows[i].input, 1);
        CHECK_EQ(run_job(), 0);
        check_result("FAILED", rows[i].part);
        remove(path_in(job, "result.json"));
        remove(path_in(job, "inputs.json"));
    }
}

/* ---- deaths ---------------------------------------------------------------------------------- */

static pid_t start_deadly(char *const *words)
{
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid > 0)
        return pid;
    setenv("LD_PRELOAD", getenv("GRAFT_DEADLY_WEBP"), 1);
    setenv("ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0", 1);
    execv(words[0], words);
    _exit(127);
}

static size_t count_of(const char *text, const char *part)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++)
        n++;
    return n;
}

static void check_deadly(void)
{
    gf__json *lines = read_lines("results", 1), *errors = read_lines("errors_stats", 1);
    CHECK_EQ(gf__json_n_items(lines), N_PICTURES);
    CHECK_EQ(gf__json_n_items(errors), 2);
    CHECK_STR(text_of(errors, 0, "item"), "gs://bucket/in/2a.webp");
    CHECK(strstr(text_of(errors, 0, "error"), "died of it twice") != NULL);
    CHECK_STR(text_of(errors, 1, "item"), "gs://bucket/in/8.webp");
    gf__json_free(lines);
    gf__json_free(errors);
}

#define WEBP "RIFF\x10\0\0\0WEBPVP8 \0\0\0\0\0\0\0\0"

TEST(batch__a_picture_that_kills_its_process_twice_is_an_error_and_costs_nobody_else)
{
    char *words[] = {getenv("GRAFT_PROGRAM"), (char *)(uintptr_t) "job", job,
                     (char *)(uintptr_t) "1", NULL};
    put_bytes("in/2a.webp", WEBP, sizeof WEBP - 1);
    put_bytes("in/8.webp", WEBP, sizeof WEBP - 1);
    write_batch(model_path, PICTURES, 1);
    CHECK_EQ(end_program(start_deadly(words)), 0);
    check_counts("7", "2");
    check_deadly();
    char *log = read_log(job);
    CHECK_EQ(count_of(log, "is started again"), 4); /* twice for each, and for nothing else */
    gf__free(log);
}

/* As Slurm does it: the shard's process itself is started again, then merged. */
TEST(batch__a_shard_that_is_killed_goes_on_where_it_was)
{
    char *words[] = {
        getenv("GRAFT_PROGRAM"),       (char *)(uintptr_t) "job", job, (char *)(uintptr_t) "1",
        (char *)(uintptr_t) "--shard", (char *)(uintptr_t) "0",   NULL};
    put_bytes("in/2a.webp", WEBP, sizeof WEBP - 1);
    put_bytes("in/8.webp", WEBP, sizeof WEBP - 1);
    write_batch(model_path, PICTURES, 1);
    size_t n_deaths = 0;
    while (end_program(start_deadly(words)) != 0)
        CHECK(++n_deaths <= 4);
    CHECK_EQ(n_deaths, 4);
    CHECK(!gf__is_file(path_in(job, "result.json")));
    check_deadly();
    words[4] = (char *)(uintptr_t) "--merge";
    words[5] = NULL;
    CHECK_EQ(end_program(start_deadly(words)), 0);
    check_counts("7", "2");
}

TEST(notes__tell_the_next_process_what_was_done_and_what_was_in_hand)
{
    char base[600];
    gf__notes *notes = NULL;
    snprintf(base, sizeof base, "%s/0", root);
    for (size_t death = 0; death < 2; death++) {
        const pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            if (gf__notes_open(base, 4, &notes, NULL) != GF_OK)
                _exit(1);
            gf__notes_begin(notes, 0, 2);
            gf__notes_begin(notes, 1, 3);
            if (death == 1)
                gf__notes_end(notes, 1);
            raise(SIGKILL);
        }
        CHECK(WIFSIGNALED(end_program(pid)));
    }
    CHECK_OK(gf__notes_open(base, 4, &notes, &check_err));
    CHECK_EQ(gf__notes_at(notes, 0)->strikes, 0);
    CHECK_EQ(gf__notes_at(notes, 2)->strikes, 2);
    CHECK_EQ(gf__notes_at(notes, 3)->strikes, 1);
    CHECK_OK(gf__notes_add(notes, 0, gf__strdup("{\"a\":1}"), false, &check_err));
    CHECK_OK(gf__notes_add(notes, 1, gf__strdup("{\"b\":2}"), true, &check_err));
    gf__notes_close(notes);
    FILE *file = fopen(path_in(root, "0.notes"), "a");
    fputs("{\"i\":3,\"res", file); /* half a line of one that was killed */
    fclose(file);
    CHECK_OK(gf__notes_open(base, 4, &notes, &check_err));
    CHECK_STR(gf__notes_at(notes, 0)->line, "{\"a\":1}");
    CHECK(gf__notes_at(notes, 1)->is_error);
    assert_null(gf__notes_at(notes, 3)->line);
    CHECK_OK(gf__notes_add(notes, 3, gf__strdup("{\"c\":3}"), false, &check_err));
    gf__notes_close(notes);
    CHECK_OK(gf__notes_open(base, 4, &notes, &check_err));
    CHECK_STR(gf__notes_at(notes, 3)->line, "{\"c\":3}");
    CHECK_EQ(gf__notes_count(notes).n_results, 2);
    gf__notes_close(notes);
}

#define BATCH(name) cmocka_unit_test_setup_teardown(name, open_batch, close_home)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BATCH(batch__of_a_folder_has_the_scores_of_graft_predict_in_order),
        BATCH(batch__broken_pictures_are_errors_by_name_and_the_rest_is_predicted),
        BATCH(batch__takes_instances_a_line_as_the_server_does),
        BATCH(batch__a_list_names_pictures_of_buckets_only),
        BATCH(batch__a_list_in_a_projects_folder_names_pictures_of_its_folders_only),
        BATCH(batch__rows_of_a_csv_go_to_a_model_of_columns),
        BATCH(batch__rows_of_an_npz_have_the_scores_of_the_same_rows_of_a_csv),
        BATCH(batch__says_what_it_cannot_read),
        BATCH(batch__a_picture_that_kills_its_process_twice_is_an_error_and_costs_nobody_else),
        BATCH(batch__a_shard_that_is_killed_goes_on_where_it_was),
        BATCH(notes__tell_the_next_process_what_was_done_and_what_was_in_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
