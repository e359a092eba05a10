/* Data sets in folders: what is listed, in which order, what is refused and with which words; and
 * what a data set is known by. */
#include <sys/stat.h>
#include <unistd.h>

#include "dataset_home.h"

/* A GIF of one red pixel: a picture that is known by its content only. */
static const char gif[] = "GIF89a\1\0\1\0\x80\0\0\xff\0\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0;";

/* ---- folders --------------------------------------------------------------------------------- */

TEST(folder__lists_classes_and_items_in_byte_order)
{
    char *dir = check_temp_dir();

    add_files(dir, FILES("rose/b.jpg", "rose/a-1.png", "rose/a/1.JPG", "rose/a/0/z.webp",
                         "iris/2.bmp", "iris/10.gif", "Tulip/x.jpeg"));
    check_folder(dir,
                 "folder Tulip iris rose: Tulip/x.jpeg=0 iris/10.gif=1 iris/2.bmp=1 rose/a-1.png=2 "
                 "rose/a/0/z.webp=2 rose/a/1.JPG=2 rose/b.jpg=2");
    check_remove_dir(dir);
}

TEST(folder__passes_over_hidden_files_and_what_is_no_picture)
{
    char *dir = check_temp_dir(), warnings[4096];

    add_files(dir, FILES("cat/1.jpg", "cat/.2.jpg", "cat/Thumbs.db", "cat/notes.txt", ".git/3.jpg",
                         "cat/.cache/4.jpg", "dog/5.jpg", "README.md"));
    gf_dataset *set = open_with(dir, warnings);
    CHECK_STR(describe_set(set), "folder cat dog: cat/1.jpg=0 dog/5.jpg=1");
    CHECK_STR(warnings, "");
    gf_dataset_free(set);
    check_remove_dir(dir);
}

TEST(folder__knows_pictures_without_an_ending_by_their_content)
{
    char *dir = check_temp_dir();

    add_file(dir, "cat/abc123", gif, sizeof gif - 1);
    add_file(dir, "cat/empty", "", 0);
    add_file(dir, "cat/photo.dat", gif, sizeof gif - 1);
    check_folder(dir, "folder cat: cat/abc123=0 cat/photo.dat=0");
    check_remove_dir(dir);
}

TEST(folder__takes_a_path_with_slashes_at_its_end)
{
    char *dir = check_temp_dir(), path[1024], file[1100];
    gf_dataset *set = NULL;

    add_files(dir, FILES("cat/1.jpg", "dog/2.jpg"));
    snprintf(path, sizeof path, "%s//", dir);
    CHECK_OK(gf_dataset_open(path, NULL, NULL, &set, &check_err));
    CHECK_STR(gf_dataset_path(set), dir);
    CHECK_STR(gf_dataset_item_at(set, 1), "dog/2.jpg");
    snprintf(file, sizeof file, "%s/dog/2.jpg", dir);
    CHECK_STR(gf_dataset_file_at(set, 1), file);
    gf_dataset_free(set);
    check_remove_dir(dir);
}

TEST(folder__follows_links_and_survives_loops_pipes_and_dead_links)
{
    char *dir = check_temp_dir(), path[1024], target[1024];

    add_files(dir, FILES("cat/1.jpg", "cat/sub/2.jpg", "more/3.jpg"));
    snprintf(path, sizeof path, "%s/cat/sub/up", dir);
    CHECK_EQ(symlink("..", path), 0);
    snprintf(path, sizeof path, "%s/cat/linked", dir);
    snprintf(target, sizeof target, "%s/more", dir);
    CHECK_EQ(symlink(target, path), 0);
    snprintf(path, sizeof path, "%s/cat/dead.jpg", dir);
    CHECK_EQ(symlink("nowhere.jpg", path), 0);
    snprintf(path, sizeof path, "%s/cat/pipe.jpg", dir);
    CHECK_EQ(mkfifo(path, 0600), 0);
    check_folder(dir,
                 "folder cat more: cat/1.jpg=0 cat/linked/3.jpg=0 cat/sub/2.jpg=0 more/3.jpg=1");
    check_remove_dir(dir);
}

TEST(folder__names_class_folders_without_pictures)
{
    char *dir = check_temp_dir(), warnings[4096], want[2048];

    add_files(dir, FILES("cat/1.jpg", "dog/2.jpg", "bird/notes.txt"));
    gf_dataset *set = open_with(dir, warnings);
    CHECK_STR(describe_set(set), "folder cat dog: cat/1.jpg=0 dog/2.jpg=1");
    snprintf(
        want, sizeof want,
        "%s/bird: no pictures found (expected JPEG, PNG, WebP, GIF or BMP files); not a class\n",
        dir);
    CHECK_STR(warnings, want);
    gf_dataset_free(set);
    check_remove_dir(dir);
}

TEST(folder__warns_of_foreign_formats_loose_pictures_and_a_single_class)
{
    char *dir = check_temp_dir(), warnings[4096];

    add_files(dir, FILES("cat/1.jpg", "cat/2.HEIC", "cat/3.heic", "loose.png"));
    gf_dataset *set = open_with(dir, warnings);
    CHECK(strstr(warnings, "cat: 2 pictures of a format graft does not read (HEIC)") != NULL);
    CHECK(strstr(warnings, "1 picture outside of the class folders left out") != NULL);
    CHECK(strstr(warnings, "only one class, cat") != NULL);
    gf_dataset_free(set);
    check_remove_dir(dir);
}

TEST(folder__shows_the_layout_it_expects)
{
    char *dir = check_temp_dir();

    check_refused(dir, GF_EINVAL, "no class folders; expected a folder for each class");
    add_files(dir, FILES("1.jpg", "2.jpg"));
    check_refused(dir, GF_EINVAL,
                  "2 pictures but no class folders; expected a folder for each class");
    CHECK(strstr(check_err.message, "/CLASS/1.jpg") != NULL);
    add_files(dir, FILES("cat/notes.txt"));
    check_refused(dir, GF_EINVAL, "no pictures found in its folder 'cat' (expected JPEG,");
    add_files(dir, FILES("dog/notes.txt"));
    check_refused(dir, GF_EINVAL, "no pictures found in any of its 2 class folders");
    check_remove_dir(dir);
}

TEST(folder__does_not_take_train_and_test_for_classes)
{
    char *dir = check_temp_dir(), path[1024];

    add_files(dir, FILES("train/cat/1.jpg", "train/dog/2.jpg", "test/cat/3.jpg"));
    check_refused(dir, GF_EINVAL, "has the folders of a divided data set (test, train)");
    snprintf(path, sizeof path, "%s/train", dir);
    check_folder(path, "folder cat dog: cat/1.jpg=0 dog/2.jpg=1");
    add_files(dir, FILES("train/locomotive.jpg")); /* a class of that name after all */
    check_folder(dir, "folder test train: test/cat/3.jpg=0 train/cat/1.jpg=1 train/dog/2.jpg=1 "
                      "train/locomotive.jpg=1");
    check_remove_dir(dir);
}

TEST(dataset__says_what_it_is_if_it_is_no_data_set)
{
    char *dir = check_temp_dir(), path[1024];
    gf_dataset *set = NULL;

    snprintf(path, sizeof path, "%s/nothing", dir);
    CHECK_FAILS(GF_ENOTFOUND, path, gf_dataset_open(path, NULL, NULL, &set, &check_err));
    add_file(dir, "picture", gif, sizeof gif - 1);
    snprintf(path, sizeof path, "%s/picture", dir);
    check_refused(path, GF_EFORMAT,
                  "a GIF picture, not a data set; expected a folder of class folders");
    add_file(dir, "bytes", "\1\2\0\3", 4);
    snprintf(path, sizeof path, "%s/bytes", dir);
    check_refused(path, GF_EFORMAT, "not a data set; expected");
    add_file(dir, "urls", "# mine\nhttps://x.org/1.jpg cat\n", 31);
    snprintf(path, sizeof path, "%s/urls", dir);
    check_refused(path, GF_EFORMAT, "a list of addresses; `graft dataset make` downloads");
    check_remove_dir(dir);
}

TEST(dataset__reads_the_bytes_of_files)
{
    char *dir = check_temp_dir();
    gf_dataset *set = NULL;
    gf_sample sample;

    add_file(dir, "cat/1.jpg", "abc", 3);
    add_file(dir, "cat/2.jpg", "", 0);
    CHECK_OK(gf_dataset_open(dir, NULL, NULL, &set, &check_err));
    CHECK_OK(gf_dataset_read(set, 0, &sample, &check_err));
    CHECK_EQ(sample.kind, GF_SAMPLE_ENCODED);
    CHECK_EQ(sample.n_bytes, 3);
    CHECK(memcmp(sample.data, "abc", 3) == 0);
    gf_sample_release(&sample);
    CHECK(sample.data == NULL);
    CHECK_OK(gf_dataset_read(set, 1, &sample, &check_err));
    CHECK_EQ(sample.n_bytes, 0);
    CHECK(sample.data != NULL);
    gf_sample_release(&sample);
    unlink(gf_dataset_file_at(set, 0));
    CHECK_FAILS(GF_ENOTFOUND, "cat/1.jpg", gf_dataset_read(set, 0, &sample, &check_err));
    gf_sample_release(&sample); /* of a failed read: nothing */
    gf_dataset_free(set);
    check_remove_dir(dir);
}

/* ---- hashes ---------------------------------------------------------------------------------- */

TEST(dataset_hash__is_of_content_names_and_labels_not_of_the_place)
{
    char *dir = check_temp_dir(), path[2][1024], hex[2][65];

    for (int i = 0; i < 2; i++) {
        snprintf(path[i], sizeof path[i], "%s/set%d", dir, i);
        add_files(path[i], FILES("cat/1.jpg", "dog/2.jpg"));
        hash_of(path[i], hex[i]);
    }
    CHECK_STR(hex[0], hex[1]);
    add_file(path[1], "cat/1.jpg", "other", 5);
    hash_of(path[1], hex[1]);
    CHECK(strcmp(hex[0], hex[1]) != 0);
    add_files(path[0], FILES("dog/1.jpg"));
    hash_of(path[0], hex[1]);
    CHECK(strcmp(hex[0], hex[1]) != 0);
    check_remove_dir(dir);
}

static bool stop_at_once(void *user, const gf_progress *progress)
{
    CHECK_STR(progress->stage, "hash");
    CHECK_EQ(progress->n_total, 2);
    return false;
}

TEST(dataset_hash__can_be_stopped_and_outlives_missing_files)
{
    char *dir = check_temp_dir(), hex[65];
    gf_dataset *set = NULL;

    add_files(dir, FILES("cat/1.jpg", "dog/2.jpg"));
    CHECK_OK(gf_dataset_open(dir, NULL, NULL, &set, &check_err));
    CHECK_EQ(gf_dataset_hash(set, &(gf_observer){.progress = stop_at_once}, hex, NULL),
             GF_ECANCELED);
    CHECK_STR(hex, "");
    CHECK_OK(gf__dataset_item_hash(set, 0, hex, &check_err));
    char want[65];
    gf__sha256_hex("cat/1.jpg", 9, want);
    CHECK_STR(hex, want);
    unlink(gf_dataset_file_at(set, 0));
    CHECK_OK(gf_dataset_hash(set, NULL, hex, &check_err));
    CHECK_FAILS(GF_ENOTFOUND, "cat/1.jpg", gf__dataset_item_hash(set, 0, hex, &check_err));
    gf_dataset_free(set);
    check_remove_dir(dir);
}

TEST(dataset_hash__outlives_a_folder_in_the_place_of_a_file)
{
    char *dir = check_temp_dir(), hex[65], gone[65];
    gf_dataset *set = NULL;

    add_files(dir, FILES("cat/1.jpg", "dog/2.jpg"));
    CHECK_OK(gf_dataset_open(dir, NULL, NULL, &set, &check_err));
    unlink(gf_dataset_file_at(set, 0));
    CHECK_OK(gf_dataset_hash(set, NULL, gone, &check_err));
    CHECK_EQ(mkdir(gf_dataset_file_at(set, 0), 0777), 0);
    CHECK_OK(gf_dataset_hash(set, NULL, hex, &check_err));
    CHECK_STR(hex, gone); /* unreadable is unreadable */
    gf_dataset_free(set);
    check_remove_dir(dir);
}

TESTS_MAIN(UNIT(folder__lists_classes_and_items_in_byte_order),
           UNIT(folder__passes_over_hidden_files_and_what_is_no_picture),
           UNIT(folder__knows_pictures_without_an_ending_by_their_content),
           UNIT(folder__takes_a_path_with_slashes_at_its_end),
           UNIT(folder__follows_links_and_survives_loops_pipes_and_dead_links),
           UNIT(folder__names_class_folders_without_pictures),
           UNIT(folder__warns_of_foreign_formats_loose_pictures_and_a_single_class),
           UNIT(folder__shows_the_layout_it_expects),
           UNIT(folder__does_not_take_train_and_test_for_classes),
           UNIT(dataset__says_what_it_is_if_it_is_no_data_set),
           UNIT(dataset__reads_the_bytes_of_files),
           UNIT(dataset_hash__is_of_content_names_and_labels_not_of_the_place),
           UNIT(dataset_hash__can_be_stopped_and_outlives_missing_files),
           UNIT(dataset_hash__outlives_a_folder_in_the_place_of_a_file))
