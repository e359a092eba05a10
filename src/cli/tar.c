/* cli/tar.c: POSIX ustar records, and gzip's frame around blocks that are stored as they are. */
#include "cli/tar.h"

#include <stdio.h>
#include <string.h>

#define RECORD       512u
#define MAX_FILE     ((size_t)1 << 33) /* eleven octal digits */
#define STORED_BLOCK 65535u
#define NO_TIME      315532800u /* 1980: a .zip made of the package could not tell an earlier one */

/* Places in a header: POSIX.1-2017, pax, "ustar Interchange Format". */
enum {
    NAME = 0,
    NAME_BYTES = 100,
    MODE = 100,
    OWNER = 108,
    GROUP = 116,
    SIZE = 124,
    TIME = 136,
    CHECKSUM = 148,
    KIND = 156,
    MAGIC = 257,
    PREFIX = 345,
    PREFIX_BYTES = 155
};

/* Name and, where it is longer, the folders before it apart. */
static bool put_name(char header[RECORD], const char *name)
{
    const size_t n_chars = strlen(name);
    if (n_chars <= NAME_BYTES) {
        memcpy(header + NAME, name, n_chars);
        return true;
    }
    const char *slash = strchr(name + n_chars - NAME_BYTES - 1, '/');
    if (slash == NULL || slash == name || slash - name > PREFIX_BYTES)
        return false;
    memcpy(header + PREFIX, name, (size_t)(slash - name));
    memcpy(header + NAME, slash + 1, strlen(slash + 1));
    return true;
}

static void put_octal(char *at, int n_digits, uint64_t number)
{
    for (int i = n_digits - 1; i >= 0; i--, number >>= 3)
        at[i] = (char)('0' + (number & 7));
}

gf_status gf__tar_file(gf__buffer *tar, const char *name, const void *bytes, size_t n_bytes,
                       gf_error *err)
{
    static const char zeros[RECORD];
    char header[RECORD] = {0};
    unsigned sum = 0;
    if (!put_name(header, name))
        return gf_error_set(err, GF_ELIMIT, "%.160s: a name too long for a package", name);
    if (n_bytes >= MAX_FILE)
        return gf_error_set(err, GF_ELIMIT, "%.160s: %zu bytes are too many for a package", name,
                            n_bytes);
    put_octal(header + MODE, 7, 0644);
    put_octal(header + OWNER, 7, 0);
    put_octal(header + GROUP, 7, 0);
    put_octal(header + SIZE, 11, n_bytes);
    put_octal(header + TIME, 11, NO_TIME);
    header[KIND] = '0';
    memcpy(header + MAGIC,
           "ustar\0"
           "00",
           8);
    memset(header + CHECKSUM, ' ', 8); /* as which it counts itself */
    for (size_t i = 0; i < RECORD; i++)
        sum += (unsigned char)header[i];
    put_octal(header + CHECKSUM, 6, sum);
    header[CHECKSUM + 6] = '\0';
    gf__buffer_append(tar, header, RECORD);
    gf__buffer_append(tar, bytes, n_bytes);
    gf__buffer_append(tar, zeros, (RECORD - n_bytes % RECORD) % RECORD);
    return gf__buffer_status(tar, err);
}

void gf__tar_end(gf__buffer *tar)
{
    static const char zeros[2 * RECORD];
    gf__buffer_append(tar, zeros, sizeof zeros);
}

/* ---- gzip: RFC 1952, with stored blocks of RFC 1951 ------------------------------------------- */

static uint32_t crc32_of(const char *bytes, size_t n_bytes)
{
    uint32_t table[256], crc = UINT32_MAX;
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; bit++)
            value = (value & 1) != 0 ? 0xEDB88320u ^ (value >> 1) : value >> 1;
        table[i] = value;
    }
    for (size_t i = 0; i < n_bytes; i++)
        crc = table[(crc ^ (unsigned char)bytes[i]) & 255] ^ (crc >> 8);
    return ~crc;
}

static void put_little(gf__buffer *out, uint32_t number, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++) {
        const unsigned char byte = (unsigned char)(number >> 8 * i & 255);
        gf__buffer_append(out, &byte, 1);
    }
}

void gf__gzip_stored(const gf__buffer *bytes, gf__buffer *out)
{
    /* deflate; no name, no time; flags and system unknown */
    static const unsigned char head[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};
    gf__buffer_append(out, head, sizeof head);
    for (size_t at = 0; at < bytes->size || at == 0; at += STORED_BLOCK) {
        const size_t n_left = bytes->size - at;
        const size_t n = n_left < STORED_BLOCK ? n_left : STORED_BLOCK;
        put_little(out, at + n == bytes->size, 1); /* the last block; stored */
        put_little(out, (uint32_t)n, 2);
        put_little(out, ~(uint32_t)n, 2);
        gf__buffer_append(out, bytes->data + at, n);
    }
    put_little(out, crc32_of(bytes->data, bytes->size), 4);
    put_little(out, (uint32_t)bytes->size, 4);
}
