/* test_base_hash.c: the published vectors, in one piece and in many, and files. */
#include "check.h"

#include "base/base.h"

static const char sha256_of_abc[] =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
static const char sha256_of_nothing[] =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

TEST(sha256_hex__agrees_with_fips_180)
{
    char hex[GF__SHA256_HEX];
    gf__sha256_hex("abc", 3, hex);
    CHECK_STR(hex, sha256_of_abc);
    gf__sha256_hex(NULL, 0, hex);
    CHECK_STR(hex, sha256_of_nothing);
}

TEST(hash__is_the_same_in_pieces)
{
    gf__hash *hash = NULL;
    char hex[GF__SHA256_HEX];
    CHECK_OK(gf__hash_new(GF__HASH_SHA256, &hash, &check_err));
    gf__hash_update(hash, "a", 1);
    gf__hash_update(hash, "", 0);
    gf__hash_update(hash, "bc", 2);
    gf__hash_finish(hash, hex);
    CHECK_STR(hex, sha256_of_abc);
}

TEST(hash__md5_agrees_with_rfc_1321)
{
    gf__hash *hash = NULL;
    char hex[GF__MD5_HEX];
    CHECK_OK(gf__hash_new(GF__HASH_MD5, &hash, &check_err));
    gf__hash_update(hash, "message digest", 14);
    gf__hash_finish(hash, hex);
    CHECK_STR(hex, "f96b697d7cb7938d525a2f31aaf161d0");
}

TEST(hash_finish__frees_without_an_answer)
{
    gf__hash *hash = NULL;
    CHECK_OK(gf__hash_new(GF__HASH_SHA256, &hash, &check_err));
    gf__hash_finish(hash, NULL);
    gf__hash_finish(NULL, NULL);
}

TEST(hash_new__survives_memory_running_out)
{
    gf__hash *hash = NULL;
    gf__mem_fail_after(0);
    const gf_status st = gf__hash_new(GF__HASH_SHA256, &hash, NULL);
    gf__mem_fail_never();
    CHECK_EQ(st, GF_ENOMEM);
    assert_null(hash);
}

TEST(hash_file__reads_files_longer_than_its_buffer)
{
    char *dir = check_temp_dir(), *path = gf__path_join(dir, "zeros");
    const size_t n_bytes = ((size_t)1 << 20) + 3;
    char *zeros = gf__calloc(n_bytes, 1);
    char want[GF__SHA256_HEX], got[GF__SHA256_HEX];
    CHECK_OK(gf__write_file(path, zeros, n_bytes, &check_err));
    gf__sha256_hex(zeros, n_bytes, want);
    CHECK_OK(gf__hash_file(GF__HASH_SHA256, path, got, &check_err));
    CHECK_STR(got, want);
    gf__free(zeros);
    gf__free(path);
    check_remove_dir(dir);
}

TEST(hash_file__names_what_it_could_not_read)
{
    char *dir = check_temp_dir(), *path = gf__path_join(dir, "missing");
    char hex[GF__SHA256_HEX] = "old";
    CHECK_FAILS(GF_ENOTFOUND, "missing: cannot open",
                gf__hash_file(GF__HASH_SHA256, path, hex, &check_err));
    CHECK_STR(hex, "");
    CHECK_FAILS(GF_EIO, "Is a directory", gf__hash_file(GF__HASH_SHA256, dir, hex, &check_err));
    gf__free(path);
    check_remove_dir(dir);
}

TESTS_MAIN(UNIT(sha256_hex__agrees_with_fips_180), UNIT(hash__is_the_same_in_pieces),
           UNIT(hash__md5_agrees_with_rfc_1321), UNIT(hash_finish__frees_without_an_answer),
           UNIT(hash_new__survives_memory_running_out),
           UNIT(hash_file__reads_files_longer_than_its_buffer),
           UNIT(hash_file__names_what_it_could_not_read))
