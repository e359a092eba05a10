/* base/hash.c: the only file that sees OpenSSL. */
#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/error.h"
#include "base/mem.h"

#define FILE_CHUNK ((size_t)256 << 10)

struct gf__hash {
    EVP_MD_CTX *context;
    bool failed;
};

gf_status gf__hash_new(gf__hash_kind kind, gf__hash **out, gf_error *err)
{
    const char *name = kind == GF__HASH_MD5 ? "MD5" : "SHA-256";
    *out = NULL;
    gf__hash *hash = gf__calloc(1, sizeof *hash);
    if (hash == NULL)
        return gf__error_nomem(err, "a checksum", sizeof *hash);
    hash->context = EVP_MD_CTX_new();
    if (hash->context == NULL) {
        gf__hash_finish(hash, NULL);
        return gf__error_nomem(err, "a checksum", 0);
    }
    if (EVP_DigestInit_ex(hash->context, kind == GF__HASH_MD5 ? EVP_md5() : EVP_sha256(), NULL) !=
        1) {
        gf__hash_finish(hash, NULL);
        return gf_error_set(err, GF_EUNSUPPORTED, "this system's OpenSSL refuses %s", name);
    }
    *out = hash;
    return GF_OK;
}

void gf__hash_update(gf__hash *hash, const void *bytes, size_t n_bytes)
{
    if (EVP_DigestUpdate(hash->context, bytes, n_bytes) != 1)
        hash->failed = true;
}

static void write_hex(const unsigned char *digest, unsigned n_bytes, char *hex)
{
    static const char digits[] = "0123456789abcdef";
    for (unsigned i = 0; i < n_bytes; i++) {
        *hex++ = digits[digest[i] >> 4];
        *hex++ = digits[digest[i] & 15];
    }
    *hex = '\0';
}

void gf__hash_finish(gf__hash *hash, char *hex)
{
    if (hash == NULL)
        return;
    if (hex != NULL) {
        unsigned char digest[EVP_MAX_MD_SIZE];
        unsigned n_bytes = 0;
        if (hash->failed || EVP_DigestFinal_ex(hash->context, digest, &n_bytes) != 1)
            n_bytes = 0;
        write_hex(digest, n_bytes, hex);
    }
    EVP_MD_CTX_free(hash->context);
    gf__free(hash);
}

void gf__sha256_hex(const void *bytes, size_t n_bytes, char hex[GF__SHA256_HEX])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n_digest = 0;
    if (EVP_Digest(bytes, n_bytes, digest, &n_digest, EVP_sha256(), NULL) != 1)
        n_digest = 0;
    write_hex(digest, n_digest, hex);
}

bool gf__constant_time_equal(const void *a, const void *b, size_t n_bytes)
{
    return CRYPTO_memcmp(a, b, n_bytes) == 0;
}

static gf_status hash_descriptor(gf__hash *hash, int fd, const char *path, gf_error *err)
{
    char *chunk = gf__malloc(FILE_CHUNK);
    if (chunk == NULL)
        return gf__error_nomem(err, "reading a file", FILE_CHUNK);
    gf_status st = GF_OK;
    for (;;) {
        const ssize_t n_read = read(fd, chunk, FILE_CHUNK);
        if (n_read == 0)
            break;
        if (n_read > 0) {
            gf__hash_update(hash, chunk, (size_t)n_read);
        } else if (errno != EINTR) {
            st = gf__error_errno(err, errno, "%s: cannot read", path);
            break;
        }
    }
    gf__free(chunk);
    return st;
}

gf_status gf__hash_file(gf__hash_kind kind, const char *path, char *hex, gf_error *err)
{
    gf__hash *hash = NULL;
    hex[0] = '\0';
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return gf__error_errno(err, errno, "%s: cannot open", path);
    gf_status st = gf__hash_new(kind, &hash, err);
    if (st == GF_OK)
        st = hash_descriptor(hash, fd, path, err);
    gf__hash_finish(hash, st == GF_OK ? hex : NULL);
    close(fd);
    if (st == GF_OK && hex[0] == '\0')
        return gf_error_set(err, GF_EIO, "%s: OpenSSL could not finish the checksum", path);
    return st;
}
